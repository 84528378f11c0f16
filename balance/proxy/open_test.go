package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handfast/handfast/balance"
	"github.com/handfast/handfast/internal/bounded"
)

// attempts are the handshakes with servers that a Balancer has reported.
type attempts struct {
	mu  sync.Mutex
	all []Attempt
}

func (a *attempts) add(t Attempt) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, t)
}

// take returns the attempts since the last call, without their durations.
func (a *attempts) take() (list []Attempt) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range a.all {
		t.Took = 0
		list = append(list, t)
	}
	a.all = nil
	return list
}

// withAttempts returns a Balancer for these servers, and the attempts that it reports.
func withAttempts(t *testing.T, s Settings, list []balance.Spec) (*Balancer, *attempts) {
	t.Helper()
	tried := new(attempts)
	b := New(s, Hooks{Tried: tried.add})
	t.Cleanup(func() { b.Close() })
	if err := b.SetServers("test", list); err != nil {
		t.Fatal(err)
	}
	return b, tried
}

const (
	unavailable = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
	notFound    = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
)

// The way in which a handshake ends determines the outcome for the server, and whether another server may succeed.
func TestJudge(t *testing.T) {
	head := http.Header{"A": {"b"}}
	refused := func(status int) error { return &Refused{Status: status, Header: head} }
	failure := func(s Stage) error { return &Failure{Stage: s, Err: errRemoved} }
	for _, tt := range []struct {
		what    string
		err     error
		outcome balance.Outcome
		status  int
		head    http.Header
		again   bool
	}{
		{"a redirect", refused(http.StatusFound), balance.OK, http.StatusFound, head, false},
		{"a client without rights", refused(http.StatusForbidden), balance.OK, http.StatusForbidden, head, false},
		{"an error of the server", refused(http.StatusInternalServerError), balance.OK, http.StatusInternalServerError, head, false},
		{"not implemented", refused(http.StatusNotImplemented), balance.OK, http.StatusNotImplemented, head, false},
		{"a server behind it", refused(http.StatusBadGateway), balance.Failed, http.StatusBadGateway, head, true},
		{"unavailable", refused(http.StatusServiceUnavailable), balance.Failed, http.StatusServiceUnavailable, head, true},
		{"a slow one behind it", refused(http.StatusGatewayTimeout), balance.Failed, http.StatusGatewayTimeout, head, true},
		{"another version", refused(http.StatusHTTPVersionNotSupported), balance.OK, http.StatusHTTPVersionNotSupported, head, false},
		{"the request", failure(StageRequest), balance.OK, 0, nil, false},
		{"not reached", failure(StageConnect), balance.Unreachable, 0, nil, true},
		{"its certificate", failure(StageTLS), balance.Unreachable, 0, nil, true},
		{"no answer", failure(StageHandshake), balance.Failed, 0, nil, true},
		{"a wrong answer", failure(StageAnswer), balance.Failed, 0, nil, true},
		{"anything else", errRemoved, balance.Failed, 0, nil, true},
	} {
		outcome, status, got := classify(nil, tt.err)
		if outcome != tt.outcome || status != tt.status || !reflect.DeepEqual(got, tt.head) {
			t.Errorf("%s: got %v, %d, %v, want %v, %d, %v", tt.what, outcome, status, got, tt.outcome, tt.status, tt.head)
		}
		if retryable(tt.err) != tt.again {
			t.Errorf("%s: got retryable %v, want %v", tt.what, !tt.again, tt.again)
		}
	}
	outcome, status, got := classify(&Link{Header: head}, nil)
	if outcome != balance.OK || status != http.StatusSwitchingProtocols || !reflect.DeepEqual(got, head) {
		t.Errorf("success: got %v, %d, %v, want ok, 101, %v", outcome, status, got, head)
	}
}

