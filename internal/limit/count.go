package limit

// Count counts what is taken for each key, and limits it. It is not safe for concurrent use; the zero value is ready to use. A key
// for which nothing is taken uses no memory.
type Count[K comparable] struct {
	taken map[K]int
}

// Take takes one for key, and returns false if most are already taken. A most of zero or less means no limit.
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

// Free gives back one that Take has taken.
func (c *Count[K]) Free(key K) {
	if c.taken[key]--; c.taken[key] <= 0 {
		delete(c.taken, key)
	}
}

// Taken returns the number taken for key.
func (c *Count[K]) Taken(key K) int { return c.taken[key] }
