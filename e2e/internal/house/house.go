// Package house is what tests of the binary share: it builds handfast once for a test binary, gives a user a home, runs
// handfast and other programs there, and keeps what they say. Everything that it starts ends with the test at the latest.
package house

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/internal/freeport"
)

// Patience bounds what should take a moment.
const Patience = 3 * time.Minute

// Main is for a TestMain: it builds handfast, runs the tests with it first in PATH, and returns the code to exit with. A
// goroutine that is left behind is a failure; opts names those that are not ours.
//
// The binary has the race detector when the tests have: see [User.Serve].
func Main(m *testing.M, opts ...goleak.Option) int {
	dir, err := os.MkdirTemp("", "handfast-e2e-*")
	if err == nil {
		defer os.RemoveAll(dir)
		err = build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := bounded.Leaks(opts...); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// built is the environment variable with a folder that has handfast already, as a run of several packages makes it.
const built = "E2E_HANDFAST"

// build makes the binary in a directory that every user of the machine may enter, and puts that into PATH.
func build(dir string) error {
	if made := os.Getenv(built); made != "" {
		return first(made)
	}
	args := []string{"build", "-o", filepath.Join(dir, "handfast")}
	if raceEnabled {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "github.com/handfast/handfast/cmd/handfast")...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	return first(dir)
}

// first puts a folder before all others in PATH.
func first(dir string) error {
	return os.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// FreePort returns a TCP port for a server. See [freeport.Get].
func FreePort(t *testing.T) string {
	t.Helper()
	return freeport.Get(t)
}

// Until waits until something is so, for [Patience] at most; then the test fails, and the error says what was waited for.
func Until(t *testing.T, what string, so func() bool) {
	t.Helper()
	late := time.NewTimer(Patience)
	defer late.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-late.C:
			t.Fatalf("never so: %s", what)
		}
	}
}
