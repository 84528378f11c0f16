package hub

import (
	"cmp"
	"container/heap"
	"context"
	"slices"
	"strings"
	"time"
)

// memoryKey is the latest publication of a key.
type memoryKey struct {
	p       *Publication
	expires time.Time // zero means that it never expires
}

// expiry is the time when a key expires, unless it was set again.
type expiry struct {
	at      time.Time
	channel string
	key     string
}

// expiries is a heap, ordered by time.
type expiries []expiry

func (x expiries) Len() int           { return len(x) }
func (x expiries) Less(i, j int) bool { return x[i].at.Before(x[j].at) }
func (x expiries) Swap(i, j int)      { x[i], x[j] = x[j], x[i] }
func (x *expiries) Push(v any)        { *x = append(*x, v.(expiry)) }
func (x *expiries) Pop() any {
	last := len(*x) - 1
	v := (*x)[last]
	(*x)[last] = expiry{}
	*x = (*x)[:last]
	return v
}

// setKey stores the latest publication of a key. The caller holds c's lock.
func (m *Memory) setKey(c *memoryChannel, p *Publication, o PublishOptions) {
	if p.Removed {
		delete(c.keyed, p.Key)
		return
	}
	if c.keyed == nil {
		c.keyed = map[string]*memoryKey{}
	}
	k := &memoryKey{p: p}
	if o.KeyTTL > 0 {
		k.expires = p.Time.Add(o.KeyTTL)
		m.mu.Lock()
		heap.Push(&m.keys, expiry{k.expires, c.name, p.Key})
		m.mu.Unlock()
		m.wakeBefore(o.KeyTTL)
	}
	c.keyed[p.Key] = k
}

// expireKeys removes the expired keys, and publishes each removal.
func (m *Memory) expireKeys(now time.Time) {
	for {
		m.mu.Lock()
		if len(m.keys) == 0 || m.keys[0].at.After(now) {
			m.mu.Unlock()
			return
		}
		x := heap.Pop(&m.keys).(expiry)
		m.mu.Unlock()
		var at *memoryChannel
		deliver := false
		m.withChannel(x.channel, func(c *memoryChannel) {
			k := c.keyed[x.key]
			if k == nil || k.expires.IsZero() || k.expires.After(now) {
				return // the key was set again or removed
			}
			delete(c.keyed, x.key)
			o := PublishOptions{HistoryAge: c.age}
			if k.p.Offset != 0 {
				o.History = c.size
			}
			p := &Publication{Key: x.key, Removed: true, Time: now, Event: k.p.Event}
			if _, err := c.accept(p, o); err == nil {
				at, deliver = c, c.enqueue(memoryItem{p: p})
			}
		})
		if deliver {
			at.deliver(deliverRounds)
		}
	}
}

// Snapshot implements [Keyed]. It returns the publications in the order of their keys.
func (n *memoryNode) Snapshot(_ context.Context, name, cursor string, limit int) (ps []*Publication, next string, top Position, err error) {
	n.memory.withChannel(name, func(c *memoryChannel) {
		now := time.Now()
		top = Position{c.epoch, c.last}
		for key, k := range c.keyed {
			if key > cursor && (k.expires.IsZero() || now.Before(k.expires)) {
				ps = append(ps, k.p)
			}
		}
	})
	slices.SortFunc(ps, func(a, b *Publication) int { return cmp.Compare(a.Key, b.Key) })
	ps, all := cutPage(ps, limit, func(p **Publication) int { return (*p).Size() })
	if !all {
		next = ps[len(ps)-1].Key
	}
	return ps, next, top, nil
}

type memoryLease struct {
	until    time.Time
	ended    bool
	channels map[string]struct{} // channels that may have entries or counts under this lease
}

// Lease implements [Presence].
func (n *memoryNode) Lease(ctx context.Context, lease string, ttl time.Duration) error {
	if err := n.running(ctx); err != nil {
		return err
	}
	m := n.memory
	now := time.Now()
	m.endLeases(now)
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.leases[lease]
	if l == nil {
		l = &memoryLease{channels: map[string]struct{}{}}
		m.leases[lease] = l
	}
	if l.ended {
		return ErrLeaseEnded
	}
	l.until = now.Add(ttl)
	m.wakeBefore(ttl)
	return nil
}

