//go:build linux

package peers

import (
	"context"
	"net"
	"net/http"

	"github.com/coder/websocket"
	xnet "golang.org/x/net/websocket"
)

func coderServe(c *Config, ln net.Listener) error {
	o := &websocket.AcceptOptions{}
	switch c.Compress {
	case CompressEach:
		o.CompressionMode = websocket.CompressionNoContextTakeover
	case CompressTakeover:
		o.CompressionMode = websocket.CompressionContextTakeover
	}
	members := &room[*websocket.Conn]{}
	return serveHTTP(ln, func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, o)
		if err != nil {
			return
		}
		conn.SetReadLimit(maxMessage)
		go func() {
			defer conn.CloseNow() //nolint:errcheck // the error only reports how the connection had already ended
			if !c.Broadcast {
				coderEcho(conn, nil)
				return
			}
			members.enter(conn)
			defer members.leave(conn)
			coderEcho(conn, members)
		}()
	})
}

// coderEcho echoes, or, if there are members, sends to all of them. It uses a context that cannot be canceled, which is the fastest.
func coderEcho(c *websocket.Conn, members *room[*websocket.Conn]) {
	ctx, buf := context.Background(), []byte(nil)
	for {
		kind, r, err := c.Reader(ctx)
		if err == nil {
			buf, err = appendAll(buf[:0], r)
		}
		if err == nil && members == nil {
			err = c.Write(ctx, kind, buf)
		}
		if err != nil {
			return
		}
		if members == nil {
			continue
		}
		for range times(buf) {
			members.all(func(c *websocket.Conn) error { return c.Write(ctx, kind, buf) })
		}
	}
}

func xnetServe(c *Config, ln net.Listener) error {
	members := &room[*xnet.Conn]{}
	s := &xnet.Server{Handler: func(conn *xnet.Conn) {
		defer conn.Close()
		conn.MaxPayloadBytes = maxMessage
		conn.PayloadType = xnet.BinaryFrame
		if c.Broadcast {
			members.enter(conn)
			defer members.leave(conn)
		}
		var buf []byte
		for {
			if err := xnet.Message.Receive(conn, &buf); err != nil {
				return
			}
			if !c.Broadcast {
				if err := xnet.Message.Send(conn, buf); err != nil {
					return
				}
				continue
			}
			for range times(buf) {
				members.all(func(c *xnet.Conn) error { return xnet.Message.Send(c, buf) })
			}
		}
	}}
	return serveHTTP(ln, s.ServeHTTP)
}
