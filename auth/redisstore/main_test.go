//go:build e2e

package redisstore

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
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
	keep bool // its data when it stops
	cmd  *exec.Cmd
}

// startRedis starts a server, which ends with the test.
func startRedis(t testing.TB, keep bool) *redisServer {
	t.Helper()
	s := &redisServer{t: t, dir: t.TempDir(), keep: keep}
	// Another program may take the port between our look and the server's start.
	for range 5 {
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

// start returns whether the server accepts connections.
func (s *redisServer) start() bool {
	s.t.Helper()
	// A file, not an argument: the password of a command line is there for all to see.
	conf := filepath.Join(s.dir, "redis.conf")
	text := "bind 127.0.0.1\nport " + strconv.Itoa(s.port) + "\ndir " + s.dir + "\nsave \"\"\nrequirepass " + testPassword +
		"\nappendonly " + map[bool]string{true: "yes", false: "no"}[s.keep] + "\nappendfsync always\n"
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

// stop ends the server at once, as a crash does.
func (s *redisServer) stop() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

func (s *redisServer) url() string {
	return "redis://:" + testPassword + "@127.0.0.1:" + strconv.Itoa(s.port) + "/0"
}
