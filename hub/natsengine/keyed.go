package natsengine

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/hub/internal/record"
)

const (
	removalTTL      = 10 * time.Minute // how long a removal is stored, in case an older publication of the key arrives late
	otherNodesDelay = 300 * time.Millisecond
	maxRemoveTries  = 20
	removePause     = 20 * time.Millisecond
	maxRemoving     = 16 // the maximum number of keys that are removed concurrently
	snapshotPage    = 500
)

// keyed is the latest publication of a key.
type keyed struct {
	p      *hub.Publication
	offset uint64
	until  time.Time // zero means that it never expires
	limits limits    // the limits of the channel's history
	seq    uint64    // the sequence of the stored message
}

func millis(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

func untilOf(h nats.Header) time.Time {
	if ms := number(h, untilHeader); ms > 0 {
		return time.UnixMilli(int64(ms)) // a time in milliseconds fits into an int64
	}
	return time.Time{}
}

// applyKey stores k as the latest publication of its key, unless a later one is stored.
func (e *Engine) applyKey(ctx context.Context, s *store, channel string, k *keyed) error {
	subject := e.sub.key(channel, k.p.Key)
	data := record.AppendPublication(nil, k.p)
	for {
		old, err := s.last(ctx, s.state, subject)
		if err != nil {
			return err
		}
		expect := uint64(0)
		if old != nil {
			if k.offset != 0 && number(old.header, offsetHeader) >= k.offset {
				return nil
			}
			expect = old.seq
		}
		o := putOptions{expect: &expect, header: nats.Header{offsetHeader: {strconv.FormatUint(k.offset, 10)}, limitsHeader: {k.limits.String()}}}
		if !k.until.IsZero() {
			o.header[untilHeader] = []string{millis(k.until)}
		}
		if k.p.Removed {
			o.ttl = removalTTL
		}
		a, err := s.put(ctx, subject, data, o)
		if !errors.Is(err, errWrongLast) {
			k.seq = a.Seq
			return err
		}
		if !sleep(ctx, conflictPause) {
			return ctx.Err()
		}
	}
}

func readKeyed(i *item, epoch string) (*keyed, error) {
	p, err := record.Publication(i.data)
	if err != nil {
		return nil, err
	}
	k := &keyed{p: p, offset: number(i.header, offsetHeader), until: untilOf(i.header), limits: i.limits(), seq: i.seq}
	p.Epoch, p.Offset = epoch, k.offset
	return k, nil
}

// settleKeys stores the keys of all publications, in case a publisher has died before it stored them itself. It returns the
// position of the channel.
func (e *Engine) settleKeys(ctx context.Context, s *store, epoch, channel string) (hub.Position, error) {
	mark := e.sub.state("m", channelTokens(channel))
	m, err := s.last(ctx, s.state, mark)
	if err != nil {
		return hub.Position{}, err
	}
	var since *hub.Position
	if m != nil {
		since = &hub.Position{Epoch: m.header.Get("Hf-Epoch"), Offset: number(m.header, offsetHeader)}
	}
	for {
		page, err := e.History(ctx, channel, hub.HistoryQuery{Since: since, Limit: -1, Bytes: batchBytes})
		n := len(page.Publications)
		if err != nil || n == 0 {
			return page.Top, err
		}
		since = &hub.Position{Epoch: epoch, Offset: page.Publications[n-1].Offset}
		if err := e.storeKeys(ctx, s, channel, page.Publications); err != nil {
			return page.Top, err
		}
		whole := since.Offset >= page.Top.Offset
		h := nats.Header{"Hf-Epoch": {epoch}, offsetHeader: {strconv.FormatUint(since.Offset, 10)}}
		if _, err := s.put(ctx, mark, nil, putOptions{header: h, ttl: 30 * 24 * time.Hour}); err != nil || whole {
			return page.Top, err
		}
	}
}

// storeKeys stores the latest of ps for each key.
func (e *Engine) storeKeys(ctx context.Context, s *store, channel string, ps []*hub.Publication) error {
	latest := map[string]*hub.Publication{}
	for _, p := range ps {
		if p.Key != "" {
			latest[p.Key] = p
		}
	}
	top, err := s.last(ctx, s.log, e.sub.log(channel))
	if err != nil {
		return err
	}
	var keep limits
	if top != nil {
		keep = top.limits()
	}
	for _, p := range latest {
		k := &keyed{p: p, offset: p.Offset, until: e.expiries.until(channel, p), limits: keep}
		if err := e.applyKey(ctx, s, channel, k); err != nil {
			return err
		}
	}
	return nil
}

// Snapshot implements [hub.Keyed]. Keys are in the order in which they were last set. Keys that are set while the pages
// are read are not included.
func (e *Engine) Snapshot(ctx context.Context, channel, cursor string, limit int) (ps []*hub.Publication, next string, top hub.Position, err error) {
	err = e.call(ctx, func(s *store, epoch string) (err error) {
		ps, next, top, err = snapshot(ctx, e, s, epoch, channel, cursor, limit)
		return err
	})
	return ps, next, top, err
}

func snapshot(ctx context.Context, e *Engine, s *store, epoch, channel, cursor string, limit int) (ps []*hub.Publication, next string, top hub.Position, err error) {
	subject := e.sub.state("k", channelTokens(channel)+".*")
	var from, to uint64
	if cursor == "" {
		if top, err = e.settleKeys(ctx, s, epoch, channel); err != nil {
			return nil, "", top, err
		}
		last, err := s.last(ctx, s.state, subject)
		if err != nil || last == nil {
			return nil, "", top, err
		}
		to = last.seq
	} else if n, _ := fmt.Sscanf(cursor, "%d-%d-%d", &from, &to, &top.Offset); n != 3 {
		return nil, "", top, fmt.Errorf("natsengine: %q is not a cursor", cursor)
	}
	top.Epoch = epoch
	room, now := hub.NewRoom(0), time.Now()
	for tries := 0; ; {
		items, more, err := s.batch(ctx, s.state, subject, from, snapshotPage)
		if err != nil {
			return nil, "", top, err
		}
		for i := range items {
			it := &items[i]
			if it.seq > to {
				return ps, "", top, nil
			}
			from = it.seq + 1
			k, err := readKeyed(it, epoch)
			if err != nil || k.p.Removed || !k.until.IsZero() && !now.Before(k.until) || k.p.Expired(now) {
				continue
			}
			if !room.Take(k.p.Size()) {
				return ps, snapshotCursor(it.seq, to, top), top, nil
			}
			e.expiries.add(channel, k, otherNodesDelay)
			if ps = append(ps, k.p); limit > 0 && len(ps) == limit && from <= to {
				return ps, snapshotCursor(from, to, top), top, nil
			}
		}
		switch {
		case from > to || more == 0 && len(items) > 0 && !s.leader:
			return ps, "", top, nil
		case more == 0: // this replica lags behind, or the last key was removed
			if tries++; !s.leader || tries > 10 {
				return ps, "", top, nil
			}
			if !sleep(ctx, stalePause) {
				return nil, "", top, ctx.Err()
			}
		}
	}
}

// snapshotCursor returns the cursor of the page that begins at sequence from.
func snapshotCursor(from, to uint64, top hub.Position) string {
	return fmt.Sprintf("%d-%d-%d", from, to, top.Offset)
}

// keyExpiry is the time when a key must be removed.
type keyExpiry struct {
	at      time.Time
	channel string
	key     string
	offset  uint64
}

// keyExpiries schedules the removal of the keys that this node knows: keys of publications that it has published, delivered or read
// from a history or a collection. So a key is removed even if the node that has set it is gone. The node that has set a key removes
// it first; all other nodes wait a little longer.
type keyExpiries struct {
	mu      sync.Mutex
	queue   []keyExpiry
	byKey   map[expiryKey]expiryState
	running int
}

type expiryKey struct{ channel, key string }

type expiryState struct {
	offset uint64
	until  time.Time
}

func (a *keyExpiries) Len() int           { return len(a.queue) }
func (a *keyExpiries) Less(i, j int) bool { return a.queue[i].at.Before(a.queue[j].at) }
func (a *keyExpiries) Swap(i, j int)      { a.queue[i], a.queue[j] = a.queue[j], a.queue[i] }
func (a *keyExpiries) Push(v any)         { a.queue = append(a.queue, v.(keyExpiry)) }
func (a *keyExpiries) Pop() any {
	n := len(a.queue) - 1
	v := a.queue[n]
	a.queue[n] = keyExpiry{}
	a.queue = a.queue[:n]
	return v
}

// add schedules the removal of a key, a given time after its expiry.
func (a *keyExpiries) add(channel string, k *keyed, later time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	id := expiryKey{channel, k.p.Key}
	old, there := a.byKey[id]
	if there && k.offset != 0 && old.offset > k.offset {
		return
	}
	if k.until.IsZero() || k.p.Removed {
		delete(a.byKey, id)
		return
	}
	if there && old.offset == k.offset && old.until.Equal(k.until) {
		return
	}
	if a.byKey == nil {
		a.byKey = map[expiryKey]expiryState{}
	}
	a.byKey[id] = expiryState{k.offset, k.until}
	heap.Push(a, keyExpiry{k.until.Add(later), channel, k.p.Key, k.offset})
}

// addReceived calls add for a received publication, with the expiry from its header.
func (a *keyExpiries) addReceived(channel string, p *hub.Publication, h nats.Header) {
	if p.Key != "" {
		a.add(channel, &keyed{p: p, offset: p.Offset, until: untilOf(h)}, otherNodesDelay)
	}
}

// until returns the time when the key of a publication expires.
func (a *keyExpiries) until(channel string, p *hub.Publication) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s, ok := a.byKey[expiryKey{channel, p.Key}]; ok && s.offset == p.Offset {
		return s.until
	}
	return time.Time{}
}

