package hub

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/handfast/handfast/internal/timeout"
)

// presenceNode manages the node's lease and the entries under it.
type presenceNode struct {
	hub     *Hub
	lease   atomic.Pointer[lease]
	version atomic.Uint64
	renew   chan struct{} // requests an immediate renewal

	endedLeases sync.Map // leases that have ended, with the time
	ownLeases   sync.Map // all leases that this node has ever had
}

// lease is one lease of the node.
type lease struct {
	name         string
	granted      chan struct{} // closed when the engine has granted the lease, or another one replaces it
	closeGranted func()        // closes granted
}

func (t *presenceNode) init(h *Hub) {
	t.hub = h
	t.version.Store(uint64(time.Now().UnixNano()))
	t.renew = make(chan struct{}, 1)
	t.newLease()
}

func (t *presenceNode) newLease() {
	l := &lease{name: rand.Text(), granted: make(chan struct{})}
	l.closeGranted = sync.OnceFunc(func() { close(l.granted) })
	t.ownLeases.Store(l.name, true)
	if old := t.lease.Swap(l); old != nil {
		old.closeGranted()
	}
}

func (t *presenceNode) currentLease() string { return t.lease.Load().name }

// grantedLease waits until the engine has granted the current lease, and returns it. It reports false when the hub is closed.
func (t *presenceNode) grantedLease() (string, bool) {
	for {
		l := t.lease.Load()
		select {
		case <-l.granted:
			if l == t.lease.Load() {
				return l.name, true
			}
		case <-t.hub.ctx.Done():
			return "", false
		}
	}
}

// entryQueue holds the changes to the entries of a channel. For each channel, the hub makes one call of the engine at a time.
type entryQueue struct {
	desired map[string]Entry // the members that this node should have, by client; their leases are not set
	queue   []entryChange
	running bool
}

type entryChange struct {
	Entry
	done  chan error // nil means that no goroutine waits, and the change is retried until it succeeds
	tries int
}

const (
	maxPutEntries = 256
	maxTries      = 10 // for a change that a goroutine waits for
)

// addEntry adds an entry and waits until the engine has it.
func (t *presenceNode) addEntry(ctx context.Context, ch *channel, e Entry) error {
	done := make(chan error, 1)
	t.change(ch, entryChange{Entry: e, done: done})
	select {
	case err := <-done:
		if err != nil { // the engine may have stored the entry nevertheless
			t.removeEntry(ch, e.Client)
		}
		return err
	case <-ctx.Done():
		t.removeEntry(ch, e.Client)
		return ctx.Err()
	case <-t.hub.ctx.Done():
		return ErrClosed
	}
}

// removeEntry removes an entry of this node.
func (t *presenceNode) removeEntry(ch *channel, client string) {
	t.change(ch, entryChange{Entry: Entry{Client: client, Gone: true}})
}

// change queues one change.
func (t *presenceNode) change(ch *channel, o entryChange) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	here := &ch.roster.changes.desired
	o.Version = t.version.Add(1)
	if o.Gone {
		delete(*here, o.Client)
	} else {
		if *here == nil {
			*here = map[string]Entry{}
		}
		(*here)[o.Client] = o.Entry
	}
	t.queue(ch, o)
}

// queue queues changes, and starts a task that makes them. The caller holds the channel's lock.
func (t *presenceNode) queue(ch *channel, some ...entryChange) {
	ops := &ch.roster.changes
	ops.queue = append(ops.queue, some...)
	if !ops.running && len(ops.queue) > 0 {
		ops.running = true
		t.hub.tasks.do(func() { t.makeChanges(ch) })
	}
}

// makeChanges makes the queued changes.
func (t *presenceNode) makeChanges(ch *channel) {
	for {
		lease, ok := t.grantedLease()
		if !ok {
			return
		}
		ch.mu.Lock()
		ops := &ch.roster.changes
		if len(ops.queue) == 0 {
			ops.running, ops.queue = false, nil
			ch.mu.Unlock()
			return
		}
		n := min(len(ops.queue), maxPutEntries)
		some := ops.queue[:n:n]
		ops.queue = ops.queue[n:]
		es := make([]Entry, 0, n)
		for _, o := range some {
			if o.Gone || ops.desired[o.Client].Version == o.Version { // otherwise a later change replaces o
				o.Lease = lease
				es = append(es, o.Entry)
			}
		}
		ch.mu.Unlock()
		t.put(ch, lease, some, es)
	}
}

