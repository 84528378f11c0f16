package channels

import (
	"fmt"
	"strings"
	"testing"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/websocket"
)

// A publication is encoded once, as long as it is among the recent ones, of which there are not too many.
func TestRecent(t *testing.T) {
	var r recent
	message := func(p *hub.Publication) (*websocket.Prepared, error) {
		ms, err := r.append(nil, "c", []*hub.Publication{p})
		if len(ms) == 0 {
			return nil, err
		}
		return ms[0], err
	}
	p := &hub.Publication{Data: []byte(`{"n":1}`)}
	first, err := message(p)
	if err != nil {
		t.Fatal(err)
	}
	again, err := message(p)
	if err != nil || again != first {
		t.Errorf("%p, %p, %v", first, again, err)
	}
	if internal, err := message(&hub.Publication{Event: hub.InternalPrefix + "x"}); internal != nil || err != nil {
		t.Errorf("%v, %v: a message that clients do not get", internal, err)
	}
	// The clients of 300 channels that come back in turn, each having missed ten publications, find all of them again.
	for i := range 3_000 {
		if _, err := message(&hub.Publication{Data: fmt.Append(nil, i)}); err != nil {
			t.Fatal(err)
		}
	}
	if again, err := message(p); again != first || err != nil {
		t.Errorf("it was dropped within the bound: %v", err)
	}
	large := []byte(`"` + strings.Repeat("x", 64<<10) + `"`)
	for range 2 * recentBytes / len(large) {
		if _, err := message(&hub.Publication{Data: large}); err != nil {
			t.Fatal(err)
		}
	}
	if again, err := message(p); again == first || err != nil {
		t.Errorf("it was kept beyond the bound: %v", err)
	}
	sum := 0
	for _, m := range r.messages {
		sum += m.Len() + recentEntry
	}
	if sum != r.bytes || sum > recentBytes || len(r.messages) != len(r.order) {
		t.Errorf("%d bytes, %d counted, %d and %d messages", sum, r.bytes, len(r.messages), len(r.order))
	}
}

// Of several publications those that are remembered and those that are not are in their order, without those that clients do not get.
func TestRecentSome(t *testing.T) {
	var r recent
	ps := make([]*hub.Publication, 5)
	for i := range ps {
		ps[i] = &hub.Publication{Data: fmt.Append(nil, i), Position: hub.Position{Offset: uint64(i + 1)}}
	}
	ps[2].Event = hub.InternalPrefix + "x"
	want, err := r.append(nil, "c", []*hub.Publication{ps[0], ps[1], ps[3], ps[4]})
	if err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	delete(r.messages, ps[0])
	delete(r.messages, ps[3])
	r.mu.Unlock()
	first := new(websocket.Prepared)
	got, err := r.append([]*websocket.Prepared{first}, "c", ps)
	if err != nil || len(got) != 5 || got[0] != first || got[2] != want[1] || got[4] != want[3] {
		t.Fatalf("%d messages, %v", len(got), err)
	}
	for i, m := range got[1:] {
		if m == nil || m.Len() != want[i].Len() {
			t.Errorf("message %d is another", i)
		}
	}
}
