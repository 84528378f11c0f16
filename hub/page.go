package hub

import (
	"context"
	"slices"
)

// PageBytes is the default size in bytes of a page of publications, entries or members. A page ends before the first item that does
// not fit; the reply contains the cursor of the next page. The first item is included regardless of its size.
const PageBytes = 256 << 10

// Room is the remaining space of a page.
type Room struct {
	left    int
	started bool
}

// NewRoom returns the Room of an empty page. 0 means PageBytes; a negative number means no limit.
func NewRoom(bytes int) Room {
	if bytes == 0 {
		bytes = PageBytes
	}
	return Room{left: bytes}
}

// Take reports whether the page has room for one more item of n bytes, and if so, counts the item. The first item always fits.
func (r *Room) Take(n int) bool {
	if r.left < 0 && !r.started {
		return true // there is no limit
	}
	if r.started && n > r.left {
		return false
	}
	r.started, r.left = true, max(0, r.left-n)
	return true
}

// Cut returns the first items that fit into a page of the given size, and reports whether those are all.
func Cut[T any](items []T, bytes int, size func(*T) int) ([]T, bool) {
	room := NewRoom(bytes)
	i := slices.IndexFunc(items, func(x T) bool { return !room.Take(size(&x)) })
	if i < 0 {
		return items, true
	}
	return items[:i:i], false
}

// Size returns the size of p in bytes, for the limit of a page.
func (p *Publication) Size() int {
	return p.written() + len(p.Client) + len(p.User) + len(p.Info) + len(p.NotTo)
}

// written returns the size of the data that the publisher has supplied.
func (p *Publication) written() int {
	n := len(p.Data) + len(p.ID) + len(p.Event) + len(p.Key)
	for k, v := range p.Tags {
		n += len(k) + len(v)
	}
	return n
}

// Size returns the size of e in bytes, for the limit of a page.
func (e *Entry) Size() int { return len(e.Lease) + len(e.Client) + len(e.User) + len(e.Data) }

// Size returns the size of m in bytes, for the limit of a page.
func (m *Member) Size() int { return len(m.User) + len(m.Client) + len(m.Data) }

// readPages reads the history after a position, page by page, and reports whether the result is complete. It stops early if the
// complete result is likely to be larger than the given size.
func readPages(ctx context.Context, h History, name string, since Position, bytes int) (page HistoryPage, whole bool, err error) {
	var before []*Publication
	at, read := since, 0
	for {
		page, err = h.History(ctx, name, HistoryQuery{Since: &at, Limit: -1})
		if err != nil || page.Err != nil {
			return page, true, err
		}
		for _, p := range page.Publications {
			read += p.Size()
			at = Position{page.Top.Epoch, p.Offset}
		}
		whole = len(page.Publications) == 0 || at.Offset >= page.Top.Offset
		page.Publications = append(before, page.Publications...)
		if whole || float64(read)/float64(at.Offset-since.Offset)*float64(page.Top.Offset-since.Offset) > float64(bytes) {
			return page, whole, nil
		}
		before = page.Publications
	}
}
