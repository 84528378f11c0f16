//go:build !plan9

package accepting

import "syscall"

var (
	// failedConnections are errors of a connection in the queue: the client has reset it, a firewall has refused it (EPERM, on Linux),
	// or a signal has interrupted the call.
	failedConnections = []error{syscall.ECONNABORTED, syscall.EPROTO, syscall.EPERM, syscall.EINTR}
	// lacks are errors for a lack of resources of this process or its system.
	lacks = []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM}
)
