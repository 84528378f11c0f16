package proxy

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
)

// A handshake or a page request uses either the settings before a change or the settings after it, and never parts of both.
func TestConfigureIsAtomic(t *testing.T) {
	type seen struct{ dial, identity, path string }
	var mu sync.Mutex
	all := map[seen]int{}
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		all[seen{r.Header.Get("X-Dial"), r.Header.Get("X-Identity"), r.URL.Path}]++
		mu.Unlock()
		w.WriteHeader(http.StatusTeapot)
	}))
	defer up.Close()
	version := func(i int) Settings {
		v := strconv.Itoa(i)
		return Settings{
			Dial: DialerOptions{Header: http.Header{"X-Dial": {v}}, AddPrefix: "/" + v},
			Identify: func(r *Request) {
				r.User, r.Identity = r.Principal.(string), http.Header{"X-Identity": {v}}
			},
		}
	}
	b := newBalancer(t, version(0), up.Listener.Addr().String())
	stop := make(chan struct{})
	var clients, operator sync.WaitGroup
	operator.Go(func() {
		for i := 1; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if err := b.Configure(version(i)); err != nil {
				t.Error(err)
				return
			}
		}
	})
	const each = 100
	for client := range 4 {
		clients.Go(func() {
			for range each {
				r := opening(t)
				r.Principal = "alice"
				if client%2 == 0 {
					if _, err := b.Open(bounded.Context(t), r); err == nil {
						t.Error("Open succeeded with status 418")
					}
					continue
				}
				r.Request = httptest.NewRequestWithContext(bounded.Context(t), http.MethodGet, "/", nil)
				w := httptest.NewRecorder()
				if b.ServeRequest(w, r); w.Code != http.StatusTeapot {
					t.Errorf("page: got %d %s, want 418", w.Code, w.Body)
				}
			}
		})
	}
	clients.Wait()
	close(stop)
	operator.Wait()
	mu.Lock() // a handler may still be returning
	defer mu.Unlock()
	n := 0
	for s, times := range all {
		n += times
		if s.dial != s.identity || s.path != "/"+s.dial+"/" {
			t.Errorf("got %d requests with mixed settings: %+v", times, s)
		}
	}
	if n != 4*each || len(all) < 3 {
		t.Errorf("got %d requests with %d settings, want %d with 3 at least", n, len(all), 4*each)
	}
}
