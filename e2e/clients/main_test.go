package clients

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
	dir, err := os.MkdirTemp("", "handfast-clients-*")
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
const patience = time.Minute

// output collects what a process writes.
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

func newHome(t *testing.T) *home { return &home{t, t.TempDir()} }

// write writes a file and returns its path.
func (h *home) write(name, text string) string {
	h.t.Helper()
	path := filepath.Join(h.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
	return path
}

// environ is the environment of everything that is started: nothing in it names proxies or authorities.
func (h *home) environ() []string {
	return []string{"HOME=" + h.dir, "PATH=" + filepath.Dir(binary) + string(os.PathListSeparator) + os.Getenv("PATH"),
		"TMPDIR=" + os.TempDir(), "LANG=C.UTF-8"}
}

// result is what a program did.
type result struct {
	code           int
	stdout, stderr string
}

// bash runs a script to its end, with name=value in its environment.
func (h *home) bash(script string, env ...string) result {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script)
	cmd.Dir, cmd.Env = h.dir, append(h.environ(), env...)
	cmd.WaitDelay = 5 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if cmd.ProcessState == nil {
		h.t.Fatalf("%s: %v", script, err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// must runs a script that is to succeed, and returns what it prints.
func (h *home) must(script string, env ...string) string {
	h.t.Helper()
	r := h.bash(script, env...)
	if r.code != 0 {
		h.t.Fatalf("%s: exit %d\n%s%s", script, r.code, r.stdout, r.stderr)
	}
	return strings.TrimRight(r.stdout, "\n")
}

// serve starts a "handfast serve" with a configuration; PORT in it is a free port, which it returns with the log.
func (h *home) serve(config string) (port string, log *output) {
	h.t.Helper()
	port = freePort(h.t)
	h.write("handfast.yaml", strings.ReplaceAll(config, "PORT", port))
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, binary, "serve", "--config", "handfast.yaml")
	cmd.Dir, cmd.Env = h.dir, h.environ()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second // it drains in less
	log = &output{}
	cmd.Stderr = log
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		h.t.Fatal(err)
	}
	ready := false
	lines := bufio.NewScanner(stdout)
	for !ready && lines.Scan() {
		ready = lines.Text() == "Ctrl-C stops it"
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, stdout)
		_ = cmd.Wait() // it was told to end
	}()
	h.t.Cleanup(func() { cancel(); <-ended })
	if !ready {
		h.t.Fatalf("handfast serve is not ready:\n%s", log)
	}
	return port, log
}

// freePort returns a loopback port that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// certificates makes, with openssl, an authority (ca.pem), a certificate from it for the names of the tests (server.pem,
// server.key), and one for a client (device.pem, device.key).
func (h *home) certificates() {
	h.t.Helper()
	h.must(`ec=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
leaf=(-days 2 -CA ca.pem -CAkey ca.key -addext basicConstraints=critical,CA:FALSE)
openssl req -x509 "${ec[@]}" -keyout ca.key -out ca.pem -days 2 -subj '/CN=clients test' -addext keyUsage=critical,keyCertSign
openssl req -x509 "${ec[@]}" "${leaf[@]}" -keyout server.key -out server.pem -subj /CN=localhost -addext extendedKeyUsage=serverAuth \
	-addext subjectAltName=DNS:localhost,DNS:chat.example.com,DNS:app.example.com,DNS:other.example.com,DNS:attacker.example,IP:127.0.0.1
openssl req -x509 "${ec[@]}" "${leaf[@]}" -keyout device.key -out device.pem -subj /CN=sensor-7 -addext extendedKeyUsage=clientAuth \
	-addext subjectAltName=URI:urn:device:sensor-7`)
}

// tokens makes a secret and a token of alice (token) that is signed with it.
func (h *home) tokens() (token string) {
	h.t.Helper()
	return h.must(`openssl rand -base64 48 > secret; handfast token jwt --secret-file secret --sub alice --aud chat`)
}

// guide returns the block of docs/wss.md that is saved in a file of the given name.
func guide(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/wss.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), " "+name+"\n")
	block, _, end := strings.Cut(rest, "\n```\n")
	if !ok || !end {
		t.Fatalf("the guide has no %s", name)
	}
	return block + "\n"
}
