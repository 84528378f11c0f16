package centrifugo

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/centrifugal/protocol"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// The size of the messages that wait to be written to a connection over HTTP is limited, but a single message always fits. take
// reports whether a message was rejected.
func TestStreamRoom(t *testing.T) {
	s := &stream{wake: make(chan struct{}, 1)}
	of := func(bytes int) websocket.Message {
		return websocket.Message{Type: websocket.Text, Data: make([]byte, bytes)}
	}
	want := func(count, size int, full bool) {
		t.Helper()
		if s.Buffered() != size {
			t.Errorf("%d bytes wait, want %d", s.Buffered(), size)
		}
		if all, last, wasFull := s.take(); len(all) != count || last || wasFull != full || s.Buffered() != 0 {
			t.Errorf("%d messages, last %v, full %v, then %d bytes", len(all), last, wasFull, s.Buffered())
		}
	}
	if err := errors.Join(s.Send(of(100)), s.Send(of(maxStream-100-2*messageCost))); err != nil {
		t.Error(err)
	}
	want(2, maxStream, false)
	if err := errors.Join(s.Send(of(100)), s.SendPrepared(frameOf(t, "x"))); err != nil {
		t.Error(err)
	}
	if err := s.Send(of(maxStream - 101 - 3*messageCost + 1)); !errors.Is(err, websocket.ErrQueueFull) {
		t.Errorf("one byte too many: %v", err)
	}
	want(2, 101+2*messageCost, true)
	if err := s.Send(of(2 * maxStream)); err != nil {
		t.Error(err)
	}
	want(1, 2*maxStream+messageCost, false)
	want(0, 0, false)
	data := []byte("own")
	if err := s.Send(websocket.Message{Data: data}); err != nil {
		t.Error(err)
	}
	data[0] = 'X' // the caller may reuse the buffer
	if all, _, _ := s.take(); len(all) != 1 || string(all[0]) != "own" {
		t.Errorf("%q", all)
	}
	s.remote = "192.0.2.1:5"
	if a := s.RemoteAddr(); a.String() != "192.0.2.1:5" || a.Network() != "tcp" || s.Subprotocol() != "" {
		t.Errorf("%v, %v", a.Network(), a)
	}
}

// When a connection over HTTP ends, the reason is sent once, after the messages that are already waiting.
func TestStreamEnds(t *testing.T) {
	for _, now := range []bool{false, true} {
		s := &stream{wake: make(chan struct{}, 1)}
		if err := s.SendPrepared(frameOf(t, "before")); err != nil {
			t.Error(err)
		}
		want := []string{"before", `{"push":{"disconnect":{"code":3503,"reason":"why"}}}`}
		end := func() error { return s.Shut(3503, "why") }
		if now {
			want, end = nil, s.CloseNow
		}
		bounded.Receive(t, s.wake)
		if err := end(); err != nil || len(s.wake) != 1 {
			t.Errorf("%v, %d", err, len(s.wake))
		}
		if err := s.Send(websocket.Message{}); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if err := s.Shut(3000, ""); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		all, last, _ := s.take()
		if len(all) != len(want) || !last || len(all) > 0 && (string(all[0]) != want[0] || !matchesPattern(string(all[1]), want[1])) {
			t.Errorf("%q, last %v", all, last)
		}
	}
}

// After the end of the request, nothing is sent, and the connection's secret is not valid.
func TestStreamAfterRequest(t *testing.T) {
	s := newServer(t)
	ctx, cancel := context.WithCancel(bounded.Context(t))
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader(connect))
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.HTTPStream(httptest.NewRecorder(), r, Client{Anonymous: true})
	}()
	var n *session
	bounded.Until(t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, n = range s.streams {
			return true
		}
		return false
	})
	cancel()
	bounded.Receive(t, done)
	if err := n.out.Send(websocket.Message{}); !errors.Is(err, net.ErrClosed) || len(s.streams) != 0 {
		t.Errorf("%v, %d connections", err, len(s.streams))
	}
}

