package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/handfast/handfast/balance"
	"github.com/handfast/handfast/internal/bounded"
)

// If there is no source port for a server's address, another server is tried. No failure of the first server is counted, and if
// there is no other server, the client is asked to reconnect.
func TestNoPortsLeft(t *testing.T) {
	up := serveMessages(t, nil)
	other := "127.0.0.1:1"
	b := newBalancer(t, Settings{
		Retries: 1, Pool: balance.Options{Policy: balance.RoundRobin(), Ejection: balance.Ejection{Failures: 1}},
	}, up.addr())
	var dials atomic.Int64
	none := func(context.Context, string, string) (net.Conn, error) {
		dials.Add(1)
		return nil, &net.OpError{Op: "dial", Err: &net.OpError{Op: "connect", Err: syscall.EADDRNOTAVAIL}}
	}
	if err := b.SetServers("other", specs(other)); err != nil {
		t.Fatal(err)
	}
	n, err := b.server("ws://" + other)
	if err != nil {
		t.Fatal(err)
	}
	n.dialer.at, n.dialer.dial = netip.AddrPort{}, none // fails before the server is reached
	for range 10 {
		c, err := b.Open(bounded.Context(t), opening(t))
		if err != nil {
			t.Fatal(err)
		}
		c.Abandon()
	}
	if s := state(b, other); dials.Load() == 0 || s.Failures != 0 || s.Counts.Failed != 0 || !s.Ejected.IsZero() {
		t.Errorf("after %d attempts: got %+v, want no failures", dials.Load(), s)
	}
	if err := b.SetServers("test", nil); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		_, err := b.Open(bounded.Context(t), opening(t))
		busy, ok := errors.AsType[*Busy](err)
		if status, after, _ := Reply(err); !ok || !errors.Is(busy, syscall.EADDRNOTAVAIL) || status != http.StatusServiceUnavailable || after < time.Second {
			t.Fatalf("handshake: got %v, want a *Busy with EADDRNOTAVAIL", err)
		}
		w := httptest.NewRecorder()
		b.ServeRequest(w, &Request{Request: httptest.NewRequestWithContext(bounded.Context(t), http.MethodGet, "/", nil)})
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("page: got %d, %v, want 503 with Retry-After", w.Code, w.Header())
		}
	}
	if s := state(b, other); s.Failures != 0 || s.Counts.Failed != 0 || !s.Ejected.IsZero() {
		t.Errorf("got %+v, want no failures", s)
	}
}
