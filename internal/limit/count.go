package limit

// Count counts what is taken by each key, and bounds it. It needs a lock of its owner; the zero value is ready. A key of
// which nothing is taken costs nothing.
type Count[K comparable] struct {
	taken map[K]int
}

// Take takes one for key, and reports false when most of them are taken already. A most of zero or less means no limit.
func (c *Count[K]) Take(key K, most int) bool {
	if most > 0 && c.taken[key] >= most {
		return false
	}
	if c.taken == nil {
		c.taken = map[K]int{}
	}
	c.taken[key]++
	return true
}

// Free gives one back that Take has taken.
func (c *Count[K]) Free(key K) {
	if c.taken[key]--; c.taken[key] <= 0 {
		delete(c.taken, key)
	}
}

// Taken returns how many are taken for key.
func (c *Count[K]) Taken(key K) int { return c.taken[key] }
