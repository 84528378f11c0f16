package hub

// The bounds of what waits to be sent to the subscribers of a channel. What there is no room for is read from the history when it is
// its turn, or is dropped where there is none.
const (
	maxPending      = 16 << 10
	maxPendingBytes = windowBytesWide
)

// backlog is the publications that are to be sent to the subscribers of a channel next. The zero value is empty.
type backlog struct {
	ps    []*Publication
	bytes int // of ps, as a page counts them
}

// fits reports whether there is room for ps. One delivery fits however large it is, if nothing else waits.
func (b *backlog) fits(ps []*Publication) bool {
	bytes := b.bytes
	for _, p := range ps {
		bytes += p.Size()
	}
	return len(b.ps) == 0 || len(b.ps)+len(ps) <= maxPending && bytes <= maxPendingBytes
}

// push adds publications.
func (b *backlog) push(ps ...*Publication) {
	b.ps = append(b.ps, ps...)
	for _, p := range ps {
		b.bytes += p.Size()
	}
}

// drop takes the first n out. If all are, and there were many, or more are unlikely, it gives its memory back.
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

// unkept returns how many of ps are in no history.
func unkept(ps []*Publication) (n uint64) {
	for _, p := range ps {
		if p.Offset == 0 {
			n++
		}
	}
	return n
}
