package hub

import (
	"context"
	"encoding/json"
	"math"
	"sync"
	"time"
)

const (
	// departureDelay is how long a member, or the last subscriber of a channel, must be gone before the departure is reported.
	departureDelay = 3 * time.Second
	// claimTTL is how long a claim is valid: nodes may notice the same change at different times. It is shorter than quiet, so that
	// a claim has expired before the next change.
	claimTTL = 2 * time.Second
	// leaseEndClaimTTL is how long a node holds the claim to report the end of a lease.
	leaseEndClaimTTL = 10 * time.Minute
	// recordTTL limits how long records are kept if the whole cluster was killed. Running nodes rewrite their records at a third of
	// that interval.
	recordTTL      = 24 * time.Hour
	settleTimeout  = 5 * time.Second
	recordWriters  = 16  // records that are written concurrently
	recordPageSize = 500 // records in one page
)

// reporter reports events. For events that concern all nodes it stores a record of each connection of this node in the engine, under the
// node's lease. When the lease ends, another node reads these records to determine the events to report.
type reporter struct {
	hub    *Hub
	emitTo func(Event) // if nil, events are not reported
	wake   chan struct{}

	mu              sync.Mutex
	dirty           map[*Session]struct{} // sessions whose records have to be written
	removals        []goneRecord          // records that have to be removed
	unacknowledged  int                   // disconnects whose Done was not called
	writing         bool
	settled         chan struct{}        // closed when nothing remains to be done; nil unless Close waits
	removing        map[memberKey]Event  // members that have left, reported after a delay
	vacating        map[string]time.Time // channels without subscribers on this node, and when to report that
	firstSubscribed []*channel           // channels that have just had their first subscriber
	first           chan struct{}        // wakes housekeeping for fresh; nil if the engine cannot keep records
}

type memberKey struct{ channel, user string }

// record contains what another node must know about a connection.
type record struct {
	App      string   `json:"app"`
	Client   string   `json:"client"`
	User     string   `json:"user,omitempty"`
	Channels []string `json:"channels,omitempty"`
	Members  []string `json:"members,omitempty"` // channels of which the connection is a member
	Ended    bool     `json:"ended,omitempty"`   // the disconnect has already been reported
}

// goneRecord is a record that has to be removed, or replaced with rest.
type goneRecord struct {
	lease, key string
	rest       []byte
}

// recordApp is the application of the hub's own channels.
const recordApp = "_hub"

func recordsOf(lease string) string   { return ChannelOf(recordApp, "node:"+lease) }
func stateOf(channel string) string   { return ChannelOf(recordApp, "occupied:"+channel) }
func recordKey(app, id string) string { return ChannelOf(app, id) }

func (r *reporter) start(h *Hub) {
	r.hub, r.emitTo = h, h.opts.Events
	if r.emitTo == nil {
		return
	}
	r.wake = make(chan struct{}, 1)
	r.dirty, r.removing, r.vacating = map[*Session]struct{}{}, map[memberKey]Event{}, map[string]time.Time{}
	if r.records() {
		r.first = make(chan struct{}, 1)
		h.wg.Go(r.keepRecords)
	}
}

// records reports whether the engine can keep records.
func (r *reporter) records() bool {
	h := r.hub
	return r.emitTo != nil && h.keyed != nil && h.presence != nil && h.history != nil && h.occupancy != nil
}

// emit reports an event.
func (r *reporter) emit(e Event) {
	if r.emitTo == nil {
		return
	}
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	r.emitTo(e)
}

// session reports an event of a session. The caller holds the session's lock.
func (r *reporter) session(s *Session, kind EventKind, channel string) {
	if r.emitTo == nil {
		return
	}
	c := &s.client
	r.markDirty(s)
	r.emit(Event{Kind: kind, App: c.App, Channel: channel, Client: c.ID, User: c.User, Data: c.Data})
}

// rest returns the record of a session whose remaining events another node has to report, because this node is closing. It returns nil if
// this node continues and reports the events itself. The caller holds the session's lock.
func (r *reporter) rest(s *Session) []byte {
	if !r.records() || !r.hub.closed() {
		return nil
	}
	return s.record(true)
}

