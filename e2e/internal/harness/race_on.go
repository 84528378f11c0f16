//go:build race

package harness

// raceEnabled reports whether the tests, and thus the binary, are built with the race detector.
const raceEnabled = true
