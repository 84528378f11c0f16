package limit

// Count counts the units taken for each key, and limits their number. It is not safe for concurrent use; the zero value is ready to
// use. A key without taken units uses no memory.
type Count[K comparable] struct {
	taken map[K]int
}

// Take takes one unit for key. It returns false if the limit most is reached. A most of zero or less means no limit.
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

// Free returns a unit that Take has taken.
func (c *Count[K]) Free(key K) {
	if c.taken[key]--; c.taken[key] <= 0 {
		delete(c.taken, key)
	}
}

// Taken returns the number of units taken for key.
func (c *Count[K]) Taken(key K) int { return c.taken[key] }
