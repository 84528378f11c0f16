package bounded

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// looks is the maximum number of checks for goroutines in Leaks. A check that finds any takes half a second, because they may be
// about to exit.
const looks = 60

// Main is for a TestMain: it runs the tests and returns the exit code. A leaked goroutine is a failure; opts exclude goroutines of
// other packages.
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

// Leaks waits until only the caller's goroutine and those excluded by opts are left. Otherwise the error contains the stacks of the
// other goroutines.
func Leaks(opts ...goleak.Option) (err error) {
	for range looks {
		if err = goleak.Find(opts...); err == nil {
			break
		}
	}
	return err
}
