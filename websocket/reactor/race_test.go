//go:build race

package reactor

// raceEnabled: the race detector has sync.Pool drop things at random.
const raceEnabled = true
