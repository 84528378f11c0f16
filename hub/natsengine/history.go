package natsengine

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/hub/internal/record"
)

const (
	pageSize   = 500                   // messages read together
	staleTries = 200                   // reads of a copy that is behind
	stalePause = 10 * time.Millisecond // between two
)

// History implements [hub.History].
func (e *Engine) History(ctx context.Context, channel string, q hub.HistoryQuery) (page hub.HistoryPage, err error) {
	s, epoch, err := e.ready(ctx)
	if err != nil {
		return page, err
	}
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
	return page, errTooLate
}

// history is History, unless it has read a copy that is stale.
func (e *Engine) history(ctx context.Context, s *store, epoch, channel string, q hub.HistoryQuery) (page hub.HistoryPage, stale bool, err error) {
	subject := e.sub.log(channel)
	top, err := s.last(ctx, s.log, subject)
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
	r := &reading{s: s, subject: subject, top: top.seq, limits: top.limits(), floor: e.emptied.through(channel), now: time.Now()}
	switch {
	case !known || q.Since != nil && q.Since.Offset > top.seq:
		page.Err = hub.ErrNewEpoch
	case q.Since != nil && !q.Reverse:
		var items []item
		if items, page.Err, stale, err = r.behind(ctx, q.Since.Offset, q.Limit); err != nil || stale {
			return page, stale, err
		}
		if page.Err == nil {
			page.Publications = e.publications(channel, epoch, items, q.Since.Offset, r.now)
			return page, false, nil
		}
	}
	if q.Limit == 0 {
		return page, false, nil
	}
	items, stale, err := r.kept(ctx, q)
	page.Publications = e.publications(channel, epoch, items, 0, r.now)
	if q.Reverse {
		slices.Reverse(page.Publications)
	}
	if n := len(page.Publications); q.Limit > 0 && n > q.Limit {
		page.Publications = page.Publications[:q.Limit]
	}
	return page, stale, err
}

// reading is one reading of a channel's history.
type reading struct {
	s       *store
	subject string
	top     uint64
	limits  limits
	floor   uint64 // what is up to here was removed
	now     time.Time
}

// fresh reports whether a message is not too old, and not removed.
func (r *reading) fresh(i *item) bool {
	return i.seq > r.floor && (r.limits.age <= 0 || r.now.Sub(i.at) < r.limits.age)
}

// behind reads up to limit publications behind an offset, or all if limit is negative. lost says why that cannot be done.
func (r *reading) behind(ctx context.Context, since uint64, limit int) (items []item, lost error, stale bool, err error) {
	if since == r.top {
		return nil, nil, false, nil
	}
	want := r.limits.size
	if limit >= 0 {
		want = min(limit, want)
	}
	head, _, err := r.s.batch(ctx, r.s.log, r.subject, since, min(want+1, pageSize)+1)
	if err != nil {
		return nil, nil, false, err
	}
	if len(head) == 0 {
		return nil, nil, true, nil // top is there
	}
	missing := int(head[0].pending) //nolint:gosec // a number of messages
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
	if missing > r.limits.size || !r.fresh(&head[0]) {
		return nil, hub.ErrTooOld, false, nil
	}
	items, stale, err = r.on(ctx, head, want)
	return items, nil, stale, err
}

// on reads on behind what was read, up to the top or until there are enough.
func (r *reading) on(ctx context.Context, items []item, want int) ([]item, bool, error) {
	for {
		for n := len(items); n > 0 && items[n-1].seq > r.top; n = len(items) {
			items = items[:n-1]
		}
		n := len(items)
		if n >= want || n > 0 && items[n-1].seq == r.top {
			return items[:min(n, want)], false, nil
		}
		if n == 0 {
			return nil, true, nil // top was removed meanwhile
		}
		more, _, err := r.s.batch(ctx, r.s.log, r.subject, items[n-1].seq+1, min(pageSize, want-n+1))
		if err != nil || len(more) == 0 {
			return nil, err == nil, err
		}
		items = append(items, more...)
	}
}

// kept reads what is kept, in order: the first or the last ones of it.
func (r *reading) kept(ctx context.Context, q hub.HistoryQuery) ([]item, bool, error) {
	size := r.limits.size
	if q.Reverse && q.Since == nil && q.Limit > 0 {
		size = min(size, q.Limit)
	}
	from, err := r.tail(ctx, size)
	if err != nil {
		return nil, false, err
	}
	items, more, err := r.s.batch(ctx, r.s.log, r.subject, from, pageSize)
	if err != nil {
		return nil, false, err
	}
	if len(items) == 0 {
		return nil, true, nil
	}
	total := len(items) + int(more) //nolint:gosec // a number of messages
	all, stale, err := r.on(ctx, items, total)
	if err != nil || stale {
		return nil, stale, err
	}
	if len(all) == 0 || all[len(all)-1].seq < r.top { // the number is that of a copy that is behind
		return nil, true, nil
	}
	all = all[max(0, len(all)-size):]
	for len(all) > 0 && !r.fresh(&all[0]) {
		all = all[1:]
	}
	if q.Reverse && q.Since != nil && q.Since.Offset > 0 {
		for n := len(all); n > 0 && all[n-1].seq >= q.Since.Offset; n = len(all) {
			all = all[:n-1]
		}
	}
	return all, false, nil
}

// tail returns a sequence from which on there are at least n messages of the subject, if there are as many, and not many more.
func (r *reading) tail(ctx context.Context, n int) (uint64, error) {
	for back := uint64(n); ; back *= 4 { //nolint:gosec // not negative
		if back >= r.top {
			return 1, nil
		}
		from := r.top - back + 1
		items, more, err := r.s.batch(ctx, r.s.log, r.subject, from, 1)
		if err != nil {
			return 0, err
		}
		if len(items)+int(more) >= n { //nolint:gosec // a number of messages
			return from, nil
		}
	}
}

// publications reads stored publications, without those that have expired. previous is the offset before the first one.
func (e *Engine) publications(channel, epoch string, items []item, previous uint64, now time.Time) []*hub.Publication {
	ps := make([]*hub.Publication, 0, len(items))
	for i := range items {
		it := &items[i]
		if p, err := record.Publication(it.data); err == nil && !p.Expired(now) {
			p.Epoch, p.Offset, p.Previous = epoch, it.seq, previous
			e.alarms.note(channel, p, it.header)
			ps = append(ps, p)
		}
		previous = it.seq
	}
	return ps
}

// Trim implements [hub.History].
func (e *Engine) Trim(ctx context.Context, channel string, through uint64) error {
	s, _, err := e.ready(ctx)
	if err != nil {
		return err
	}
	subject := e.sub.log(channel)
	top, err := s.last(ctx, s.log, subject)
	if err != nil || top == nil {
		return err
	}
	if through < top.seq {
		return s.purge(ctx, s.log, subject, through+1, 0)
	}
	// The last one stays, so that the channel knows where it was. All nodes note that it does not count.
	name := e.sub.watched("t." + channelTokens(channel))
	if _, err := s.put(ctx, name, emptiedRecord(channel, top.seq), putting{}); err != nil {
		return err
	}
	e.emptied.set(channel, top.seq)
	return s.purge(ctx, s.log, subject, top.seq, 0)
}

// emptied are the channels whose last publication is stored, but does not count.
type emptied struct {
	mu  sync.Mutex
	all map[string]uint64
}

func (e *emptied) set(channel string, through uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.all == nil {
		e.all = map[string]uint64{}
	}
	e.all[channel] = max(e.all[channel], through)
}

func (e *emptied) through(channel string) uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.all[channel]
}
