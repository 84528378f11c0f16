//go:build race

package websocket

// raceEnabled: the race detector makes sync.Pool drop content at random.
const raceEnabled = true
