//go:build !plan9

package websocket

import (
	"errors"
	"syscall"
)

// outOfResources reports whether the system lacks the resources for another connection.
func outOfResources(err error) bool {
	for _, errno := range []syscall.Errno{syscall.ENOBUFS, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE, syscall.ECONNABORTED} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}
