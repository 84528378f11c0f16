//go:build !386

package loop

import "syscall"

const (
	sysAccept4    = syscall.SYS_ACCEPT4
	sysConnect    = syscall.SYS_CONNECT
	sysSetsockopt = syscall.SYS_SETSOCKOPT
	sysShutdown   = syscall.SYS_SHUTDOWN
	sysSocket     = syscall.SYS_SOCKET
)
