//go:build !386

package loop

import "syscall"

const sysAccept4 = syscall.SYS_ACCEPT4
