// Package harness contains helpers for tests of the binary. It builds handfast once per test binary, creates users
// with home directories, runs handfast and other programs there, and records their output. Every process that it starts is stopped at
// the end of the test at the latest.
package harness

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

// Patience is the time limit for operations that usually take much less than a second.
const Patience = 3 * time.Minute

// Main builds handfast, runs the tests with the binary first in PATH, and returns the exit code for TestMain. A leaked goroutine is a
// failure; opts can exclude goroutines of other packages.
//
// If the tests are built with the race detector, the binary is, too. See [User.Serve].
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

// built is the environment variable that names a directory with a binary that was built before. A run of several packages sets it.
const built = "E2E_HANDFAST"

// build builds the binary in dir, which it makes accessible to all users, and adds dir to PATH. If the variable built is set, it adds that
// directory to PATH instead.
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

// first inserts a directory at the beginning of PATH.
func first(dir string) error {
	return os.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// FreePort returns a TCP port for a server. See [freeport.Get].
func FreePort(t *testing.T) string {
	t.Helper()
	return freeport.Get(t)
}

// Until waits until a condition is true. After [Patience], it fails the test with an error that contains what, the description of the
// condition.
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
			t.Fatalf("this condition was never true: %s", what)
		}
	}
}
