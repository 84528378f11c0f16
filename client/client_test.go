package client

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handfast/handfast/channels"
	"github.com/handfast/handfast/channels/wire"
	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/reconnect"
)

func TestMain(m *testing.M) { os.Exit(bounded.Main(m)) }

// server is a server whose connections can be cut.
type server struct {
	url    string
	hub    *hub.Hub
	client func(*http.Request) (channels.Client, error) // returns the client of a request; nil means that every client is the user ann

	mu    sync.Mutex
	conns []net.Conn
	stop  func()
}

// recordingListener is a listener that records its connections in a server.
type recordingListener struct {
	net.Listener
	s *server
}

func (l recordingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.s.mu.Lock()
		l.s.conns = append(l.s.conns, c)
		l.s.mu.Unlock()
	}
	return c, err
}

// cut cuts all connections.
func (s *server) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		if t, ok := c.(*net.TCPConn); ok {
			_ = t.CloseWrite() // the event loop has a duplicate of the descriptor, so Close would not end the connection
			_ = t.CloseRead()
		}
	}
	s.conns = nil
}

// serve starts a server. addr may be the address of an earlier server.
func serve(t *testing.T, s *server, addr string) {
	t.Helper()
	if s.hub == nil {
		s.hub = hub.New(hub.Options{Namespaces: []hub.Namespace{
			{History: 100_000, Presence: true}, {Prefix: "short:", History: 2}, {Prefix: "slow:", Rate: 2, Burst: 1},
		}})
		t.Cleanup(func() { s.hub.Close() })
	}
	speaks := &channels.Server{Hub: s.hub, App: "dev"}
	e := &websocket.Endpoint{
		Accept: websocket.AcceptOptions{Subprotocols: []string{wire.Subprotocol}, Conn: channels.ConnOptions()},
		Admit: func(r *http.Request) (*websocket.Admission, error) {
			c := channels.Client{User: "ann"}
			if s.client != nil {
				var err error
				if c, err = s.client(r); err != nil {
					return nil, err
				}
			}
			return &websocket.Admission{Open: speaks.Open(c)}, nil
		},
	}
	web := &websocket.Server{HTTP: &http.Server{Handler: e}}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	s.url = "ws://" + l.Addr().String() + "/channels"
	done := make(chan error, 1)
	go func() { done <- web.Serve(recordingListener{l, s}) }()
	s.stop = sync.OnceFunc(func() {
		web.Close()
		bounded.Receive(t, done)
	})
	t.Cleanup(s.stop)
}

// quick makes clients reconnect with short delays.
var quick = &reconnect.Options{MinDelay: time.Millisecond, MaxDelay: 10 * time.Millisecond}

func connect(t *testing.T, s *server, o Options) *Client {
	t.Helper()
	if o.Reconnect == nil {
		o.Reconnect = quick
	}
	c := New(s.url, &o)
	t.Cleanup(func() { c.Close() })
	return c
}

