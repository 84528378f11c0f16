package loop

import (
	"math/bits"
	"time"
)

// tick is the precision of deadlines. A loop has one wheel for all of them: a bucket for each tick, which contains the descriptors that are
// due at that tick. A deadline that is more than one turn of the wheel ahead remains in its bucket for several turns.
const (
	tick    = 16 * time.Millisecond
	buckets = 1024
)

// ticks returns d in ticks, at least 1.
func ticks(d time.Duration) uint32 { return uint32(max(1, (d+tick-1)/tick)) }

// wheel links the descriptors of a bucket by their slots. A link is the slot plus one, since 0 means none. The loop's mu guards the
// wheel, and the links in each FD.
type wheel struct {
	heads [buckets]uint32
	used  [buckets / 64]uint64 // a bit for each bucket, set if the bucket is not empty
	now   uint32               // the last tick that was processed
}

// schedule sets the tick at which f is due, in place of the previous tick. The caller holds l.mu.
func (l *loop) schedule(f *FD, due uint32) {
	l.unschedule(f)
	w := &l.wheel
	due = max(due, w.now+1)
	f.due = due
	b := due % buckets
	f.next, f.prev = w.heads[b], 0
	if f.next != 0 {
		l.slots[f.next-1].prev = f.slot + 1
	}
	w.heads[b] = f.slot + 1
	w.used[b/64] |= 1 << (b % 64)
	if l.asleep && due < l.wakeAt {
		l.wakeDriver()
	}
}

// unschedule removes f from its bucket. The caller holds l.mu.
func (l *loop) unschedule(f *FD) {
	if f.due == 0 {
		return
	}
	b := f.due % buckets
	if f.prev != 0 {
		l.slots[f.prev-1].next = f.next
	} else if l.wheel.heads[b] = f.next; f.next == 0 {
		l.wheel.used[b/64] &^= 1 << (b % 64)
	}
	if f.next != 0 {
		l.slots[f.next-1].prev = f.prev
	}
	f.due = 0 // in no bucket, so the links are not used
}

// expire appends the work that is due at now. The caller holds l.mu.
func (l *loop) expire(now uint32, to []task) []task {
	w := &l.wheel
	for t := max(w.now+1, now-min(now, buckets-1)); t <= now; t++ {
		b := t % buckets
		for at := w.heads[b]; at != 0; {
			f := l.slots[at-1]
			at = f.next
			if f.due <= now {
				l.unschedule(f)
				to = append(to, task{f: f, what: Due})
			}
		}
	}
	w.now = max(w.now, now)
	return to
}

// nextDue returns the first tick with a bucket that is not empty. If all are empty, ok is false. The caller holds l.mu.
func (l *loop) nextDue() (at uint32, ok bool) {
	w := &l.wheel
	from := w.now + 1
	for i := range uint32(len(w.used) + 1) { // the first word is checked twice: first the bits from this tick on, and finally all bits
		set := w.used[(from/64+i)%uint32(len(w.used))]
		if i == 0 {
			set &= ^uint64(0) << (from % 64)
		}
		if set != 0 {
			return from - from%64 + 64*i + uint32(bits.TrailingZeros64(set)), true
		}
	}
	return 0, false
}