// disconnected reports the end of a session. The caller holds the session's lock.
func (r *reporter) disconnected(s *Session, rest []byte) {
	if r.emitTo == nil {
		return
	}
	c := &s.client
	e := Event{Kind: EventDisconnected, App: c.App, Client: c.ID, User: c.User, Data: c.Data, Reason: "client"}
	if s.ended > 0 {
		e.Reason = EndReason(s.ended - 1).String()
	}
	e.Done = r.removeRecordFunc(goneRecord{r.hub.node.currentLease(), recordKey(c.App, c.ID), rest})
	r.mu.Lock()
	delete(r.dirty, s)
	r.mu.Unlock()
	r.emit(e)
}

// published reports a publication.
func (r *reporter) published(name string, p *Publication) {
	if r.emitTo == nil {
		return
	}
	app, channel := SplitChannel(name)
	r.emit(Event{Kind: EventPublished, Time: p.Time, App: app, Channel: channel, Client: p.Client, User: p.User, Data: p.Info, Publication: p})
}

// removeRecordFunc returns the Done of an event, which removes the record g.
func (r *reporter) removeRecordFunc(g goneRecord) func() {
	r.mu.Lock()
	r.unacknowledged++
	r.mu.Unlock()
	var once sync.Once
	return func() {
		once.Do(func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.unacknowledged--
			if r.records() {
				r.removals = append(r.removals, g)
			}
			r.wakeWriter()
		})
	}
}

// markDirty schedules the record of a session to be written.
func (r *reporter) markDirty(s *Session) {
	if !r.records() {
		return
	}
	r.mu.Lock()
	r.dirty[s] = struct{}{}
	r.wakeWriter()
	r.mu.Unlock()
}

