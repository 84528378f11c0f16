//go:build race

package house

// raceEnabled has the binary built as the tests are.
const raceEnabled = true
