//go:build race

package conformance

// underRace is true if the race detector is enabled, which makes code that handles many bytes ten times as slow.
const underRace = true
