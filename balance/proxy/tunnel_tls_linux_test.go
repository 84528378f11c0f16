package proxy

import (
	"testing"
	"time"

	"github.com/handfast/handfast/websocket"
)

// A side that has sent its close_notify and leaves the connection open has ended only its own direction: the other direction stays
// open. Data that the side sends after the close_notify is ignored (RFC 8446 §6.1), and costs no CPU time.
func TestRFC8446_6_1_AfterCloseNotify(t *testing.T) {
	onEachTLS(t, func(t *testing.T, r *rig, s side) {
		r.carry("", "", TunnelOptions{})
		from, to := r.peers(s)
		r.write(from, []byte("last words"))
		expect(t, to, []byte("last words"))
		halfClose(t, from)
		r.write(socketOf(from), make([]byte, 64<<10))
		if got := rest(t, to); len(got) > 0 {
			t.Errorf("got %q after close_notify, want nothing", got)
		}
		r.write(to, []byte("goes on"))
		expect(t, from, []byte("goes on"))
		checkNotBusy(t)
		halfClose(t, to)
		rest(t, from)
		to.Close()
		if e := r.ended(); e.Code != websocket.CodeAbnormal || e.ByPeer != (s == client) || e.Err == nil {
			t.Errorf("got %v, want 1006 of the %v", e, s)
		}
	})
}

// checkNotBusy checks that the process does not repeat any action in a busy loop.
func checkNotBusy(t *testing.T) {
	t.Helper()
	before := cpu(t)
	<-time.After(200 * time.Millisecond)
	if got := cpu(t) - before; got > 150*time.Millisecond {
		t.Errorf("got %v of CPU time in 200ms, want 150ms at most", got)
	}
}
