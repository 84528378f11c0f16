// Package observe is what a server tells about itself: every metric, every event of the log and of the audit log has its
// name here, once.
package observe

//go:generate go test -run TestReference . -rewrite
