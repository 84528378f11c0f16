// Package recent remembers what publications are encoded to.
package recent

import (
	"sync"

	"github.com/handfast/handfast/hub"
)

// The bounds of a Cache. The clients of thousands of channels that come back together ask for the publications of one channel after
// those of all others, so all of them have to be remembered, or none is found again.
const (
	most  = 16 << 20
	entry = 512 // what an entry takes beyond its bytes
)

// Cache remembers publications in the form that a protocol writes them in. When many clients come back together, each publication that
// they have missed is encoded once, not once for each of them. It keeps 16 MiB: when there is more, what it has had for longest goes. The
// zero value is empty and ready for use. It may be used from any goroutine, and must not be copied after its first use.
type Cache[T any] struct {
	mu    sync.Mutex
	known map[*hub.Publication]known[T]
	order []*hub.Publication // the oldest first
	bytes int
}

type known[T any] struct {
	form  *T
	bytes int
}

// Append appends publications in that form. encode returns the form of one, and its bytes; nil if clients do not get it. What it returns
// is shared, and must not be written to.
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
		all = append(all, form) // which is not ahead of found
	}
	return all, nil
}

// find appends the forms of publications, nil for those that it does not know, and returns how many these are.
func (c *Cache[T]) find(all []*T, ps []*hub.Publication) (forms []*T, missing int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range ps {
		k := c.known[p]
		if k.form == nil {
			missing++
		}
		all = append(all, k.form)
	}
	return all, missing
}

// add remembers the form of a publication, and returns the one that another call has added meanwhile, if there is one.
func (c *Cache[T]) add(p *hub.Publication, form *T, bytes int) *T {
	c.mu.Lock()
	defer c.mu.Unlock()
	if have := c.known[p]; have.form != nil {
		return have.form
	}
	if c.known == nil {
		c.known = map[*hub.Publication]known[T]{}
	}
	bytes += p.Size() // which is kept, too
	c.known[p] = known[T]{form, bytes}
	c.order = append(c.order, p)
	c.bytes += bytes + entry
	for c.bytes > most {
		oldest := c.order[0]
		c.order[0] = nil
		c.order = c.order[1:]
		c.bytes -= c.known[oldest].bytes + entry
		delete(c.known, oldest)
	}
	return form
}
