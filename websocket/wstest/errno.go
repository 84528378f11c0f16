//go:build !plan9

package wstest

import "syscall"

// What a stream returns when the other end has broken it off, or has closed it.
const (
	errReset  = syscall.ECONNRESET
	errClosed = syscall.EPIPE
)