// wakeWriter wakes the goroutine that writes records, and closes settled if nothing remains to be done. The caller holds mu.
func (r *reporter) wakeWriter() {
	if r.settled != nil && r.unacknowledged+len(r.removals) == 0 && !r.writing {
		close(r.settled)
		r.settled = nil
	}
	if len(r.dirty)+len(r.removals) == 0 {
		return
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// settle waits until all disconnects have been processed and no record is left, but not longer than settleTimeout.
func (r *reporter) settle() {
	if r.emitTo == nil {
		return
	}
	settled := make(chan struct{})
	r.mu.Lock()
	r.settled = settled
	r.wakeWriter()
	r.mu.Unlock()
	timer := time.NewTimer(settleTimeout)
	defer timer.Stop()
	select {
	case <-settled:
	case <-timer.C:
	}
}

// keepRecords writes the records that have changed, and removes those that are no longer needed.
func (r *reporter) keepRecords() {
	again := time.NewTicker(recordTTL / 3)
	defer again.Stop()
	for {
		select {
		case <-r.wake:
		case <-again.C:
			r.hub.sessions.each(r.markDirty)
		case <-r.hub.ctx.Done():
			return
		}
		r.mu.Lock()
		dirty, gone := r.dirty, r.removals
		r.dirty, r.removals, r.writing = map[*Session]struct{}{}, nil, true
		r.mu.Unlock()
		failed := r.write(dirty, gone)
		r.mu.Lock()
		r.writing = false
		r.wakeWriter()
		r.mu.Unlock()
		if failed && !r.hub.sleep(minRunPause) {
			return
		}
	}
}

// write writes and removes records, and queues again those for which that failed.
func (r *reporter) write(dirty map[*Session]struct{}, gone []goneRecord) (failed bool) {
	var wg sync.WaitGroup
	turns := make(chan struct{}, recordWriters)
	run := func(f func() error, again func()) {
		turns <- struct{}{}
		wg.Go(func() {
			defer func() { <-turns }()
			if f() != nil && r.hub.ctx.Err() == nil {
				r.mu.Lock()
				defer r.mu.Unlock()
				failed = true
				again()
			}
		})
	}
	lease := r.hub.node.currentLease()
	for s := range dirty {
		s.mu.Lock()
		key, data := recordKey(s.client.App, s.client.ID), s.record(false)
		left := s.hasLeft
		s.mu.Unlock()
		if !left {
			run(func() error { return r.put(lease, &Publication{Key: key, Data: data}) }, func() { r.dirty[s] = struct{}{} })
		}
	}
	for _, g := range gone {
		run(func() error { return r.put(g.lease, &Publication{Key: g.key, Removed: g.rest == nil, Data: g.rest}) }, func() { r.removals = append(r.removals, g) })
	}
	wg.Wait()
	return failed
}

func (r *reporter) put(lease string, p *Publication) error {
	ctx, cancel := context.WithTimeout(r.hub.ctx, engineTimeout)
	defer cancel()
	p.Time = time.Now()
	_, err := r.hub.engine.Publish(ctx, recordsOf(lease), p, PublishOptions{KeyTTL: recordTTL})
	return err
}

// record returns the record of a session. The caller holds the session's lock.
func (s *Session) record(ended bool) []byte {
	n := record{App: s.client.App, Client: s.client.ID, User: s.client.User, Ended: ended}
	for _, x := range s.subs {
		n.Channels = append(n.Channels, x.ch.local())
		if x.flags&isMember != 0 {
			n.Members = append(n.Members, x.ch.local())
		}
	}
	data, _ := json.Marshal(n) // encoding strings does not fail
	return data
}

// claim reports whether this node must report an event that other nodes have noticed, too.
func (r *reporter) claim(key string, ttl time.Duration) bool {
	first, err := r.claimWithin(maxTries, key, ttl)
	return err == nil && first
}

// claimWithin calls the engine until it replies, and makes at most maxCalls calls.
func (r *reporter) claimWithin(maxCalls int, key string, ttl time.Duration) (bool, error) {
	for tries := 1; ; tries++ {
		ctx, cancel := context.WithTimeout(r.hub.ctx, engineTimeout)
		first, err := r.hub.presence.Claim(ctx, key, ttl)
		cancel()
		if err == nil || tries >= maxCalls || !r.hub.sleep(minRunPause) {
			return first, err
		}
	}
}

// takeOver reports the remaining events of a node that has ended, unless another node reports them.
func (r *reporter) takeOver(lease string) {
	if _, own := r.hub.node.ownLeases.Load(lease); own || !r.records() || !r.claim("ended:"+lease, leaseEndClaimTTL) {
		return
	}
	channels := map[string]struct{}{}
	cursor, tries := "", 0
	for {
		ctx, cancel := context.WithTimeout(r.hub.ctx, engineTimeout)
		ps, next, _, err := r.hub.keyed.Snapshot(ctx, recordsOf(lease), cursor, recordPageSize)
		cancel()
		if err != nil {
			if tries++; tries > maxTries || !r.hub.sleep(minRunPause) {
				return
			}
			continue
		}
		for _, p := range ps {
			var n record
			if json.Unmarshal(p.Data, &n) != nil {
				continue
			}
			done := r.removeRecordFunc(goneRecord{lease, p.Key, nil})
			if n.Ended {
				done()
			} else {
				r.emit(Event{Kind: EventDisconnected, App: n.App, Client: n.Client, User: n.User, Reason: "node", Done: done})
			}
			for _, name := range n.Channels {
				channels[ChannelOf(n.App, name)] = struct{}{}
			}
			for _, name := range n.Members {
				r.removed(ChannelOf(n.App, name), Member{Client: n.Client, User: memberName(n.User, n.Client)})
			}
		}
		if cursor = next; next == "" {
			break
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for name := range channels {
		r.vacating[name] = time.Now().Add(departureDelay)
	}
}

func memberName(user, client string) string {
	if user != "" {
		return user
	}
	return client
}

// leaseReplaced is called when this node has a new lease, because it was unreachable for too long. If another node has reported
// this node's clients as disconnected, leaseReplaced reports them as connected.
func (r *reporter) leaseReplaced(old string) {
	if !r.records() {
		return
	}
	first, err := r.claimWithin(math.MaxInt, "ended:"+old, leaseEndClaimTTL)
	if err != nil {
		return // the hub is closed
	}
	r.hub.sessions.each(func(s *Session) {
		s.mu.Lock()
		defer s.mu.Unlock()
		switch {
		case s.hasLeft:
		case !first:
			r.session(s, EventConnected, "")
		default:
			r.markDirty(s)
			r.mu.Lock()
			r.removals = append(r.removals, goneRecord{old, recordKey(s.client.App, s.client.ID), nil})
			r.mu.Unlock()
		}
	})
}
