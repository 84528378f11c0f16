package hub

import (
	"context"
	"hash/maphash"
	"math"
	"sync"
	"time"
)

// channelTable holds the channels of a node.
type channelTable struct {
	seed   maphash.Seed
	shards [shards]channelShard
}

// channelShard is one shard of a channelTable.
type channelShard struct {
	mu     sync.RWMutex
	byName map[string]*channel
}

// channel is a channel that this node has subscribed to at the engine.
type channel struct {
	name string // the name that the engine uses
	ns   *namespace

	opened chan struct{} // closed when the engine has subscribed, or err is set
	err    error         // why the engine could not subscribe

	mu            sync.Mutex
	epoch         string
	last          uint64 // the offset of the last publication that was sent to the subscribers, or is about to be
	complete      uint64 // up to this offset no publication is missing, whatever the value of Previous
	subs          []*subscription
	pins          int       // the number of goroutines that are about to subscribe
	idle          time.Time // when the last subscriber or pin was removed
	closed        chan struct{}
	pending       backlog // publications to send next
	window        window
	catchingUp    int       // the number of subscribers that are catching up
	wideUntil     time.Time // the time until which the window stays wide, because clients have reconnected
	latest        latest    // used with SlowLatest
	deltas        deltas
	roster        *roster // nil for a channel without presence
	ready         bool
	draining      bool          // a goroutine is sending pending
	gapPending    bool          // publications after last may be missing, and must be read from the history
	reading       historyRead   // the read of the history for new subscriptions
	reportedCount reportedCount // the last reported number of subscribers
}

// reportedCount is the number of subscribers that was last reported to the engine.
type reportedCount struct {
	reported int  // the reported number
	fresh    bool // the channel has had its first subscriber since that report
}

// local returns the channel's name without the application.
func (ch *channel) local() string {
	_, name := SplitChannel(ch.name)
	return name
}

// acquire returns a channel that is open, and pins it. The caller must unpin it.
func (h *Hub) acquire(ctx context.Context, ns *namespace, name string) (*channel, error) {
	shard := h.channels.shard(name)
	for {
		shard.mu.Lock()
		ch := shard.byName[name]
		if ch == nil {
			if h.closed() {
				shard.mu.Unlock()
				return nil, ErrClosed
			}
			ch = &channel{name: name, ns: ns, opened: make(chan struct{}), reading: historyRead{wanted: math.MaxUint64}}
			if ns.Presence && h.presence != nil {
				ch.roster = newRoster()
			}
			if shard.byName == nil {
				shard.byName = map[string]*channel{}
			}
			shard.byName[name] = ch
			h.tasks.do(func() { h.open(shard, ch) })
		}
		ch.mu.Lock()
		gone := ch.closed
		if gone == nil {
			ch.pins++
		}
		ch.mu.Unlock()
		shard.mu.Unlock()
		wait := ch.opened
		if gone != nil {
			wait = gone
		}
		select {
		case <-wait:
		default:
			select {
			case <-wait:
			case <-h.ctx.Done():
				return nil, ErrClosed
			case <-ctx.Done():
				if gone == nil {
					ch.unpin()
				}
				return nil, ctx.Err()
			}
		}
		if gone != nil {
			continue
		}
		if ch.err != nil {
			return nil, ch.err
		}
		return ch, nil
	}
}

// unpin releases a channel that acquire has returned.
func (ch *channel) unpin() {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.pins--; ch.pins == 0 && len(ch.subs) == 0 {
		ch.idle = time.Now()
	}
}

// open subscribes to a channel at the engine, and reads its current position.
func (h *Hub) open(shard *channelShard, ch *channel) {
	ctx, cancel := context.WithTimeout(h.ctx, engineTimeout)
	defer cancel()
	err := h.engine.Subscribe(ctx, ch.name)
	var top Position
	if err == nil && h.hasHistory(ch) {
		var page HistoryPage
		if page, err = h.history.History(ctx, ch.name, HistoryQuery{}); err == nil {
			top = page.Top
		}
	}
	if err == nil && ch.roster != nil {
		err = h.node.loadRoster(ctx, ch)
	}
	if err != nil {
		shard.mu.Lock()
		delete(shard.byName, ch.name)
		shard.mu.Unlock()
		h.tasks.do(func() { h.unsubscribeFailed(ch.name) })
		ch.err = err
		close(ch.opened)
		return
	}
	ch.mu.Lock()
	ch.epoch, ch.last, ch.window.floor, ch.latest.floor = top.Epoch, top.Offset, top.Offset, top.Offset
	ch.ready, ch.draining = true, true
	rounds := inlineRounds
	if ch.roster != nil { // announced now even in a large room: the reply to a subscription lists these members, so their joins must not follow it
		ch.roster.announceNow = ch.roster.pending()
		rounds += len(ch.roster.dirty) / maxChangesTogether
	}
	ch.mu.Unlock()
	h.drain(ch, rounds)
	close(ch.opened)
}

