package enginetest

import (
	"fmt"
	"slices"
	"sync"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
)

// traces collects the traces that the hubs of a test report, as text.
type traces struct {
	mu  sync.Mutex
	all []string
}

func (x *traces) of(node string) func(hub.Trace) {
	return func(t hub.Trace) {
		what := "published"
		if t.Delivered {
			what = fmt.Sprint("delivered to ", t.Subscribers)
		}
		x.mu.Lock()
		defer x.mu.Unlock()
		x.all = append(x.all, fmt.Sprintf("%s %s %s %s/%s %s", node, what, t.Publication.Data, t.App, t.Channel, t.Publication.Trace))
	}
}

func (x *traces) has(want ...string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	all := slices.Sorted(slices.Values(x.all))
	return slices.Equal(all, slices.Sorted(slices.Values(want)))
}

// A trace ID is reported by the node that has published the message, and by every node with subscribers, with the number of its
// subscribers.
func trace(s *suite) {
	var got traces
	node := func(name string) *hub.Hub {
		return s.hubWith(hub.Options{Engine: s.Node(s), Traced: got.of(name)})
	}
	a, b, c := node("a"), node("b"), node("c")
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	for _, channel := range []string{"plain:t", "history:t"} {
		first, second, third := s.client(a, ""), s.client(b, ""), s.client(b, "")
		for _, x := range []*Client{first, second, third} {
			x.Subscribe(s, channel, hub.SubscribeOptions{})
			x.Take()
		}
		ctx := hub.WithTraceparent(bounded.Context(s), "00-"+id+"-00f067aa0ba902b7-01")
		publish := func(p *hub.Publication, h *hub.Hub) {
			s.Helper()
			if _, err := h.Publish(ctx, "app", channel, p, nil); err != nil {
				s.Fatal(err)
			}
		}
		publish(&hub.Publication{Data: []byte("1")}, a)
		publish(&hub.Publication{Data: []byte("2"), NotTo: third.Session.Client().ID}, c)
		s.publish(a, channel, "3", nil)
		third.Want(s, "1", "3")
		end := fmt.Sprintf("app/%s %s", channel, id)
		want := []string{
			"a published 1 " + end, "a delivered to 1 1 " + end, "b delivered to 2 1 " + end,
			"c published 2 " + end, "a delivered to 1 2 " + end, "b delivered to 1 2 " + end,
		}
		bounded.Until(s, func() bool { return got.has(want...) })
		got = traces{}
	}
}