// Commands from another node for a connection over HTTP require the secret of that connection, and invalid ones close it.
func TestEmulationOrders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		order := func(n *session, secret, command string) {
			t.Helper()
			if err := s.send(t.Context(), hub.CommandMessage, "", n.id, &order{Emulation: &emulationOrder{Secret: secret, Data: []byte(command)}}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		n, d := openSession(t, s, Client{Anonymous: true}, connect)
		order(n, "", subscribes("a")) // a session over WebSocket has no secret
		n.secret = "known"
		order(n, "other", subscribes("a"))
		order(n, "", subscribes("a"))
		if n.subscribed("a") || len(d.sent) != 1 {
			t.Errorf("%q", d.sent)
		}
		order(n, "known", subscribes("a"))
		if !n.subscribed("a") || d.code != 0 {
			t.Errorf("%q, closed with %d", d.sent, d.code)
		}
		order(n, "known", "{")
		if d.code != 3501 {
			t.Errorf("closed with %d", d.code)
		}
		n.handleCommand(hub.Command{Channel: "another", Data: []byte(`{"refresh":{"expired":true}}`)})
		n.handleCommand(hub.Command{Channel: commandName, Data: []byte("{")})
		if d.code != 3501 {
			t.Errorf("closed with %d", d.code)
		}
		n.handleCommand(hub.Command{Channel: commandName, Data: []byte(`{"disconnect":{"code":4001}}`)})
		if d.code != 4001 {
			t.Errorf("closed with %d", d.code)
		}
	})
}

// A client that does not read is closed, and a subscription whose changes do not fit into the queue is ended.
func TestSlowClients(t *testing.T) {
	s := newServer(t)
	n, d := openSession(t, s, Client{Anonymous: true}, connect)
	n.out.slow = true
	if err := n.receive([]byte(`{"id":2,"presence_stats":{"channel":"a"}}`)); websocket.CloseCode(err) != 3008 {
		t.Errorf("%v after %q", err, d.sent)
	}
	r := &recorder{full: true}
	o := newOutbox(r, asJSON)
	ended := 0
	f := memberWatches{watches: map[string]memberWatch{"$users:a": {channel: "a", stop: func() { ended++ }}}}
	ps := []*protocol.Publication{{Key: "ann", Data: []byte("null")}}
	if f.push(o, "$users:a", ps) || f.has("$users:a") {
		t.Error("the subscription continues")
	}
	r.full = false
	o.drained()
	if len(r.sent) != 1 || !matchesPattern(r.sent[0], `{"push":{"channel":"$users:a","unsubscribe":{"code":2500,"reason":"insufficient state"}}}`) || ended != 0 {
		t.Errorf("%q, stopped %d times", r.sent, ended)
	}
	r.sent = nil
	if !f.push(o, "$users:a", ps) || len(r.sent) != 1 || !f.push(o, "$users:a", nil) || len(r.sent) != 1 {
		t.Errorf("%q", r.sent)
	}
	f.closed = true
	if err := f.add("x", memberWatch{}); !errors.Is(err, hub.ErrClosed) || f.has("x") {
		t.Errorf("%v", err)
	}
}

// The API key may also be in the Authorization header, the method must be POST, and the size of a batch is limited.
func TestAPIRequests(t *testing.T) {
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	url := serve(t, newServer(t), Client{}, false)
	for _, c := range []struct {
		method, authorization, key string
		status                     int
	}{
		{"POST", "apikey secret", "", 200}, {"POST", "ApiKey secret", "", 200}, {"POST", "Bearer secret", "", 401}, {"POST", "secret", "", 401},
		{"POST", "apikey secret", "wrong", 401}, {"POST", "apikey wrong", "secret", 200}, {"GET", "apikey secret", "", 405}, {"POST", "apikey ", "", 401},
	} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, url+"/api/info", strings.NewReader(""))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", c.authorization)
		r.Header.Set("X-API-Key", c.key)
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.status || (resp.Header.Get("Allow") == "POST") != (c.status == 405) {
			t.Errorf("%+v: %s", c, resp.Status)
		}
	}
	commands := func(n int) string {
		return `{"commands":[{}` + strings.Repeat(`,{}`, n-1) + `]}`
	}
	for body, status := range map[string]int{commands(maxChannels): 200, commands(maxChannels + 1): 400, `{"commands":1}`: 400} {
		if got, text := call(t, url, "batch", "secret", body); got != status {
			t.Errorf("%.60s: %d %.100s", body, got, text)
		}
	}
	if _, got := call(t, url, "batch", "secret", `{"commands":[{"info":{},"channels":{}},{"publish":{"data":1}}]}`); !matchesPattern(got,
		`{"replies":[{"error":{"code":107,"message":"bad request"}},{"error":{"code":107,"message":"bad request"}}]}`) {
		t.Error(got)
	}
	if got, _ := call(t, url, "publish", "secret", strings.Repeat(" ", maxAPIBody)+"1"); got != 413 {
		t.Error(got)
	}
}
