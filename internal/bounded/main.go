package bounded

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// maxChecks is the maximum number of checks for goroutines in Leaks. A check that finds goroutines takes half a second, because it
// gives them time to exit.
const maxChecks = 60

// Main runs the tests for a TestMain and returns the exit code. A leaked goroutine is a failure. opts exclude goroutines of other
// packages.
func Main(m *testing.M, opts ...goleak.Option) int {
	code := m.Run()
	if code != 0 {
		return code
	}
	if err := Leaks(opts...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// Leaks waits until only the caller's goroutine and those excluded by opts are left. If other goroutines remain, the error contains
// their stacks.
func Leaks(opts ...goleak.Option) (err error) {
	for range maxChecks {
		if err = goleak.Find(opts...); err == nil {
			break
		}
	}
	return err
}
