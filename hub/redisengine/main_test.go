//go:build e2e

package redisengine

import (
	"bufio"
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

	"github.com/handfast/handfast/internal/bounded"
)

func TestMain(m *testing.M) { os.Exit(bounded.Main(m)) }

const testPassword = "correct-horse-battery"

// redisServer is a real redis-server on the loopback interface, which can be stopped and started again.
type redisServer struct {
	t    testing.TB
	port int
	dir  string
	more string // of the configuration
	cmd  *exec.Cmd
}

// startRedis starts a server, which ends with the test.
func startRedis(t testing.TB, more string) *redisServer {
	t.Helper()
	s := &redisServer{t: t, dir: t.TempDir(), more: more}
	for range 5 { // another program may take the port before the server starts
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s.port = l.Addr().(*net.TCPAddr).Port
		l.Close()
		if s.start() {
			t.Cleanup(s.stop)
			return s
		}
	}
	t.Fatal("redis-server does not start")
	return nil
}

// start reports whether the server accepts connections.
func (s *redisServer) start() bool {
	s.t.Helper()
	conf := filepath.Join(s.dir, "redis.conf")
	text := "bind 127.0.0.1\nport " + strconv.Itoa(s.port) + "\ndir " + s.dir + "\nsave \"\"\nrequirepass " + testPassword + "\n" + s.more
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.cmd = exec.Command("redis-server", conf)
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatalf("redis-server (Debian package redis-server): %v", err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "Ready to accept connections") {
			return true
		}
	}
	s.cmd.Wait()
	return false
}

// stop ends the server immediately, as a crash does.
func (s *redisServer) stop() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

func (s *redisServer) signal(sig syscall.Signal) {
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Error(err)
	}
}

func (s *redisServer) addr() string { return "127.0.0.1:" + strconv.Itoa(s.port) }

func (s *redisServer) url() string { return "redis://:" + testPassword + "@" + s.addr() + "/0" }

// line is the network between one node and the server. It can be cut, also for good.
type line struct {
	l     net.Listener
	to    string
	mu    sync.Mutex
	conns []net.Conn
	down  bool
	wg    sync.WaitGroup
}

func newLine(t testing.TB, to string) *line {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &line{l: l, to: to}
	n.wg.Go(n.accept)
	t.Cleanup(func() { n.cut(); n.wg.Wait() })
	return n
}

func (n *line) accept() {
	for {
		in, err := n.l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", n.to)
		if err != nil {
			in.Close()
			continue
		}
		n.mu.Lock()
		n.conns = append(n.conns, in, out)
		if n.down {
			in.Close()
		}
		n.mu.Unlock()
		n.wg.Go(func() { io.Copy(in, out); in.Close(); out.Close() })
		n.wg.Go(func() { io.Copy(out, in); in.Close(); out.Close() })
	}
}

// set cuts the line, until it is set again.
func (n *line) set(up bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = !up
	for _, c := range n.conns {
		c.Close()
	}
	n.conns = nil
}

func (n *line) cut() {
	n.l.Close()
	n.set(false)
}

func (n *line) url() string {
	return "redis://:" + testPassword + "@" + n.l.Addr().String() + "/0"
}