// unsubscribeFailed undoes a Subscribe that has failed but may have reached the engine, unless the channel was opened again.
func (h *Hub) unsubscribeFailed(name string) {
	if h.channels.lookup(name) != nil {
		return
	}
	ctx, cancel := context.WithTimeout(h.ctx, engineTimeout)
	defer cancel()
	h.engine.Unsubscribe(ctx, name) //nolint:errcheck // if Unsubscribe fails, deliveries for the channel are ignored
}

// hasHistory reports whether a channel has a history.
func (h *Hub) hasHistory(ch *channel) bool { return h.history != nil && ch.ns.History > 0 }

// shard returns the shard of a channel.
func (t *channelTable) shard(name string) *channelShard {
	return &t.shards[maphash.String(t.seed, name)%shards]
}

// lookup returns the channel with that name; nil if there is none.
func (t *channelTable) lookup(name string) *channel {
	shard := t.shard(name)
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	return shard.byName[name]
}

// each calls f for every channel, without holding a lock.
func (t *channelTable) each(f func(*channel)) {
	var some []*channel
	for i := range t.shards {
		shard := &t.shards[i]
		shard.mu.RLock()
		some = some[:0]
		for _, ch := range shard.byName {
			some = append(some, ch)
		}
		shard.mu.RUnlock()
		for _, ch := range some {
			f(ch)
		}
	}
}

// housekeepingRound is one round of housekeeping.
type housekeepingRound struct {
	h                *Hub
	now              time.Time
	lease            string
	reportAll        bool // the numbers of subscribers of all channels have to be reported again
	idle             []*channel
	occupied         []Occupied
	occupancyChanged []Occupied // channels that have their first subscriber, or no subscriber any more
}

func newHousekeepingRound(h *Hub) *housekeepingRound {
	r := &housekeepingRound{h: h, now: time.Now(), lease: h.node.currentLease()}
	r.reportAll = h.reported != r.lease
	return r
}

// visit does the housekeeping of one channel.
func (r *housekeepingRound) visit(ch *channel) {
	ch.mu.Lock()
	if !r.count(ch) && len(ch.subs) == 0 && ch.pins == 0 && ch.ready && ch.closed == nil && !ch.draining && (ch.roster == nil || !ch.roster.busy()) &&
		r.now.Sub(ch.idle) >= r.h.opts.Linger {
		ch.closed = make(chan struct{})
		r.idle = append(r.idle, ch)
	}
	run := noop
	if ch.roster != nil && ch.roster.pending() {
		ch.roster.announceNow = true
		run = r.h.schedule(ch)
	}
	ch.mu.Unlock()
	run()
}

// countFirst counts the subscribers of a channel that has just had its first one.
func (r *housekeepingRound) countFirst(ch *channel) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	r.count(ch)
}

// count counts the subscribers of a channel, and reports whether the number has to be reported. The caller holds the channel's
// lock.
func (r *housekeepingRound) count(ch *channel) bool {
	n, fresh := len(ch.subs), ch.reportedCount.fresh
	ch.reportedCount.fresh = false
	switch {
	case r.h.occupancy == nil || r.h.presence == nil:
		return false
	case n != ch.reportedCount.reported || r.reportAll && n > 0:
		if (ch.reportedCount.reported == 0) != (n == 0) {
			r.occupancyChanged = append(r.occupancyChanged, Occupied{ch.name, n})
		}
		ch.reportedCount.reported = n
		r.occupied = append(r.occupied, Occupied{ch.name, n})
		return true
	case fresh && n == 0: // its only subscribers have left already
		r.occupancyChanged = append(r.occupancyChanged, Occupied{ch.name, 1}, Occupied{ch.name, 0})
		return true
	}
	return false
}

