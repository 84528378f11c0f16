package hub

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/handfast/handfast/websocket"
)

const (
	inlineSubs   = 32       // the delivering goroutine itself serves a channel with at most this many subscribers
	inlineRounds = 4        // the number of batches that the delivering goroutine sends before another goroutine sends the rest
	batchCount   = 64       // the maximum number of publications in a batch
	batchBytes   = 48 << 10 // the maximum number of bytes in a batch; the empty send queue of a client has room for a whole batch
	messageCost  = 128      // the cost of a message in a queue in addition to its data
)

// sink is the Hub in its role as the Sink of its engine.
type sink Hub

// Deliver implements [Sink].
func (s *sink) Deliver(name string, ps []*Publication) {
	h := (*Hub)(s)
	ch := h.channels.lookup(name)
	if ch == nil {
		return
	}
	ch.mu.Lock()
	switch {
	case ch.pending.hasRoom(ps):
		ch.pending.push(ps...)
	case h.hasHistory(ch): // the history is read later; publications that it does not keep are lost
		ch.ns.counters.dropped.Add(countUnkept(ch.pending.ps) + countUnkept(ps))
		ch.pending, ch.gapPending = backlog{}, true
	default:
		ch.ns.counters.dropped.Add(uint64(len(ps)))
	}
	run := h.schedule(ch)
	ch.mu.Unlock()
	run()
}

// Gap implements [Sink].
func (s *sink) Gap(names ...string) {
	h := (*Hub)(s)
	check := func(ch *channel) {
		ch.mu.Lock()
		ch.gapPending = ch.gapPending || h.hasHistory(ch)
		reload := ch.roster != nil && ch.ready
		run := h.schedule(ch)
		ch.mu.Unlock()
		if reload {
			h.tasks.do(func() { h.node.reloadRoster(ch) })
		}
		run()
	}
	if len(names) == 0 {
		h.channels.each(check)
	}
	for _, name := range names {
		if ch := h.channels.lookup(name); ch != nil {
			check(ch)
		}
	}
}

func noop() {}

// schedule returns a function that sends the pending messages, or does nothing if there are none. The caller holds the
// channel's lock, and calls the function after releasing it.
func (h *Hub) schedule(ch *channel) func() {
	if !ch.ready || ch.draining || len(ch.pending.ps) == 0 && !ch.gapPending && (ch.roster == nil || !ch.roster.due(ch.ns)) {
		return noop
	}
	ch.draining = true
	if len(ch.subs) <= inlineSubs {
		return func() { h.drain(ch, inlineRounds) }
	}
	return func() { h.fan.push(ch) }
}

// drain sends the pending messages, in at most the given number of rounds, and leaves the remainder to another goroutine. Only the
// goroutine that has set draining calls it.
func (h *Hub) drain(ch *channel, rounds int) {
	for range rounds {
		b := batches.Get().(*batch)
		ch.mu.Lock()
		h.fillBatch(ch, b)
		empty, gap := b.empty(), ch.gapPending
		more := !gap && ch.roster != nil && ch.roster.due(ch.ns)
		if empty && !more {
			ch.draining = gap
		}
		ch.mu.Unlock()
		if empty {
			b.free()
			if more {
				continue
			}
			if gap {
				h.tasks.do(func() { h.fillGap(ch) })
			}
			return
		}
		h.fanout(ch, b)
		b.free()
	}
	h.fan.push(ch)
}

// fillBatch moves the publications and changes that are sent next into b. The caller holds the channel's lock.
func (h *Hub) fillBatch(ch *channel, b *batch) {
	now := time.Now()
	b.from, b.previous = ch.last, ch.deltas.previous
	n, bytes, traced := 0, 0, false
	for _, p := range ch.pending.ps {
		if len(b.ps) == batchCount || len(b.ps) > 0 && bytes+len(p.Data)+messageCost > batchBytes {
			break
		}
		if p.Offset != 0 {
			next, missing := h.accept(ch, p)
			if missing {
				ch.gapPending = true
				break
			}
			if !next {
				n++
				continue
			}
		}
		n++
		if p.Expired(now) {
			continue
		}
		if p.NotTo != "" {
			b.notTo = append(b.notTo, p.NotTo)
		}
		b.ps = append(b.ps, p)
		bytes += len(p.Data) + messageCost
		traced = traced || p.Trace != ""
	}
	if traced && h.opts.Traced != nil {
		b.receivers = make([]int, len(b.ps))
	}
	ch.pending.drop(n, len(ch.subs) == 0)
	b.to, b.epoch = ch.last, ch.epoch
	if ch.roster != nil && ch.roster.due(ch.ns) {
		ch.roster.flush(ch.ns, b)
		h.report.members(ch, b)
	}
	ch.deltas.update(b)
	b.subs = append(b.subs, ch.subs...)
}

