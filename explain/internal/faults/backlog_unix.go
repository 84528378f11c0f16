//go:build unix

package faults

import "syscall"

// shrink makes the kernel keep as few connections of a listening socket as it can, until they are accepted.
func shrink(fd uintptr) error { return syscall.Listen(int(fd), 0) }
