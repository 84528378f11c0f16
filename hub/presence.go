package hub

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// tenancy is the node's lease and the versions of its entries.
type tenancy struct {
	lease   atomic.Pointer[string]
	version atomic.Uint64
	renew   chan struct{} // asks for a renewal now
	taken   chan struct{} // closed when the first lease is there

	ended sync.Map // leases that have ended: when
}

func (t *tenancy) init() {
	t.version.Store(uint64(time.Now().UnixNano()))
	t.renew, t.taken = make(chan struct{}, 1), make(chan struct{})
	t.newLease()
}

func (t *tenancy) newLease() {
	lease := rand.Text()
	t.lease.Store(&lease)
}

func (t *tenancy) currentLease() string { return *t.lease.Load() }

// ops are the changes that the hub makes to the entries of a channel, one call of the engine after the other.
type ops struct {
	queue   []op
	running bool
}

type op struct {
	Entry
	done  chan error // nil: no goroutine waits
	tries int
}

const opsTogether = 256

// enter makes an entry and waits until it is there.
func (h *Hub) enter(ctx context.Context, ch *channel, e Entry) error {
	done := make(chan error, 1)
	h.change(ch, op{Entry: e, done: done})
	select {
	case err := <-done:
		if err != nil { // it may be there nevertheless
			h.withdraw(ch, e.Client)
		}
		return err
	case <-ctx.Done():
		h.withdraw(ch, e.Client)
		return ctx.Err()
	case <-h.ctx.Done():
		return ErrClosed
	}
}

// withdraw removes an entry of this node.
func (h *Hub) withdraw(ch *channel, client string) {
	h.change(ch, op{Entry: Entry{Client: client, Gone: true}})
}

// change queues a change.
func (h *Hub) change(ch *channel, o op) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	ops := &ch.roster.ops
	ops.queue = append(ops.queue, o)
	if !ops.running {
		ops.running = true
		h.tasks.do(func() { h.makeChanges(ch) })
	}
}

// makeChanges makes the changes that are queued.
func (h *Hub) makeChanges(ch *channel) {
	for {
		ch.mu.Lock()
		ops := &ch.roster.ops
		if len(ops.queue) == 0 {
			ops.running, ops.queue = false, nil
			ch.mu.Unlock()
			return
		}
		n := min(len(ops.queue), opsTogether)
		some := ops.queue[:n:n]
		ops.queue = ops.queue[n:]
		ch.mu.Unlock()
		h.put(ch, some)
	}
}

// put makes some changes.
func (h *Hub) put(ch *channel, some []op) {
	select {
	case <-h.tenancy.taken:
	case <-h.ctx.Done():
		return
	}
	lease := h.currentLease()
	es := make([]Entry, len(some))
	for i := range some {
		e := some[i].Entry
		e.Lease, e.Version = lease, h.tenancy.version.Add(1)
		es[i] = e
	}
	ctx, cancel := context.WithTimeout(h.ctx, engineWait)
	err := h.presence.Put(ctx, ch.name, es...)
	cancel()
	if errors.Is(err, ErrLeaseEnded) {
		h.moveLease(lease)
	}
	if err == nil {
		h.applyEntries(ch, es)
		if lease != h.currentLease() { // who has moved the entries may not have seen these
			err = ErrLeaseEnded
		}
	}
	var again []op
	for _, o := range some {
		if o.done != nil && (err == nil || !errors.Is(err, ErrLeaseEnded)) {
			o.done <- err
			continue
		}
		if err != nil && (errors.Is(err, ErrLeaseEnded) || o.Gone) {
			if o.tries++; o.tries < 10 {
				again = append(again, o)
			} else if o.done != nil {
				o.done <- err
			}
		}
	}
	if len(again) == 0 {
		return
	}
	if !errors.Is(err, ErrLeaseEnded) && !h.sleep(pauseOfRun) {
		return
	}
	ch.mu.Lock()
	ch.roster.ops.queue = append(again, ch.roster.ops.queue...)
	ch.mu.Unlock()
}

// applyEntries notes entries in a roster, and has what has changed announced.
func (h *Hub) applyEntries(ch *channel, es []Entry) {
	ch.mu.Lock()
	for _, e := range es {
		if _, over := h.tenancy.ended.Load(e.Lease); !over {
			ch.roster.apply(e)
		}
	}
	run := h.schedule(ch)
	ch.mu.Unlock()
	run()
}

// Members implements [Sink].
func (s *sink) Members(name string, es []Entry) {
	h := (*Hub)(s)
	if ch := h.lookup(name); ch != nil && ch.roster != nil {
		h.applyEntries(ch, es)
	}
}

// LeaseEnded implements [Sink].
func (s *sink) LeaseEnded(lease string) {
	h := (*Hub)(s)
	h.tasks.do(func() { h.endLease(lease) })
}

// endLease removes the entries of a node that has ended.
func (h *Hub) endLease(lease string) {
	if lease == h.currentLease() {
		if h.closed() {
			return
		}
		h.moveLease(lease)
	}
	h.tenancy.ended.Store(lease, time.Now())
	h.eachChannel(func(ch *channel) {
		if ch.roster == nil {
			return
		}
		ch.mu.Lock()
		ch.roster.dropLease(lease)
		run := h.schedule(ch)
		ch.mu.Unlock()
		run()
	})
	h.tenancy.ended.Range(func(k, v any) bool {
		if time.Since(v.(time.Time)) > 10*time.Minute {
			h.tenancy.ended.Delete(k)
		}
		return true
	})
}

