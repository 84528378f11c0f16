//go:build !386 && !s390x

package reactor

import "syscall"

const sysAccept4 = syscall.SYS_ACCEPT4
