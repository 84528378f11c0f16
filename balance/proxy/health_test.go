package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/balance"
	"github.com/handfast/handfast/internal/bounded"
)

// An HTTP check succeeds with a 2xx status, detects a drain by a 503, and fails with all other responses. The body does not matter.
func TestCheckByHTTP(t *testing.T) {
	for _, tt := range []struct {
		status int
		drain  string
		want   string // part of the error; "" if it succeeds
	}{
		{200, "", ""},
		{204, "", ""},
		{299, "", ""},
		{200, "0", ""},
		{200, "1", errDraining.Error()},
		{404, "yes", errDraining.Error()},
		{503, "0", errDraining.Error()},
		{300, "", "300"},
		{404, "", "404"},
		{500, "", "500"},
	} {
		paths := make(chan string, 1)
		page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			paths <- r.Method + " " + r.URL.Path
			if tt.drain != "" {
				w.Header().Set(DrainHeader, tt.drain)
			}
			w.WriteHeader(tt.status)
			if tt.status == http.StatusOK {
				fmt.Fprint(w, strings.Repeat("x", 128<<10))
			}
		}))
		made, err := newServers(specs(page.Listener.Addr().String()), new(Settings))
		if err != nil {
			t.Fatal(err)
		}
		err = probe(bounded.Context(t), made["ws://"+page.Listener.Addr().String()], Health{Check: CheckHTTP, Path: "/health", Timeout: time.Minute})
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("status %d, %s: %q: got %v, want %q", tt.status, DrainHeader, tt.drain, err, tt.want)
		}
		if path := bounded.Receive(t, paths); path != "GET /health" {
			t.Errorf("got a request %s, want GET /health", path)
		}
		page.Close()
	}
}

// A drain that HTTP checks have found lasts until HTTP checks find its end; other checks do not affect the drain. Waiting clients
// get a server that is back in service.
func TestChecksFindDrains(t *testing.T) {
	const id = "ws://a:1"
	fails := errors.New("it answers with 404")
	now := time.Now()
	for _, check := range []string{CheckHTTP, CheckTCP} {
		b := newBalancer(t, Settings{Pool: balance.Options{Rise: 1, Fall: 1}}, "a:1")
		said := false
		for i, tt := range []struct {
			err  error
			want balance.State
			said bool
		}{
			{nil, balance.Ready, false},
			{errDraining, balance.Draining, true},
			{errDraining, balance.Draining, true},
			{fails, balance.Down, false},
			{nil, balance.Ready, false},
			{errDraining, balance.Draining, true},
			{nil, balance.Ready, false},
		} {
			said = b.probed(now, id, Health{Check: check}, said, tt.err)
			want := tt.want
			if check != CheckHTTP {
				if tt.said {
					want = balance.Down // an HTTP check with this status is a failed check like any other
				}
				tt.said = false
			}
			if s := state(b, "a:1"); s.State != want || said != tt.said {
				t.Errorf("%s check, step %d: got %s, drains %v, want %s, %v", check, i, s.State, said, want, tt.said)
			}
		}
	}
}

// A drain announced in a response is not ended by a check that has found no drain before, and the end of a drain gives waiting
// clients their turn.
func TestDrainsOfResponsesAndChecks(t *testing.T) {
	const id = "ws://a:1"
	now := time.Now()
	b := newBalancer(t, Settings{}, "a:1")
	turn := func() chan struct{} {
		c := make(chan struct{})
		b.queue.mu.Lock()
		b.queue.waiting = append(b.queue.waiting[:0], c)
		b.queue.mu.Unlock()
		return c
	}
	came := func(c chan struct{}) bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
	first := turn()
	b.setAnnouncedDrain(now, id, true, now.Add(drainValidity))
	b.probed(now, id, Health{Check: CheckHTTP}, false, nil)
	if s := state(b, "a:1"); s.State != balance.Draining || came(first) {
		t.Errorf("after a check without a drain: got %s, turn %v, want draining, false", s.State, came(first))
	}
	b.expireAnnouncedDrains(now.Add(drainValidity - 1))
	if s := state(b, "a:1"); s.State != balance.Draining || came(first) {
		t.Errorf("just before the end of the drain: got %s, turn %v, want draining, false", s.State, came(first))
	}
	b.expireAnnouncedDrains(now.Add(drainValidity))
	if s := state(b, "a:1"); s.State != balance.Ready || !came(first) || len(b.announcedDrains) != 0 {
		t.Errorf("at the end of the drain: got %s, turn %v, want ready, true", s.State, came(first))
	}
	second := turn()
	b.setAnnouncedDrain(now, id, true, time.Time{})
	b.expireAnnouncedDrains(now.Add(24 * time.Hour))
	if s := state(b, "a:1"); s.State != balance.Draining || came(second) {
		t.Errorf("drain found by a check, a day later: got %s, turn %v, want draining, false", s.State, came(second))
	}
	b.setAnnouncedDrain(now, id, false, time.Time{})
	if s := state(b, "a:1"); s.State != balance.Ready || !came(second) {
		t.Errorf("after a report that ends the drain: got %s, turn %v, want ready, true", s.State, came(second))
	}
}