// report sends the changed numbers of subscribers to the engine.
func (r *housekeepingRound) report() {
	for cs := r.occupied; len(cs) > 0; {
		n := min(len(cs), maxEngineNames)
		ctx, cancel := context.WithTimeout(r.h.ctx, engineTimeout)
		err := r.h.occupancy.Occupy(ctx, r.lease, cs[:n])
		cancel()
		if err != nil {
			r.h.reported = "" // report the numbers of all channels in the next round
			break
		}
		cs = cs[n:]
	}
	for _, o := range r.occupancyChanged {
		r.h.report.subscribers(o.Channel, o.Subscribers)
	}
}

// unsubscribeAll unsubscribes at the engine from channels that are marked as gone, and removes them.
func (h *Hub) unsubscribeAll(chs []*channel) {
	names := make([]string, len(chs))
	for i, ch := range chs {
		names[i] = ch.name
	}
	ctx, cancel := context.WithTimeout(h.ctx, engineTimeout)
	defer cancel()
	h.engine.Unsubscribe(ctx, names...) //nolint:errcheck // if Unsubscribe fails, deliveries for the channels are ignored
	for _, ch := range chs {
		shard := h.channels.shard(ch.name)
		shard.mu.Lock()
		delete(shard.byName, ch.name)
		shard.mu.Unlock()
		close(ch.closed)
	}
}

// add adds a subscription to the channel, and reports whether it is the first one. The caller holds mu.
func (ch *channel) add(s *subscription) (first bool) {
	s.at = int32(len(ch.subs))
	ch.subs = append(ch.subs, s)
	first = len(ch.subs) == 1 && ch.reportedCount.reported == 0 && !ch.reportedCount.fresh
	ch.reportedCount.fresh = ch.reportedCount.fresh || first
	return first
}

// remove removes a subscription from the channel.
func (ch *channel) remove(s *subscription) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	end := len(ch.subs) - 1
	ch.subs[s.at] = ch.subs[end]
	ch.subs[s.at].at = s.at
	ch.subs[end] = nil
	ch.subs = ch.subs[:end]
	if s.wideHeld {
		s.wideHeld = false
		ch.catchingUp--
	}
	if cap(ch.subs) > 64 && len(ch.subs) < cap(ch.subs)/4 {
		ch.subs = append(make([]*subscription, 0, len(ch.subs)*2), ch.subs...)
	}
	if len(ch.subs) == 0 {
		ch.subs, ch.deltas = nil, deltas{}
		if ch.pins == 0 {
			ch.idle = time.Now()
		}
	}
}

// The bounds of a window. A window is wide while a subscriber catches up, so that the subscriber need not read the history repeatedly.
const (
	windowCount     = 128
	windowBytes     = 256 << 10
	windowCountWide = 8192
	windowBytesWide = 16 << 20
)

// window holds the last publications of a channel: all those after the offset floor.
type window struct {
	ps    []*Publication
	bytes int
	floor uint64
}

func (w *window) push(p *Publication, wide bool) {
	w.ps = append(w.ps, p)
	w.bytes += p.Size()
	count, bytes := windowCount, windowBytes
	if wide {
		count, bytes = windowCountWide, windowBytesWide
	}
	n := 0
	for len(w.ps)-n > count || w.bytes > bytes && n < len(w.ps) {
		w.bytes -= w.ps[n].Size()
		w.floor = w.ps[n].Offset
		n++
	}
	if n > 0 {
		clear(w.ps[:n])
		w.ps = w.ps[n:]
	}
}

// prepend prepends a page of the history that begins after offset, if there is room for it.
func (w *window) prepend(offset uint64, page HistoryPage) {
	if offset >= w.floor || page.Top.Offset < w.floor {
		return
	}
	var older []*Publication
	bytes := w.bytes
	for _, p := range page.Publications {
		if p.Offset <= w.floor {
			older = append(older, p)
			bytes += p.Size()
		}
	}
	if len(older)+len(w.ps) <= windowCountWide && bytes <= windowBytesWide {
		w.ps, w.bytes, w.floor = append(older, w.ps...), bytes, offset
	}
}

// reset empties the window, so that it begins after offset.
func (w *window) reset(offset uint64) { *w = window{floor: offset} }

// since returns the publications after offset, and reports whether none of them is missing.
func (w *window) since(offset uint64) ([]*Publication, bool) {
	if offset < w.floor {
		return nil, false
	}
	i := len(w.ps)
	for i > 0 && w.ps[i-1].Offset > offset {
		i--
	}
	return w.ps[i:], true
}
