package proxy

import (
	"testing"
	"time"

	"github.com/handfast/handfast/balance"
	"github.com/handfast/handfast/balance/resume"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// checkForgotten checks that a Balancer has only these servers, and keeps no state of the clients that it has held.
func checkForgotten(t *testing.T, b *Balancer, addrs ...string) {
	t.Helper()
	bounded.Until(t, func() bool {
		s := b.Status()
		for _, u := range s.Servers {
			if u.Live != 0 {
				return false
			}
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(s.Servers) == len(addrs) && s.Storm.Underway == 0 && s.Waiting == 0 && b.switching.Load() == 0 && len(b.refusals) == 0 && len(b.members.all()) == 0
	})
}

// A server that is removed from the list keeps its held clients. When the server fails, its clients continue on another server, and
// the failed one is forgotten.
func TestHoldServerRemoved(t *testing.T) {
	conns := make(chan *websocket.Conn, 1)
	up, other := serveMessages(t, func(c *websocket.Conn) { conns <- c; echo(c) }), serveMessages(t, nil)
	b := newBalancer(t, holding, up.addr())
	k := dialClient(t, b, nil)
	c := bounded.Receive(t, conns)
	if err := b.SetServers("test", specs(other.addr())); err != nil {
		t.Fatal(err)
	}
	k.send("stays")
	k.receive("stays")
	if s := state(b, up.addr()); s.State != balance.Removed || s.Live != 1 {
		t.Errorf("got %+v, want removed with 1 connection", s)
	}
	c.CloseNow()
	bounded.Receive(t, other.opens)
	k.send("goes on")
	k.receive("goes on")
	bounded.Until(t, func() bool { s := b.Status().Servers; return len(s) == 1 && s[0].Live == 1 })
	k.CloseNow()
	bounded.Receive(t, k.ended)
	checkForgotten(t, b, other.addr())
}

// A held client is closed with 1012 if its server drains and is then removed from the list while no other server accepts clients.
func TestHoldServerRemovedInDrain(t *testing.T) {
	up := serveMessages(t, nil)
	b := newBalancer(t, holding, up.addr(), "127.0.0.1:1")
	for range 2 { // the other server accepts no client
		if err := b.Drain("ws://127.0.0.1:1", 0); err != nil {
			t.Fatal(err)
		}
	}
	k := dialClient(t, b, nil)
	if err := b.Drain("ws://"+up.addr(), 1e-3); err != nil { // the first attempt is immediate, the others are slow
		t.Fatal(err)
	}
	if err := b.SetServers("test", nil); err != nil {
		t.Fatal(err)
	}
	k.expectClose(websocket.CodeServiceRestart, string(CauseNoServer)+"; retry-after=")
	bounded.Receive(t, k.ended)
	checkForgotten(t, b)
}

// waitingSession is a session that waits for a server to resume it.
type waitingSession struct{ resume.Session }

func (waitingSession) Resume() ([]resume.Message, error) {
	return []resume.Message{{Data: []byte("again")}}, nil
}

// A client is closed with 1012 when the time limit is reached, if the server where it is being resumed is removed from the list and
// does not respond.
func TestHoldNextServerRemoved(t *testing.T) {
	conns := make(chan *websocket.Conn, 1)
	up := serveMessages(t, func(c *websocket.Conn) { conns <- c; echo(c) })
	next := serveMessages(t, func(c *websocket.Conn) { // the server reads, but does not respond
		for {
			if _, err := c.Read(bounded.Context(t)); err != nil {
				return
			}
		}
	})
	s := holding
	s.Hold.Wait = 2 * time.Second
	b := newBalancer(t, s, up.addr())
	k := dialClient(t, b, nil)
	c := bounded.Receive(t, conns)
	bounded.Until(t, func() bool {
		return k.relayMatches(func(r *relay) bool { r.hold.session = waitingSession{r.hold.session}; return true })
	})
	if err := b.SetServers("test", specs(next.addr())); err != nil {
		t.Fatal(err)
	}
	c.CloseNow()
	bounded.Receive(t, next.opens)
	if err := b.SetServers("test", nil); err != nil {
		t.Fatal(err)
	}
	k.expectClose(websocket.CodeServiceRestart, string(CauseNotResumed)+"; retry-after=")
	bounded.Receive(t, k.ended)
	bounded.Receive(t, next.ended)
	checkForgotten(t, b)
}

// When a Balancer closes, a held client without a server is closed, too, and leaves nothing behind.
func TestHoldBalancerClosed(t *testing.T) {
	conns := make(chan *websocket.Conn, 1)
	up := serveMessages(t, func(c *websocket.Conn) { conns <- c; echo(c) })
	s := holding
	s.Hold.Wait = time.Hour
	b := newBalancer(t, s, up.addr())
	k := dialClient(t, b, nil)
	removeServer(t, b, k, bounded.Receive(t, conns))
	k.send("what waits")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	bounded.Receive(t, k.ended)
	checkForgotten(t, b)
}
