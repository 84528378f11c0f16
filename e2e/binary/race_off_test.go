//go:build !race

package binary

// raceEnabled has the binary built as the tests are.
const raceEnabled = false
