package natsengine

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
)

// unreliable is a server without JetStream in front of one with JetStream. It forwards requests and makes every second request fail, or
// every sixth if the failures are lost responses.
type unreliable struct {
	client, back *nats.Conn
	kind         atomic.Int32 // the kind of the failures
	requests     atomic.Int32
}

// The kinds of failures.
const (
	reliable    = iota
	noLeader    // the response reports that there is no leader
	notReady    // the response reports, with another code, that the request is not possible now
	noResponder // no server has subscribed to the subject
	noAnswer    // the request is executed, but the response is lost
)

// startUnreliable starts the servers. If cluster is true, the server in front reports that it is part of a cluster, so the engine reads
// from the leader of a stream.
func startUnreliable(t *testing.T, cluster bool) (u *unreliable, url string) {
	t.Helper()
	o := &server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, MaxPayload: maxPayload}
	if cluster {
		o.Cluster = server.ClusterOpts{Name: "front", Host: "127.0.0.1", Port: server.RANDOM_PORT}
	}
	front, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	front.Start()
	t.Cleanup(func() {
		front.Shutdown()
		front.WaitForShutdown()
	})
	if !front.ReadyForConnections(time.Minute) {
		t.Fatal("the server does not start")
	}
	u = new(unreliable)
	for conn, s := range map[**nats.Conn]*server.Server{&u.client: front, &u.back: start(t, Embedded{Dir: t.TempDir()}).server} {
		if *conn, err = nats.Connect("", nats.InProcessServer(s)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup((*conn).Close)
	}
	follow := func(c *nats.Conn, take nats.MsgHandler, subjects ...string) {
		for _, subject := range subjects {
			sub, err := c.Subscribe(subject, take)
			if err == nil {
				err = sub.SetPendingLimits(-1, -1)
			}
			if err == nil {
				err = c.Flush()
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	follow(u.back, u.answer, answers+">")
	follow(u.back, u.republish, "handfast.l.>", "handfast.v.>")
	follow(u.client, u.request, "$JS.API.>", "handfast.p.>", "handfast.s.>")
	return u, front.ClientURL()
}

const answers = "answers."

// answer forwards a response.
func (u *unreliable) answer(m *nats.Msg) {
	u.send(u.client, strings.TrimPrefix(m.Subject, answers), "", m)
}

func (u *unreliable) republish(m *nats.Msg) { u.send(u.client, m.Subject, "", m) }

func (u *unreliable) send(c *nats.Conn, subject, reply string, m *nats.Msg) {
	c.PublishMsg(&nats.Msg{Subject: subject, Reply: reply, Header: m.Header, Data: m.Data}) //nolint:errcheck // if PublishMsg fails, the message is lost, and the test fails
}

// request forwards a request, or makes it fail.
func (u *unreliable) request(m *nats.Msg) {
	kind := u.kind.Load()
	each := int32(2)
	if kind == noAnswer {
		each = 6 // because the engine waits a second for each lost response
	}
	if kind == reliable || u.requests.Add(1)%each > 0 {
		u.send(u.back, m.Subject, answers+m.Reply, m)
		return
	}
	answer := new(nats.Msg)
	direct := strings.HasPrefix(m.Subject, "$JS.API.DIRECT.")
	switch {
	case kind == noAnswer:
		u.send(u.back, m.Subject, "", m)
		return
	case kind == noResponder || direct && kind == noLeader:
		answer.Header = nats.Header{"Status": {"503"}}
	case direct:
		answer.Header = nats.Header{"Status": {"500"}, "Description": {"the store is closed"}}
	case kind == noLeader:
		answer.Data = []byte(`{"error":{"code":503,"err_code":10008,"description":"JetStream system temporarily unavailable"}}`)
	case m.Header.Get("Nats-Msg-Id") != "":
		answer.Data = []byte(`{"error":{"code":409,"err_code":10158,"description":"duplicate message id is in process"}}`)
	default:
		answer.Data = []byte(`{"error":{"code":500,"err_code":10009,"description":"JetStream cluster can not handle request"}}`)
	}
	u.send(u.client, m.Reply, "", answer)
}

// allOperations returns all operations of an engine as functions, each of which succeeds every time it is called.
func allOperations(e *Engine) map[string]func(context.Context) error {
	channel, keyed := hub.ChannelOf("app", "c"), hub.ChannelOf("app", "keyed")
	kept, n := hub.PublishOptions{History: 10}, atomic.Uint64{}
	text := func() *hub.Publication { return &hub.Publication{Data: []byte("x")} }
	// once returns an error if a publication was published twice, or not at all.
	once := func(done hub.Published, err error) error {
		if err == nil && done.Duplicate {
			return errors.New("the publication is reported as a duplicate")
		}
		return err
	}
	return map[string]func(context.Context) error{
		"publish": func(ctx context.Context) error { return once(e.Publish(ctx, channel, text(), kept)) },
		"publish what is not kept": func(ctx context.Context) error {
			p := text()
			p.ID = rand.Text()
			return once(e.Publish(ctx, channel, p, hub.PublishOptions{}))
		},
		"publish what is expected": func(ctx context.Context) error {
			zero := uint64(0)
			o := hub.PublishOptions{History: 10, Expect: &zero}
			return once(e.Publish(ctx, hub.ChannelOf("app", rand.Text()), text(), o))
		},
		"publish a key": func(ctx context.Context) error {
			p := text()
			p.Key = "key"
			return once(e.Publish(ctx, keyed, p, kept))
		},
		"history": func(ctx context.Context) error {
			_, err := e.History(ctx, channel, hub.HistoryQuery{Limit: -1})
			return err
		},
		"trim": func(ctx context.Context) error { return e.Trim(ctx, keyed, 1) },
		"snapshot": func(ctx context.Context) error {
			_, _, _, err := e.Snapshot(ctx, keyed, "", 10)
			return err
		},
		"subscribe": func(ctx context.Context) error { return e.Subscribe(ctx, channel) },
		"lease":     func(ctx context.Context) error { return e.Lease(ctx, "lease", time.Hour) },
		"release":   func(ctx context.Context) error { return e.Release(ctx, "another lease") },
		"put": func(ctx context.Context) error {
			v := n.Add(1)
			return e.Put(ctx, channel, hub.Entry{Lease: "lease", Client: "a", Version: v}, hub.Entry{Lease: "lease", Client: "b", Version: v})
		},
		"entries": func(ctx context.Context) error {
			_, _, err := e.Entries(ctx, channel, "", 10)
			return err
		},
		"claim": func(ctx context.Context) error {
			first, err := e.Claim(ctx, rand.Text(), time.Minute)
			if err == nil && !first {
				return errors.New("it was claimed before")
			}
			return err
		},
		"occupy": func(ctx context.Context) error {
			return e.Occupy(ctx, "lease", []hub.Occupied{{Channel: channel, Subscribers: 1}})
		},
		"occupied": func(ctx context.Context) error {
			_, _, err := e.Occupied(ctx, "", "", 10)
			return err
		},
		"save a position": func(ctx context.Context) error {
			return e.SavePosition(ctx, channel, "device", hub.Position{Epoch: "e", Offset: n.Add(1)})
		},
		"position": func(ctx context.Context) error {
			_, err := e.Position(ctx, channel, "device")
			return err
		},
		"broadcast": func(ctx context.Context) error {
			return e.Broadcast(ctx, hub.Command{Kind: hub.CommandDisconnect, App: "app", User: "u"})
		},
		"probe": e.Probe,
	}
}

// Every operation of an engine succeeds, and is performed only once, although every second request fails in one of the ways in
// which requests fail while a cluster elects a leader.
func TestUnreliable(t *testing.T) {
	for name, cluster := range map[string]bool{"of a cluster": true, "alone": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u, url := startUnreliable(t, cluster)
			e := newEngine(t, Options{URL: url, Replicas: 1})
			h := hub.New(hub.Options{Engine: e, ProbeEvery: -1})
			defer h.Close() //nolint:errcheck // an error does not matter, because the server is stopped after the test
			ctx := bounded.Context(t)
			calls := allOperations(e)
			for _, first := range []string{"lease", "publish a key", "put"} { // the other operations depend on these
				if err := calls[first](ctx); err != nil {
					t.Fatal(err)
				}
			}
			for kind, what := range map[int32]string{noLeader: "no leader", notReady: "not ready", noResponder: "no responder", noAnswer: "no answer"} {
				u.kind.Store(kind)
				var asking sync.WaitGroup
				for call, do := range calls {
					asking.Go(func() {
						if err := do(ctx); err != nil {
							t.Errorf("%s: %s: %v", what, call, err)
						}
					})
				}
				asking.Wait()
			}
			u.kind.Store(reliable)
			page, err := e.History(ctx, hub.ChannelOf("app", "c"), hub.HistoryQuery{Limit: -1})
			if err != nil || len(page.Publications) != 4 {
				t.Errorf("%d of 4 publications are kept: %v", len(page.Publications), err)
			}
		})
	}
}
