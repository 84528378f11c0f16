package hub

import (
	"container/list"
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Memory is an in-memory engine. Hubs of one process that share it act as several nodes. No data survives the process.
type Memory struct {
	epochPrefix  string
	channelCount atomic.Uint64 // counts channels, for their epochs
	shards       [shards]memoryShard

	mu     sync.Mutex
	nodes  map[*memoryNode]struct{} // the nodes that are running
	leases map[string]*memoryLease
	claims map[string]time.Time
	keys   expiries
	acks   list.List     // contains ackRecords, ordered by the time when the position was saved
	wake   chan struct{} // receives a value when something is due earlier than maintain may expect
}

// NewMemory returns an empty Memory.
func NewMemory() *Memory {
	return &Memory{epochPrefix: rand.Text()[:8], nodes: map[*memoryNode]struct{}{}, leases: map[string]*memoryLease{}, claims: map[string]time.Time{},
		wake: make(chan struct{}, 1)}
}

// Node returns the engine of another node. Each hub needs its own engine, which works until the hub's call of Run returns.
func (m *Memory) Node() Engine { return &memoryNode{memory: m, started: make(chan struct{})} }

type memoryShard struct {
	mu     sync.Mutex
	byName map[string]*memoryChannel
}

// memoryChannel is the state of a channel.
type memoryChannel struct {
	name  string
	epoch string

	mu      sync.Mutex
	last    uint64
	floor   uint64 // the offset of the last publication that was removed from log
	log     []*Publication
	size    int           // the maximum number of publications to keep, from the last PublishOptions
	age     time.Duration // how long publications are kept, from the last PublishOptions
	ids     map[string]memoryID
	idQueue []string
	keyed   map[string]*memoryKey
	entries map[entryKey]Entry
	counts  map[string]int // subscribers by lease
	acks    map[string]memoryAck
	nodes   []*memoryNode // the nodes that have subscribed
	queue   []memoryItem  // items that wait for delivery
	busy    bool          // a goroutine is delivering
	used    time.Time
	removed bool // the channel was removed from its shard
}

type memoryID struct {
	at      Position
	expires time.Time
}

// memoryItem is an item to deliver: publications or entries.
type memoryItem struct {
	p  *Publication
	es []Entry
}

// withChannel locks a channel and calls f with it.
func (m *Memory) withChannel(name string, f func(c *memoryChannel)) {
	shard := &m.shards[hashOf(name)%shards]
	for {
		shard.mu.Lock()
		c := shard.byName[name]
		if c == nil {
			c = &memoryChannel{name: name, epoch: m.epochPrefix + strconv.FormatUint(m.channelCount.Add(1), 36)}
			if shard.byName == nil {
				shard.byName = map[string]*memoryChannel{}
			}
			shard.byName[name] = c
		}
		shard.mu.Unlock()
		c.mu.Lock()
		if !c.removed {
			c.used = time.Now()
			f(c)
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
	}
}

// hashOf returns the FNV-1a hash of s. A weak hash is sufficient: it only selects a shard, and a collision costs only a
// wait for a lock.
func hashOf(s string) uint32 {
	h := uint32(2166136261)
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * 16777619
	}
	return h
}

// memoryNode is the engine of one node.
type memoryNode struct {
	memory  *Memory
	sink    atomic.Pointer[Sink]
	started chan struct{} // closed by the first Run
	once    sync.Once
}

var (
	_ Engine    = (*memoryNode)(nil)
	_ History   = (*memoryNode)(nil)
	_ Keyed     = (*memoryNode)(nil)
	_ Presence  = (*memoryNode)(nil)
	_ Occupancy = (*memoryNode)(nil)
	_ Broadcast = (*memoryNode)(nil)
	_ Probe     = (*memoryNode)(nil)
	_ Positions = (*memoryNode)(nil)
)

// Run implements [Engine].
func (n *memoryNode) Run(ctx context.Context, s Sink) error {
	m := n.memory
	n.sink.Store(&s)
	m.mu.Lock()
	m.nodes[n] = struct{}{}
	m.mu.Unlock()
	n.once.Do(func() { close(n.started) })
	defer func() {
		m.mu.Lock()
		delete(m.nodes, n)
		m.mu.Unlock()
		n.sink.Store(nil)
		m.removeNode(n)
	}()
	m.maintain(ctx)
	return ctx.Err()
}

// Probe implements [Probe].
func (n *memoryNode) Probe(ctx context.Context) error {
	if err := n.running(ctx); err != nil {
		return err
	}
	if n.sink.Load() == nil {
		return errors.New("the engine is not running")
	}
	return nil
}

// running waits until Run has been called.
func (n *memoryNode) running(ctx context.Context) error {
	select {
	case <-n.started:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Subscribe implements [Engine].
func (n *memoryNode) Subscribe(ctx context.Context, names ...string) error {
	if err := n.running(ctx); err != nil {
		return err
	}
	for _, name := range names {
		n.memory.withChannel(name, func(c *memoryChannel) {
			if !slices.Contains(c.nodes, n) {
				c.nodes = append(c.nodes, n)
			}
		})
	}
	return nil
}

// Unsubscribe implements [Engine].
func (n *memoryNode) Unsubscribe(_ context.Context, names ...string) error {
	for _, name := range names {
		n.memory.withChannel(name, func(c *memoryChannel) { c.removeNode(n) })
	}
	return nil
}

func (c *memoryChannel) removeNode(n *memoryNode) {
	c.nodes = slices.DeleteFunc(slices.Clone(c.nodes), func(x *memoryNode) bool { return x == n })
}

// removeNode ends all subscriptions of a node.
func (m *Memory) removeNode(n *memoryNode) {
	for i := range m.shards {
		shard := &m.shards[i]
		shard.mu.Lock()
		for _, c := range shard.byName {
			c.mu.Lock()
			c.removeNode(n)
			c.mu.Unlock()
		}
		shard.mu.Unlock()
	}
}

// Publish implements [Engine].
func (n *memoryNode) Publish(ctx context.Context, name string, p *Publication, o PublishOptions) (Published, error) {
	if err := ctx.Err(); err != nil {
		return Published{}, err
	}
	var done Published
	var err error
	var deliver bool
	var at *memoryChannel
	n.memory.withChannel(name, func(c *memoryChannel) {
		if done, err = c.accept(p, o); err != nil || done.Duplicate {
			return
		}
		if p.Key != "" {
			n.memory.setKey(c, p, o)
		}
		at, deliver = c, c.enqueue(memoryItem{p: p})
	})
	if deliver {
		at.deliver(deliverRounds)
	}
	return done, err
}

// accept adds p to the stream.
func (c *memoryChannel) accept(p *Publication, o PublishOptions) (Published, error) {
	now := time.Now()
	if p.Time.IsZero() {
		p.Time = now
	}
	if p.ID != "" {
		if first, ok := c.ids[p.ID]; ok && now.Before(first.expires) {
			return Published{Position: first.at, Duplicate: true}, nil
		}
	}
	if o.Expect != nil && *o.Expect != c.last {
		return Published{Position: Position{c.epoch, c.last}}, ErrConflict
	}
	p.Epoch = c.epoch
	if o.History > 0 {
		p.Previous = c.last
		c.last++
		p.Offset = c.last
		c.size, c.age = o.History, o.HistoryAge
		c.log = append(c.log, p)
		c.trim(max(0, len(c.log)-o.History))
		c.trimOld(now)
	} else {
		p.Offset, p.Previous = 0, 0
	}
	if p.ID != "" {
		c.remember(p, now)
	}
	return Published{Position: p.Position}, nil
}

// remember records the ID of p, and forgets the expired IDs.
func (c *memoryChannel) remember(p *Publication, now time.Time) {
	if c.ids == nil {
		c.ids = map[string]memoryID{}
	}
	for len(c.idQueue) > 0 && !now.Before(c.ids[c.idQueue[0]].expires) {
		delete(c.ids, c.idQueue[0])
		c.idQueue = c.idQueue[1:]
	}
	c.ids[p.ID] = memoryID{p.Position, now.Add(Idempotency)}
	c.idQueue = append(c.idQueue, p.ID)
}

// trim removes the first n publications of the log.
func (c *memoryChannel) trim(n int) {
	if n == 0 {
		return
	}
	c.floor = c.log[n-1].Offset
	clear(c.log[:n])
	if c.log = c.log[n:]; len(c.log) == 0 {
		c.log = nil
	}
}

// trimOld removes publications that are older than the history's age.
func (c *memoryChannel) trimOld(now time.Time) {
	if c.age <= 0 {
		return
	}
	n := 0
	for n < len(c.log) && now.Sub(c.log[n].Time) >= c.age {
		n++
	}
	c.trim(n)
}

// enqueue queues an item, and reports whether the caller must call deliver, after releasing the lock.
func (c *memoryChannel) enqueue(i memoryItem) bool {
	if len(c.nodes) == 0 {
		return false
	}
	c.queue = append(c.queue, i)
	if c.busy {
		return false
	}
	c.busy = true
	return true
}

const deliverRounds = 16

// deliver delivers the queue. After the given number of rounds it leaves the remainder to a goroutine, so that a publisher does not
// have to deliver the publications that others make in the meantime.
func (c *memoryChannel) deliver(rounds int) {
	var ps []*Publication
	for i := 0; ; i++ {
		c.mu.Lock()
		items, nodes := c.queue, c.nodes
		c.queue = nil
		if len(items) == 0 {
			c.busy = false
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
		if i == rounds {
			go c.deliverAll(items, nodes)
			return
		}
		ps = c.passOn(items, nodes, ps)
	}
}

func (c *memoryChannel) deliverAll(items []memoryItem, nodes []*memoryNode) {
	c.passOn(items, nodes, nil)
	c.deliver(1 << 30)
}

// passOn passes items to nodes.
func (c *memoryChannel) passOn(items []memoryItem, nodes []*memoryNode, ps []*Publication) []*Publication {
	for len(items) > 0 {
		ps = ps[:0]
		for len(items) > 0 && items[0].p != nil {
			ps = append(ps, items[0].p)
			items = items[1:]
		}
		var es []Entry
		if len(ps) == 0 {
			es = items[0].es
			items = items[1:]
		}
		for _, n := range nodes {
			s := n.sink.Load()
			switch {
			case s == nil:
			case len(ps) > 0:
				(*s).Deliver(c.name, ps)
			default:
				(*s).Members(c.name, es)
			}
		}
	}
	return ps
}

// History implements [History].
func (n *memoryNode) History(ctx context.Context, name string, q HistoryQuery) (page HistoryPage, err error) {
	if err := ctx.Err(); err != nil {
		return page, err
	}
	n.memory.withChannel(name, func(c *memoryChannel) {
		now := time.Now()
		c.trimOld(now)
		page.Top = Position{c.epoch, c.last}
		lo, hi := 0, len(c.log)
		if q.Since != nil {
			switch {
			case q.Since.Epoch != c.epoch && *q.Since != (Position{}) || q.Since.Offset > c.last:
				page.Err = ErrNewEpoch
			case q.Reverse:
				hi = c.indexAfter(q.Since.Offset - min(q.Since.Offset, 1))
			case q.Since.Offset < c.floor:
				page.Err = ErrTooOld
			default:
				lo = c.indexAfter(q.Since.Offset)
			}
		}
		page.Publications = pick(c.log[lo:hi], q, now)
	})
	return page, nil
}

// indexAfter returns the index in the log of the first publication after offset.
func (c *memoryChannel) indexAfter(offset uint64) int {
	i, found := slices.BinarySearchFunc(c.log, offset, func(p *Publication, offset uint64) int {
		return int(int64(p.Offset) - int64(offset))
	})
	if found {
		i++
	}
	return i
}

// pick returns the publications of ps that a query selects.
func pick(ps []*Publication, q HistoryQuery, now time.Time) []*Publication {
	limit := q.Limit
	if limit < 0 {
		limit = len(ps)
	}
	room := NewRoom(q.Bytes)
	var out []*Publication
	for i := range ps {
		p := ps[i]
		if q.Reverse {
			p = ps[len(ps)-1-i]
		}
		if len(out) == limit {
			break
		}
		if p.Expired(now) {
			continue
		}
		if !room.Take(p.Size()) {
			break
		}
		out = append(out, p)
	}
	return out
}

// Trim implements [History].
func (n *memoryNode) Trim(_ context.Context, name string, through uint64) error {
	n.memory.withChannel(name, func(c *memoryChannel) { c.trim(c.indexAfter(through)) })
	return nil
}

// Broadcast implements [Broadcast].
func (n *memoryNode) Broadcast(_ context.Context, cmd Command) error {
	for _, s := range n.memory.sinks() {
		s.Command(cmd)
	}
	return nil
}

// sinks returns the sinks of all running nodes.
func (m *Memory) sinks() []Sink {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []Sink
	for n := range m.nodes {
		if s := n.sink.Load(); s != nil {
			all = append(all, *s)
		}
	}
	return all
}
