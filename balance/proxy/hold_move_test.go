package proxy

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// A client stays on a draining server for a while if no other server accepts it.
func TestHoldDrainRetries(t *testing.T) {
	for name, refusals := range map[string]int64{"taken later": maxMoves - 1, "never taken": math.MaxInt64} {
		t.Run(name, func(t *testing.T) {
			up, other := serveMessages(t, nil), serveMessages(t, nil)
			var asked atomic.Int64
			busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if asked.Add(1) <= refusals {
					w.WriteHeader(http.StatusServiceUnavailable)
					return
				}
				other.Config.Handler.ServeHTTP(w, r)
			}))
			t.Cleanup(busy.Close)
			b := newBalancer(t, holding, up.addr())
			k := dialClient(t, b, nil)
			if err := b.SetServers("more", specs(busy.Listener.Addr().String())); err != nil {
				t.Fatal(err)
			}
			if err := b.Drain("ws://"+up.addr(), 0); err != nil {
				t.Fatal(err)
			}
			if refusals == math.MaxInt64 {
				k.expectClose(websocket.CodeServiceRestart, string(CauseNoServer)+"; retry-after=")
				if n := asked.Load(); n != maxMoves {
					t.Errorf("got %d handshakes at the other server, want %d", n, maxMoves)
				}
			} else {
				bounded.Until(t, func() bool { return state(b, busy.Listener.Addr().String()).Resumed == 1 })
				k.send("here")
				k.receive("here")
				k.CloseNow()
			}
			bounded.Receive(t, k.ended)
		})
	}
}

// When a server drains, only a limited number of its clients perform handshakes at the same time.
func TestHoldMoveConcurrency(t *testing.T) {
	up, other := serveMessages(t, nil), serveMessages(t, nil)
	release := make(chan struct{})
	var now, most atomic.Int64
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := now.Add(1)
		for was := most.Load(); n > was && !most.CompareAndSwap(was, n); was = most.Load() {
		}
		<-release
		now.Add(-1)
		other.Config.Handler.ServeHTTP(w, r)
	}))
	t.Cleanup(slow.Close)
	b := newBalancer(t, holding, up.addr())
	var all []*testClient
	for range maxSwitching + 20 {
		all = append(all, dialClient(t, b, nil))
	}
	if err := b.SetServers("more", specs(slow.Listener.Addr().String())); err != nil {
		t.Fatal(err)
	}
	if err := b.Drain("ws://"+up.addr(), 0); err != nil {
		t.Fatal(err)
	}
	bounded.Until(t, func() bool { return now.Load() == maxSwitching })
	close(release)
	bounded.Until(t, func() bool { return state(b, slow.Listener.Addr().String()).Resumed == uint64(len(all)) })
	if most.Load() != maxSwitching || b.switching.Load() != 0 {
		t.Errorf("got at most %d concurrent moves and %d at the end, want %d and 0", most.Load(), b.switching.Load(), maxSwitching)
	}
	for _, k := range all {
		k.CloseNow()
		bounded.Receive(t, k.ended)
	}
}

// A client is counted once while it is being moved, even if another move is requested in the meantime.
func TestHoldConcurrentMoves(t *testing.T) {
	up := serveMessages(t, nil)
	b := newBalancer(t, holding, up.addr())
	k := dialClient(t, b, nil)
	bounded.Until(t, func() bool { _, ok := k.conn.currentCarriage().(*relay); return ok })
	r := k.conn.currentCarriage().(*relay)
	for range 2 {
		if !r.move(true) {
			t.Error("move returned false for a held client")
		}
	}
	bounded.Until(t, func() bool { return b.switching.Load() == 0 })
	k.CloseNow()
	bounded.Receive(t, k.ended)
	if n := b.switching.Load(); n != 0 {
		t.Errorf("got %d counted moves at the end, want 0", n)
	}
}

