package natsengine

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/handfast/handfast/hub"
)

// count is the number of subscribers of a channel on the node that holds a lease.
type count struct {
	Channel     string `json:"channel"`
	Lease       string `json:"lease"`
	Subscribers int    `json:"subscribers"`
}

// Occupy implements [hub.Occupancy].
func (e *Engine) Occupy(ctx context.Context, lease string, cs []hub.Occupied) error {
	ws := make([]write, 0, len(cs))
	for _, c := range cs {
		data, err := json.Marshal(count{c.Channel, lease, c.Subscribers})
		if err != nil {
			return err
		}
		w := write{subject: e.sub.state("o", channelTokens(c.Channel)+"."+token(lease)), data: data}
		if c.Subscribers == 0 {
			w.ttl = removalRecordTTL
		}
		ws = append(ws, w)
	}
	return e.call(ctx, func(s *store, _ string) error {
		if err := e.leases.checkHeld(ctx, s, lease); err != nil {
			return err
		}
		_, _, err := s.putAll(ctx, ws)
		return err
	})
}

// Occupied implements [hub.Occupancy]. It reads only the numbers that have changed since the last call.
func (e *Engine) Occupied(ctx context.Context, prefix, after string, limit int) (cs []hub.Occupied, more bool, err error) {
	o := &e.occupancy
	select { // only one caller reads at a time
	case o.lock <- struct{}{}:
		defer func() { <-o.lock }()
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	err = e.call(ctx, func(s *store, epoch string) error { return o.read(ctx, e, s, epoch, time.Now()) })
	if err != nil {
		return nil, false, err
	}
	held := map[string]bool{}
	for name, byLease := range o.counts {
		if name <= after || !strings.HasPrefix(name, prefix) {
			continue
		}
		sum := 0
		for lease, n := range byLease {
			holds, seen := held[lease]
			if !seen {
				over, known := e.leases.state(lease)
				holds = known && !over
				held[lease] = holds
			}
			if holds {
				sum += n
			}
		}
		if sum > 0 {
			cs = append(cs, hub.Occupied{Channel: name, Subscribers: sum})
		}
	}
	slices.SortFunc(cs, func(a, b hub.Occupied) int { return cmp.Compare(a.Channel, b.Channel) })
	if limit > 0 && len(cs) > limit {
		cs, more = cs[:limit], true
	}
	return cs, more, nil
}

// occupancy caches the stored numbers of subscribers. A changed number is stored after all those that were read, so the next read
// starts after the last message that was read. Zeros are removed from the stream after removalRecordTTL, so all numbers are read
// again before that time has passed.
type occupancy struct {
	lock         chan struct{}             // a lock for the other fields: its holder has sent a value to it
	epoch        string                    // the epoch of the streams
	lastFullRead time.Time                 // when all numbers were last read
	next         uint64                    // the next sequence to read
	counts       map[string]map[string]int // by channel and lease
}

func (o *occupancy) read(ctx context.Context, e *Engine, s *store, epoch string, now time.Time) error {
	if o.epoch != epoch || o.counts == nil || now.Sub(o.lastFullRead) > removalRecordTTL/2 {
		o.epoch, o.lastFullRead, o.next, o.counts = epoch, now, 1, map[string]map[string]int{}
	}
	for {
		items, left, err := s.batch(ctx, s.state, e.sub.state("o", ">"), o.next, entriesPage)
		if err != nil {
			return err
		}
		for i := range items {
			o.next = items[i].seq + 1
			o.apply(items[i].data)
		}
		if left == 0 || len(items) == 0 {
			return nil
		}
	}
}

func (o *occupancy) apply(data []byte) {
	var c count
	if json.Unmarshal(data, &c) != nil {
		return
	}
	byLease := o.counts[c.Channel]
	if c.Subscribers == 0 {
		if delete(byLease, c.Lease); len(byLease) == 0 {
			delete(o.counts, c.Channel)
		}
		return
	}
	if byLease == nil {
		byLease = map[string]int{}
		o.counts[c.Channel] = byLease
	}
	byLease[c.Lease] = c.Subscribers
}
