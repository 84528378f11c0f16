//go:build linux

package peers

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"

	fast "github.com/fasthttp/websocket"
	"github.com/gorilla/websocket"
	"github.com/valyala/fasthttp"
)

// level is the compression level for libraries with such an option: the fastest, which is the default of the other libraries.
const level = 1

func gorillaServe(c *Config, ln net.Listener) error {
	u := &websocket.Upgrader{WriteBufferPool: &sync.Pool{}, EnableCompression: c.Compress != CompressNone}
	members := &room[*websocket.Conn]{}
	return serveHTTP(ln, func(w http.ResponseWriter, r *http.Request) {
		conn, err := u.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		conn.SetReadLimit(maxMessage)
		if c.Compress != CompressNone {
			_ = conn.SetCompressionLevel(level) // the constant is valid
		}
		go func() {
			defer conn.Close()
			if !c.Broadcast {
				gorillaEcho(conn)
				return
			}
			members.enter(conn)
			defer members.leave(conn)
			gorillaBroadcast(members, conn)
		}()
	})
}

// gorillaConn has the methods that gorilla and its fork for fasthttp have in common.
type gorillaConn interface {
	NextReader() (int, io.Reader, error)
	WriteMessage(kind int, p []byte) error
}

func gorillaEcho(c gorillaConn) {
	var buf []byte
	for {
		kind, r, err := c.NextReader()
		if err == nil {
			buf, err = appendAll(buf[:0], r)
		}
		if err != nil || c.WriteMessage(kind, buf) != nil {
			return
		}
	}
}

// appendAll reads r to its end into buf, which grows as needed and is reused.
func appendAll(buf []byte, r io.Reader) ([]byte, error) {
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if errors.Is(err, io.EOF) {
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
	}
}

func gorillaBroadcast(members *room[*websocket.Conn], c *websocket.Conn) {
	for {
		kind, p, err := c.ReadMessage()
		if err != nil {
			return
		}
		for range times(p) {
			m, err := websocket.NewPreparedMessage(kind, p)
			if err != nil {
				return
			}
			members.all(func(c *websocket.Conn) error { return c.WritePreparedMessage(m) })
		}
	}
}

func fasthttpServe(c *Config, ln net.Listener) error {
	u := &fast.FastHTTPUpgrader{
		WriteBufferPool:   &sync.Pool{},
		EnableCompression: c.Compress != CompressNone,
		CheckOrigin:       func(*fasthttp.RequestCtx) bool { return true },
	}
	members := &room[*fast.Conn]{}
	serve := func(conn *fast.Conn) {
		defer conn.Close()
		conn.SetReadLimit(maxMessage)
		if c.Compress != CompressNone {
			_ = conn.SetCompressionLevel(level) // the constant is valid
		}
		if !c.Broadcast {
			gorillaEcho(conn)
			return
		}
		members.enter(conn)
		defer members.leave(conn)
		fasthttpBroadcast(members, conn)
	}
	s := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) { _ = u.Upgrade(ctx, serve) }} // Upgrade itself responds to errors
	return s.Serve(ln)
}

func fasthttpBroadcast(members *room[*fast.Conn], c *fast.Conn) {
	for {
		kind, p, err := c.ReadMessage()
		if err != nil {
			return
		}
		for range times(p) {
			m, err := fast.NewPreparedMessage(kind, p)
			if err != nil {
				return
			}
			members.all(func(c *fast.Conn) error { return c.WritePreparedMessage(m) })
		}
	}
}
