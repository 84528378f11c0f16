package hub

import "context"

// deltas holds the bases of deltas for the publications of a channel. The channel's lock guards it.
type deltas struct {
	enabled  bool         // a subscriber has requested deltas from the preceding publication
	previous *Publication // the last publication
	keys     *bases       // nil unless a subscriber has requested deltas by key
}

// enable records the kind of deltas that a new subscriber has requested.
func (d *deltas) enable(x *subscription) {
	d.enabled = d.enabled || x.flags&wantsDelta != 0
	if d.keys == nil && x.flags&wantsKeyDelta != 0 {
		d.keys = newBases()
	}
}

// update updates the bases when b is about to be sent.
func (d *deltas) update(b *batch) {
	if len(b.ps) == 0 {
		return
	}
	if d.enabled {
		if d.previous = b.ps[len(b.ps)-1]; d.previous.internal() {
			d.previous = nil // not every subscriber has the last publication
		}
	}
	if d.keys != nil {
		for _, p := range b.ps {
			b.keyed = append(b.keyed, d.keys.replace(p))
		}
	}
}

// reset is called when publications are permanently lost.
func (d *deltas) reset() {
	if d.keys != nil {
		d.keys = newBases()
	}
}

// The bounds of bases. A key beyond them has no base: its value is sent complete.
const (
	maxBases     = 8192
	maxBaseBytes = 16 << 20
	basesPage    = 1000 // the number of keys that are read in one page
)

// bases holds those values of a keyed collection that all subscribers have, by key.
type bases struct {
	byKey   map[string]*Publication // a nil value means that the key has changed since reading began
	bytes   int
	reading bool // the collection is being read
}

func newBases() *bases { return &bases{byKey: map[string]*Publication{}} }

// replace returns the base of p, and makes p the base of the next publication with its key.
func (b *bases) replace(p *Publication) *Publication {
	if p.Key == "" {
		return NoBase
	}
	old := b.byKey[p.Key]
	if old != nil {
		b.bytes -= len(old.Data)
	}
	delete(b.byKey, p.Key)
	switch {
	case p.Removed, p.NotTo != "", !p.Expires.IsZero(): // some subscribers do not have p, or will not have p later
		if b.reading {
			b.byKey[p.Key] = nil
		}
	default:
		b.add(p)
	}
	if old == nil || p.Removed {
		return NoBase
	}
	return old
}

// add sets the base of a key, if there is room.
func (b *bases) add(p *Publication) {
	if len(b.byKey) < maxBases && b.bytes+len(p.Data) <= maxBaseBytes {
		b.byKey[p.Key] = p
		b.bytes += len(p.Data)
	} else if b.reading {
		b.byKey[p.Key] = nil
	}
}

// readBases reads the values of a collection when the first subscriber of this node requests deltas by key. If the read fails, the next
// value of each key is sent complete.
func (ch *channel) readBases(ctx context.Context, from Keyed) {
	ch.mu.Lock()
	if ch.deltas.keys != nil {
		ch.mu.Unlock()
		return
	}
	all := newBases()
	all.reading = true
	ch.deltas.keys = all
	ch.mu.Unlock()
	for cursor := ""; ; {
		ps, next, _, err := from.Snapshot(ctx, ch.name, cursor, basesPage)
		ch.mu.Lock()
		for _, p := range ps {
			// Publications after the channel's last one have not been sent yet.
			if _, newer := all.byKey[p.Key]; !newer && p.Offset <= ch.last && p.Epoch == ch.epoch && p.Expires.IsZero() && p.NotTo == "" {
				all.add(p)
			}
		}
		full := len(all.byKey) >= maxBases
		ch.mu.Unlock()
		if cursor = next; err != nil || cursor == "" || full {
			break
		}
	}
	ch.mu.Lock()
	all.reading = false
	for key, p := range all.byKey {
		if p == nil {
			delete(all.byKey, key)
		}
	}
	ch.mu.Unlock()
}
