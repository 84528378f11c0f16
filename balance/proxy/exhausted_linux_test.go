package proxy

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"github.com/handfast/handfast/balance"
	"github.com/handfast/handfast/internal/bounded"
)

// A process without descriptors asks clients to come back, and holds it against no server: neither handshakes, nor pages, nor checks.
func TestNoDescriptorsLeft(t *testing.T) {
	l := listen(t)
	defer l.Close()
	addr := l.Addr().String()
	b := newBalancer(t, Settings{Retries: 2, Health: Health{Check: CheckTCP, Every: time.Millisecond}, Pool: balance.Options{Ejection: balance.Ejection{Failures: 1}}}, addr)
	bounded.Until(t, func() bool { return state(b, addr).State == balance.Ready })
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	none := was
	none.Cur = 3
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	restored := false
	restore := func() {
		if !restored && syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was) == nil {
			restored = true
		}
	}
	defer restore()
	for range 20 {
		_, err := b.Open(bounded.Context(t), opening(t))
		busy, ok := errors.AsType[*Busy](err)
		if !ok || busy.RetryAfter < time.Second || !errors.Is(err, syscall.EMFILE) {
			t.Errorf("a handshake: %v", err)
		}
	}
	w := httptest.NewRecorder()
	b.ServeRequest(w, &Request{Request: httptest.NewRequestWithContext(bounded.Context(t), http.MethodGet, "/", nil)})
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("a page: %d, %v", w.Code, w.Header())
	}
	s := state(b, addr)
	restore()
	if s.State != balance.Ready || s.Failures != 0 || s.Probed != "" {
		t.Errorf("the server is blamed: %+v", s.Status)
	}
}
