//go:build race

package conformance

// underRace says that the race detector runs, which makes all that touches many bytes ten times as slow.
const underRace = true
