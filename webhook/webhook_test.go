package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
)

func TestMain(m *testing.M) { os.Exit(bounded.Main(m)) }

// receiver is a RoundTripper that responds with the configured status.
type receiver struct {
	mu     sync.Mutex
	status func(attempt int) int // 0 means an error
	bodies []string
	header http.Header
	times  []time.Time
}

func (r *receiver) RoundTrip(req *http.Request) (*http.Response, error) {
	text, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bodies, r.header, r.times = append(r.bodies, string(text)), req.Header, append(r.times, time.Now())
	code := 200
	if r.status != nil {
		code = r.status(len(r.bodies))
	}
	if code == 0 {
		return nil, errors.New("the network is down")
	}
	return &http.Response{StatusCode: code, Header: http.Header{"Location": {"https://elsewhere.test/"}}, Body: io.NopCloser(strings.NewReader(""))}, nil
}

func (r *receiver) attempts() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.bodies)
}

// clients returns the clients of the events in each request.
func (r *receiver) clients(t *testing.T) [][]string {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	var all [][]string
	for _, text := range r.bodies {
		var b body
		if err := json.Unmarshal([]byte(text), &b); err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, e := range b.Events {
			ids = append(ids, e.Client)
		}
		all = append(all, ids)
	}
	return all
}

func start(t *testing.T, r *receiver, o Options) *Sender {
	t.Helper()
	o.URL, o.Transport, o.Format = "https://app.test/hook?key=hidden", r, JSON{Secret: []byte("secret")}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		s.Close(ctx) //nolint:errcheck // with an expired context, Close drops the queued events and returns an error
	})
	return s
}

func connected(id string) hub.Event {
	return hub.Event{Kind: hub.EventConnected, App: "app", Client: id, Time: time.Now()}
}

func TestEventsAreBatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r receiver
		s := start(t, &r, Options{Batch: 3})
		for _, id := range []string{"a", "b", "c", "d"} {
			s.Event(connected(id))
		}
		<-time.After(time.Second)
		if got := r.clients(t); len(got) != 2 || !slices.Equal(got[0], []string{"a", "b", "c"}) || !slices.Equal(got[1], []string{"d"}) {
			t.Errorf("requests: %q", got)
		}
		if n := s.Stats(); n != (Stats{Sent: 4}) {
			t.Errorf("stats: %+v", n)
		}
	})
}

func TestFailedRequestIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := receiver{status: func(n int) int { return []int{0, 503, 429, 200}[n-1] }}
		var faults []string
		s := start(t, &r, Options{Failed: func(err error) { faults = append(faults, err.Error()) }})
		s.Event(connected("a"))
		<-time.After(time.Minute)
		if r.attempts() != 4 || s.Stats().Sent != 1 {
			t.Fatalf("%d attempts, %+v", r.attempts(), s.Stats())
		}
		for i, at := range r.times[1:] {
			if pause, most := at.Sub(r.times[i]), minPause<<i; pause < most/2 || pause > most {
				t.Errorf("pause %d is %v, not between %v and %v", i, pause, most/2, most)
			}
		}
		if r.bodies[0] != r.bodies[3] {
			t.Error("the retry differs from the first request")
		}
		if len(faults) != 3 || strings.Contains(strings.Join(faults, ""), "hidden") {
			t.Errorf("errors: %q", faults)
		}
	})
}

// After five minutes a request is not retried, and Done is called for its events.
func TestRetriesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := receiver{status: func(int) int { return 500 }}
		s := start(t, &r, Options{})
		over := false
		s.Event(hub.Event{Kind: hub.EventDisconnected, Client: "a", Done: func() { over = true }})
		<-time.After(4 * time.Minute)
		synctest.Wait()
		if over || s.Stats().Waiting != 1 {
			t.Errorf("given up early: %+v", s.Stats())
		}
		<-time.After(2 * time.Minute)
		synctest.Wait()
		if n := s.Stats(); !over || n != (Stats{Failed: 1}) {
			t.Errorf("over: %v, stats: %+v", over, n)
		}
		if tried := r.times[len(r.times)-1].Sub(r.times[0]); tried > 5*time.Minute || tried < 5*time.Minute-maxPause {
			t.Errorf("the request was retried for %v", tried)
		}
	})
}

func TestRejectedRequestIsNotRetried(t *testing.T) {
	for _, code := range []int{301, 307, 400, 401, 403, 404, 410} {
		synctest.Test(t, func(t *testing.T) {
			r := receiver{status: func(int) int { return code }}
			why := make(chan error, 1)
			s := start(t, &r, Options{Failed: func(err error) { why <- err }})
			s.Event(connected("a"))
			<-time.After(time.Hour)
			if r.attempts() != 1 || s.Stats().Failed != 1 {
				t.Errorf("%d: %d attempts, %+v", code, r.attempts(), s.Stats())
			}
			if err := <-why; strings.Contains(err.Error(), "secret") != (code == 401 || code == 403) {
				t.Errorf("%d: %v", code, err)
			}
		})
	}
}

func TestFullQueueDropsTheNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failing := true
		r := receiver{status: func(int) int {
			if failing {
				return 500
			}
			return 200
		}}
		s := start(t, &r, Options{Queue: 2})
		dropped := false
		for _, id := range []string{"a", "b", "c"} {
			s.Event(hub.Event{Kind: hub.EventDisconnected, Client: id, Done: func() { dropped = dropped || id == "c" }})
		}
		if !dropped {
			t.Error("Done was not called for a dropped event")
		}
		<-time.After(time.Second)
		r.mu.Lock()
		failing = false
		r.mu.Unlock()
		<-time.After(time.Minute)
		if n := s.Stats(); n != (Stats{Sent: 2, Dropped: 1}) {
			t.Errorf("stats: %+v", n)
		}
	})
}

// The queue is limited in bytes, too, and sent events free their space.
func TestQueueBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r receiver
		s := start(t, &r, Options{})
		large := hub.Event{Kind: hub.EventPublished, Publication: &hub.Publication{Data: []byte(`"` + strings.Repeat("x", maxQueued/2-100) + `"`)}}
		for range 2 {
			for range 3 {
				s.Event(large)
			}
			<-time.After(time.Minute)
		}
		if n := s.Stats(); n != (Stats{Sent: 4, Dropped: 2}) {
			t.Errorf("stats: %+v", n)
		}
	})
}

func TestKindsAndApp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r receiver
		s := start(t, &r, Options{App: "app", Kinds: []hub.EventKind{hub.EventConnected}})
		s.Event(hub.Event{Kind: hub.EventConnected, App: "other", Client: "x"})
		s.Event(hub.Event{Kind: hub.EventPublished, App: "app", Client: "x"})
		s.Event(connected("a"))
		<-time.After(time.Second)
		if got := r.clients(t); len(got) != 1 || !slices.Equal(got[0], []string{"a"}) {
			t.Errorf("requests: %q", got)
		}
	})
}

// A signature is valid for six minutes before and after its timestamp, in case a clock is fast or slow.
func TestVerifyAge(t *testing.T) {
	signedAt := time.Unix(1_000_000, 0)
	text := []byte("{}")
	header := signed([]byte("secret"), signedAt, text)
	for off, want := range map[time.Duration]bool{0: true, maxAge: true, -maxAge: true, maxAge + 1: false, -maxAge - 1: false} {
		if got := Verify([]byte("secret"), header, text, signedAt.Add(off)); got != want {
			t.Errorf("%v away: %v", off, got)
		}
	}
	for name, tt := range map[string]struct{ secret, at string }{
		"without a secret nothing is signed": {"", "0"}, "the time is not a number": {"secret", "x"},
	} {
		header.Set(HeaderTimestamp, tt.at)
		header.Set(HeaderSignature, Sign([]byte(tt.secret), tt.at, text))
		if Verify([]byte(tt.secret), header, text, time.Unix(0, 0)) {
			t.Error(name)
		}
	}
}

// The events of a hub reach a real server, which verifies their signature. Close sends queued events.
func TestRealServer(t *testing.T) {
	secret := []byte("secret")
	got := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		if !Verify(secret, r.Header, text, time.Now()) || Verify([]byte("another"), r.Header, text, time.Now()) ||
			Verify(secret, r.Header, append(text, ' '), time.Now()) || Verify(secret, r.Header, text, time.Now().Add(time.Hour)) {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		var b body
		if json.Unmarshal(text, &b) == nil {
			for _, e := range b.Events {
				got <- e.Type + " " + e.Channel + " " + string(e.Data)
			}
		}
	}))
	defer server.Close()
	s, err := New(Options{URL: server.URL, Format: JSON{Secret: secret}})
	if err != nil {
		t.Fatal(err)
	}
	h := hub.New(hub.Options{Events: s.Event})
	if _, err := h.Publish(bounded.Context(t), "app", "news", &hub.Publication{Data: []byte(`{"n":1}`)}, nil); err != nil {
		t.Fatal(err)
	}
	h.Close()
	if err := s.Close(bounded.Context(t)); err != nil {
		t.Fatal(err)
	}
	if text := bounded.Receive(t, got); text != `published news {"n":1}` {
		t.Errorf("received %q", text)
	}
}

// countingTransport responds to every request, and counts the closed bodies.
type countingTransport struct{ closed atomic.Int32 }

func (c *countingTransport) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Body: countedBody{strings.NewReader(`{"result":{}}`), c}}, nil
}

type countedBody struct {
	io.Reader
	transport *countingTransport
}

func (c countedBody) Close() error {
	c.transport.closed.Add(1)
	return nil
}

