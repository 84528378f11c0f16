package gateway

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
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
	dir, err := os.MkdirTemp("", "handfast-gateway-*")
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
	for _, s := range secrets {
		if i := strings.Index(told.String(), s); i >= 0 {
			fmt.Fprintf(os.Stderr, "a secret was told: %.300q\n", told.String()[max(0, i-200):i+20])
			return 1
		}
	}
	return code
}

// told is everything that any server has written in any way: log, audit log, what its admin listener says. secrets are
// what must not be in it.
var (
	told    output
	secrets []string
)

func secret(text string) string {
	secrets = append(secrets, text)
	return text
}

// patience bounds what should take a moment.
const patience = time.Minute

// output is written by one goroutine and read by another.
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

// server is a "handfast serve --config" that runs.
type server struct {
	cmd    *exec.Cmd
	file   string              // its configuration
	banner map[string][]string // what stands behind a word
	stderr output
	wait   func() int // for its end; returns the exit code
}

// serve starts a server with a configuration, in which tabs stand for two spaces. It is killed with the test, if it has
// not ended by then.
func serve(t *testing.T, config string) *server {
	t.Helper()
	home := t.TempDir()
	s := &server{file: filepath.Join(home, "handfast.yaml"), banner: map[string][]string{}}
	s.configure(t, config)
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	t.Cleanup(cancel)
	s.cmd = exec.CommandContext(ctx, binary, "serve", "--config", s.file)
	s.cmd.Dir = home
	s.cmd.Env = []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()}
	s.cmd.Stderr = io.MultiWriter(&s.stderr, &told)
	stdout, err := s.cmd.StdoutPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() && lines.Text() != "Ctrl-C stops it" {
		word, rest, _ := strings.Cut(strings.TrimSpace(lines.Text()), " ")
		s.banner[word] = append(s.banner[word], strings.TrimSpace(rest))
	}
	s.wait = sync.OnceValue(func() int {
		for lines.Scan() { // the audit log
			_, _ = fmt.Fprintln(&told, lines.Text())
		}
		_ = s.cmd.Wait() // the exit code tells
		return s.cmd.ProcessState.ExitCode()
	})
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill() // fails when it has ended
		s.wait()
	})
	if len(s.banner) == 0 {
		t.Fatalf("no banner: exit %d, %s", s.wait(), s.stderr.String())
	}
	return s
}

// configure replaces the configuration's file, as an editor does.
func (s *server) configure(t *testing.T, config string) {
	t.Helper()
	replace(t, s.file, strings.ReplaceAll(config, "\t", "  "))
}

func replace(t *testing.T, file, text string) {
	t.Helper()
	err := os.WriteFile(file+".next", []byte(text), 0o600)
	if err == nil {
		err = os.Rename(file+".next", file)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (s *server) signal(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// url returns the URL of an endpoint at the first listener.
func (s *server) url(endpoint string) string {
	if list := s.banner[endpoint]; len(list) > 0 {
		return list[0]
	}
	return "no endpoint " + endpoint
}

// admin asks the admin listener with curl, and returns the status and the body.
func (s *server) admin(t *testing.T, args ...string) (status, body string) {
	t.Helper()
	args[len(args)-1] = strings.TrimSuffix(s.url("admin"), "/") + args[len(args)-1]
	out, err := exec.CommandContext(t.Context(), "curl", append([]string{"-sS", "-w", "%{http_code}"}, args...)...).CombinedOutput()
	if err != nil {
		return err.Error(), string(out)
	}
	n := max(0, len(out)-3)
	_, _ = told.Write(out)
	return string(out[n:]), string(out[:n])
}

// until waits until something is so.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("never so: %s", what)
		}
	}
}

// logged waits until the log has a line with all parts.
func (s *server) logged(t *testing.T, parts ...string) {
	t.Helper()
	until(t, fmt.Sprintf("%q in %s", parts, s.stderr.String()), func() bool {
		for line := range strings.Lines(s.stderr.String()) {
			all := true
			for _, p := range parts {
				all = all && strings.Contains(line, p)
			}
			if all {
				return true
			}
		}
		return false
	})
}

// freePort returns a port that nobody listens on.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// daemon runs a program until the test is over, and waits until it listens on a port of 127.0.0.1.
func daemon(t *testing.T, port int, name string, args ...string) {
	t.Helper()
	var out output
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // fails when it has ended
		_ = cmd.Wait()                          // by the signal
		cancel()
	})
	until(t, name+" listens", func() bool {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}
