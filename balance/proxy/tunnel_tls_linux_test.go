package proxy

import (
	"syscall"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket"
)

// A side that has sent its close_notify and leaves the connection open has ended only its own direction: the other direction stays
// open. Data that the side sends after the close_notify is ignored (RFC 8446 §6.1), and costs no CPU time.
func TestRFC8446_6_1_BehindCloseNotify(t *testing.T) {
	onEachTLS(t, func(t *testing.T, r *rig, s side) {
		r.carry("", "", TunnelOptions{})
		from, to := r.peers(s)
		r.says(from, []byte("last words"))
		expect(t, to, []byte("last words"))
		halfClose(t, from)
		r.says(socketOf(from), make([]byte, 64<<10))
		if got := rest(t, to); len(got) > 0 {
			t.Errorf("%q came after the end", got)
		}
		r.says(to, []byte("goes on"))
		expect(t, from, []byte("goes on"))
		isCalm(t)
		halfClose(t, to)
		rest(t, from)
		to.Close()
		if e := r.ended(); e.Code != websocket.CodeAbnormal || e.ByPeer != (s == client) || e.Err == nil {
			t.Errorf("ended with %v", e)
		}
	})
}

// isCalm checks that the process does not repeat any action in a busy loop.
func isCalm(t *testing.T) {
	t.Helper()
	spent := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := spent()
	<-time.After(200 * time.Millisecond)
	if got := spent() - before; got > 150*time.Millisecond {
		t.Errorf("%v of CPU for nothing", got)
	}
}
