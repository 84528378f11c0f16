package hub_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/hub/enginetest"
	"github.com/handfast/handfast/internal/bounded"
)

func TestRoom(t *testing.T) {
	for _, tt := range []struct {
		bytes int
		sizes []int
		want  int // the number of these items that fit
	}{
		{10, []int{4, 6, 1}, 2}, {10, []int{4, 7}, 1}, {10, []int{11, 0, 1}, 2}, {10, []int{100, 1}, 1}, {10, []int{0, 0, 10, 1}, 3},
		{0, []int{hub.PageBytes, 0, 1}, 2}, {0, []int{hub.PageBytes - 1, 1, 1}, 2}, {-1, []int{1 << 40, 1 << 40}, 2}, {1, []int{1, 1}, 1},
	} {
		room, n := hub.NewRoom(tt.bytes), 0
		for n < len(tt.sizes) && room.Take(tt.sizes[n]) {
			n++
		}
		some, all := hub.Cut(tt.sizes, tt.bytes, func(n *int) int { return *n })
		if n != tt.want || len(some) != n || all != (n == len(tt.sizes)) {
			t.Errorf("%d of %v fit into %d; cut: %d, %v", n, tt.sizes, tt.bytes, len(some), all)
		}
	}
}

// The size of each type includes all of its parts.
func TestSizes(t *testing.T) {
	p := &hub.Publication{ID: "1", Event: "2", Data: []byte("3"), Key: "4", Tags: map[string]string{"5": "6"}, Client: "7", User: "8",
		Info: []byte("9"), NotTo: "a"}
	e, m := &hub.Entry{Lease: "1", Client: "2", User: "3", Data: []byte("4")}, &hub.Member{User: "1", Client: "2", Data: []byte("3")}
	if p.Size() != 10 || e.Size() != 4 || m.Size() != 3 {
		t.Error(p.Size(), e.Size(), m.Size())
	}
}

// trimmingEngine loses deliveries while loses is set.
type trimmingEngine struct {
	hub.Engine
	history  hub.History
	dropping atomic.Bool
	sink     chan hub.Sink
}

func (e *trimmingEngine) History(ctx context.Context, channel string, q hub.HistoryQuery) (hub.HistoryPage, error) {
	return e.history.History(ctx, channel, q)
}

func (e *trimmingEngine) Trim(ctx context.Context, channel string, through uint64) error {
	return e.history.Trim(ctx, channel, through)
}

type forgetfulSink struct {
	hub.Sink
	*trimmingEngine
}

func (s forgetfulSink) Deliver(channel string, ps []*hub.Publication) {
	if !s.dropping.Load() {
		s.Sink.Deliver(channel, ps)
	}
}

func (e *trimmingEngine) Run(ctx context.Context, s hub.Sink) error {
	e.sink <- s
	return e.Engine.Run(ctx, forgetfulSink{s, e})
}

// A gap that is too large for one read is filled in parts, in order; later publications follow once.
func TestLargeGap(t *testing.T) {
	node := hub.NewMemory().Node()
	e := &trimmingEngine{Engine: node, history: node.(hub.History), sink: make(chan hub.Sink, 1)}
	h := start(t, hub.Options{Engine: e, Namespaces: []hub.Namespace{{History: 1000}}})
	sink := bounded.Receive(t, e.sink)
	c := enginetest.NewClient(t, h, nil, hub.Client{ID: "a"})
	c.Subscribe(t, "x", hub.SubscribeOptions{})
	data := strings.Repeat("x", 60<<10)
	send := func(i int) { publish(t, h, "x", text(fmt.Sprintf("%d %s", i, data))) }
	const n = 600 // 35 MiB
	e.dropping.Store(true)
	for i := range n {
		send(i)
	}
	e.dropping.Store(false)
	sink.Gap()
	send(n)
	send(n + 1)
	c.Until(t, func(es []enginetest.Event) bool { return len(es) >= n+3 })
	i := 0
	for _, e := range c.Events() {
		if e.Publication == nil {
			continue
		}
		if got, _, _ := strings.Cut(string(e.Publication.Data), " "); got != fmt.Sprint(i) {
			t.Fatalf("publication %s in place of %d", got, i)
		}
		i++
	}
	if i != n+2 {
		t.Errorf("%d publications", i)
	}
}

// Positions of devices are forgotten if they are too old, or too many.
func TestPositionsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ps := hub.NewMemory().Node().(hub.Positions)
		ctx := context.Background()
		save := func(device string, offset uint64) {
			if err := ps.SavePosition(ctx, "c", device, hub.Position{Epoch: "e", Offset: offset}); err != nil {
				t.Fatal(err)
			}
		}
		has := func(device string) bool {
			p, err := ps.Position(ctx, "c", device)
			if err != nil {
				t.Fatal(err)
			}
			return p != nil
		}
		save("old", 1)
		save("again", 1)
		save("same", 1)
		advance(hub.PositionKept - time.Second)
		save("again", 2)
		save("same", 1) // the position is not later, so nothing is saved
		if !has("old") || !has("same") {
			t.Error("a position is forgotten too early")
		}
		advance(time.Second)
		save("new", 1)
		if has("old") || has("same") || !has("again") || !has("new") {
			t.Error(has("old"), has("same"), has("again"), has("new"))
		}
		for i := range 100_000 - 1 {
			save(fmt.Sprint(i), 1)
		}
		if has("again") || !has("new") || !has("0") {
			t.Error("with too many positions, a position other than the oldest is forgotten")
		}
	})
}
