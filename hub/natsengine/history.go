package natsengine

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/hub/internal/record"
)

const (
	pageSize   = 500                   // the number of messages that are read together
	staleTries = 200                   // the number of times that a replica that lags behind is read
	stalePause = 10 * time.Millisecond // the time between two of these reads
)

// History implements [hub.History].
func (e *Engine) History(ctx context.Context, channel string, q hub.HistoryQuery) (page hub.HistoryPage, err error) {
	err = e.call(ctx, func(s *store, epoch string) (err error) {
		page, err = freshHistory(ctx, e, s, epoch, channel, q)
		return err
	})
	return page, err
}

// freshHistory reads the history until the result is not stale.
func freshHistory(ctx context.Context, e *Engine, s *store, epoch, channel string, q hub.HistoryQuery) (page hub.HistoryPage, err error) {
	for range staleTries {
		var stale bool
		page, stale, err = e.history(ctx, s, epoch, channel, q)
		if err != nil || !stale {
			return page, err
		}
		if !sleep(ctx, stalePause) {
			return page, ctx.Err()
		}
	}
	return page, errTimeout
}

// history reads the history once. The result is stale if a replica that lags behind has replied.
func (e *Engine) history(ctx context.Context, s *store, epoch, channel string, q hub.HistoryQuery) (page hub.HistoryPage, stale bool, err error) {
	top, err := s.last(ctx, s.log, e.sub.log(channel))
	if err != nil {
		return page, false, err
	}
	page.Top.Epoch = epoch
	known := q.Since == nil || *q.Since == hub.Position{} || q.Since.Epoch == epoch
	if top == nil {
		if !known || q.Since != nil && q.Since.Offset > 0 {
			page.Err = hub.ErrNewEpoch
		}
		return page, false, nil
	}
	page.Top.Offset = top.seq
	r := &historyReader{e: e, s: s, channel: channel, epoch: epoch, top: top.seq, limits: top.limits(), floor: e.emptied.through(channel),
		now: time.Now(), limit: q.Limit, bytes: q.Bytes}
	forward := q.Since != nil && !q.Reverse
	switch {
	case !known || q.Since != nil && q.Since.Offset > top.seq:
		page.Err = hub.ErrNewEpoch
	case forward:
		page.Publications, page.Err, stale, err = r.after(ctx, q.Since.Offset)
		if err != nil || stale || page.Err == nil {
			return page, stale, err
		}
	}
	switch {
	case q.Limit == 0 || q.Reverse && q.Since != nil && q.Since.Offset <= 1 && page.Err == nil:
	case !q.Reverse:
		page.Publications, stale, err = r.first(ctx)
	default:
		before := top.seq + 1
		if q.Since != nil && page.Err == nil {
			before = q.Since.Offset
		}
		page.Publications, stale, err = r.last(ctx, before)
	}
	return page, stale, err
}

// historyReader is one read of a channel's history.
type historyReader struct {
	e       *Engine
	s       *store
	channel string
	epoch   string
	top     uint64
	limits  limits
	floor   uint64 // publications up to this sequence were removed
	now     time.Time
	limit   int // the maximum number of publications; negative means all
	bytes   int // the maximum size, as in hub.HistoryQuery
}

func (r *historyReader) subject() string { return r.e.sub.log(r.channel) }

// batchSize returns the number of messages to read together.
func (r *historyReader) batchSize() int {
	if r.limit < 0 {
		return pageSize
	}
	return min(r.limit+1, pageSize)
}

// isKept reports whether a message is neither too old nor removed.
func (r *historyReader) isKept(i *item) bool {
	return i.seq > r.floor && (r.limits.age <= 0 || r.now.Sub(i.at) < r.limits.age)
}

// withinLimits reports whether a message is within the channel's limits.
func (r *historyReader) withinLimits(i *item) bool {
	return i.pending < uint64(r.limits.size) && r.isKept(i) // the size of a history is not negative
}

// after reads the publications after an offset. If that is not possible, lost is the reason.
func (r *historyReader) after(ctx context.Context, since uint64) (ps []*hub.Publication, lost error, stale bool, err error) {
	if since == r.top {
		return nil, nil, false, nil
	}
	head, _, err := r.s.batch(ctx, r.s.log, r.subject(), since, r.batchSize()+1)
	if err != nil {
		return nil, nil, false, err
	}
	if len(head) == 0 {
		return nil, nil, true, nil // the replica does not contain top
	}
	missing := int(head[0].pending) // the number of messages fits into an int
	if since == 0 {
		missing++
		if head[0].header.Get(firstHeader) == "" {
			return nil, hub.ErrTooOld, false, nil
		}
	} else {
		if head[0].seq != since {
			return nil, hub.ErrTooOld, false, nil
		}
		head = head[1:]
	}
	if len(head) == 0 {
		return nil, nil, true, nil
	}
	if missing > r.limits.size || !r.isKept(&head[0]) {
		return nil, hub.ErrTooOld, false, nil
	}
	ps, stale, err = r.collect(ctx, head, since, func(*item) bool { return true })
	return ps, nil, stale, err
}

// forEach calls f for items, and for the messages that follow them up to top, until f returns false.
func (r *historyReader) forEach(ctx context.Context, items []item, f func(*item) bool) (stale bool, err error) {
	for len(items) > 0 {
		for i := range items {
			if items[i].seq > r.top || !f(&items[i]) || items[i].seq == r.top {
				return false, nil
			}
		}
		if items, _, err = r.s.batch(ctx, r.s.log, r.subject(), items[len(items)-1].seq+1, r.batchSize()); err != nil {
			return false, err
		}
	}
	return true, nil // top was removed in the meantime, or this replica lags behind
}

