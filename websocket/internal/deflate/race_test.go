//go:build race

package deflate

// raceEnabled reports that the race detector is on, which makes sync.Pool drop items at random, so that allocations cannot be
// counted.
const raceEnabled = true