func subscribe(t *testing.T, c *Client, channel string, o *SubscribeOptions) *Subscription {
	t.Helper()
	s, err := c.Subscribe(bounded.Context(t), channel, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func publish(t *testing.T, c *Client, channel, data string) Published {
	t.Helper()
	p, err := c.Publish(bounded.Context(t), channel, json.RawMessage(data), nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// next returns the next event.
func next(t *testing.T, s *Subscription) Event {
	t.Helper()
	for e, err := range s.Events(bounded.Context(t)) {
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	t.Fatal("the subscription has ended")
	return Event{}
}

// While a client publishes continuously, all connections are cut repeatedly: each message arrives once and in order.
func TestRecovery(t *testing.T) {
	s := &server{}
	serve(t, s, "127.0.0.1:0")
	reader, writer := connect(t, s, Options{}), connect(t, s, Options{})
	sub := subscribe(t, reader, "chat", nil)
	const n = 2000
	written := make(chan struct{})
	defer func() { bounded.Receive(t, written) }()
	go func() {
		defer close(written)
		for i := range n {
			b, _ := json.Marshal(i)
			if _, err := writer.Publish(bounded.Context(t), "chat", b, nil); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	want, cuts := 0, 0
	for e, err := range sub.Events(bounded.Context(t)) {
		if err != nil {
			t.Fatalf("after %d: %v", want, err)
		}
		var got int
		if e.Message == nil || json.Unmarshal(e.Message.Data, &got) != nil || got != want {
			t.Fatalf("got %+v, want %d", e, want)
		}
		if want++; want == n {
			break
		}
		if want%97 == 0 {
			s.cut()
			cuts++
		}
	}
	if at := sub.Position(); at.Offset != n || at.Epoch == "" || cuts < 20 {
		t.Errorf("at %+v after %d cuts", at, cuts)
	}
}

// The client reports a gap when a server restarts and has lost its history.
func TestGap(t *testing.T) {
	s := &server{}
	serve(t, s, "127.0.0.1:0")
	c := connect(t, s, Options{})
	sub := subscribe(t, c, "chat", nil)
	publish(t, c, "chat", "1")
	if e := next(t, sub); e.Message == nil || string(e.Message.Data) != "1" || e.Message.User != "ann" {
		t.Fatalf("%+v", e)
	}
	s.stop()
	again := &server{}
	serve(t, again, strings.TrimSuffix(strings.TrimPrefix(s.url, "ws://"), "/channels"))
	if e := next(t, sub); e.Gap != wire.NewEpoch {
		t.Fatalf("%+v", e)
	}
	publish(t, c, "chat", "2")
	if e := next(t, sub); e.Message == nil || string(e.Message.Data) != "2" {
		t.Fatalf("%+v", e)
	}
}

// Close closes the connection with the code for a normal closure.
func TestCloseCode(t *testing.T) {
	closed := make(chan *websocket.CloseError, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{wire.Subprotocol}})
		if err != nil {
			return
		}
		defer c.CloseNow()
		c.Write(r.Context(), websocket.Message{Type: websocket.Text, Data: []byte(`{"type":"welcome","client":"c"}`)}) //nolint:errcheck // if this fails, the client gets no welcome, and the test fails
		_, err = c.Read(bounded.Context(t))
		how, _ := errors.AsType[*websocket.CloseError](err)
		closed <- how
	}))
	defer s.Close()
	connected := make(chan struct{})
	c := New(s.URL, &Options{Connected: func(Welcome) { close(connected) }})
	bounded.Receive(t, connected)
	c.Close()
	if how := bounded.Receive(t, closed); how == nil || how.Code != websocket.CodeNormal || !how.ByPeer {
		t.Errorf("%v", how)
	}
}

// A new client continues at the position of an earlier one.
func TestSince(t *testing.T) {
	s := &server{}
	serve(t, s, "127.0.0.1:0")
	c := connect(t, s, Options{})
	first := publish(t, c, "chat", "1")
	publish(t, c, "chat", "2")
	sub := subscribe(t, c, "chat", &SubscribeOptions{Since: &first.Position})
	if e := next(t, sub); e.Message == nil || string(e.Message.Data) != "2" {
		t.Errorf("%+v", e)
	}
	page, err := c.History(bounded.Context(t), "chat", HistoryOptions{Limit: 1, Reverse: true})
	if err != nil || len(page.Messages) != 1 || string(page.Messages[0].Data) != "2" || page.Position != sub.Position() {
		t.Errorf("%+v, %v", page, err)
	}
	if err := sub.Close(bounded.Context(t)); err != nil {
		t.Error(err)
	}
	if err := sub.Close(bounded.Context(t)); err != nil {
		t.Error(err)
	}
	for e, err := range sub.Events(bounded.Context(t)) {
		t.Errorf("after Close: %+v, %v", e, err)
	}
	subscribe(t, c, "chat", nil) // a new subscription is possible after Close
}

// Members are listed, and their changes arrive as events and in a callback.
func TestMembers(t *testing.T) {
	s := &server{client: func(r *http.Request) (channels.Client, error) {
		return channels.Client{User: r.Header.Get("User")}, nil
	}}
	serve(t, s, "127.0.0.1:0")
	as := func(user string) Options {
		return Options{Dial: &websocket.DialOptions{Header: http.Header{"User": {user}}}}
	}
	ann, bob := connect(t, s, as("ann")), connect(t, s, as("bob"))
	events := make(chan Event, 10)
	a := subscribe(t, ann, "room", &SubscribeOptions{
		Join: true, Data: json.RawMessage(`"a"`), Members: 10, Changes: true, Handle: func(e Event) { events <- e },
	})
	if a.Users != 1 || len(a.Members) != 1 || string(a.Members[0].Data) != `"a"` {
		t.Errorf("%+v", a)
	}
	b := subscribe(t, bob, "room", &SubscribeOptions{Join: true})
	if e := bounded.Receive(t, events); e.Change == nil || e.Change.Type != "join" || e.Change.Member.User != "bob" {
		t.Errorf("%+v", e)
	}
	if err := b.Update(bounded.Context(t), json.RawMessage(`"b"`)); err != nil {
		t.Error(err)
	}
	if e := bounded.Receive(t, events); e.Change == nil || e.Change.Type != "update" || string(e.Change.Member.Data) != `"b"` {
		t.Errorf("%+v", e)
	}
	if r, err := bob.Members(bounded.Context(t), "room", "", 0); err != nil || r.Users != 2 || len(r.Members) != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	bob.Close()
	if e := bounded.Receive(t, events); e.Change == nil || e.Change.Type != "leave" {
		t.Errorf("%+v", e)
	}
}

// If the server denies a command, the caller gets the server's error, and the connection continues.
func TestDenied(t *testing.T) {
	s := &server{client: func(*http.Request) (channels.Client, error) {
		return channels.Client{User: "ann", Allow: func(action, channel string) error {
			if strings.HasPrefix(channel, "no") {
				return errors.New("no")
			}
			return nil
		}}, nil
	}}
	serve(t, s, "127.0.0.1:0")
	c := connect(t, s, Options{})
	_, err := c.Subscribe(bounded.Context(t), "no", nil)
	if e, ok := errors.AsType[*Error](err); !ok || e.Code != wire.Denied {
		t.Errorf("%v", err)
	}
	if _, err = c.Publish(bounded.Context(t), "no", json.RawMessage("1"), nil); !strings.Contains(err.Error(), "denied") {
		t.Errorf("%v", err)
	}
	if _, err = c.Publish(bounded.Context(t), "yes", json.RawMessage("{"), nil); err == nil {
		t.Error("invalid JSON was published")
	}
	sub := subscribe(t, c, "yes", nil)
	if _, err := c.Subscribe(bounded.Context(t), "yes", nil); err == nil {
		t.Error("subscribed twice")
	}
	err = s.hub.Do(bounded.Context(t), hub.Command{Kind: hub.CommandUnsubscribe, App: "dev", User: "ann", Channel: "yes"})
	if err != nil {
		t.Fatal(err)
	}
	var end error
	for _, end = range sub.Events(bounded.Context(t)) {
	}
	if e, ok := errors.AsType[*Error](end); !ok || e.Code != wire.ByServer {
		t.Errorf("%v", end)
	}
	err = s.hub.Do(bounded.Context(t), hub.Command{Kind: hub.CommandDisconnect, App: "dev", User: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	bounded.Receive(t, c.Done())
	if websocket.CloseCode(c.Err()) != wire.CloseServer {
		t.Errorf("%v", c.Err())
	}
	if _, err := c.Publish(bounded.Context(t), "yes", json.RawMessage("1"), nil); !errors.Is(err, c.Err()) {
		t.Errorf("%v", err)
	}
	if _, err := c.Subscribe(bounded.Context(t), "yes", nil); !errors.Is(err, c.Err()) {
		t.Errorf("%v", err)
	}
}

// A command is retried if the server asks the client to try again later.
func TestTooFast(t *testing.T) {
	s := &server{}
	serve(t, s, "127.0.0.1:0")
	c := connect(t, s, Options{})
	for range 3 {
		publish(t, c, "slow:x", "1")
	}
}

// The token is in the handshake, and is renewed when the server asks for it.
func TestToken(t *testing.T) {
	renewed := make(chan string, 1)
	s := &server{client: func(r *http.Request) (channels.Client, error) {
		if r.Header.Get("Authorization") != "Bearer one" {
			return channels.Client{}, errors.New("no token")
		}
		return channels.Client{User: "ann", Refresh: func(_ context.Context, token string) (time.Time, error) {
			renewed <- token
			return time.Now().Add(time.Hour), nil
		}}, nil
	}}
	serve(t, s, "127.0.0.1:0")
	tokens := make(chan string, 2)
	tokens <- "one"
	tokens <- "two"
	welcome := make(chan Welcome, 1)
	c := connect(t, s, Options{
		Token:     func(context.Context) (string, error) { return <-tokens, nil },
		Connected: func(w Welcome) { welcome <- w },
	})
	if w := bounded.Receive(t, welcome); w.User != "ann" {
		t.Errorf("%+v", w)
	}
	c.receive([]byte(`{"type":"refresh","expires_in":30}`)) // receive handles the message that the gateway sends before the token expires
	if got := bounded.Receive(t, renewed); got != "two" {
		t.Errorf("renewed with %q", got)
	}
	without := connect(t, s, Options{})
	bounded.Receive(t, without.Done())
	if e, ok := errors.AsType[*websocket.HandshakeError](without.Err()); !ok || e.Status != 403 {
		t.Errorf("%v", without.Err())
	}
}

// Calls return when their context is done or the client is closed.
func TestEnds(t *testing.T) {
	c := New("ws://127.0.0.1:1/", &Options{Reconnect: quick})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Publish(ctx, "chat", json.RawMessage("1"), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if _, err := c.Subscribe(ctx, "chat", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	failed := make(chan error, 2)
	go func() {
		_, err := c.Publish(bounded.Context(t), "chat", json.RawMessage("1"), nil)
		failed <- err
	}()
	go func() {
		_, err := c.Subscribe(bounded.Context(t), "chat", nil)
		failed <- err
	}()
	c.Close()
	for range 2 {
		if err := bounded.Receive(t, failed); !errors.Is(err, ErrClosed) {
			t.Errorf("%v", err)
		}
	}
	c.Close()
}
