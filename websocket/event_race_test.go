//go:build race

package websocket

// raceEnabled: the race detector has sync.Pool drop things at random.
const raceEnabled = true
