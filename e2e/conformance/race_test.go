//go:build race

package conformance

// underRace reports whether the race detector is enabled, which slows code that processes many bytes down by a factor of ten.
const underRace = true
