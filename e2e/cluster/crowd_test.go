//go:build e2e

package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handfast/handfast/client"
	"github.com/handfast/handfast/e2e/internal/harness"
	"github.com/handfast/handfast/internal/bounded"
)

// numbered is the content of a message: P is the number of the publisher, N the number of the message.
type numbered struct {
	P int `json:"p"`
	N int `json:"n"`
}

// publisher publishes messages. It waits for the acknowledgement of each message before it publishes the next.
type publisher struct {
	channel string
	acked   atomic.Int64
	slowest atomic.Int64 // the longest time until an acknowledgement, in nanoseconds
}

// subscriber is a member of a channel that checks the received messages.
type subscriber struct {
	channel string
	next    map[int]int // the next expected message of each publisher

	mu         sync.Mutex
	id         string // name of the connection on the server
	node       *node
	received   int
	lost       int          // number of acknowledged messages that are missing without an announced gap
	duplicates int          // number of messages that were duplicated or out of order
	gaps       []string     // the reasons for announced gaps
	open       map[int]bool // the publishers without a message since the last gap
}

// connected records the name and the node of a new connection.
func (s *subscriber) connected(id string, n *node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.id, s.node = id, n
}

// handle processes an event of the channel.
func (s *subscriber) handle(e client.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Gap != "" {
		s.gaps = append(s.gaps, string(e.Gap))
		for p := range s.next {
			s.open[p] = true
		}
	}
	if e.Message == nil {
		return
	}
	var m numbered
	if err := json.Unmarshal(e.Message.Data, &m); err != nil {
		return // the publisher's next message then reports this one as lost
	}
	s.received++
	switch want := s.next[m.P]; {
	case m.N < want:
		s.duplicates++
		return
	case m.N > want && !s.open[m.P]:
		s.lost += m.N - want
	}
	delete(s.open, m.P)
	s.next[m.P] = m.N + 1
}

// crowd contains the clients of a cluster.
type crowd struct {
	form
	t           *testing.T // closes the clients at the end
	c           *cluster
	clients     []*client.Client
	subscribers []*subscriber
	publishers  []*publisher
	watchers    []*watcher
	stop        context.CancelFunc // stops the publishers
	publishing  sync.WaitGroup
}

func channel(i int) string { return fmt.Sprintf("room-%d", i) }

// startCrowd connects the subscribers, distributed over the nodes, and then the publishers.
func startCrowd(t *testing.T, c *cluster, f form) *crowd {
	t.Helper()
	w := &crowd{form: f, t: t, c: c}
	for _, n := range c.nodes {
		w.watch(t, n)
	}
	var joining sync.WaitGroup
	slots := make(chan struct{}, 100)
	for i := range f.subscribers {
		s := &subscriber{channel: channel(i / len(c.nodes) % f.channels), next: map[int]int{}, open: map[int]bool{}}
		w.subscribers = append(w.subscribers, s)
		for p := range 2 * f.channels {
			if channel(p%f.channels) == s.channel {
				s.next[p] = 0
			}
		}
		cl := newClient(t, c.from(i), s.connected)
		w.clients = append(w.clients, cl)
		slots <- struct{}{}
		joining.Go(func() {
			defer func() { <-slots }()
			if _, err := cl.Subscribe(bounded.Context(t), s.channel, &client.SubscribeOptions{Join: true, Handle: s.handle}); err != nil {
				t.Errorf("subscribe: %v", err)
			}
		})
	}
	joining.Wait()
	ctx, cancel := context.WithCancel(context.Background())
	w.stop = cancel
	t.Cleanup(func() {
		cancel()
		w.publishing.Wait()
	})
	for i := range 2 * f.channels {
		p := &publisher{channel: channel(i % f.channels)}
		w.publishers = append(w.publishers, p)
		cl := newClient(t, c.from(i), nil)
		w.clients = append(w.clients, cl)
		w.publishing.Go(func() {
			if err := p.run(ctx, cl, i, f.pace); err != nil {
				t.Errorf("publisher %d: %v", i, err)
			}
		})
	}
	return w
}

// run publishes until ctx is done.
func (p *publisher) run(ctx context.Context, c *client.Client, number int, pace time.Duration) error {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		n := int(p.acked.Load())
		data, err := json.Marshal(numbered{number, n})
		if err != nil {
			return err
		}
		one, cancel := context.WithTimeout(context.WithoutCancel(ctx), harness.Patience) // ctx does not cancel a call in progress
		began := time.Now()
		_, err = c.Publish(one, p.channel, data, nil)
		cancel()
		if err != nil {
			return err
		}
		p.acked.Add(1)
		p.slowest.Store(max(p.slowest.Load(), int64(time.Since(began))))
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// acked returns the number of acknowledged messages of each publisher.
func (w *crowd) acked() []int {
	var all []int
	for _, p := range w.publishers {
		all = append(all, int(p.acked.Load()))
	}
	return all
}

// waitProgress waits until each publisher has received another acknowledgement.
func (w *crowd) waitProgress(t *testing.T) {
	t.Helper()
	before := w.acked()
	harness.Until(t, "each publisher goes on", func() bool {
		for i, n := range w.acked() {
			if n == before[i] {
				return false
			}
		}
		return true
	})
}

// waitCaughtUp waits until every subscriber has received the last message that each publisher has had acknowledged, or a later one.
func (w *crowd) waitCaughtUp(t *testing.T) {
	t.Helper()
	acked := w.acked()
	for i, s := range w.subscribers {
		harness.Until(t, fmt.Sprintf("subscriber %d has what is acknowledged", i), func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			for p, next := range s.next {
				if next < acked[p] {
					return false
				}
			}
			return true
		})
	}
}

// shutdown stops the publishers, waits until the subscribers have caught up, and disconnects all clients.
func (w *crowd) shutdown(t *testing.T) {
	t.Helper()
	w.stop()
	w.publishing.Wait()
	w.waitCaughtUp(t)
	var closing sync.WaitGroup
	for _, c := range w.clients {
		closing.Go(func() { _ = c.Close() })
	}
	closing.Wait()
}

// sum contains the observations of all publishers and subscribers.
type sum struct {
	acked, received, lost, duplicates, gaps int
	slowest                                 time.Duration // the longest time until an acknowledgement
}

// takeSum returns the observations since the last call, except that acked is the total since the beginning.
func (w *crowd) takeSum() (a sum) {
	for _, p := range w.publishers {
		a.acked += int(p.acked.Load())
		a.slowest = max(a.slowest, time.Duration(p.slowest.Swap(0)))
	}
	for _, s := range w.subscribers {
		s.mu.Lock()
		a.received += s.received
		a.lost += s.lost
		a.duplicates += s.duplicates
		a.gaps += len(s.gaps)
		s.received, s.lost, s.duplicates, s.gaps = 0, 0, 0, nil
		s.mu.Unlock()
	}
	return a
}
