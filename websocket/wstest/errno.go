//go:build !plan9

package wstest

import "syscall"

// The errors of operations on a stream that the other end has reset or closed.
const (
	errReset  = syscall.ECONNRESET
	errClosed = syscall.EPIPE
)
