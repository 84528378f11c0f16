package hub

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/handfast/handfast/websocket"
)

const (
	catchUpCount = 128  // the number of publications that are sent to a slow subscriber in one step
	maxMissed    = 1024 // the number of members whose changes are kept for a slow subscriber
	maxLatest    = 100_000
)

// lag is what a subscriber has missed, in addition to publications, while it was behind.
type lag struct {
	unrecoverable bool              // the missed messages cannot be sent
	changes       map[string]missed // by user
}

// missed is a change of a member that a subscriber has missed.
type missed struct {
	known bool   // the subscriber knows the member
	last  Change // the latest change
}

// fallBehind is called when the client's queue has no room for b. The caller holds the session's lock.
func (x *subscription) fallBehind(ch *channel, b *batch) {
	ch.ns.counters.slow.Add(1)
	if ch.ns.Slow == SlowClose {
		x.session.close(EndSlow)
		x.end()
		return
	}
	x.state, x.lag = behind, new(lag)
	x.flags &^= hasBase
	x.session.behind = true
	x.miss(ch, b)
}

// miss records the parts of b that the subscriber does not receive. The caller holds the session's lock.
func (x *subscription) miss(ch *channel, b *batch) {
	for _, p := range b.ps {
		switch {
		case ch.ns.Slow == SlowDrop, p.Offset == 0 && x.session.hub.hasHistory(ch):
			ch.ns.counters.dropped.Add(1)
		case p.Offset == 0 && (ch.ns.Slow != SlowLatest || p.Key == ""):
			ch.ns.counters.dropped.Add(1)
			x.lag.unrecoverable = x.lag.unrecoverable || ch.ns.Slow == SlowRefill
		}
	}
	if x.flags&wantsChanges == 0 {
		return
	}
	for _, cs := range [][]Change{b.joins, b.changes} {
		for _, c := range cs {
			if c.excludes(x.session) {
				continue
			}
			m, again := x.lag.changes[c.User]
			if !again {
				m.known = c.Kind != Joined
			}
			m.last = c
			if x.lag.changes == nil {
				x.lag.changes = map[string]missed{}
			}
			x.lag.changes[c.User] = m
		}
	}
	if len(x.lag.changes) > maxMissed {
		x.lag.unrecoverable, x.lag.changes = true, nil
	}
}

// pendingChanges returns the changes that update the subscriber's knowledge of the members.
func (l *lag) pendingChanges() []Change {
	var cs []Change
	for _, m := range l.changes {
		switch here := m.last.Kind != Left; {
		case m.known && here:
			m.last.Kind = Updated
		case here:
			m.last.Kind = Joined
		case !m.known:
			continue
		}
		cs = append(cs, m.last)
	}
	return cs
}

// lose is called when the engine has permanently lost publications. The caller holds the session's lock.
func (x *subscription) lose(ch *channel, b *batch) {
	if x.state == behind {
		x.lag.unrecoverable = true
		return
	}
	m, ongoing := x.lostMessage(ch, b)
	if m != nil && errors.Is(x.session.client.Out.SendPrepared(m), websocket.ErrQueueFull) {
		x.fallBehind(ch, b)
		if x.lag != nil {
			x.lag.unrecoverable = true
		}
		return
	}
	if ongoing {
		x.last = b.to
		x.flags &^= hasBase
		return
	}
	ch.ns.counters.insufficient.Add(1)
	x.end()
}

// lostMessage returns the message that reports lost publications, and whether the subscription continues. If the protocol has
// no such message, the subscription continues without one: the protocol's clients do not expect to receive everything.
func (x *subscription) lostMessage(ch *channel, b *batch) (m *websocket.Prepared, ongoing bool) {
	c := x.session.client.Codec
	if x.flags&wantsPositions != 0 {
		m, _ = c.(PositionedCodec).Lost(ch.local(), Position{b.epoch, b.to})
		return m, true
	}
	m, _ = c.Ended(ch.local(), EndInsufficient)
	return m, m == nil
}