// Up to the configured number of servers are tried, each once, and the returned error is that of the last server. A response for
// the client ends the attempts, and so does success. No slot stays occupied.
func TestOpenRetries(t *testing.T) {
	for _, tt := range []struct {
		what    string
		answers []string
		retries int
		tried   []int // statuses of the attempts
		status  int   // status of the error; 0 means success
	}{
		{"none more", []string{unavailable, unavailable}, 0, []int{503}, 503},
		{"one more", []string{unavailable, unavailable, unavailable}, 1, []int{503, 503}, 503},
		{"all", []string{unavailable, unavailable}, 5, []int{503, 503}, 503},
		{"until one opens it", []string{accepts}, 5, []int{101}, 0},
		{"until one answers", []string{notFound, notFound}, 5, []int{404}, 404},
	} {
		t.Run(tt.what, func(t *testing.T) {
			var list []balance.Spec
			for _, a := range tt.answers {
				list = append(list, specs(serveRaw(t, listen(t), a).addr)...)
			}
			b, tried := withAttempts(t, Settings{Retries: tt.retries}, list)
			c, err := b.Open(bounded.Context(t), opening(t))
			if tt.status == 0 {
				if err != nil {
					t.Fatal(err)
				}
				c.Abandon()
			} else if r, ok := errors.AsType[*Refused](err); !ok || r.Status != tt.status {
				t.Errorf("got %v, want a refusal with %d", err, tt.status)
			}
			var got []int
			servers := map[string]bool{}
			for _, a := range tried.take() {
				got = append(got, a.Status)
				servers[a.Server] = true
			}
			if !reflect.DeepEqual(got, tt.tried) || len(servers) != len(got) {
				t.Errorf("got responses %v of %d servers, want %v", got, len(servers), tt.tried)
			}
			s := b.Status()
			for _, u := range s.Servers {
				if failed := 503 == tt.tried[0] && servers[u.ID]; u.Live != 0 || (u.Counts.Failed == 1) != failed {
					t.Errorf("%s: got %d connections and %d failures, want 0 and failed %v", u.ID, u.Live, u.Counts.Failed, failed)
				}
			}
			if s.Storm.Underway != 0 {
				t.Errorf("got %d handshakes in progress, want 0", s.Storm.Underway)
			}
		})
	}
}

// If the server of a client's cookie fails, it is not tried again: the client gets another server, and the cookie for that server.
func TestPreferredServerFails(t *testing.T) {
	bad, good := serveRaw(t, listen(t), unavailable), serveRaw(t, listen(t), accepts)
	sticky := NewSticky("hf", []byte("secret"))
	b, tried := withAttempts(t, Settings{Sticky: sticky, Retries: 1}, specs(bad.addr, good.addr))
	r := opening(t)
	r.AddCookie(sticky.Cookie("ws://"+bad.addr, false))
	c, err := b.Open(bounded.Context(t), r)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Abandon()
	want := []Attempt{{Server: "ws://" + bad.addr, Outcome: balance.Failed, Status: 503}, {Server: "ws://" + good.addr, Outcome: balance.OK, Status: 101}}
	if got := tried.take(); !reflect.DeepEqual(got, want) {
		t.Errorf("got attempts %+v, want %+v", got, want)
	}
	replaced(t, c.Header(), sticky, "ws://"+good.addr)
}

