package cli

import (
	"context"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
)

// asProgram has the test's binary be the program, for tests that need a process of their own.
const asProgram = "HANDFAST_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(Run(context.Background(), os.Args[1:], System{
			Program: "handfast", Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv,
		}))
	}
	os.Exit(bounded.Main(m))
}

// output that is read while it is written.
type buffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// result is what a command did.
type result struct {
	code           int
	stdout, stderr string
}

// runWith runs a command on the given input.
func runWith(t *testing.T, stdin io.Reader, signals <-chan os.Signal, args ...string) result {
	t.Helper()
	var stdout, stderr buffer
	code := Run(context.Background(), args, System{
		Program: "handfast", Stdin: stdin, Stdout: &stdout, Stderr: &stderr, Signals: signals,
		Getenv: func(string) string { return "" },
	})
	return result{code, stdout.String(), stderr.String()}
}

func runCommand(t *testing.T, args ...string) result {
	t.Helper()
	return runWith(t, strings.NewReader(""), nil, args...)
}

// state gives the test a state directory of its own.
func state(t *testing.T) {
	t.Helper()
	t.Setenv("XDG_STATE_HOME", t.TempDir())
}
