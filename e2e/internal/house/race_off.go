//go:build !race

package house

// raceEnabled determines whether the binary is built with the race detector, as the tests are.
const raceEnabled = false
