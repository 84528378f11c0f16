// Package recent caches encoded publications.
package recent

import (
	"sync"

	"github.com/handfast/handfast/hub"
)

// These are the limits of a Cache. When the clients of thousands of channels reconnect at the same time, they request the publications
// of one channel after another, so the cache is only useful if it can hold the publications of all channels.
const (
	maxBytes      = 16 << 20
	entryOverhead = 512 // the size of an entry in addition to its bytes
)

// Cache caches publications in the encoding of a protocol. When many clients reconnect at the same time, each publication that they
// have missed is encoded once rather than for each client. A Cache holds up to 16 MiB, and evicts the oldest entries first. The
// zero value is empty and ready for use. It is safe for concurrent use, and must not be copied after its first use.
type Cache[T any] struct {
	mu      sync.Mutex
	entries map[*hub.Publication]entry[T]
	order   []*hub.Publication // the oldest first
	bytes   int
}

type entry[T any] struct {
	encoding *T
	bytes    int
}

// Append appends encoded publications. encode returns the encoding of a publication and its size, or nil if clients do not receive
// it. The results are shared, and must not be modified.
func (c *Cache[T]) Append(all []*T, ps []*hub.Publication, encode func(*hub.Publication) (*T, int, error)) ([]*T, error) {
	begin := len(all)
	all, missing := c.find(all, ps)
	if missing == 0 {
		return all, nil
	}
	found := all[begin:]
	all = all[:begin]
	for i, p := range ps {
		form := found[i]
		if form == nil {
			made, bytes, err := encode(p)
			if err != nil {
				return nil, err
			}
			if made == nil {
				continue
			}
			form = c.add(p, made, bytes)
		}
		all = append(all, form) // found shares this memory, but only elements already read are overwritten
	}
	return all, nil
}

// find appends the cached encodings of publications, with nil for each uncached publication. missing is the number of those.
func (c *Cache[T]) find(all []*T, ps []*hub.Publication) (forms []*T, missing int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range ps {
		k := c.entries[p]
		if k.encoding == nil {
			missing++
		}
		all = append(all, k.encoding)
	}
	return all, missing
}

// add caches an encoding and returns it, or returns the encoding that a concurrent call has added.
func (c *Cache[T]) add(p *hub.Publication, form *T, bytes int) *T {
	c.mu.Lock()
	defer c.mu.Unlock()
	if have := c.entries[p]; have.encoding != nil {
		return have.encoding
	}
	if c.entries == nil {
		c.entries = map[*hub.Publication]entry[T]{}
	}
	bytes += p.Size() // the key keeps the publication in memory, too
	c.entries[p] = entry[T]{form, bytes}
	c.order = append(c.order, p)
	c.bytes += bytes + entryOverhead
	for c.bytes > maxBytes {
		oldest := c.order[0]
		c.order[0] = nil
		c.order = c.order[1:]
		c.bytes -= c.entries[oldest].bytes + entryOverhead
		delete(c.entries, oldest)
	}
	return form
}
