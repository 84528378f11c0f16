package natsengine

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/handfast/handfast/hub/enginetest"
)

// unreliable is a server without JetStream in front of one that has it. Some of the requests that it passes on it answers itself, as
// servers do while a cluster chooses a leader; of some it drops the answer.
type unreliable struct {
	front, back *nats.Conn
	requests    atomic.Int64
	faults      [4]atomic.Int64 // how many of each kind
}

// The requests of which one fails, and of which one loses its answer, which takes the caller a second.
const (
	failsEach = 5
	losesEach = 211
)

// startUnreliable starts the servers. If cluster is true, the one in front says that it is part of a cluster: reads then go to the
// leader of a stream.
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
	for conn, s := range map[**nats.Conn]*server.Server{&u.front: front, &u.back: start(t, Embedded{Dir: t.TempDir()}).server} {
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
	follow(u.front, u.request, "$JS.API.>", "handfast.p.>", "handfast.s.>")
	return u, front.ClientURL()
}

const answers = "answers."

// answer passes an answer on.
func (u *unreliable) answer(m *nats.Msg) {
	u.send(u.front, strings.TrimPrefix(m.Subject, answers), "", m)
}

func (u *unreliable) republish(m *nats.Msg) { u.send(u.front, m.Subject, "", m) }

func (u *unreliable) send(c *nats.Conn, subject, reply string, m *nats.Msg) {
	c.PublishMsg(&nats.Msg{Subject: subject, Reply: reply, Header: m.Header, Data: m.Data}) //nolint:errcheck // a lost message, which the test notices
}

// request passes a request on, or answers it.
func (u *unreliable) request(m *nats.Msg) {
	n := u.requests.Add(1)
	kind := -1
	switch {
	case n%losesEach == 0:
		kind = 3
	case n%failsEach == 0:
		kind = int(n/failsEach) % 3
	}
	if kind < 0 {
		u.send(u.back, m.Subject, answers+m.Reply, m)
		return
	}
	u.faults[kind].Add(1)
	answer := new(nats.Msg)
	direct := strings.HasPrefix(m.Subject, "$JS.API.DIRECT.")
	switch {
	case kind == 3:
		u.send(u.back, m.Subject, "", m)
		return
	case kind == 0 || direct && kind == 1: // no responders
		answer.Header = nats.Header{"Status": {"503"}}
	case direct:
		answer.Header = nats.Header{"Status": {"500"}, "Description": {"the store is closed"}}
	case kind == 1:
		answer.Data = []byte(`{"error":{"code":503,"err_code":10008,"description":"JetStream system temporarily unavailable"}}`)
	case m.Header.Get("Nats-Msg-Id") != "":
		answer.Data = []byte(`{"error":{"code":409,"err_code":10158,"description":"duplicate message id is in process"}}`)
	default:
		answer.Data = []byte(`{"error":{"code":500,"err_code":10009,"description":"JetStream cluster can not handle request"}}`)
	}
	u.send(u.front, m.Reply, "", answer)
}

// An engine passes the suite with servers of which one request in five fails as requests do while a cluster chooses a leader, whatever
// the request is. For every other test they are part of a cluster.
func TestUnreliable(t *testing.T) {
	made := 0
	enginetest.Run(t, enginetest.Options{Flow: 50}, func(t testing.TB) enginetest.Cluster {
		made++
		u, url := startUnreliable(t.(*testing.T), made%2 == 0)
		t.Cleanup(func() {
			t.Logf("%d requests; faults by kind: %v", u.requests.Load(), []int64{
				u.faults[0].Load(), u.faults[1].Load(), u.faults[2].Load(), u.faults[3].Load(),
			})
		})
		return nodes(Options{URL: url, Replicas: 1})
	})
}
