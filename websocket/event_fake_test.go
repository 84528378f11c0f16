package websocket

import (
	"fmt"
	"strings"
	"testing"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/internal/looptest"
	"github.com/handfast/handfast/websocket/loop"
)

// evEcho is a handler that echoes messages.
var evEcho = evHandler{Message: func(c *eventConn, m Message) { c.Send(m) }}

// evQueueOf returns options with a limit for the queue of messages to a peer.
func evQueueOf(bytes int) (o AcceptOptions) {
	o.Conn.QueueBytes = bytes
	return o
}

// evManualServer is a server with a single loop, which the test runs step by step.
type evManualServer struct {
	*evServer
	k   *looptest.Fake
	log []string
}

// evManual starts a server on k that echoes messages and records events.
func evManual(t testing.TB, k *looptest.Fake, s *evServer) *evManualServer {
	t.Helper()
	p := &evManualServer{evServer: s, k: k}
	s.Handler = evHandler{
		Open: func(*eventConn) { p.log = append(p.log, "open") },
		Message: func(c *eventConn, m Message) {
			p.log = append(p.log, fmt.Sprintf("%v %q", m.Type, m.Data))
			if shared, err := Prepare(m); err == nil && strings.HasPrefix(string(m.Data), "send") {
				c.SendPrepared(shared, shared)
			} else {
				c.Send(m)
			}
			if strings.HasPrefix(string(m.Data), "close") {
				c.Shut(4000, "")
			}
		},
		Close: func(_ *eventConn, err error) { p.log = append(p.log, "close "+CloseCode(err).String()) },
	}
	s.manual(t, k)
	return p
}

// manual makes s serve on k. The test runs the loop.
func (s *evServer) manual(t testing.TB, k loop.Kernel) {
	t.Helper()
	if err := s.configure(); err != nil {
		t.Fatal(err)
	}
	s.ls = &eventLoops{loop.Manual(k)}
	if _, err := s.ls.ListenOn(looptest.Listener, func(p loop.Place) *loop.FD { return s.ls.accepted(p, s.kind, s.countConn) }); err != nil {
		t.Fatal(err)
	}
}

// onlyConn returns the only open connection.
func (p *evManualServer) onlyConn() (c *eventConn) {
	p.ls.each(func(one *eventConn) { c = one })
	return c
}

// evRequest is a client's request without the final empty line.
const evRequest = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"

// evMasked returns a masked frame, as sent by a client.
func evMasked(op frame.Opcode, fin bool, payload string) string {
	h := frame.Header{Fin: fin, Opcode: op, Masked: true, Key: [4]byte{0x37, 0xfa, 0x21, 0x3d}, Length: int64(len(payload))}
	b := frame.Append(nil, h)
	start := len(b)
	b = append(b, payload...)
	frame.Mask(b[start:], h.Key)
	return string(b)
}
