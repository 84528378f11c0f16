package proxy

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/handfast/handfast/balance"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket/frame"
)

// A process without free descriptors asks clients to reconnect, and counts no failure of a server, whether in a handshake, a page
// request or a check.
func TestNoDescriptorsLeft(t *testing.T) {
	l := listen(t)
	defer l.Close()
	addr := l.Addr().String()
	b := newBalancer(t, Settings{Retries: 2, Health: Health{Check: CheckTCP, Every: time.Millisecond}, Pool: balance.Options{Ejection: balance.Ejection{Failures: 1}}}, addr)
	bounded.Until(t, func() bool { return state(b, addr).State == balance.Ready })
	restore := exhaustDescriptors(t)
	for range 20 {
		_, err := b.Open(bounded.Context(t), opening(t))
		busy, ok := errors.AsType[*Busy](err)
		if !ok || busy.RetryAfter < time.Second || !errors.Is(err, syscall.EMFILE) {
			t.Errorf("handshake: got %v, want a *Busy with EMFILE", err)
		}
	}
	w := httptest.NewRecorder()
	b.ServeRequest(w, &Request{Request: httptest.NewRequestWithContext(bounded.Context(t), http.MethodGet, "/", nil)})
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("page: got %d, %v, want 503 with Retry-After", w.Code, w.Header())
	}
	s := state(b, addr)
	restore()
	if s.State != balance.Ready || s.Failures != 0 || s.Probed != "" {
		t.Errorf("got %+v, want a ready server without failures", s.Status)
	}
}

// exhaustDescriptors prevents this process from getting further descriptors until restore is called, or the test ends.
func exhaustDescriptors(t *testing.T) (restore func()) {
	t.Helper()
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	none := was
	none.Cur = 3
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	restore = sync.OnceFunc(func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(restore)
	return restore
}

// A client whose tunnel cannot begin gets a close frame, even if it has already sent data.
func TestNoDescriptorForTunnel(t *testing.T) {
	up := serveRaw(t, listen(t), accepts+"HOLD")
	b := newBalancer(t, Settings{}, up.addr)
	c := open(t, b)
	far, near := tcpPair(t)
	defer far.Close()
	if _, err := far.Write(frameOf(frame.Text, true, []byte("hello"))); err != nil {
		t.Fatal(err)
	}
	restore := exhaustDescriptors(t)
	ended := make(chan error, 1)
	go func() { ended <- c.Tunnel(near, nil, func(error) { t.Error("done was called") }) }()
	got := make([]byte, 4)
	far.SetReadDeadline(time.Now().Add(2 * time.Minute))
	if _, err := io.ReadFull(far, got); err != nil {
		t.Error(err)
	}
	restore()
	if want := []byte{0x88, 0, 1012 >> 8, 1012 & 0xff}; got[0] != want[0] || got[2] != want[2] || got[3] != want[3] {
		t.Errorf("got %q, want a close frame with 1012", got)
	}
	far.Close()
	if err := bounded.Receive(t, ended); err == nil {
		t.Error("Tunnel succeeded without a free descriptor")
	}
	bounded.Receive(t, up.gone)
}