// accept reports whether p is the next publication of the stream, in which case it records p as the last one, and whether a publication
// before p is missing. The caller holds the channel's lock.
func (h *Hub) accept(ch *channel, p *Publication) (next, missing bool) {
	keeps := h.hasHistory(ch)
	if p.Epoch != ch.epoch {
		if ch.epoch != "" && keeps {
			return false, true
		}
		ch.epoch, ch.last = p.Epoch, 0
		ch.window.reset(p.Previous)
	} else if p.Offset <= ch.last {
		return false, false
	} else if p.Previous > ch.last && p.Offset > ch.complete && keeps {
		return false, true
	}
	ch.last = p.Offset
	if keeps {
		ch.window.push(p, ch.catchingUp > 0 || p.Time.Before(ch.wideUntil))
	}
	if ch.ns.Slow == SlowLatest && p.Key != "" {
		ch.latest.set(p)
	}
	return true, false
}

// batch is the data that each subscriber of a channel receives in one call.
type batch struct {
	ps                []*Publication
	joins             []Change // sent before ps
	changes           []Change // sent after ps
	connectionChanges []Change // the changes of connections
	watchers          []*watcher
	subs              []*subscription
	from, to          uint64 // the channel's offset before and after ps
	epoch             string
	previous          *Publication   // the publication before ps
	keyed             []*Publication // the base of each of ps by key, or NoBase; empty if no subscriber uses deltas by key
	notTo             []string
	encodings         []encodings
	receivers         []int // the number of subscribers that have received each of ps; nil if none of them is traced
	lost              bool  // publications before ps are lost
}

var batches = sync.Pool{New: func() any { return new(batch) }}

func (b *batch) empty() bool {
	return len(b.ps)+len(b.joins)+len(b.changes)+len(b.connectionChanges) == 0 && !b.lost
}

// free returns b to the pool.
func (b *batch) free() {
	clear(b.ps)
	clear(b.keyed)
	clear(b.subs)
	for i := range b.encodings {
		b.encodings[i] = encodings{}
	}
	*b = batch{ps: b.ps[:0], keyed: b.keyed[:0], subs: b.subs[:0], notTo: b.notTo[:0], encodings: b.encodings[:0]}
	batches.Put(b)
}

// fanout sends b to all subscribers.
func (h *Hub) fanout(ch *channel, b *batch) {
	sent := 0
	for _, s := range b.subs {
		sent += s.send(ch, b)
	}
	ch.ns.counters.deliveries.Add(uint64(sent))
	for _, x := range b.watchers {
		x.notify(b)
	}
	if b.receivers != nil {
		traceDelivered(h.opts.Traced, ch, b)
	}
}

// send sends b to one subscriber, and returns how many publications were sent.
func (x *subscription) send(ch *channel, b *batch) int {
	s := x.session
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case x.state == ended:
		return 0
	case b.lost:
		x.lose(ch, b)
		return 0
	case x.state == behind:
		x.miss(ch, b)
		return 0
	}
	kind := 0
	if x.flags&wantsKeyDelta != 0 {
		kind |= withKeys
	} else if x.flags&wantsDelta != 0 {
		kind |= withoutBase
		if x.last == b.from && x.flags&hasBase != 0 && b.previous != nil {
			kind ^= withoutBase | withDeltas
		}
	}
	if x.flags&wantsChanges != 0 {
		kind |= withChanges
	}
	c := b.encodingsFor(ch, x.codec())
	var out []*websocket.Prepared
	n := len(b.ps)
	if x.last > b.from || x.filter != nil || b.hasExcluded(s, kind) {
		out, n = b.filtered(ch, x, kind)
		x.flags &^= hasBase
	} else {
		out = c.messages(ch, b, kind)
	}
	if len(out) > 0 {
		if err := s.client.Out.SendPrepared(out...); err != nil {
			if errors.Is(err, websocket.ErrQueueFull) {
				x.fallBehind(ch, b)
			}
			return 0 // the connection is ending, and the session with it
		}
	}
	if b.receivers != nil {
		b.countReceiver(x)
	}
	if n > 0 && n == len(b.ps) {
		x.flags |= hasBase
	}
	if x.last < b.to {
		x.last = b.to
	}
	return n
}

