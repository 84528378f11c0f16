package bounded

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// looks is how often Leaks looks for goroutines. Each look that finds some takes half a second: they may be on their way out.
const looks = 60

// Main is for a TestMain: it runs the tests and returns the code to exit with. A goroutine that is left behind is a failure;
// opts name those that are not ours.
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

// Leaks waits until no goroutine is left but the caller's and those that opts name. The error has the stacks of the others.
func Leaks(opts ...goleak.Option) (err error) {
	for range looks {
		if err = goleak.Find(opts...); err == nil {
			break
		}
	}
	return err
}
