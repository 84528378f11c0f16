// Package binary contains only tests, which build the handfast binary and run it as a user would, in pipes and on a terminal, with
// a separate home directory.
package binary
