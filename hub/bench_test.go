package hub_test

import (
	"fmt"
	"net"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// plainCodec encodes only the data.
type plainCodec struct{}

func (plainCodec) Publication(_ string, p, _ *hub.Publication) (*websocket.Prepared, error) {
	return websocket.Prepare(websocket.Message{Type: websocket.Text, Data: p.Data})
}

func (plainCodec) Members(string, []hub.Change) ([]*websocket.Prepared, error) { return nil, nil }

func (plainCodec) Ended(string, hub.EndReason) (*websocket.Prepared, error) { return nil, nil }

func (plainCodec) Closing(hub.EndReason) (*websocket.Prepared, websocket.Code, string) {
	return nil, websocket.CodeGoingAway, ""
}

// nullSender counts messages, and signals when their number is reached.
type nullSender struct {
	left *atomic.Int64
	done chan struct{}
}

func (s *nullSender) SendPrepared(ps ...*websocket.Prepared) error {
	if s.left.Add(-int64(len(ps))) == 0 {
		s.done <- struct{}{}
	}
	return nil
}

func (s *nullSender) Send(websocket.Message) error      { return nil }
func (s *nullSender) Buffered() int                     { return 0 }
func (s *nullSender) Shut(websocket.Code, string) error { return nil }
func (s *nullSender) CloseNow() error                   { return nil }
func (s *nullSender) Subprotocol() string               { return "" }
func (s *nullSender) RemoteAddr() net.Addr              { return nil }

func replyNothing(*hub.Recovered) error { return nil }

// BenchmarkFanout measures a delivery in the hub alone, with senders that do nothing. The metric is the CPU time per
// delivery; ns/op is the time per publication.
func BenchmarkFanout(b *testing.B) {
	for _, history := range []int{0, 100} {
		for _, n := range []int{1, 100, 1000, 10_000} {
			b.Run(fmt.Sprintf("history=%d/subscribers=%d", history, n), func(b *testing.B) {
				h := start(b, rules(hub.Namespace{History: history}))
				var left atomic.Int64
				done := make(chan struct{}, 1)
				for i := range n {
					s, err := h.Join(hub.Client{App: "app", ID: fmt.Sprint(i), Out: &nullSender{&left, done}, Codec: plainCodec{}})
					if err != nil {
						b.Fatal(err)
					}
					if err := s.Subscribe(b.Context(), "c", hub.SubscribeOptions{}, replyNothing); err != nil {
						b.Fatal(err)
					}
				}
				data := make([]byte, 128)
				b.ReportAllocs()
				before := cpu()
				for b.Loop() {
					left.Store(int64(n))
					if _, err := h.Publish(b.Context(), "app", "c", &hub.Publication{Data: data}, nil); err != nil {
						b.Fatal(err)
					}
					<-done
				}
				b.ReportMetric(float64((cpu()-before).Nanoseconds())/float64(b.N)/float64(n), "cpu-ns/delivery")
			})
		}
	}
}

// BenchmarkSubscribe measures a session that joins, subscribes with recovery of ten publications, and leaves.
func BenchmarkSubscribe(b *testing.B) {
	h := start(b, rules(hub.Namespace{History: 100}))
	var at hub.Position
	for i := range 20 {
		done, err := h.Publish(b.Context(), "app", "c", &hub.Publication{Data: make([]byte, 128)}, nil)
		if err != nil {
			b.Fatal(err)
		}
		if i == 9 {
			at = done.Position
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		s, err := h.Join(hub.Client{App: "app", ID: "id", Codec: plainCodec{}})
		if err != nil {
			b.Fatal(err)
		}
		err = s.Subscribe(b.Context(), "c", hub.SubscribeOptions{Since: &at}, func(r *hub.Recovered) error {
			if len(r.Publications) != 10 {
				b.Fatal(r.Err)
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
		s.Leave()
	}
}

// heap returns the size of the heap in use.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// sessionBytes is the maximum size of an idle session with three subscriptions in the hub, including the client's ID.
const sessionBytes = 512

// TestSessionSize measures the size of an idle session with three subscriptions.
func TestSessionSize(t *testing.T) {
	if raceEnabled {
		return // the race detector changes sizes
	}
	const n = 20_000
	h := start(t, hub.Options{})
	var left atomic.Int64
	out := &nullSender{&left, nil}
	all := make([]*hub.Session, 0, n)
	join := func(i int) {
		s, err := h.Join(hub.Client{App: "app", ID: fmt.Sprintf("client-%016x", i), User: fmt.Sprint("user ", i%(n/2)), Out: out, Codec: plainCodec{}})
		if err != nil {
			t.Fatal(err)
		}
		for k := range 3 {
			if err := s.Subscribe(t.Context(), fmt.Sprint("channel ", i%10, k), hub.SubscribeOptions{}, replyNothing); err != nil {
				t.Fatal(err)
			}
		}
		all = append(all, s)
	}
	for i := range 10 {
		join(i)
	}
	before := heap()
	for i := range n {
		join(i + 10)
	}
	each := int(heap()-before) / n
	t.Logf("%d bytes per session", each)
	if each > sessionBytes {
		t.Errorf("an idle session with three subscriptions takes %d bytes, more than %d", each, sessionBytes)
	}
	runtime.KeepAlive(all)
}

// TestManyChannels opens 100,000 channels on one node.
func TestManyChannels(t *testing.T) {
	n := 100_000
	if raceEnabled {
		n = 5000 // the race detector makes the test slow
	}
	h := start(t, hub.Options{MaxSubscriptions: 100})
	var left atomic.Int64
	done := make(chan struct{}, 1)
	left.Store(int64(n))
	before := heap()
	var s *hub.Session
	for i := range n {
		if i%100 == 0 {
			var err error
			if s, err = h.Join(hub.Client{App: "app", ID: fmt.Sprint(i), Out: &nullSender{&left, done}, Codec: plainCodec{}}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Subscribe(t.Context(), fmt.Sprint("channel ", i), hub.SubscribeOptions{}, replyNothing); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d bytes per channel with one subscriber, including the in-memory engine", (heap()-before)/uint64(n))
	for i := range n {
		if _, err := h.Publish(t.Context(), "app", fmt.Sprint("channel ", i), text("x"), nil); err != nil {
			t.Fatal(err)
		}
	}
	bounded.Receive(t, done)
	if got := h.Sizes(); got != (hub.Sizes{Sessions: n / 100, Channels: n, Subscriptions: n}) {
		t.Errorf("%+v", got)
	}
}
