//go:build race

package websocket

// raceEnabled reports that the race detector is on, which makes sync.Pool drop items at random.
const raceEnabled = true
