package websocket

import (
	"bytes"
	"net"
	"time"

	"github.com/handfast/handfast/websocket/internal/opening"
)

// listenOnLoop makes an event loop accept connections from the listener's socket and perform their handshakes: for an Endpoint with Open
// that needs no request, when no hook needs the net.Conn. A connection in its handshake then costs as little as an idle one, so
// only the time limit bounds the number of these connections. listenOnLoop returns nil if these conditions are not met, or if no loop can
// use the listener.
func (src *source) listenOnLoop() (stop func()) {
	s := src.server
	e, ok := s.handler.(*Endpoint)
	if !ok || e.Admit != nil || e.Open == nil || e.Serve != nil || e.Accept.Check != nil || src.tls != nil || s.Preface != nil ||
		s.MaxHandshakes != nil || s.connContext != nil || s.connState != nil {
		return nil
	}
	x := service{rules: e.Accept.rules(), conn: &e.Accept.Conn, open: e.Open}
	if x.check() != nil || x.rules.Check() != nil {
		return nil // a configuration error, which decide reports to the client
	}
	t := &reporter{endpoint: e, server: s}
	k := newEventKind(*t, &x)
	k.opening = &eventOpening{
		rules: x.rules, headLimits: opening.Limits{Bytes: s.headBytes()}, headTimeout: s.headTimeout(), roster: &e.roster,
		refused: func(remote net.Addr, f *opening.Refusal, body string) {
			t.refused(src.base, remote.String(), nil, refusal(f, body))
		},
		handOver: func(nc net.Conn, early []byte, left time.Duration) {
			go func() { // ends when HTTP takes the connection
				src.handToHTTP(nc, early, left)
				k.onClosed()
			}()
		},
	}
	e.kindFor(s, &x) // so that the Endpoint knows the Server's loops
	s.loops.use(s.Loops, func(ls *eventLoops) bool {
		halt, err := ls.listen(src.listener, k, func() bool {
			k.count(1) // before the check, so that a Shutdown waits for this handshake or is seen by the check
			if k.isClosing() {
				k.count(-1)
				return false
			}
			return true
		})
		if err == nil {
			stop = halt
		}
		return err == nil
	})
	return stop
}

// handToHTTP passes a connection to HTTP, with the bytes that were read from it.
func (src *source) handToHTTP(nc net.Conn, early []byte, left time.Duration) {
	h := src.server.newHTTPConn(src.base, nc, remoteOf(nc), left, early)
	if !h.deliver(&replayed{Conn: nc, conn: h, rest: bytes.Clone(early)}, src) {
		nc.Close()
	}
}
