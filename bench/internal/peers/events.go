//go:build linux

package peers

import (
	"net"
	"net/http"
	"time"

	"github.com/handfast/handfast/websocket"
)

// eventsServe serves an Endpoint with Open, whose connections are on event loops.
func eventsServe(c *Config, ln net.Listener) error {
	e := &websocket.Endpoint{Accept: *oursOptions(c)}
	e.Accept.Conn.QueueBytes = maxMessage
	e.Open = func(s websocket.Sender) websocket.Receiver { return echoing{s} }
	if c.Broadcast {
		members := &room[websocket.Sender]{}
		e.Open = func(s websocket.Sender) websocket.Receiver {
			members.enter(s)
			return spreading{s, members}
		}
	}
	s := &websocket.Server{HTTP: &http.Server{Handler: e, TLSConfig: c.TLS, ReadHeaderTimeout: 10 * time.Second}}
	if c.TLS != nil {
		return s.ServeTLS(ln, "", "")
	}
	return s.Serve(ln)
}

type echoing struct{ websocket.Sender }

func (e echoing) Message(m websocket.Message) error {
	_ = e.Send(m) // the connection reports the error to Closed, too
	return nil
}

func (echoing) Closed(*websocket.CloseError) {}

type spreading struct {
	websocket.Sender
	members *room[websocket.Sender]
}

func (s spreading) Message(m websocket.Message) error {
	ps := prepareAll(m)
	s.members.all(func(to websocket.Sender) error { return to.SendPrepared(ps...) })
	return nil
}

func (s spreading) Closed(*websocket.CloseError) { s.members.leave(s.Sender) }
