package channels

import (
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

// message returns p as a message.
func (r *recent) message(channel string, p *hub.Publication) (*websocket.Prepared, error) {
	r.mu.Lock()
	m := r.messages[p]
	r.mu.Unlock()
	if m != nil {
		return m, nil
	}
	m, err := codec{}.Publication(channel, p, nil)
	if err != nil || m == nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.messages == nil {
		r.messages = map[*hub.Publication]*websocket.Prepared{}
	}
	if have := r.messages[p]; have != nil {
		return have, nil
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
	return m, nil
}