// codec returns the codec of the subscription.
func (x *subscription) codec() Codec {
	if x.flags&wantsPositions != 0 {
		return x.session.client.Codec.(PositionedCodec).Positioned()
	}
	return x.session.client.Codec
}

// hasExcluded reports whether b contains messages that s must not receive.
func (b *batch) hasExcluded(s *Session, kind int) bool {
	if len(b.notTo) > 0 && slices.Contains(b.notTo, s.client.ID) {
		return true
	}
	if kind&withChanges == 0 {
		return false
	}
	for i := range b.joins {
		if b.joins[i].excludes(s) {
			return true
		}
	}
	for i := range b.changes {
		if b.changes[i].excludes(s) {
			return true
		}
	}
	return false
}

// excludes reports whether c concerns s itself, so that s must not receive it.
func (c *Change) excludes(s *Session) bool {
	return c.Client == s.client.ID || c.Kind == Joined && c.User == s.user()
}

// needs reports whether x still has to receive p. The caller holds the session's lock.
func (x *subscription) needs(p *Publication) bool {
	return (p.Offset == 0 || p.Offset > x.last) && x.allows(p)
}

// allows reports whether x may receive p: neither NotTo nor the filter excludes it.
func (x *subscription) allows(p *Publication) bool {
	return (p.NotTo == "" || p.NotTo != x.session.client.ID) && (x.filter == nil || x.filter(p))
}

// filtered returns the messages for a subscriber that does not receive all of b, and the number of publications among them.
func (b *batch) filtered(ch *channel, x *subscription, kind int) (out []*websocket.Prepared, n int) {
	s := x.session
	codec := x.codec()
	name := ch.local()
	members := func(cs []Change) {
		if kind&withChanges == 0 {
			return
		}
		cs = slices.DeleteFunc(slices.Clone(cs), func(c Change) bool { return c.excludes(s) })
		if len(cs) > 0 {
			ms, _ := codec.Members(name, cs)
			out = append(out, ms...)
		}
	}
	members(b.joins)
	c := b.encodingsFor(ch, codec)
	full := c.full
	if x.flags&(wantsDelta|wantsKeyDelta) != 0 {
		full = c.withoutBases(name, b)
	}
	for i, p := range b.ps {
		if !x.needs(p) {
			continue
		}
		n++
		out = append(out, full[i])
	}
	members(b.changes)
	out = slices.DeleteFunc(out, func(p *websocket.Prepared) bool { return p == nil })
	return out, n
}

// workerPool is a pool of goroutines that send to channels with many subscribers.
type workerPool struct {
	mu     sync.Mutex
	cond   sync.Cond
	queue  []*channel
	closed bool
}

func (f *workerPool) start(h *Hub, workers int) {
	f.cond.L = &f.mu
	for range workers {
		h.wg.Go(func() { f.work(h) })
	}
}

// push queues the channel to be drained.
func (f *workerPool) push(ch *channel) {
	f.mu.Lock()
	f.queue = append(f.queue, ch)
	f.mu.Unlock()
	f.cond.Signal()
}

func (f *workerPool) work(h *Hub) {
	for {
		f.mu.Lock()
		for len(f.queue) == 0 && !f.closed {
			f.cond.Wait()
		}
		if f.closed {
			f.mu.Unlock()
			return
		}
		ch := f.queue[0]
		f.queue[0] = nil
		f.queue = f.queue[1:]
		f.mu.Unlock()
		h.drain(ch, 1)
	}
}

func (f *workerPool) close() {
	f.mu.Lock()
	f.closed, f.queue = true, nil
	f.mu.Unlock()
	f.cond.Broadcast()
}
