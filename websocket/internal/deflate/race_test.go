//go:build race

package deflate

// raceEnabled: the race detector makes a sync.Pool drop things at random, so that allocations cannot be counted.
const raceEnabled = true