// collect returns publications up to the limits of the query, without those that have expired or for which counts is false. previous is the
// offset of the publication before items.
func (r *historyReader) collect(ctx context.Context, items []item, previous uint64, counts func(*item) bool) (ps []*hub.Publication, stale bool, err error) {
	room := hub.NewRoom(r.bytes)
	if r.limit == 0 {
		return nil, false, nil
	}
	stale, err = r.forEach(ctx, items, func(i *item) bool {
		if p := r.publication(i, previous); p != nil && counts(i) {
			if !room.Take(p.Size()) {
				return false
			}
			ps = append(ps, p)
		}
		previous = i.seq
		return len(ps) != r.limit
	})
	return ps, stale, err
}

// publication decodes a stored publication. It returns nil if the publication has expired.
func (r *historyReader) publication(i *item, previous uint64) *hub.Publication {
	p, err := record.Publication(i.data)
	if err != nil || p.Expired(r.now) {
		return nil
	}
	p.Epoch, p.Offset, p.Previous = r.epoch, i.seq, previous
	r.e.expiries.addReceived(r.channel, p, i.header)
	return p
}

// first reads the oldest publications that are kept.
func (r *historyReader) first(ctx context.Context) ([]*hub.Publication, bool, error) {
	from, err := r.tail(ctx, r.limits.size)
	if err != nil {
		return nil, false, err
	}
	head, _, err := r.s.batch(ctx, r.s.log, r.subject(), from, pageSize)
	if err != nil {
		return nil, false, err
	}
	return r.collect(ctx, head, 0, r.withinLimits)
}

// firstTailSize is how many of the last publications the first attempt reads; often no more are needed.
const firstTailSize = 32

// last reads the last publications before an offset, newest first.
func (r *historyReader) last(ctx context.Context, before uint64) ([]*hub.Publication, bool, error) {
	after := 0 // the number of messages from the offset on
	if before <= r.top {
		some, _, err := r.s.batch(ctx, r.s.log, r.subject(), before, 1)
		if err != nil || len(some) == 0 {
			return nil, err == nil, err
		}
		after = int(some[0].pending) + 1 // the number of messages fits into an int
	}
	most := r.limits.size - after
	n := firstTailSize
	if r.limit > 0 {
		n = min(n, r.limit)
	}
	for ; most > 0; n *= 8 {
		from, err := r.tail(ctx, after+min(n, most))
		if err != nil {
			return nil, false, err
		}
		head, _, err := r.s.batch(ctx, r.s.log, r.subject(), from, min(n+1, pageSize))
		if err != nil {
			return nil, false, err
		}
		w, previous := lastPage{limit: r.limit, bytes: cmp.Or(r.bytes, hub.PageBytes)}, uint64(0)
		stale, err := r.forEach(ctx, head, func(i *item) bool {
			if i.seq >= before {
				return false
			}
			if p := r.publication(i, previous); p != nil && r.withinLimits(i) {
				w.push(p)
			}
			previous = i.seq
			return true
		})
		if err != nil || stale || n >= most || w.full {
			slices.Reverse(w.ps)
			return w.ps, stale, err
		}
	}
	return nil, false, nil
}

// lastPage keeps the last publications that fit into a page.
type lastPage struct {
	limit, bytes int // negative means no limit
	ps           []*hub.Publication
	size         int
	full         bool
}

func (w *lastPage) push(p *hub.Publication) {
	w.ps, w.size = append(w.ps, p), w.size+p.Size()
	for len(w.ps) > 1 && (w.limit > 0 && len(w.ps) > w.limit || w.bytes >= 0 && w.size > w.bytes) {
		w.size -= w.ps[0].Size()
		w.ps[0] = nil
		w.ps, w.full = w.ps[1:], true
	}
	w.full = w.full || len(w.ps) == w.limit
}

// tail returns a sequence such that the subject has at least n messages from there on, but not many more. If there are
// fewer, it returns 1.
func (r *historyReader) tail(ctx context.Context, n int) (uint64, error) {
	for back := uint64(n); ; back *= 4 { // n is not negative
		if back >= r.top {
			return 1, nil
		}
		from := r.top - back + 1
		items, more, err := r.s.batch(ctx, r.s.log, r.subject(), from, 1)
		if err != nil {
			return 0, err
		}
		if len(items)+int(more) >= n { // the number of messages fits into an int
			return from, nil
		}
	}
}

// Trim implements [hub.History].
func (e *Engine) Trim(ctx context.Context, channel string, through uint64) error {
	return e.call(ctx, func(s *store, _ string) error { return trim(ctx, e, s, channel, through) })
}

func trim(ctx context.Context, e *Engine, s *store, channel string, through uint64) error {
	subject := e.sub.log(channel)
	top, err := s.last(ctx, s.log, subject)
	if err != nil || top == nil {
		return err
	}
	if through < top.seq {
		return s.purge(ctx, s.log, subject, through+1, 0)
	}
	// The last publication is not removed, so that the last offset of the channel stays known. Instead, all nodes record that it is
	// no longer kept.
	name := e.sub.nodeRecord("t." + channelTokens(channel))
	if _, err := s.put(ctx, name, emptiedRecord(channel, top.seq), putOptions{}); err != nil {
		return err
	}
	e.emptied.set(channel, top.seq)
	return s.purge(ctx, s.log, subject, top.seq, 0)
}

// emptyChannels contains the channels whose last publication is stored, but no longer part of the history.
type emptyChannels struct {
	mu  sync.Mutex
	all map[string]uint64
}

func (e *emptyChannels) set(channel string, through uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.all == nil {
		e.all = map[string]uint64{}
	}
	e.all[channel] = max(e.all[channel], through)
}

func (e *emptyChannels) through(channel string) uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.all[channel]
}
