package proxy

import (
	"math"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// A client stays on a server that drains while no other one takes it, for a while.
func TestHoldDrainTriesAgain(t *testing.T) {
	for name, refusals := range map[string]int64{"taken later": mostMoves - 1, "never taken": math.MaxInt64} {
		t.Run(name, func(t *testing.T) {
			up, other := speak(t, nil), speak(t, nil)
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
			k := talk(t, b, nil)
			if err := b.SetServers("more", specs(busy.Listener.Addr().String())); err != nil {
				t.Fatal(err)
			}
			if err := b.Drain("ws://"+up.addr(), 0); err != nil {
				t.Fatal(err)
			}
			if refusals == math.MaxInt64 {
				k.closed(websocket.CodeServiceRestart, "retry-after=")
				if n := asked.Load(); n != mostMoves {
					t.Errorf("the other server was asked %d times", n)
				}
			} else {
				bounded.Until(t, func() bool { return state(b, busy.Listener.Addr().String()).Resumed == 1 })
				k.say("here")
				k.hear("here")
				k.CloseNow()
			}
			bounded.Receive(t, k.ended)
		})
	}
}

// Of the clients of a server that drains, a bounded number makes handshakes at the same time.
func TestHoldMovesFew(t *testing.T) {
	up, other := speak(t, nil), speak(t, nil)
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
	var all []*talker
	for range mostSwitching + 20 {
		all = append(all, talk(t, b, nil))
	}
	if err := b.SetServers("more", specs(slow.Listener.Addr().String())); err != nil {
		t.Fatal(err)
	}
	if err := b.Drain("ws://"+up.addr(), 0); err != nil {
		t.Fatal(err)
	}
	bounded.Until(t, func() bool { return now.Load() == mostSwitching })
	close(release)
	bounded.Until(t, func() bool { return state(b, slow.Listener.Addr().String()).Resumed == uint64(len(all)) })
	if most.Load() != mostSwitching || b.switching.Load() != 0 {
		t.Errorf("%d at a time, and %d now", most.Load(), b.switching.Load())
	}
	for _, k := range all {
		k.CloseNow()
		bounded.Receive(t, k.ended)
	}
}

// A client is counted once while it is being moved, also if it is to be moved again before that has come to its end.
func TestHoldMovesTwice(t *testing.T) {
	up := speak(t, nil)
	b := newBalancer(t, holding, up.addr())
	k := talk(t, b, nil)
	bounded.Until(t, func() bool { _, ok := k.conn.by().(*relay); return ok })
	r := k.conn.by().(*relay)
	for range 2 {
		if !r.move(true) {
			t.Error("it is not held")
		}
	}
	bounded.Until(t, func() bool { return b.switching.Load() == 0 })
	k.CloseNow()
	bounded.Receive(t, k.ended)
	if n := b.switching.Load(); n != 0 {
		t.Errorf("%d are counted", n)
	}
}
