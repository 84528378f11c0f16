package gateway

import (
	"net"
	"syscall"
	"time"
)

// How soon and how often a peer is asked whether it is there, and how often in vain: what package net sets on a connection.
const (
	keepAliveEvery = 15 * time.Second
	keepAliveCount = 9
)

// keptAlive has a listener's socket set up so that its connections inherit keep-alive, and package net not set it for each of them: that
// is four system calls.
func keptAlive(config *net.ListenConfig) {
	config.KeepAlive = -1
	config.Control = func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			every := int(keepAliveEvery / time.Second)
			for _, o := range [...]struct{ level, option, value int }{
				{syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1},
				{syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, every},
				{syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, every},
				{syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, keepAliveCount},
			} {
				if err := syscall.SetsockoptInt(int(fd), o.level, o.option, o.value); err != nil && failed == nil {
					failed = err
				}
			}
		})
		if err == nil {
			err = failed
		}
		return err
	}
}
