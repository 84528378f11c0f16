//go:build unix

package faults

import "syscall"

// shrink makes the kernel queue as few connections of a listening socket as possible.
func shrink(fd uintptr) error { return syscall.Listen(int(fd), 0) }
