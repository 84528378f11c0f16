package proxy

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handfast/handfast/balance"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// Servers that accept a connection and immediately close it, as a draining server may, do not count as servers to continue on: the
// client is closed after the time limit, and the servers get few handshakes in the meantime.
func TestHoldFlapping(t *testing.T) {
	for name, end := range map[string]func(c *websocket.Conn){
		"cut":             func(c *websocket.Conn) { c.CloseNow() },
		"service restart": func(c *websocket.Conn) { c.Close(websocket.CodeServiceRestart, "") },
		"with a greeting": func(c *websocket.Conn) {
			if c.Write(bounded.Context(t), websocket.Message{Type: websocket.Text, Data: []byte("welcome")}) == nil {
				c.Close(websocket.CodeServiceRestart, "")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, z := serveMessages(t, end), serveMessages(t, end)
			s := holding
			s.Hold.Wait = 500 * time.Millisecond
			b := newBalancer(t, s, a.addr(), z.addr())
			k := dialClient(t, b, nil)
			ctx := bounded.Context(t)
			for {
				if _, err := k.Read(ctx); err != nil {
					if code := websocket.CloseCode(err); code != websocket.CodeServiceRestart {
						t.Errorf("got %v, want a close with 1012", err)
					}
					break
				}
			}
			bounded.Receive(t, k.ended)
			if n := len(a.opens) + len(z.opens); n > 30 {
				t.Errorf("got %d handshakes, want 30 at most", n)
			}
		})
	}
}

// A held client that rebalancing would move stays where it is if the other server refuses it.
func TestHoldRebalanceFails(t *testing.T) {
	a := serveMessages(t, nil)
	var refused atomic.Int64
	z := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { refused.Add(1); http.NotFound(w, r) }))
	t.Cleanup(z.Close)
	s := holding
	s.Rebalance = &Rebalance{Rebalance: balance.Rebalance{Spread: 1.1, Percentage: 100}, PerSecond: 1e5}
	b := newBalancer(t, s, a.addr())
	var all []*testClient
	for range 10 {
		all = append(all, dialClient(t, b, nil))
	}
	if err := b.SetServers("test", specs(a.addr(), z.Listener.Addr().String())); err != nil {
		t.Fatal(err)
	}
	bounded.Until(t, func() bool { return len(b.excluded(time.Now())) == 1 && b.switching.Load() == 0 })
	n := refused.Load()
	if moves := balance.Plan(b.planned(time.Now()), s.Rebalance.Rebalance); n < maxMoves || len(moves) != 0 {
		t.Errorf("after %d refusals: got moves %v, want none", n, moves)
	}
	if len(b.excluded(time.Now().Add(exclusionTime))) != 0 {
		t.Error("the server is still left out after a minute")
	}
	for i, k := range all {
		k.send(strconv.Itoa(i))
		k.receive(strconv.Itoa(i))
		k.CloseNow()
		bounded.Receive(t, k.ended)
	}
}

// A server that accepts connections without responding does not use up the time limit of a held client.
func TestHoldUnresponsiveServer(t *testing.T) {
	conns := make(chan *websocket.Conn, 10)
	up := serveMessages(t, func(c *websocket.Conn) { conns <- c; echo(c) })
	other, silent := serveMessages(t, nil), listen(t)
	defer silent.Close()
	s := holding
	s.Hold.Wait = 6 * time.Second
	b := newBalancer(t, s, up.addr())
	var all []*testClient
	for range 8 {
		all = append(all, dialClient(t, b, nil))
	}
	if err := b.SetServers("test", specs(silent.Addr().String(), other.addr())); err != nil {
		t.Fatal(err)
	}
	for range all {
		bounded.Receive(t, conns).CloseNow()
	}
	for range all {
		bounded.Receive(t, other.opens)
	}
	for i, k := range all {
		k.send(strconv.Itoa(i))
		k.receive(strconv.Itoa(i))
		k.CloseNow()
		bounded.Receive(t, k.ended)
	}
}
