package main

import (
	"context"
	"fmt"
	"io"
	"net"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/protocol"
)

// ourSizes returns the number of bytes that this library's server sends for messages, for each window size in bits.
func ourSizes(messages [][]byte) (sizes []int, err error) {
	for bits := minBits; bits <= maxBits; bits++ {
		n, err := ourSize(messages, bits)
		if err != nil {
			return nil, err
		}
		sizes = append(sizes, n)
	}
	return sizes, nil
}

func ourSize(messages [][]byte, bits int) (int, error) {
	near, far := net.Pipe()
	defer near.Close()
	received := make(chan int, 1)
	go func() { // returns when the server's end is closed
		n, _ := io.Copy(io.Discard, far)
		received <- int(n)
	}()
	c, err := websocket.NewConn(near, protocol.RoleServer,
		&websocket.Handshake{Extensions: fmt.Sprintf("permessage-deflate; server_max_window_bits=%d", bits)},
		&websocket.ConnOptions{Compression: &websocket.Compression{Threshold: -1}})
	if err != nil {
		return 0, err
	}
	headers := 0
	for _, m := range messages {
		if err := c.Write(context.Background(), websocket.Message{Type: websocket.Text, Data: m}); err != nil {
			return 0, err
		}
		headers += 2
		if len(m) > 300 { // nearly all of these frames have a 16-bit length
			headers += 2
		}
	}
	if err := c.CloseNow(); err != nil {
		return 0, err
	}
	return <-received - headers, nil
}
