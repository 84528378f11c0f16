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

// asProgram makes the test binary act as the program, for tests that need a separate process.
const asProgram = "HANDFAST_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(Run(context.Background(), os.Args[1:], System{
			Program: "handfast", Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv,
		}))
	}
	os.Exit(bounded.Main(m))
}

// buffer collects output that may be read while it is being written.
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

// result is the result of a command.
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

// state sets a temporary state directory for the test.
func state(t *testing.T) {
	t.Helper()
	t.Setenv("XDG_STATE_HOME", t.TempDir())
}
