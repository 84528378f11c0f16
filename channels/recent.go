package channels

import (
	"slices"
	"sync"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/websocket"
)

// The bounds of recent. The clients of thousands of channels that come back together ask for the publications of one channel after
// those of all others, so all of them have to be remembered, or none is found again.
const (
	recentBytes = 16 << 20
	recentEntry = 512 // what an entry takes beyond its bytes
)

// recent remembers publications as messages. When many clients come back together, each publication that they have missed is
// encoded once, not once for each of them. It may be used from any goroutine.
type recent struct {
	mu       sync.Mutex
	messages map[*hub.Publication]*websocket.Prepared
	order    []*hub.Publication // the oldest first
	bytes    int
}

// append appends publications of a channel as messages, without those that clients do not get.
func (r *recent) append(all []*websocket.Prepared, channel string, ps []*hub.Publication) ([]*websocket.Prepared, error) {
	begin := len(all)
	missing := r.find(&all, ps)
	if missing == 0 {
		return all, nil
	}
	for i, p := range ps {
		if all[begin+i] != nil {
			continue
		}
		m, err := codec{}.Publication(channel, p, nil)
		if err != nil {
			return nil, err
		}
		if m != nil {
			all[begin+i] = r.add(p, m)
		}
	}
	return slices.DeleteFunc(all, func(m *websocket.Prepared) bool { return m == nil }), nil
}

// find appends the messages of publications, nil for those that it does not remember, and returns how many these are.
func (r *recent) find(all *[]*websocket.Prepared, ps []*hub.Publication) (missing int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range ps {
		m := r.messages[p]
		if m == nil {
			missing++
		}
		*all = append(*all, m)
	}
	return missing
}

// add remembers the message of a publication, and returns the one that others got meanwhile, if there is one.
func (r *recent) add(p *hub.Publication, m *websocket.Prepared) *websocket.Prepared {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.messages == nil {
		r.messages = map[*hub.Publication]*websocket.Prepared{}
	}
	if have := r.messages[p]; have != nil {
		return have
	}
	r.messages[p] = m
	r.order = append(r.order, p)
	r.bytes += m.Len() + recentEntry
	for r.bytes > recentBytes {
		oldest := r.order[0]
		r.order[0] = nil
		r.order = r.order[1:]
		r.bytes -= r.messages[oldest].Len() + recentEntry
		delete(r.messages, oldest)
	}
	return m
}