// put makes one call of the engine for some changes, and queues those that have to be retried.
func (t *presenceNode) put(ch *channel, lease string, some []entryChange, es []Entry) {
	ctx, cancel := timeout.Context(t.hub.ctx, engineTimeout)
	err := t.hub.presence.Put(ctx, ch.name, es...)
	cancel()
	if errors.Is(err, ErrLeaseEnded) {
		t.replaceLease(lease)
	}
	if err == nil {
		t.applyEntries(ch, es)
		if lease != t.currentLease() {
			err = ErrLeaseEnded
		}
	}
	moved := errors.Is(err, ErrLeaseEnded)
	var again []entryChange
	for _, o := range some {
		switch {
		case err != nil && (o.done == nil || moved && o.tries < maxTries):
			o.tries++
			again = append(again, o)
		case o.done != nil:
			o.done <- err
		}
	}
	if len(again) == 0 || !moved && !t.hub.sleep(minRunPause) {
		return
	}
	ch.mu.Lock()
	t.queue(ch, again...)
	ch.mu.Unlock()
}

// applyEntries applies entries to the roster of a channel, and schedules the announcement of the changes.
func (t *presenceNode) applyEntries(ch *channel, es []Entry) {
	ch.mu.Lock()
	for _, e := range es {
		if _, over := t.endedLeases.Load(e.Lease); !over {
			ch.roster.apply(e)
		}
	}
	run := t.hub.schedule(ch)
	ch.mu.Unlock()
	run()
}

// Members implements [Sink]. It ignores the entries of this node: they were applied when they were put, and may arrive after their
// members have left.
func (s *sink) Members(name string, es []Entry) {
	h := (*Hub)(s)
	own := h.node.currentLease()
	es = slices.DeleteFunc(slices.Clone(es), func(e Entry) bool { return e.Lease == own })
	if ch := h.channels.lookup(name); ch != nil && ch.roster != nil {
		h.node.applyEntries(ch, es)
	}
}

// LeaseEnded implements [Sink].
func (s *sink) LeaseEnded(lease string) {
	h := (*Hub)(s)
	h.tasks.do(func() { h.node.endLease(lease) })
}

// endLease removes the entries of a lease that has ended.
func (t *presenceNode) endLease(lease string) {
	if lease == t.currentLease() {
		if t.hub.closed() {
			return
		}
		t.replaceLease(lease)
	}
	t.endedLeases.Store(lease, time.Now())
	t.hub.tasks.do(func() { t.hub.report.takeOver(lease) })
	t.hub.channels.each(func(ch *channel) {
		if ch.roster == nil {
			return
		}
		ch.mu.Lock()
		ch.roster.dropLease(lease)
		run := t.hub.schedule(ch)
		ch.mu.Unlock()
		run()
	})
	t.endedLeases.Range(func(k, v any) bool {
		if time.Since(v.(time.Time)) > 10*time.Minute {
			t.endedLeases.Delete(k)
		}
		return true
	})
}

// replaceLease replaces a lease that has ended with a new one, and puts the node's entries under it.
func (t *presenceNode) replaceLease(old string) {
	t.hub.health.mu.Lock()
	moved := t.hub.health.closing || t.currentLease() != old
	if !moved {
		t.newLease()
	}
	t.hub.health.mu.Unlock()
	if moved {
		return
	}
	select {
	case t.renew <- struct{}{}:
	default:
	}
	t.hub.tasks.do(func() { t.hub.report.leaseReplaced(old) })
	t.hub.channels.each(func(ch *channel) {
		if ch.roster == nil {
			return
		}
		ch.mu.Lock()
		ch.roster.rename(old, t.currentLease())
		ops := &ch.roster.changes
		ops.queue = slices.DeleteFunc(ops.queue, func(o entryChange) bool { return o.done == nil && !o.Gone }) // made for the old lease
		for _, e := range ops.desired {
			t.queue(ch, entryChange{Entry: e})
		}
		run := t.hub.schedule(ch)
		ch.mu.Unlock()
		run()
	})
}

func (t *presenceNode) acquireLease(name string) error {
	ctx, cancel := context.WithTimeout(t.hub.ctx, t.hub.opts.Lease/3)
	defer cancel()
	return t.hub.presence.Lease(ctx, name, t.hub.opts.Lease)
}

