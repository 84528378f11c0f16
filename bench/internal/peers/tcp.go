//go:build linux

package peers

import "net"

// tcpServe is the lower limit for a WebSocket server with a goroutine for each connection.
func tcpServe(_ *Config, ln net.Listener) error {
	for {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		go tcpEcho(c)
	}
}

func tcpEcho(c net.Conn) {
	defer c.Close()
	buf := make([]byte, 4<<10)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		if _, err := c.Write(buf[:n]); err != nil {
			return
		}
		if n == len(buf) && n < 256<<10 {
			buf = make([]byte, 2*n)
		}
	}
}
