//go:build linux

package peers

import (
	"syscall"
	"unsafe"
)

// rawRead and rawWrite are system calls that never wait, so Go's scheduler is not notified of them. p must not be empty.
func rawRead(fd int, p []byte) (int, error)  { return rawCall(syscall.SYS_READ, fd, p) }
func rawWrite(fd int, p []byte) (int, error) { return rawCall(syscall.SYS_WRITE, fd, p) }

func rawCall(number uintptr, fd int, p []byte) (int, error) {
	for {
		n, _, err := syscall.RawSyscall(number, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		switch err {
		case 0:
			return int(n), nil
		case syscall.EINTR:
		default:
			return 0, err
		}
	}
}