// Response bodies are closed, so that connections can be reused.
func TestResponseBodiesAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var to countingTransport
		c, err := NewCaller(CallerOptions{URL: "https://app.test/", Transport: &to})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Call(t.Context(), Call{Method: "m"}); err != nil || to.closed.Load() != 1 {
			t.Errorf("%v, %d closed", err, to.closed.Load())
		}
		s, err := New(Options{URL: "https://app.test/", Transport: &to, Format: JSON{}})
		if err != nil {
			t.Fatal(err)
		}
		s.Event(connected("a"))
		if err := s.Close(t.Context()); err != nil || to.closed.Load() != 2 {
			t.Errorf("%v, %d closed", err, to.closed.Load())
		}
	})
}

// The default transport has limits, and uses the proxy in the environment.
func TestDefaultTransport(t *testing.T) {
	got, ok := client(nil, 7, time.Second).Transport.(*http.Transport)
	if !ok || got.MaxIdleConnsPerHost != 7 || got.TLSHandshakeTimeout != time.Second || got.MaxResponseHeaderBytes != maxResponse ||
		got.IdleConnTimeout != 90*time.Second || got.Proxy == nil || !got.ForceAttemptHTTP2 {
		t.Errorf("%+v", got)
	}
	s, err := New(Options{URL: "https://app.test/", Format: JSON{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	c, err := NewCaller(CallerOptions{URL: "https://app.test/", InFlight: 5})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for by, want := range map[*http.Client]int{s.client: 2, c.client: 5} { // requests are sequential, calls are concurrent
		if got, ok := by.Transport.(*http.Transport); !ok || got.MaxIdleConnsPerHost != want {
			t.Errorf("%+v, want %d connections", got, want)
		}
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{
		{URL: "ftp://a", Format: JSON{}}, {URL: "https://user:hidden@a", Format: JSON{}}, {URL: "https://a"}, {URL: "http://%zz", Format: JSON{}},
	} {
		if _, err := New(o); err == nil || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%q: %v", o.URL, err)
		}
	}
}

// The Pusher format contains only events that Pusher has, and the body is signed.
func TestPusher(t *testing.T) {
	said := &hub.Publication{Event: "client-move", Data: []byte(`{"x":1}`)}
	events := []hub.Event{
		{Kind: hub.EventConnected, Client: "1.2"},
		{Kind: hub.EventOccupied, Channel: "presence-a"},
		{Kind: hub.EventMemberAdded, Channel: "presence-a", User: "ann", Client: "1.2"},
		{Kind: hub.EventMemberAdded, Channel: "a", User: "ann"},
		{Kind: hub.EventPublished, Channel: "presence-a", User: "ann", Client: "1.2", Publication: said},
		{Kind: hub.EventPublished, Channel: "private-a", User: "ann", Client: "1.2", Publication: said},
		{Kind: hub.EventPublished, Channel: "private-a", Publication: said}, // published by the application
		{Kind: hub.EventPublished, Channel: "a", Client: "1.2", Publication: &hub.Publication{Data: []byte("1")}},
		{Kind: hub.EventMemberRemoved, Channel: "presence-a", User: "ann"},
		{Kind: hub.EventMemberRemoved, Channel: "a", User: "ann"},
		{Kind: hub.EventVacated, Channel: "presence-a"},
		{Kind: hub.EventCacheMiss, Channel: "cache-a"},
		{Kind: hub.EventSubscriptionCount, Channel: "a", Subscribers: 3},
		{Kind: hub.EventSubscriptionCount, Channel: "a"},
	}
	f := Pusher{Key: "key", Secret: []byte("secret")}
	text, header, err := f.Encode(time.UnixMilli(1500), events)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"time_ms":1500,"events":[{"name":"channel_occupied","channel":"presence-a"},` +
		`{"name":"member_added","channel":"presence-a","user_id":"ann"},` +
		`{"name":"client_event","channel":"presence-a","user_id":"ann","event":"client-move","data":"{\"x\":1}","socket_id":"1.2"},` +
		`{"name":"client_event","channel":"private-a","event":"client-move","data":"{\"x\":1}","socket_id":"1.2"},` +
		`{"name":"member_removed","channel":"presence-a","user_id":"ann"},{"name":"channel_vacated","channel":"presence-a"},` +
		`{"name":"cache_miss","channel":"cache-a"},{"name":"subscription_count","channel":"a","subscription_count":3},` +
		`{"name":"subscription_count","channel":"a","subscription_count":0}]}`
	if string(text) != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	if header.Get(HeaderPusherKey) != "key" || header.Get("Content-Type") != "application/json" {
		t.Errorf("%v", header)
	}
	// printf %s BODY | openssl dgst -sha256 -hmac secret
	if got := header.Get(HeaderPusherSignature); got != "24d23c19d9235bd55b827b432da7c52117579f77e713b3e2168145e15705f129" {
		t.Errorf("signature %s", got)
	}
	if text, _, err := f.Encode(time.Now(), events[:1]); text != nil || err != nil {
		t.Errorf("no event of Pusher: %s, %v", text, err)
	}
}
