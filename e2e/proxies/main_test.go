package proxies

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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
	dir, err := os.MkdirTemp("", "handfast-proxies-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "handfast")
	build := exec.Command("go", "build", "-o", binary, "github.com/handfast/handfast/cmd/handfast")
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
const patience = 30 * time.Second

// output collects what a process writes, for when it goes wrong.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// home is a directory where everything of one test lies, with its home directory.
type home struct {
	t   *testing.T
	dir string
}

func newHome(t *testing.T) *home {
	// Not t.TempDir: a worker of nginx started by root runs as another user, who may not enter that.
	dir, err := os.MkdirTemp("", "handfast-proxies-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return &home{t, dir}
}

// write writes a file and returns its path.
func (h *home) write(name, text string) string {
	h.t.Helper()
	path := filepath.Join(h.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		h.t.Fatal(err)
	}
	return path
}

func (h *home) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = h.dir
	cmd.Env = []string{"HOME=" + h.dir, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir(),
		"XDG_DATA_HOME=" + h.dir, "XDG_CONFIG_HOME=" + h.dir}
	return cmd
}

// start starts a process that listens on addr, and waits until it does. It gets SIGTERM at the end of the test.
func (h *home) start(addr, name string, args ...string) *output {
	h.t.Helper()
	out := &output{}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := h.command(ctx, name, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second // then it is killed
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		cancel()
		h.t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait() // it was told to end: how it says so differs
	}()
	h.t.Cleanup(func() { cancel(); <-exited })
	h.ready(addr, exited, out)
	return out
}

// ready waits until somebody listens on addr.
func (h *home) ready(addr string, exited <-chan struct{}, out *output) {
	h.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for {
		if c, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
			c.Close()
			return
		}
		select {
		case <-tick.C:
		case <-exited:
			h.t.Fatalf("it ended:\n%s", out)
		case <-late:
			h.t.Fatalf("nothing listens on %s:\n%s", addr, out)
		}
	}
}

// freePort returns a loopback port that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// serve starts a "handfast serve" and returns the port of its first listener.
func (h *home) serve(args ...string) (port string, out *output) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := h.command(ctx, binary, append([]string{"serve"}, args...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	out = &output{}
	cmd.Stderr = out
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		h.t.Fatal(err)
	}
	lines := bufio.NewScanner(io.TeeReader(stdout, out))
	for lines.Scan() && lines.Text() != "Ctrl-C stops it" {
		if url, ok := strings.CutPrefix(strings.TrimSpace(lines.Text()), "page "); ok && port == "" {
			_, rest, _ := strings.Cut(strings.TrimSuffix(strings.TrimSpace(url), "/"), "://")
			_, port, _ = net.SplitHostPort(rest)
		}
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_, _ = io.Copy(out, stdout)
		_ = cmd.Wait()
	}()
	h.t.Cleanup(func() { cancel(); <-drained })
	if port == "" {
		h.t.Fatalf("handfast serve tells no address:\n%s", out)
	}
	return port, out
}

// echoes sends a line through a URL with "handfast dial" and expects it back.
func (h *home) echoes(url string, args ...string) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := h.command(ctx, binary, append([]string{"dial", url}, args...)...)
	cmd.Stdin = strings.NewReader("hello\n")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil || string(out) != "hello\n" {
		h.t.Errorf("dial %s: %v, got %q\n%s", url, err, out, &errs)
	}
}

// report is what is read of an explanation.
type report struct {
	Opened    bool `json:"opened"`
	Diagnosis *struct {
		ID        string   `json:"id"`
		Cause     string   `json:"cause"`
		ForOwner  []string `json:"for_owner"`
		ForClient []string `json:"for_client"`
	} `json:"diagnosis"`
	Warnings []struct {
		ID string `json:"id"`
	} `json:"warnings"`
	Idle *struct {
		Held float64 `json:"held_ms"`
		Cut  bool    `json:"cut"`
		How  string  `json:"how"`
	} `json:"idle"`
	text string
}

// explain runs "handfast explain --json" and holds its exit code against what it says.
func (h *home) explain(url string, args ...string) *report {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := h.command(ctx, binary, append([]string{"explain", "--json", url}, args...)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, _ := cmd.Output() // the exit code tells
	r := &report{text: string(out)}
	if err := json.Unmarshal(out, r); err != nil {
		h.t.Fatalf("explain %s: %v\n%s%s", url, err, out, &errs)
	}
	if good := r.Opened && r.Diagnosis == nil; good != (cmd.ProcessState.ExitCode() == 0) {
		h.t.Errorf("explain %s: exit code %d with opened %v and diagnosis %v", url, cmd.ProcessState.ExitCode(), r.Opened, r.Diagnosis)
	}
	return r
}
