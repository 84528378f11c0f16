package proxy

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/handfast/handfast/balance"
	"github.com/handfast/handfast/internal/bounded"
)

// The measurements for handshake admission cover only the servers' own time: a handshake that waits for a slot is not at a server,
// and one that never gets a slot says nothing about the servers.
func TestAdmissionMeasuresServers(t *testing.T) {
	up := serveRaw(t, listen(t), accepts)
	tried := make(chan Attempt, 4)
	b := New(Settings{MaxWaiting: 1, Wait: time.Minute}, Hooks{Tried: func(a Attempt) { tried <- a }})
	t.Cleanup(func() { b.Close() })
	if err := b.SetServers("test", []balance.Spec{{ID: "ws://" + up.addr, Capacity: 1}}); err != nil {
		t.Fatal(err)
	}
	first := open(t, b)
	took := bounded.Receive(t, tried).Took
	second := make(chan *Conn, 1)
	go func() {
		c, err := b.Open(bounded.Context(t), opening(t))
		if err != nil {
			t.Error(err)
		}
		second <- c
	}()
	bounded.Until(t, func() bool { return b.Status().Waiting == 1 })
	if s := b.Status().Storm; s.Underway != 0 || s.Took != took {
		t.Errorf("while one waits: got %+v, want %v in total", s, took)
	}
	if _, err := b.Open(bounded.Context(t), opening(t)); !errors.Is(err, balance.ErrFull) {
		t.Errorf("handshake beyond the queue: got %v, want ErrFull", err)
	}
	if s := b.Status().Storm; s.Underway != 0 || s.Took != took {
		t.Errorf("after a handshake without a slot: got %+v, want %v in total", s, took)
	}
	first.Abandon()
	if c := bounded.Receive(t, second); c != nil {
		defer c.Abandon()
	}
	took += bounded.Receive(t, tried).Took
	if s := b.Status().Storm; s.Limited || s.Underway != 0 || s.Took != took {
		t.Errorf("at the end: got %+v, want %v in total", s, took)
	}
}

// If not all clients can be admitted, a client that continues a session is admitted, and a new one gets a time to reconnect.
func TestAdmissionByPriority(t *testing.T) {
	up := serveRaw(t, listen(t), accepts)
	drain := func(s *balance.Storm) {
		for s.Admit(time.Now(), false) == 0 {
		}
	}
	var b *Balancer
	b = newBalancer(t, Settings{
		Sticky: NewSticky("home", []byte("secret")),
		Resuming: func(r *Request) bool { // called just before the decision
			drain(b.storm)
			return r.Header.Get("X-Resume") != ""
		},
	}, up.addr)
	admitted := func(r *Request) (bool, time.Duration) {
		c, err := b.Open(bounded.Context(t), r)
		if busy, ok := errors.AsType[*Busy](err); ok {
			return false, busy.RetryAfter
		}
		if err != nil {
			t.Fatal(err)
		}
		c.Abandon()
		bounded.Receive(t, up.head)
		return true, 0
	}
	b.storm.Begin()
	b.storm.Done(time.Now().Add(-time.Second), time.Minute, false) // the servers are overloaded
	if s := b.Status().Storm; !s.Limited || s.Rate != 1000 {
		t.Fatalf("got %+v, want a limit of 1000", s)
	}
	bounded.Until(t, func() bool { // unless a slot has become free in the meantime
		ok, after := admitted(opening(t))
		if !ok && after < time.Second {
			t.Errorf("new client: got Retry-After %v, want 1s at least", after)
		}
		return !ok
	})
	for name, mark := range map[string]func(*Request){
		"header": func(r *Request) { r.Header.Set("X-Resume", "1") },
		"TLS":    func(r *Request) { r.TLS = &tls.ConnectionState{DidResume: true}; drain(b.storm) },
		"cookie": func(r *Request) { r.AddCookie(b.set.Load().Sticky.Cookie("ws://"+up.addr, false)); drain(b.storm) },
	} {
		r := opening(t)
		mark(r)
		if ok, after := admitted(r); !ok {
			t.Errorf("%s: got a refusal for %v, want admission", name, after)
		}
	}
	bounded.Until(t, func() bool {
		r := opening(t)
		r.TLS = &tls.ConnectionState{}
		ok, _ := admitted(r)
		return !ok
	})
	if s := b.Status().Storm; s.Refused == 0 || s.Underway != 0 {
		t.Errorf("got %+v, want refusals and no handshake in progress", s)
	}
}

// Handshake admission does not apply to pages: pages pass while admission is limited, and are neither counted nor measured.
func TestPagesBypassAdmission(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	b := newBalancer(t, Settings{}, server.Listener.Addr().String())
	b.storm.Begin()
	b.storm.Done(time.Now().Add(-time.Second), time.Minute, false) // the servers are overloaded
	for {
		for b.storm.Admit(time.Now(), false) == 0 {
		}
		before := b.Status().Storm
		if _, err := b.Open(bounded.Context(t), opening(t)); b.Status().Storm.Refused == before.Refused {
			continue // a slot has become free in the meantime
		} else if _, busy := errors.AsType[*Busy](err); !busy {
			t.Fatal(err)
		}
		break
	}
	before := b.Status().Storm
	w := httptest.NewRecorder()
	b.ServeRequest(w, &Request{Request: httptest.NewRequestWithContext(bounded.Context(t), http.MethodGet, "/", nil)})
	if after := b.Status().Storm; w.Code != http.StatusNotFound || !before.Limited || after != before {
		t.Errorf("got %d and %+v, want 404 and %+v", w.Code, after, before)
	}
}
