//go:build linux

package peers

import (
	"context"
	"net"
	"net/http"

	"github.com/handfast/handfast/websocket"
)

func oursOptions(c *Config) *websocket.AcceptOptions {
	o := &websocket.AcceptOptions{Conn: websocket.ConnOptions{MaxMessage: maxMessage}}
	switch c.Compress {
	case CompressEach:
		o.Conn.Compression = &websocket.Compression{ServerNoTakeover: true, ClientNoTakeover: true}
	case CompressTakeover:
		o.Conn.Compression = &websocket.Compression{}
	}
	return o
}

func oursServe(c *Config, ln net.Listener) error {
	o, serve := oursOptions(c), oursHandler(c)
	return serveHTTP(ln, func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, o)
		if err != nil {
			return
		}
		go serve(conn)
	})
}

// oursHandler returns what serves one connection to its end.
func oursHandler(c *Config) func(*websocket.Conn) {
	if c.Broadcast {
		members := &room[*websocket.Conn]{}
		return func(conn *websocket.Conn) { oursBroadcast(members, conn) }
	}
	return oursEcho
}

func oursEcho(c *websocket.Conn) {
	defer c.CloseNow()
	ctx, buf := context.Background(), []byte(nil)
	for {
		m, err := c.ReadAppend(ctx, buf[:0])
		if err != nil {
			return
		}
		if err := c.Write(ctx, m); err != nil {
			return
		}
		buf = m.Data
	}
}

func oursBroadcast(members *room[*websocket.Conn], c *websocket.Conn) {
	members.enter(c)
	defer c.CloseNow()
	defer members.leave(c)
	ctx, buf := context.Background(), []byte(nil)
	for {
		m, err := c.ReadAppend(ctx, buf[:0])
		if err != nil {
			return
		}
		buf = m.Data
		var ps []*websocket.Prepared
		for range times(m.Data) {
			p, err := websocket.Prepare(m)
			if err != nil {
				return
			}
			ps = append(ps, p)
		}
		members.all(func(c *websocket.Conn) error { return c.Send(ps...) })
	}
}