// Drained resumes sending the messages for which a full queue had no room. The Receiver of the connection calls this method when its own
// Drained is called. Drained does not block.
func (s *Session) Drained() {
	s.mu.Lock()
	s.drains++
	begin := s.behind && !s.refilling && !s.hasLeft
	s.refilling = s.refilling || begin
	s.mu.Unlock()
	if begin {
		s.hub.tasks.do(s.refill)
	}
}

// refill sends the messages that the subscriptions have missed, until the queue is full again.
func (s *Session) refill() {
	for {
		s.mu.Lock()
		drains := s.drains
		var late []*subscription
		for _, x := range s.subs {
			if x.state == behind {
				late = append(late, x)
			}
		}
		if len(late) == 0 {
			s.behind, s.refilling = false, false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		for _, x := range late {
			if x.catchUp() {
				continue
			}
			s.mu.Lock()
			if s.drains == drains {
				s.refilling = false // the next Drained starts another refill
				s.mu.Unlock()
				return
			}
			s.mu.Unlock()
			break
		}
	}
}

// holdWide makes the channel's window wide until done is called.
func (x *subscription) holdWide() (done func()) {
	set := func(on bool) {
		x.ch.mu.Lock()
		defer x.ch.mu.Unlock()
		if x.wideHeld == on {
			return
		}
		x.wideHeld = on
		if on {
			x.ch.catchingUp++
		} else {
			x.ch.catchingUp--
		}
	}
	set(true)
	return func() { set(false) }
}

// catchUp sends the messages that the subscriber has missed, and reports false if the queue is full again.
func (x *subscription) catchUp() bool {
	s, ch := x.session, x.ch
	defer x.holdWide()()
	for {
		s.mu.Lock()
		if x.state != behind {
			s.mu.Unlock()
			return true
		}
		if x.lag.unrecoverable {
			done := x.insufficient()
			s.mu.Unlock()
			return done
		}
		ch.mu.Lock()
		ps, known := x.missing()
		since := Position{ch.epoch, x.last}
		to := ch.last
		ch.mu.Unlock()
		if known && len(ps) <= catchUpCount {
			done := x.resume(ps, to)
			s.mu.Unlock()
			return done
		}
		s.mu.Unlock()
		if known {
			ps = ps[:catchUpCount]
		} else {
			ps = x.read(since)
		}
		ms := x.encode(ps) // without the lock, so that others can send to the session
		s.mu.Lock()
		done := x.state != behind || x.lag.unrecoverable || x.sendMissed(ps, ms)
		s.mu.Unlock()
		if !done {
			return false
		}
	}
}

// missing returns the publications that the subscriber has missed as far as this node has them, and reports whether those are all.
// The caller holds the locks of the session and of the channel.
func (x *subscription) missing() ([]*Publication, bool) {
	ch := x.ch
	switch {
	case ch.ns.Slow == SlowDrop:
		return nil, true
	case ch.ns.Slow == SlowLatest:
		ps, all := ch.latest.since(x.last)
		x.lag.unrecoverable = !all
		return ps, all
	}
	ps, all := ch.window.since(x.last)
	if !all && !x.session.hub.hasHistory(ch) {
		return nil, true // miss has recorded the publications that are no longer kept as lost
	}
	return slices.Clone(ps), all
}

// read reads the history after a position. It returns nil if publications are lost or there are none.
func (x *subscription) read(since Position) []*Publication {
	s := x.session
	ctx, cancel := context.WithTimeout(s.hub.ctx, engineTimeout)
	defer cancel()
	page, err := s.hub.history.History(ctx, x.ch.name, HistoryQuery{Since: &since, Limit: catchUpCount})
	s.mu.Lock()
	defer s.mu.Unlock()
	if x.state != behind {
		return nil
	}
	if err != nil || page.Err != nil {
		x.lag.unrecoverable = true
		return nil
	}
	if len(page.Publications) == 0 {
		x.last = max(x.last, page.Top.Offset) // the missed publications have expired
	}
	return page.Publications
}

// encode returns ps as messages, with nil for those that the client must not receive.
func (x *subscription) encode(ps []*Publication) []*websocket.Prepared {
	c, name, now := x.codec(), x.ch.local(), time.Now()
	ms := make([]*websocket.Prepared, len(ps))
	var previous *Publication
	if x.flags&(wantsDelta|wantsKeyDelta) != 0 {
		previous = NoBase
	}
	for i, p := range ps {
		if !p.Expired(now) && x.allows(p) {
			ms[i], _ = c.Publication(name, p, previous)
		}
	}
	return ms
}

// sendMissed sends ps, encoded as ms, in batches that fit into a queue, and reports false if the queue is full. The caller holds
// the session's lock.
func (x *subscription) sendMissed(ps []*Publication, ms []*websocket.Prepared) bool {
	for len(ps) > 0 {
		var out []*websocket.Prepared
		n, bytes := 0, 0
		for n < len(ps) && (n == 0 || bytes+len(ps[n].Data)+messageCost <= batchBytes) {
			bytes += len(ps[n].Data) + messageCost
			if ms[n] != nil {
				out = append(out, ms[n])
			}
			n++
		}
		if len(out) > 0 && x.session.client.Out.SendPrepared(out...) != nil {
			return false // the queue is full, or the connection is closing
		}
		x.last = max(x.last, ps[n-1].Offset)
		x.ch.ns.counters.refilled.Add(uint64(n))
		ps, ms = ps[n:], ms[n:]
	}
	return true
}

// resume sends the last of the missed publications, and switches the subscription back to live. The caller holds the session's
// lock.
func (x *subscription) resume(ps []*Publication, to uint64) bool {
	if !x.sendMissed(ps, x.encode(ps)) {
		return false
	}
	x.last = max(x.last, to)
	if cs := x.lag.pendingChanges(); len(cs) > 0 {
		ms, _ := x.codec().Members(x.ch.local(), cs)
		ms = slices.DeleteFunc(ms, func(m *websocket.Prepared) bool { return m == nil })
		if len(ms) > 0 && x.session.client.Out.SendPrepared(ms...) != nil {
			return false
		}
	}
	x.state, x.lag = live, nil
	return true
}

// insufficient ends a subscription that has lost messages. The caller holds the session's lock.
func (x *subscription) insufficient() bool {
	s := x.session
	m, _ := s.client.Codec.Ended(x.ch.local(), EndInsufficient)
	if m == nil {
		s.close(EndSlow)
	} else if errors.Is(s.client.Out.SendPrepared(m), websocket.ErrQueueFull) {
		return false
	}
	x.ch.ns.counters.insufficient.Add(1)
	x.end()
	return true
}

// latest holds the latest publication of each key that has changed while this node was subscribed, including removed keys.
type latest struct {
	byKey map[string]*Publication
	floor uint64 // removals up to this offset may be missing
}

// set stores p as the latest publication of its key.
func (l *latest) set(p *Publication) {
	if l.byKey == nil {
		l.byKey = map[string]*Publication{}
	}
	l.byKey[p.Key] = p
	if len(l.byKey) <= maxLatest {
		return
	}
	for key, q := range l.byKey {
		if q.Removed {
			l.floor = max(l.floor, q.Offset)
			delete(l.byKey, key)
		}
	}
	if len(l.byKey) > maxLatest*3/4 {
		*l = latest{floor: p.Offset}
	}
}

// since returns the publications after offset, in order, and reports whether none of them is missing.
func (l *latest) since(offset uint64) ([]*Publication, bool) {
	if offset < l.floor {
		return nil, false
	}
	ps := slices.DeleteFunc(slices.Collect(maps.Values(l.byKey)), func(p *Publication) bool { return p.Offset <= offset })
	slices.SortFunc(ps, func(a, b *Publication) int { return cmp.Compare(a.Offset, b.Offset) })
	return ps, true
}