// If a client disconnects while a server is slow to respond, no failure of the server is counted, unlike for a timeout. In neither
// case is another server tried.
func TestClientDisconnectsDuringHandshake(t *testing.T) {
	for _, tt := range []struct {
		what  string
		cause error // the cause of the cancellation; nil if there is none
		tried int
	}{
		{"the client disconnected", nil, 0},
		{"it has gone, and why", context.Canceled, 0},
		{"it takes too long", context.DeadlineExceeded, 1},
	} {
		t.Run(tt.what, func(t *testing.T) {
			up := serveRaw(t, listen(t), "HOLD")
			other := serveRaw(t, listen(t), accepts)
			b, tried := withAttempts(t, Settings{Retries: 3}, specs(up.addr, other.addr))
			if err := b.Drain("ws://"+other.addr, 0); err != nil { // so that the slow one is chosen first
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancelCause(bounded.Context(t))
			ended := make(chan error, 1)
			go func() {
				_, err := b.Open(ctx, opening(t))
				ended <- err
			}()
			bounded.Receive(t, up.head)
			if err := b.Undrain("ws://" + other.addr); err != nil {
				t.Fatal(err)
			}
			cancel(tt.cause)
			err := bounded.Receive(t, ended)
			want := tt.cause
			if want == nil {
				want = context.Canceled
			}
			if !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
			if got := tried.take(); len(got) != tt.tried || len(got) > 0 && (got[0].Outcome != balance.Failed || got[0].Server != "ws://"+up.addr) {
				t.Errorf("got attempts %+v, want %d at the slow server", got, tt.tried)
			}
			if s := state(b, up.addr); s.Failures != tt.tried || s.Live != 0 {
				t.Errorf("got %+v, want %d failures and no connection", s, tt.tried)
			}
			bounded.Receive(t, up.gone)
		})
	}
}

// The header fields with which a server reports its state are used, and are not passed on to the client.
func TestServerStateHeaders(t *testing.T) {
	for _, tt := range []struct {
		fields string
		load   int
		state  balance.State
		stays  bool
	}{
		{"", 1, balance.Ready, false},
		{"Handfast-Connections: 7\r\n", 7, balance.Ready, false},
		{"Handfast-Connections: many\r\n", 1, balance.Ready, false},
		{"Handfast-Draining: 0\r\n", 1, balance.Ready, false},
		{"Handfast-Draining: yes\r\nHandfast-Stay: 0\r\n", 1, balance.Draining, false},
		{"Handfast-Connections: 9\r\nHandfast-Draining: 1\r\nHandfast-Stay: 1\r\n", 9, balance.Draining, true},
	} {
		up := serveRaw(t, listen(t), strings.TrimSuffix(accepts, "\r\n")+"X-Other: kept\r\n"+tt.fields+"\r\nHOLD")
		b := newBalancer(t, Settings{}, up.addr)
		c := open(t, b)
		if s := state(b, up.addr); s.Load != tt.load || s.State != tt.state || s.Live != 1 {
			t.Errorf("%q: got %+v, want load %d and %s", tt.fields, s, tt.load, tt.state)
		}
		if c.stays.Load() != tt.stays {
			t.Errorf("%q: got stays %v, want %v", tt.fields, c.stays.Load(), tt.stays)
		}
		if h := c.Header(); len(h) != 1 || h.Get("X-Other") != "kept" {
			t.Errorf("%q: got header %v for the client, want only X-Other", tt.fields, h)
		}
		c.Abandon()
		if s := state(b, up.addr); s.Live != 0 {
			t.Errorf("%q: got %d open connections, want 0", tt.fields, s.Live)
		}
	}
}

// A drain that a server has announced ends with its next report.
func TestServerEndsDrain(t *testing.T) {
	up := serveRaw(t, listen(t), accepts)
	b := newBalancer(t, Settings{}, up.addr)
	u, err := b.pool.Acquire(time.Now(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer b.release(u)
	for i, tt := range []struct {
		head http.Header
		want balance.State
	}{
		{nil, balance.Ready},
		{http.Header{DrainHeader: {"1"}}, balance.Draining},
		{http.Header{}, balance.Draining}, // no report
		{nil, balance.Draining},
		{http.Header{DrainHeader: {"0"}}, balance.Ready},
	} {
		b.readStateHeader(u, tt.head)
		if s := state(b, up.addr); s.State != tt.want {
			t.Errorf("response %d: got %s, want %s", i, s.State, tt.want)
		}
		if len(tt.head) > 0 {
			t.Errorf("response %d: got %v for the client, want no field", i, tt.head)
		}
	}
}

// A handshake waits for a server with a free slot only if the settings allow it, and not if no server is ready; when the wait is
// over, the error reports that.
func TestOpenWaitsForSlot(t *testing.T) {
	up := serveRaw(t, listen(t), accepts)
	full := []balance.Spec{{ID: "ws://" + up.addr, Capacity: 1}}
	gone := errors.New("gone")
	cancelled, cancel := context.WithCancelCause(bounded.Context(t))
	cancel(gone)
	for _, tt := range []struct {
		what string
		s    Settings
		list []balance.Spec
		ctx  context.Context
		want error
	}{
		{"it may not wait", Settings{Wait: time.Hour}, full, bounded.Context(t), balance.ErrFull},
		{"for no time", Settings{MaxWaiting: 1}, full, bounded.Context(t), balance.ErrFull},
		{"for a short time", Settings{MaxWaiting: 1, Wait: time.Millisecond}, full, bounded.Context(t), balance.ErrFull},
		{"there is no server", Settings{MaxWaiting: 1, Wait: time.Hour}, nil, bounded.Context(t), balance.ErrNone},
		{"the client disconnected", Settings{MaxWaiting: 1, Wait: time.Hour}, full, cancelled, gone},
	} {
		b, tried := withAttempts(t, tt.s, full)
		first := open(t, b)
		tried.take()
		if err := b.SetServers("test", tt.list); err != nil {
			t.Fatal(err)
		}
		_, err := b.Open(tt.ctx, opening(t))
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.what, err, tt.want)
		}
		if got, s := tried.take(), b.Status(); len(got) != 0 || s.Waiting != 0 || s.Storm.Underway != 0 {
			t.Errorf("%s: got attempts %v and %+v, want none and nothing in progress", tt.what, got, s)
		}
		first.Abandon()
	}
}

// The error of the last server is returned, rather than an error that no server is left, unless the other servers are full.
func TestOpenError(t *testing.T) {
	bad, other := serveRaw(t, listen(t), unavailable), serveRaw(t, listen(t), accepts+"HOLD")
	b, _ := withAttempts(t, Settings{Retries: 1}, specs(bad.addr))
	_, err := b.Open(bounded.Context(t), opening(t))
	if r, ok := errors.AsType[*Refused](err); !ok || r.Status != 503 {
		t.Errorf("only one server: got %v, want its 503", err)
	}
	b, _ = withAttempts(t, Settings{Retries: 1}, []balance.Spec{{ID: "ws://" + other.addr, Capacity: 1}, {ID: "ws://" + bad.addr}})
	u, ok := b.pool.AcquireAt(time.Now(), "ws://"+other.addr)
	if !ok {
		t.Fatal("the server is not ready")
	}
	defer b.release(u)
	if _, err = b.Open(bounded.Context(t), opening(t)); !errors.Is(err, balance.ErrFull) {
		t.Errorf("the other server is full: got %v, want ErrFull", err)
	}
}

// keyRecorder is a policy that records the key in each call.
type keyRecorder chan string

func (k keyRecorder) Pick(ready []*balance.Upstream, key string) *balance.Upstream {
	k <- key
	return ready[0]
}

// The client's key, by which the policy chooses, is the one that the settings return for its request.
func TestOpenByKey(t *testing.T) {
	up := serveRaw(t, listen(t), accepts)
	keys := make(chan string, 1)
	b := newBalancer(t, Settings{
		Pool: balance.Options{Policy: keyRecorder(keys)},
		Key:  func(r *Request) string { return "key of " + r.Host },
	}, up.addr)
	open(t, b).Abandon()
	if key := bounded.Receive(t, keys); key != "key of example.com" {
		t.Errorf("got key %q, want that of the request", key)
	}
}

// A new client's cookie is secure if its connection is.
func TestCookieOfNewClient(t *testing.T) {
	up := serveRaw(t, listen(t), accepts)
	b := newBalancer(t, Settings{Sticky: NewSticky("hf", []byte("secret"))}, up.addr)
	for _, secure := range []bool{false, true} {
		r := opening(t)
		if secure {
			r.TLS = &tls.ConnectionState{}
		}
		c, err := b.Open(bounded.Context(t), r)
		if err != nil {
			t.Fatal(err)
		}
		if set := c.Header().Get("Set-Cookie"); strings.Contains(set, "Secure") != secure || set == "" {
			t.Errorf("over TLS %v: got Set-Cookie %q", secure, set)
		}
		c.Abandon()
	}
}
