package hub_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/hub/enginetest"
)

func TestMemory(t *testing.T) {
	o := enginetest.Options{Pure: true}
	if raceEnabled {
		o.Flow = 500
	}
	enginetest.Run(t, o, func(testing.TB) enginetest.Cluster {
		c := &faultyCluster{memory: hub.NewMemory()}
		return enginetest.Cluster{
			Node:   func(testing.TB) hub.Engine { return c.node() },
			Kill:   func(e hub.Engine) { e.(*faultyNode).set(dead) },
			Faults: map[string]func(testing.TB) func(){"a cut": c.fault(disconnected), "a pause": c.fault(paused), "lost deliveries": c.fault(lossy)},
		}
	})
}

// The possible conditions of a node.
type faultKind int

const (
	healthy      faultKind = iota
	disconnected           // calls fail, and deliveries are lost; the engine reports a gap at the end
	paused                 // calls and deliveries wait
	lossy                  // every third delivery is lost, without the engine noticing
	dead                   // like disconnected, but permanent
)

var errCut = errors.New("the connection is cut")

type faultyCluster struct {
	memory *hub.Memory
	mu     sync.Mutex
	nodes  []*faultyNode
}

func (c *faultyCluster) node() *faultyNode {
	e := c.memory.Node()
	n := &faultyNode{inner: e.(inner), ended: make(chan struct{})}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes = append(c.nodes, n)
	return n
}

// fault returns a fault that sets the condition of every node.
func (c *faultyCluster) fault(to faultKind) func(testing.TB) func() {
	set := func(to faultKind) {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, n := range c.nodes {
			n.set(to)
		}
	}
	return func(testing.TB) func() {
		set(to)
		return func() { set(healthy) }
	}
}

// inner is the in-memory engine with all interfaces that it implements.
type inner interface {
	hub.Engine
	hub.Keyed
	hub.Occupancy
	hub.Positions
	historian
	presence
	broadcaster
	prober
}

type (
	historian   = hub.History
	presence    = hub.Presence
	broadcaster = hub.Broadcast
	prober      = hub.Probe
)

// faultyNode is a node of the in-memory engine with injected faults.
type faultyNode struct {
	inner

	mu    sync.Mutex
	fault faultKind
	ended chan struct{} // closed when the condition ends
	sink  hub.Sink
	count int
}

func (n *faultyNode) set(to faultKind) {
	n.mu.Lock()
	was, s := n.fault, n.sink
	n.fault = to
	close(n.ended)
	n.ended = make(chan struct{})
	n.mu.Unlock()
	if was == disconnected && to == healthy && s != nil {
		s.Gap()
	}
}

// call waits until the node is reachable, or fails.
func (n *faultyNode) call(ctx context.Context) error {
	for {
		n.mu.Lock()
		is, ended := n.fault, n.ended
		n.mu.Unlock()
		switch is {
		case disconnected, dead:
			return errCut
		case paused:
			select {
			case <-ended:
			case <-ctx.Done():
				return ctx.Err()
			}
		default:
			return nil
		}
	}
}

// delivery waits until a delivery is possible, and reports whether it arrives.
func (n *faultyNode) delivery() bool {
	for {
		n.mu.Lock()
		is, ended := n.fault, n.ended
		n.count++
		count := n.count
		n.mu.Unlock()
		switch is {
		case disconnected, dead:
			return false
		case lossy:
			return count%3 != 0
		case paused:
			<-ended
		default:
			return true
		}
	}
}

func (n *faultyNode) Run(ctx context.Context, s hub.Sink) error {
	n.mu.Lock()
	n.sink = s
	n.mu.Unlock()
	return n.inner.Run(ctx, &faultySink{s, n})
}

func (n *faultyNode) Subscribe(ctx context.Context, channels ...string) error {
	if err := n.call(ctx); err != nil {
		return err
	}
	return n.inner.Subscribe(ctx, channels...)
}

func (n *faultyNode) Publish(ctx context.Context, channel string, p *hub.Publication, o hub.PublishOptions) (hub.Published, error) {
	if err := n.call(ctx); err != nil {
		return hub.Published{}, err
	}
	done, err := n.inner.Publish(ctx, channel, p, o)
	if err == nil {
		err = n.call(ctx) // the publication succeeds, but its acknowledgement may be lost
	}
	return done, err
}

func (n *faultyNode) History(ctx context.Context, channel string, q hub.HistoryQuery) (hub.HistoryPage, error) {
	if err := n.call(ctx); err != nil {
		return hub.HistoryPage{}, err
	}
	return n.inner.History(ctx, channel, q)
}

func (n *faultyNode) Put(ctx context.Context, channel string, es ...hub.Entry) error {
	if err := n.call(ctx); err != nil {
		return err
	}
	return n.inner.Put(ctx, channel, es...)
}

func (n *faultyNode) Lease(ctx context.Context, lease string, ttl time.Duration) error {
	if err := n.call(ctx); err != nil {
		return err
	}
	return n.inner.Lease(ctx, lease, ttl)
}

func (n *faultyNode) Release(ctx context.Context, lease string) error {
	if err := n.call(ctx); err != nil {
		return err
	}
	return n.inner.Release(ctx, lease)
}

// faultySink is the hub as seen by the engine of a faulty node. Ended leases and commands are not lost, because an
// engine requests the missed ones itself.
type faultySink struct {
	hub.Sink
	node *faultyNode
}

func (s *faultySink) Deliver(channel string, ps []*hub.Publication) {
	if s.node.delivery() {
		s.Sink.Deliver(channel, ps)
	}
}

func (s *faultySink) Members(channel string, es []hub.Entry) {
	if s.node.delivery() {
		s.Sink.Members(channel, es)
	}
}

func (n *faultyNode) Claim(ctx context.Context, key string, ttl time.Duration) (bool, error) {
	if err := n.call(ctx); err != nil {
		return false, err
	}
	return n.inner.Claim(ctx, key, ttl)
}

func (n *faultyNode) Snapshot(ctx context.Context, channel, cursor string, limit int) ([]*hub.Publication, string, hub.Position, error) {
	if err := n.call(ctx); err != nil {
		return nil, "", hub.Position{}, err
	}
	return n.inner.Snapshot(ctx, channel, cursor, limit)
}
