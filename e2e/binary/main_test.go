package binary

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// binary is the program under test.
var binary string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "handfast-e2e-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "handfast")
	args := []string{"build", "-o", binary}
	if raceEnabled {
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, "github.com/handfast/handfast/cmd/handfast")...)
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// patience bounds what should take a moment.
const patience = time.Minute

// user is somebody with a home directory.
type user struct {
	t    *testing.T
	home string
	env  []string // on top of the rest
}

func newUser(t *testing.T) *user { return &user{t: t, home: t.TempDir()} }

// command prepares the binary. It gets nothing from the environment of the test.
func (u *user) command(args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	u.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir = u.home
	cmd.Env = append([]string{"HOME=" + u.home, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir(),
		"GORACE=atexit_sleep_ms=0"}, u.env...) // a binary with the race detector would linger for a second
	return cmd
}

// result is what a command did.
type result struct {
	code           int
	stdout, stderr string
}

func (u *user) run(stdin string, args ...string) result {
	u.t.Helper()
	cmd := u.command(args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := cmd.Run()
	if cmd.ProcessState == nil {
		u.t.Fatalf("%q: %v", args, err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// server is a "handfast serve" that runs.
type server struct {
	cmd    *exec.Cmd
	banner []string
	page   []string // URLs
	echo   []string // URLs
	ca     string   // file; empty without a development certificate
	try    string   // the first line to try
	stderr *lockedBuffer
	wait   func() int // for its end; returns the exit code
}

// serve starts a server. It is killed with the test, if it has not ended by then.
func (u *user) serve(args ...string) *server {
	u.t.Helper()
	s := &server{cmd: u.command(append([]string{"serve"}, args...)...), stderr: &lockedBuffer{}}
	s.cmd.Stderr = s.stderr
	stdout, err := s.cmd.StdoutPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		u.t.Fatal(err)
	}
	s.wait = sync.OnceValue(func() int {
		_, _ = io.Copy(io.Discard, stdout)
		_ = s.cmd.Wait() // the exit code tells
		return s.cmd.ProcessState.ExitCode()
	})
	u.t.Cleanup(func() {
		_ = s.cmd.Process.Kill() // fails when it has ended
		s.wait()
	})
	lines := bufio.NewScanner(stdout)
	for lines.Scan() && lines.Text() != "Ctrl-C stops it" {
		s.banner = append(s.banner, lines.Text())
		word, rest, _ := strings.Cut(strings.TrimSpace(lines.Text()), " ")
		rest = strings.TrimSpace(rest)
		switch word {
		case "page":
			s.page = append(s.page, rest)
		case "echo":
			s.echo = append(s.echo, rest)
		case "CA":
			s.ca = rest
		case "try":
			s.try = rest
		}
	}
	if len(s.echo) == 0 {
		u.t.Fatalf("no banner: exit %d, %s", s.wait(), s.stderr)
	}
	return s
}

// stop sends a signal and returns the exit code.
func (s *server) stop(t *testing.T, sig syscall.Signal) int {
	t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	return s.wait()
}

// lockedBuffer is written by one goroutine and read by another.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