// The current server of a client, and not an earlier server, decides whether the client is kept there.
func TestHoldStayHeader(t *testing.T) {
	wants := func(stay string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := websocket.Accept(w, r, &websocket.AcceptOptions{AnyOrigin: true, Header: http.Header{StayHeader: {stay}}})
			if err != nil {
				return
			}
			echo(c)
		}))
		t.Cleanup(s.Close)
		return s.Listener.Addr().String()
	}
	first, second, third := wants("0"), wants("1"), wants("0")
	b := newBalancer(t, holding, first)
	k := dialClient(t, b, nil)
	if k.conn.stays.Load() {
		t.Error("the connection stays, although the first server sent Handfast-Stay: 0")
	}
	from := first
	for _, tt := range []struct {
		to    string
		stays bool
	}{{second, true}, {third, false}} {
		if err := b.SetServers("test", specs(from, tt.to)); err != nil {
			t.Fatal(err)
		}
		if err := b.Drain("ws://"+from, 0); err != nil {
			t.Fatal(err)
		}
		bounded.Until(t, func() bool { return state(b, tt.to).Resumed == 1 })
		k.send("here")
		k.receive("here")
		if list, _ := b.members.movable("ws://"+tt.to, false); k.conn.stays.Load() != tt.stays || (len(list) == 0) != tt.stays {
			t.Errorf("at %s: got stays %v and %d movable, want stays %v", tt.to, k.conn.stays.Load(), len(list), tt.stays)
		}
		from = tt.to
	}
	k.CloseNow()
	bounded.Receive(t, k.ended)
}

// A client that other servers have finally refused five times stays where it is. A server that has refused five clients in a row is
// asked again after a minute, until it accepts one.
func TestHoldRefusals(t *testing.T) {
	up := serveMessages(t, nil)
	b := newBalancer(t, holding, up.addr())
	k := dialClient(t, b, nil)
	u := k.conn.server.Load()
	for i := range maxMoves {
		if n := len(b.excluded(time.Now())); n != 0 {
			t.Fatalf("the server is left out after %d refusals, want %d", i, maxMoves)
		}
		b.countRefusal(u)
	}
	if list := b.excluded(time.Now()); len(list) != 1 || list[0] != u {
		t.Errorf("left out: got %v, want the refusing server", list)
	}
	if list := b.planned(time.Now()); len(list) != 0 {
		t.Errorf("planned: got %v, want no server", list)
	}
	if b.excluded(time.Now().Add(exclusionTime)) != nil {
		t.Error("the server is still left out after a minute")
	}
	b.clearRefusals(u)
	if b.excluded(time.Now()) != nil {
		t.Error("the server is still left out after it has accepted a client")
	}
	k.CloseNow()
	bounded.Receive(t, k.ended)
}

// If a server closes the connection of a client for a reason of its own while the client is being moved, that close takes
// precedence: the client gets the close frame, and is not moved to the other server.
func TestHoldClosedDuringMove(t *testing.T) {
	for name, idle := range map[string]bool{"before it is left": false, "when it is left": true} {
		for _, code := range []websocket.Code{4003, websocket.CodePolicy} {
			t.Run(fmt.Sprint(name, " ", code), func(t *testing.T) {
				draining, serving := make(chan struct{}), make(chan struct{})
				up := serveHalfClosing(t, func(c *websocket.Conn) {
					close(serving)
					if idle {
						if _, end := endOf(t, c); end == nil || end.Code != websocket.CodeGoingAway {
							t.Errorf("server: got %v, want a close with 1001", end)
						}
					} else {
						<-draining
					}
					c.Close(code, "kicked")
				})
				b := newBalancer(t, holding, up.addr())
				k := dialClient(t, b, nil)
				bounded.Receive(t, serving)
				bounded.Until(t, func() bool {
					return k.relayMatches(func(r *relay) bool {
						r.hold.session = &pendingSession{Session: r.hold.session, resumed: idle}
						return true
					})
				})
				other := serveMessages(t, nil)
				if err := b.SetServers("more", specs(other.addr())); err != nil {
					t.Fatal(err)
				}
				if err := b.Drain("ws://"+up.addr(), 0); err != nil {
					t.Fatal(err)
				}
				bounded.Receive(t, other.opens)
				bounded.Until(t, func() bool { return k.relayMatches(func(r *relay) bool { return r.hold.switching || r.ending }) })
				close(draining)
				k.expectClose(code, "kicked")
				bounded.Receive(t, k.ended)
				bounded.Receive(t, other.ended)
				if n := state(b, other.addr()).Live; n != 0 {
					t.Errorf("got %d connections on the other server, want 0", n)
				}
			})
		}
	}
}
