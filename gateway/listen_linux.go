package gateway

import (
	"net"
	"syscall"
	"time"
)

// The interval of keep-alive probes, and the number of them that may fail: the values that package net sets on a connection.
const (
	keepAliveEvery = 15 * time.Second
	keepAliveCount = 9
)

// setKeepAlive enables keep-alive on the socket of a listener, whose connections inherit the setting. Package net then need not
// enable keep-alive on each connection, which would take four system calls.
func setKeepAlive(config *net.ListenConfig) {
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
