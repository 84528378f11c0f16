package proxy

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/handfast/handfast/balance"
	"github.com/handfast/handfast/websocket"
)

// The close frame of a drain names another server only if one accepts clients.
func TestFarewellOfDrain(t *testing.T) {
	for name, tt := range map[string]struct {
		others func(t *testing.T, b *Balancer)
		want   Cause
	}{
		"no other server": {func(*testing.T, *Balancer) {}, CauseNoServer},
		"ready":           {func(t *testing.T, b *Balancer) { list(t, b, 0) }, CauseMoved},
		"draining": {func(t *testing.T, b *Balancer) {
			if err := b.Drain(list(t, b, 0), 0); err != nil {
				t.Fatal(err)
			}
		}, CauseNoServer},
		"full": {func(t *testing.T, b *Balancer) {
			u, ok := b.pool.AcquireAt(time.Now(), list(t, b, 1))
			if !ok {
				t.Fatal("the server is not ready")
			}
			t.Cleanup(func() { b.release(u) })
		}, CauseNoServer},
	} {
		t.Run(name, func(t *testing.T) {
			up := serveMessages(t, nil)
			b := newBalancer(t, Settings{ByMessage: true}, up.addr())
			k := dialClient(t, b, nil)
			k.send("hello")
			k.receive("hello")
			tt.others(t, b)
			if err := b.Drain("ws://"+up.addr(), 0); err != nil {
				t.Fatal(err)
			}
			k.expectClose(websocket.CodeServiceRestart, string(tt.want)+"; retry-after=")
		})
	}
}

// list adds a server, and returns its ID.
func list(t *testing.T, b *Balancer, capacity int) string {
	t.Helper()
	id := "ws://" + serveMessages(t, nil).addr()
	if err := b.SetServers("more", []balance.Spec{{ID: id, Capacity: capacity}}); err != nil {
		t.Fatal(err)
	}
	return id
}

// The settings choose the close frame for a cause, a protocol and a path, with a time below three seconds.
func TestFarewellOfSettings(t *testing.T) {
	up := serveMessages(t, func(c *websocket.Conn) { c.CloseNow() }, "chat")
	b := newBalancer(t, Settings{ByMessage: true, Farewell: func(f Farewell) (websocket.Code, string) {
		if f.RetryAfter < 0 || f.RetryAfter >= maxRetryAfter {
			t.Errorf("got RetryAfter %v, want 0s to 3s", f.RetryAfter)
		}
		return 4000, fmt.Sprintf("%s: %s at %s", f.Cause, f.Subprotocol, f.Path)
	}}, up.addr())
	dialClient(t, b, nil, "chat").expectClose(4000, "the server is gone: chat at /")
}

// The error of the last attempt determines whether no other server accepts clients, or none can resume the connection.
func TestFarewellOfHeldClient(t *testing.T) {
	for err, want := range map[error]Cause{
		balance.ErrNone: CauseNoServer, balance.ErrFull: CauseNoServer, errNotResumed: CauseNotResumed,
		&Refused{Status: http.StatusServiceUnavailable}: CauseNoServer, &Refused{Status: http.StatusTooManyRequests}: CauseNoServer,
		&Refused{Status: http.StatusForbidden}: CauseNotResumed, &Failure{Stage: StageConnect, Err: errRemoved}: CauseNoServer,
	} {
		if got := causeOf(err); got != want {
			t.Errorf("%v: got %q, want %q", err, got, want)
		}
	}
}