// keepLease acquires the node's lease, renews it, and acquires another one when it has ended. It runs on its own goroutine rather than as a
// task, because all tasks may be waiting for a lease.
func (t *presenceNode) keepLease() {
	for {
		l, pause := t.lease.Load(), t.hub.opts.Lease/3
		switch err := t.acquireLease(l.name); {
		case err == nil:
			l.closeGranted()
		case errors.Is(err, ErrLeaseEnded) && !t.hub.closed():
			t.replaceLease(l.name)
		default:
			pause = minRunPause
		}
		next := time.NewTimer(pause)
		select {
		case <-next.C:
		case <-t.renew:
		case <-t.hub.ctx.Done():
			next.Stop()
			return
		}
		next.Stop()
	}
}

// loadRoster reads all entries of a channel.
func (t *presenceNode) loadRoster(ctx context.Context, ch *channel) error {
	ch.mu.Lock()
	ch.roster.beginReading()
	ch.mu.Unlock()
	cursor := ""
	var err error
	for {
		var es []Entry
		var next string
		if es, next, err = t.hub.presence.Entries(ctx, ch.name, cursor, 1000); err != nil {
			err = fmt.Errorf("hub: reading the members of a channel: %w", err)
			break
		}
		t.applyEntries(ch, es)
		if cursor = next; next == "" {
			break
		}
	}
	ch.mu.Lock()
	ch.roster.endReading(err == nil, t.currentLease())
	run := t.hub.schedule(ch)
	ch.mu.Unlock()
	run()
	return err
}

// reloadRoster calls loadRoster after a gap, until it succeeds.
func (t *presenceNode) reloadRoster(ch *channel) {
	ch.mu.Lock()
	reading := ch.roster.reading
	ch.mu.Unlock()
	if reading {
		if t.hub.sleep(minRunPause) {
			t.hub.tasks.do(func() { t.reloadRoster(ch) })
		}
		return
	}
	ctx, cancel := context.WithTimeout(t.hub.ctx, engineTimeout)
	err := t.loadRoster(ctx, ch)
	cancel()
	if err != nil && t.hub.sleep(minRunPause) {
		t.hub.tasks.do(func() { t.reloadRoster(ch) })
	}
}

// Update changes the session's data as a member of a channel.
func (s *Session) Update(ctx context.Context, channel string, data []byte) error {
	s.mu.Lock()
	x := s.find(ChannelOf(s.client.App, channel))
	if x == nil || x.flags&isMember == 0 {
		s.mu.Unlock()
		return ErrNotSubscribed
	}
	ch, client := x.ch, s.client.ID
	done := make(chan error, 1)
	ch.mu.Lock()
	user := ch.roster.changes.desired[client].User
	ch.mu.Unlock()
	// This is done under the session's lock, so that the update precedes the end of the membership.
	s.hub.node.change(ch, entryChange{Entry: Entry{Client: client, User: user, Data: data}, done: done})
	s.mu.Unlock()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-s.hub.ctx.Done():
		return ErrClosed
	}
}

// Entries returns a page of the connections in a channel on all nodes, for protocols whose members are connections. See [Presence].
func (h *Hub) Entries(ctx context.Context, app, channel, cursor string, limit int) (es []Entry, next string, err error) {
	if err := checkName(channel); err != nil {
		return nil, "", err
	}
	if h.presence == nil || !h.namespaces.of(app, channel).Presence {
		return nil, "", ErrNoPresence
	}
	return h.presence.Entries(ctx, ChannelOf(app, channel), cursor, limit)
}

// Members returns a page of the members of a channel on all nodes, with at most limit members and at most PageBytes, and the number
// of all members. It does not require a subscriber on this node.
func (h *Hub) Members(ctx context.Context, app, channel, cursor string, limit int) (ms []Member, next string, users int, err error) {
	// After unpin, this node stays subscribed for Options.Linger, so that requests for the next pages find the roster in memory.
	ch, err := acquireWithPresence(ctx, h, app, channel)
	if err != nil {
		return nil, "", 0, err
	}
	defer ch.unpin()
	ch.mu.Lock()
	defer ch.mu.Unlock()
	users, ms, next = ch.roster.page(cursor, limit, 0, "")
	return ms, next, users, nil
}
