//go:build linux

package peers

import (
	"net"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/reactor"
)

func reactorServe(c *Config, ln net.Listener) error {
	s := &reactor.Server{Options: *oursOptions(c)}
	s.Options.Conn.WriteQueue.Bytes = maxMessage
	members := &room[*reactor.Conn]{}
	if c.Broadcast {
		s.Handler.Open = members.enter
		s.Handler.Close = func(c *reactor.Conn, _ error) { members.leave(c) }
	}
	s.Handler.Message = func(conn *reactor.Conn, m websocket.Message) {
		if !c.Broadcast {
			_ = conn.Send(m) // the connection meets the error, too
			return
		}
		ps := prepareAll(m)
		members.all(func(c *reactor.Conn) error { return c.SendPrepared(ps...) })
	}
	if c.TLS != nil {
		return s.ServeTLS(ln, c.TLS)
	}
	return s.Serve(ln)
}
