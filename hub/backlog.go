package hub

// The bounds of a backlog. Publications that exceed them are read from the history later, or dropped if the channel has no history.
const (
	maxPending      = 16 << 10
	maxPendingBytes = windowBytesWide
)

// backlog holds the publications to be sent next to the subscribers of a channel. The zero value is empty.
type backlog struct {
	ps    []*Publication
	bytes int // the size of ps, by Publication.Size
}

// hasRoom reports whether there is room for ps. An empty backlog accepts one delivery of any size.
func (b *backlog) hasRoom(ps []*Publication) bool {
	bytes := b.bytes
	for _, p := range ps {
		bytes += p.Size()
	}
	return len(b.ps) == 0 || len(b.ps)+len(ps) <= maxPending && bytes <= maxPendingBytes
}

func (b *backlog) push(ps ...*Publication) {
	b.ps = append(b.ps, ps...)
	for _, p := range ps {
		b.bytes += p.Size()
	}
}

// drop removes the first n publications. The memory of an emptied backlog is released if it is large, or if unlikely is set because the
// backlog is unlikely to be needed soon.
func (b *backlog) drop(n int, unlikely bool) {
	if n == len(b.ps) {
		clear(b.ps)
		b.ps, b.bytes = b.ps[:0], 0
		if cap(b.ps) > 256 || unlikely {
			b.ps = nil
		}
		return
	}
	for _, p := range b.ps[:n] {
		b.bytes -= p.Size()
	}
	clear(b.ps[:n])
	b.ps = b.ps[n:]
}

// countUnkept returns the number of publications of ps that are not kept in the history.
func countUnkept(ps []*Publication) (n uint64) {
	for _, p := range ps {
		if p.Offset == 0 {
			n++
		}
	}
	return n
}