// moveLease takes a new lease in the place of one that has ended, and puts the node's entries under it.
func (h *Hub) moveLease(old string) {
	h.health.mu.Lock()
	moved := h.closing || h.currentLease() != old
	if !moved {
		h.tenancy.newLease()
	}
	h.health.mu.Unlock()
	if moved {
		return
	}
	h.takeLease() //nolint:errcheck // it is tried again soon
	h.eachChannel(func(ch *channel) {
		if ch.roster == nil {
			return
		}
		ch.mu.Lock()
		var again []op
		for k, e := range ch.roster.entries {
			if k.lease == old && e.of != nil {
				again = append(again, op{Entry: Entry{Client: k.client, User: e.of.User, Data: e.data}})
			}
		}
		// What is queued already is newer.
		ch.roster.ops.queue = append(again, ch.roster.ops.queue...)
		begin := len(again) > 0 && !ch.roster.ops.running
		ch.roster.ops.running = ch.roster.ops.running || begin
		ch.mu.Unlock()
		if begin {
			h.makeChanges(ch)
		}
	})
	select {
	case h.tenancy.renew <- struct{}{}:
	default:
	}
}

func (h *Hub) takeLease() error {
	ctx, cancel := context.WithTimeout(h.ctx, h.opts.Lease/3)
	defer cancel()
	return h.presence.Lease(ctx, h.currentLease(), h.opts.Lease)
}

// keepLease renews the node's lease.
func (h *Hub) keepLease() {
	taken := h.tenancy.taken
	for {
		lease := h.currentLease()
		err := h.takeLease()
		if err == nil && taken != nil {
			close(taken)
			taken = nil
		}
		if errors.Is(err, ErrLeaseEnded) && !h.closed() {
			h.tasks.do(func() { h.moveLease(lease) })
		}
		t := time.NewTimer(h.opts.Lease / 3)
		select {
		case <-t.C:
		case <-h.tenancy.renew:
		case <-h.ctx.Done():
			t.Stop()
			return
		}
		t.Stop()
	}
}

// loadRoster reads all entries of a channel.
func (h *Hub) loadRoster(ctx context.Context, ch *channel) error {
	ch.mu.Lock()
	ch.roster.beginReading()
	ch.mu.Unlock()
	cursor := ""
	var err error
	for {
		var es []Entry
		var next string
		if es, next, err = h.presence.Entries(ctx, ch.name, cursor, 1000); err != nil {
			err = fmt.Errorf("hub: reading who is in a channel: %w", err)
			break
		}
		h.applyEntries(ch, es)
		if cursor = next; next == "" {
			break
		}
	}
	ch.mu.Lock()
	ch.roster.endReading(err == nil)
	run := h.schedule(ch)
	ch.mu.Unlock()
	run()
	return err
}

// reloadRoster is loadRoster after the engine may have lost something. It tries until it succeeds.
func (h *Hub) reloadRoster(ch *channel) {
	ch.mu.Lock()
	reading := ch.roster.reading
	ch.mu.Unlock()
	if reading {
		if h.sleep(pauseOfRun) {
			h.tasks.do(func() { h.reloadRoster(ch) })
		}
		return
	}
	ctx, cancel := context.WithTimeout(h.ctx, engineWait)
	err := h.loadRoster(ctx, ch)
	cancel()
	if err != nil && h.sleep(pauseOfRun) {
		h.tasks.do(func() { h.reloadRoster(ch) })
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
	user := ch.roster.userOf(client, s.hub.currentLease())
	ch.mu.Unlock()
	if user == "" {
		user = s.user()
	}
	// Under the session's lock, so that it comes before the member leaves.
	s.hub.change(ch, op{Entry: Entry{Client: client, User: user, Data: data}, done: done})
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

// userOf returns the user that a client of this node is a member as, "" if it is none.
func (r *roster) userOf(client, lease string) string {
	if e := r.entries[entryKey{lease, client}]; e != nil && e.of != nil {
		return e.of.User
	}
	return ""
}

// Members returns a page of the members of a channel on all nodes, and how many there are. It needs no subscriber on this
// node.
func (h *Hub) Members(ctx context.Context, app, channel, cursor string, limit int) (ms []Member, next string, users int, err error) {
	if err := checkName(channel); err != nil {
		return nil, "", 0, err
	}
	ns := h.namespaceOf(app, channel)
	if h.presence == nil || !ns.Presence {
		return nil, "", 0, ErrNoPresence
	}
	// The channel lingers: further pages, and the next request, find its roster here.
	ch, err := h.acquire(ctx, ns, ChannelOf(app, channel))
	if err != nil {
		return nil, "", 0, err
	}
	defer ch.unpin()
	ch.mu.Lock()
	defer ch.mu.Unlock()
	users, ms, next = ch.roster.page(cursor, limit, "")
	return ms, next, users, nil
}
