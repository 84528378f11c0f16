//go:build race

package deflate

// raceEnabled: the race detector makes a sync.Pool drop content at random, so that allocations cannot be counted.
const raceEnabled = true
