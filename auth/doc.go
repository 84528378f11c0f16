// Package auth says who a client is, and what it may do. An [Authenticator] finds an [Identity] in a request, an
// [Authorizer] holds it against rules.
package auth