// Release implements [Presence].
func (n *memoryNode) Release(_ context.Context, lease string) error {
	m := n.memory
	m.mu.Lock()
	if l := m.leases[lease]; l != nil {
		l.until = time.Time{}
	}
	m.mu.Unlock()
	m.endLeases(time.Now())
	return nil
}

// leaseKept is how long a Memory remembers that a lease has ended.
const leaseKept = time.Hour

// endLeases ends the leases that were not renewed.
func (m *Memory) endLeases(now time.Time) {
	over := map[string][]string{}
	m.mu.Lock()
	for name, l := range m.leases {
		switch {
		case !l.ended && !l.until.After(now):
			l.ended, l.until = true, now
			for ch := range l.channels {
				over[name] = append(over[name], ch)
			}
			over[name] = append(over[name], "")
			l.channels = nil
		case l.ended && now.Sub(l.until) > leaseKept:
			delete(m.leases, name)
		}
	}
	for key, until := range m.claims {
		if !until.After(now) {
			delete(m.claims, key)
		}
	}
	m.mu.Unlock()
	for lease, channels := range over {
		for _, name := range channels {
			if name == "" {
				continue
			}
			m.withChannel(name, func(c *memoryChannel) {
				delete(c.counts, lease)
				for k := range c.entries {
					if k.lease == lease {
						delete(c.entries, k)
					}
				}
			})
		}
		for _, s := range m.sinks() {
			s.LeaseEnded(lease)
		}
	}
}

// recordLease records that a channel has entries or counts under a lease.
func (m *Memory) recordLease(lease, channel string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.leases[lease]
	if l == nil || l.ended {
		return ErrLeaseEnded
	}
	l.channels[channel] = struct{}{}
	return nil
}

// Put implements [Presence].
func (n *memoryNode) Put(ctx context.Context, name string, es ...Entry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var at *memoryChannel
	var err error
	deliver := false
	n.memory.withChannel(name, func(c *memoryChannel) {
		var changed []Entry
		for _, e := range es {
			if err = n.memory.recordLease(e.Lease, name); err != nil {
				break
			}
			k := entryKey{e.Lease, e.Client}
			if old, ok := c.entries[k]; ok && e.Version <= old.Version {
				continue
			}
			if e.Gone {
				delete(c.entries, k)
			} else {
				if c.entries == nil {
					c.entries = map[entryKey]Entry{}
				}
				c.entries[k] = e
			}
			changed = append(changed, e)
		}
		if len(changed) > 0 {
			at, deliver = c, c.enqueue(memoryItem{es: changed})
		}
	})
	if deliver {
		at.deliver(deliverRounds)
	}
	return err
}

// cutPage returns the first page of items, and reports whether those are all. With a limit of 0 or less, only the size limits a
// page.
func cutPage[T any](items []T, limit int, size func(*T) int) ([]T, bool) {
	some := items
	if limit > 0 && len(some) > limit {
		some = some[:limit:limit]
	}
	some, all := Cut(some, 0, size)
	return some, all && len(some) == len(items)
}

// Entries implements [Presence]. It returns the entries in the order of leases and clients.
func (n *memoryNode) Entries(ctx context.Context, name, cursor string, limit int) (es []Entry, next string, err error) {
	n.memory.withChannel(name, func(c *memoryChannel) {
		for _, e := range c.entries {
			if e.Lease+"/"+e.Client > cursor {
				es = append(es, e)
			}
		}
	})
	slices.SortFunc(es, func(a, b Entry) int { return cmp.Compare(a.Lease+"/"+a.Client, b.Lease+"/"+b.Client) })
	es, all := cutPage(es, limit, (*Entry).Size)
	if !all {
		last := es[len(es)-1]
		next = last.Lease + "/" + last.Client
	}
	return es, next, ctx.Err()
}

// Claim implements [Presence].
func (n *memoryNode) Claim(_ context.Context, key string, ttl time.Duration) (bool, error) {
	m := n.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if until, ok := m.claims[key]; ok && until.After(now) {
		return false, nil
	}
	m.claims[key] = now.Add(ttl)
	return true, nil
}

