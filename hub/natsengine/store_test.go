package natsengine

import (
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
)

// plainServer returns a connection to a server without JetStream, so that the test itself can respond to requests.
func plainServer(t *testing.T) (*nats.Conn, *mux) {
	t.Helper()
	srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() {
		srv.Shutdown()
		srv.WaitForShutdown()
	})
	nc, err := nats.Connect("", nats.InProcessServer(srv))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	m, err := newMux(nc)
	if err != nil {
		t.Fatal(err)
	}
	return nc, m
}

// A server that rejoins its cluster briefly reports that there is no leader. The test waits for the leader.
func TestTemporarilyUnavailable(t *testing.T) {
	nc, m := plainServer(t)
	s := &store{mux: m, log: "LOG", state: "STATE", leader: true}
	const unavailable = `{"error":{"code":503,"err_code":10008,"description":"JetStream system temporarily unavailable"}}`
	asked := make(chan string, 100)
	answer := func(subject string, later ...string) {
		t.Helper()
		n := 0
		if _, err := nc.Subscribe(subject, func(m *nats.Msg) {
			asked <- m.Subject
			text := unavailable
			if n++; n > 3 {
				text = later[min(n-4, len(later)-1)]
			}
			m.Respond([]byte(text)) //nolint:errcheck // if this fails, the test fails, too
		}); err != nil {
			t.Fatal(err)
		}
	}
	answer("$JS.API.STREAM.MSG.GET.STATE", `{"message":{"subject":"a","seq":7,"data":"eA==","time":"2026-01-02T03:04:05Z"}}`,
		`{"error":{"code":404,"err_code":10037,"description":"no message found"}}`,
		`{"error":{"code":500,"err_code":10051,"description":"the disk is full"}}`)
	answer("$JS.API.STREAM.PURGE.STATE", `{"success":true}`)
	ctx := bounded.Context(t)
	if i, err := s.last(ctx, s.state, "a"); err != nil || i == nil || i.seq != 7 || string(i.data) != "x" {
		t.Errorf("read %+v, %v", i, err)
	}
	if i, err := s.last(ctx, s.state, "a"); err != nil || i != nil {
		t.Errorf("read %+v, %v, want nothing", i, err)
	}
	if i, err := s.last(ctx, s.state, "a"); err == nil {
		t.Errorf("read %+v, want an error", i)
	}
	if err := s.purge(ctx, s.state, "a", 0, 0); err != nil {
		t.Error(err)
	}
	if n := len(asked); n != 3+3+3+1 {
		t.Errorf("%d requests", n)
	}
}

// A publication without an ID is sent again if no response arrives, and the server recognizes the duplicate.
func TestPublishIsRepeated(t *testing.T) {
	nc, m := plainServer(t)
	e := newEngine(t, Options{URL: "nats://127.0.0.1:1"})
	e.link.set(&store{mux: m, log: "LOG", state: "STATE"}, "epoch")
	channel := hub.ChannelOf("app", "c")
	ids := make(chan string, 100)
	n := 0
	if _, err := nc.Subscribe(e.sub.log(channel), func(m *nats.Msg) {
		ids <- m.Header.Get("Nats-Msg-Id")
		if n++; n > 1 {
			m.Respond([]byte(`{"seq":5,"duplicate":true}`)) //nolint:errcheck // if this fails, the test fails, too
		}
	}); err != nil {
		t.Fatal(err)
	}
	ctx := bounded.Context(t)
	done, err := e.Publish(ctx, channel, &hub.Publication{Data: []byte("x")}, hub.PublishOptions{History: 10})
	if err != nil || done.Duplicate || done.Offset != 5 {
		t.Errorf("%+v, %v", done, err)
	}
	if _, err := e.Publish(ctx, channel, &hub.Publication{Data: []byte("y")}, hub.PublishOptions{History: 10}); err != nil {
		t.Error(err)
	}
	first, again, other := bounded.Receive(t, ids), bounded.Receive(t, ids), bounded.Receive(t, ids)
	if first == "" || again != first || other == first {
		t.Errorf("IDs %q, %q, and of another publication %q", first, again, other)
	}
}

// A message that is sent again is stored once, even with an expected sequence; for the caller it is not a duplicate.
func TestRepetitionIsStoredOnce(t *testing.T) {
	e := newEngine(t, Options{Server: start(t, Embedded{Dir: t.TempDir()})})
	h := hub.New(hub.Options{Engine: e, Namespaces: []hub.Namespace{{History: 10}}})
	defer h.Close() //nolint:errcheck // an error does not matter, because the server is stopped after the test
	ctx := bounded.Context(t)
	var last uint64
	for _, tt := range []struct {
		what   string
		expect bool
	}{{"the first of a channel", false}, {"another one", false}, {"with an expected sequence", true}} {
		var at []hub.Position
		expect := last
		for range 2 {
			if len(at) > 0 {
				e.calls.n.Add(^uint64(0)) // so that the next call uses the same ID
			}
			var o hub.PublishOptions
			if tt.expect {
				o.Expect = &expect
			}
			done, err := h.Publish(ctx, "app", "c", &hub.Publication{Data: []byte(tt.what)}, &o)
			if err != nil || done.Duplicate {
				t.Errorf("%s: %+v, %v", tt.what, done, err)
			}
			at = append(at, done.Position)
		}
		if at[0] != at[1] || at[0].Offset <= last {
			t.Errorf("%s is at %v, and sent again at %v", tt.what, at[0], at[1])
		}
		last = at[0].Offset
	}
	page, err := h.History(ctx, "app", "c", hub.HistoryQuery{Limit: -1})
	if err != nil || len(page.Publications) != 3 {
		t.Errorf("%d publications are stored, %v", len(page.Publications), err)
	}
}
