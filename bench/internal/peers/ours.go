//go:build linux

package peers

import (
	"context"
	"net"
	"net/http"
	"time"

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

func oursServe(c *Config, ln net.Listener) error      { return oursHTTP(c, ln, oursEcho) }
func oursQueueServe(c *Config, ln net.Listener) error { return oursHTTP(c, ln, oursQueueEcho) }

// listenSilent listens without TCP keep-alive, because the library's pings detect a lost peer.
func listenSilent(network, address string) (net.Listener, error) {
	lc := net.ListenConfig{KeepAlive: -1}
	return lc.Listen(context.Background(), network, address)
}

// serverServe is the cheapest way to serve with a goroutine for each connection.
func serverServe(c *Config, ln net.Listener) error {
	echo := oursQueueEcho
	if c.TLS != nil {
		echo = oursEcho // over TLS, each queue would need a goroutine for its writes
	}
	e := &websocket.Endpoint{Serve: oursHandler(c, echo), Accept: *oursOptions(c)}
	s := &websocket.Server{HTTP: &http.Server{Handler: e, TLSConfig: c.TLS, ReadHeaderTimeout: 10 * time.Second}}
	if c.TLS != nil {
		return s.ServeTLS(ln, "", "")
	}
	return s.Serve(ln)
}

func oursHTTP(c *Config, ln net.Listener, echo func(*websocket.Conn)) error {
	o, serve := oursOptions(c), oursHandler(c, echo)
	return serveHTTP(ln, func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, o)
		if err != nil {
			return
		}
		go serve(conn)
	})
}

// oursHandler returns a handler that serves one connection until it ends.
func oursHandler(c *Config, echo func(*websocket.Conn)) func(*websocket.Conn) {
	if c.Broadcast {
		members := &room[*websocket.Conn]{}
		return func(conn *websocket.Conn) { oursBroadcast(members, conn) }
	}
	return echo
}

func oursEcho(c *websocket.Conn) {
	defer c.CloseNow()
	ctx := context.Background()
	for c.View(ctx, func(m websocket.Message) error { return c.Write(ctx, m) }) == nil {
	}
}

// queueLimit is the size from which copying a message costs more than a separate write.
const queueLimit = 4 << 10

// oursQueueEcho queues small replies, so that the replies to messages that arrive together are sent together.
func oursQueueEcho(c *websocket.Conn) {
	defer c.CloseNow()
	ctx := context.Background()
	echo := func(m websocket.Message) error {
		if len(m.Data) <= queueLimit {
			return c.Send(m)
		}
		return c.Write(ctx, m)
	}
	for c.View(ctx, echo) == nil {
	}
}

// prepareAll prepares m as many times as its second byte specifies.
func prepareAll(m websocket.Message) (ps []*websocket.Prepared) {
	for range times(m.Data) {
		if p, err := websocket.Prepare(m); err == nil { // the messages of the load are always valid
			ps = append(ps, p)
		}
	}
	return ps
}

func oursBroadcast(members *room[*websocket.Conn], c *websocket.Conn) {
	members.enter(c)
	defer c.CloseNow()
	defer members.leave(c)
	spread := func(m websocket.Message) error {
		ps := prepareAll(m)
		members.all(func(c *websocket.Conn) error { return c.SendPrepared(ps...) })
		return nil
	}
	for c.View(context.Background(), spread) == nil {
	}
}