// Occupy implements [Occupancy].
func (n *memoryNode) Occupy(_ context.Context, lease string, cs []Occupied) error {
	for _, o := range cs {
		var err error
		n.memory.withChannel(o.Channel, func(c *memoryChannel) {
			if err = n.memory.recordLease(lease, o.Channel); err != nil {
				return
			}
			if o.Subscribers == 0 {
				delete(c.counts, lease)
				return
			}
			if c.counts == nil {
				c.counts = map[string]int{}
			}
			c.counts[lease] = o.Subscribers
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Occupied implements [Occupancy].
func (n *memoryNode) Occupied(ctx context.Context, prefix, after string, limit int) (cs []Occupied, more bool, err error) {
	m := n.memory
	for i := range m.shards {
		shard := &m.shards[i]
		shard.mu.Lock()
		for name, c := range shard.byName {
			if name <= after || !strings.HasPrefix(name, prefix) {
				continue
			}
			c.mu.Lock()
			count := 0
			for _, k := range c.counts {
				count += k
			}
			c.mu.Unlock()
			if count > 0 {
				cs = append(cs, Occupied{name, count})
			}
		}
		shard.mu.Unlock()
	}
	slices.SortFunc(cs, func(a, b Occupied) int { return cmp.Compare(a.Channel, b.Channel) })
	if limit > 0 && len(cs) > limit {
		cs, more = cs[:limit], true
	}
	return cs, more, ctx.Err()
}

// The bounds of the time between two sweeps. A sweep visits one shard for each minMemoryRest that has passed since the previous
// sweep.
const (
	minMemoryRest = 100 * time.Millisecond
	maxMemoryRest = time.Second
)

// maintain ends leases, removes expired keys and forgets channels when they are due, until ctx ends.
func (m *Memory) maintain(ctx context.Context) {
	timer := time.NewTimer(minMemoryRest)
	defer timer.Stop()
	shard, swept := 0, time.Now()
	due := swept.Add(minMemoryRest)
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.wake:
			now := time.Now()
			if at := now.Add(m.nextMaintenance(now)); at.Before(due) {
				due = at
				timer.Reset(at.Sub(now))
			}
		case now := <-timer.C:
			m.endLeases(now)
			m.expireKeys(now)
			m.forgetPositions(now)
			for range min(now.Sub(swept)/minMemoryRest, shards) {
				m.sweep(&m.shards[shard], now)
				shard = (shard + 1) % shards
			}
			swept = now
			due = now.Add(m.nextMaintenance(now))
			timer.Reset(time.Until(due))
		}
	}
}

// nextMaintenance returns the time until the next task is due, within bounds.
func (m *Memory) nextMaintenance(now time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	rest := maxMemoryRest
	if len(m.keys) > 0 {
		rest = min(rest, m.keys[0].at.Sub(now))
	}
	for _, l := range m.leases {
		if !l.ended {
			rest = min(rest, l.until.Sub(now))
		}
	}
	return max(rest, minMemoryRest)
}

// wakeBefore wakes maintain if a task is due after less time than maintain may wait.
func (m *Memory) wakeBefore(after time.Duration) {
	if after < maxMemoryRest {
		select {
		case m.wake <- struct{}{}:
		default:
		}
	}
}

// channelKept is how long an empty channel is remembered. A channel that was forgotten begins a new epoch.
const channelKept = 10 * time.Minute

// sweep removes expired data in one shard of the channels.
func (m *Memory) sweep(shard *memoryShard, now time.Time) {
	shard.mu.Lock()
	defer shard.mu.Unlock()
	for name, c := range shard.byName {
		c.mu.Lock()
		c.trimOld(now)
		if len(c.log)+len(c.keyed)+len(c.entries)+len(c.counts)+len(c.acks)+len(c.nodes)+len(c.queue) == 0 && !c.busy &&
			now.Sub(c.used) > channelKept {
			c.removed = true
			delete(shard.byName, name)
		}
		c.mu.Unlock()
	}
}
