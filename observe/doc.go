// Package observe defines the names of all metrics, and of all events and attributes of the log and of the audit log.
package observe

//go:generate go test -run TestReference . -rewrite