// removeDue removes the keys that have expired.
func (a *keyExpiries) removeDue(ctx context.Context, e *Engine, helpers *sync.WaitGroup, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.queue) > 0 && !a.queue[0].at.After(now) && a.running < maxRemoving {
		x := heap.Pop(a).(keyExpiry)
		if s, ok := a.byKey[expiryKey{x.channel, x.key}]; !ok || s.offset != x.offset {
			continue
		}
		a.running++
		helpers.Go(func() {
			gone := e.removeKey(ctx, x)
			a.mu.Lock()
			defer a.mu.Unlock()
			a.running--
			id := expiryKey{x.channel, x.key}
			s, ok := a.byKey[id]
			switch {
			case !ok || s.offset != x.offset:
			case gone:
				delete(a.byKey, id)
			default:
				x.at = time.Now().Add(otherNodesDelay)
				heap.Push(a, x)
			}
		})
	}
}

// removeKey publishes the removal of a key, unless the key was set again. It reports false if the removal must be tried again.
func (e *Engine) removeKey(ctx context.Context, x keyExpiry) bool {
	for range maxRemoveTries {
		s, epoch, err := e.link.ready(ctx)
		if err != nil {
			return false
		}
		done, err := e.tryRemoveKey(ctx, s, epoch, x)
		if done || err != nil {
			return done
		}
		if !sleep(ctx, removePause) {
			return false
		}
	}
	return false
}

func (e *Engine) tryRemoveKey(ctx context.Context, s *store, epoch string, x keyExpiry) (done bool, err error) {
	top, err := e.settleKeys(ctx, s, epoch, x.channel)
	if err != nil {
		return false, err
	}
	it, err := s.last(ctx, s.state, e.sub.key(x.channel, x.key))
	if err != nil || it == nil {
		return err == nil, err
	}
	k, err := readKeyed(it, epoch)
	if err != nil || k.p.Removed || k.offset != x.offset || k.until.IsZero() || k.until.After(time.Now()) {
		return true, nil //nolint:nilerr // a record that cannot be read is not removed
	}
	p := &hub.Publication{ID: fmt.Sprintf("removed %s %d %d", x.key, k.offset, k.seq), Key: x.key, Removed: true, Event: k.p.Event}
	o := hub.PublishOptions{History: k.limits.size, HistoryAge: k.limits.age}
	if o.History > 0 {
		o.Expect = &top.Offset
	}
	_, err = e.Publish(ctx, x.channel, p, o)
	if errors.Is(err, hub.ErrConflict) {
		return false, nil
	}
	return err == nil, err
}
