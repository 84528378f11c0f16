// Package redistest runs a real redis-server for tests. On Debian, the package redis-server provides it.
package redistest

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/handfast/handfast/internal/freeport"
)

// Password is the password of every server.
const Password = "correct-horse-battery"

// Server is a redis-server, which can be stopped and started again.
type Server struct {
	t    testing.TB
	host string
	port string
	dir  string
	more string // additional configuration
	args []string
	text string // printed when the server is ready
	cmd  *exec.Cmd
}

// Start starts a server on the loopback interface, which is stopped at the end of the test. more contains additional lines of its
// configuration; if it is empty, the server loses its data when it is restarted.
func Start(t testing.TB, more string) *Server {
	t.Helper()
	return StartAt(t, "127.0.0.1", more)
}

// StartAt does the same as Start, at another address of this machine.
func StartAt(t testing.TB, host, more string) *Server {
	t.Helper()
	port := freeport.Get(t)
	s := &Server{t: t, host: host, port: port, dir: t.TempDir(), text: "Ready to accept connections"}
	s.more = "save \"\"\nrequirepass " + Password + "\n" + more
	return s.run()
}

// StartReplica starts a replica of a server.
func StartReplica(t testing.TB, of *Server) *Server {
	t.Helper()
	return Start(t, "replicaof "+of.host+" "+of.Port()+"\nmasterauth "+Password+"\nrepl-diskless-sync-delay 0\n")
}

// StartClusterNode starts a server in cluster mode, without slots.
func StartClusterNode(t testing.TB) *Server {
	t.Helper()
	return Start(t, "cluster-enabled yes\ncluster-node-timeout 500\ncluster-port "+freeport.Get(t)+"\nmasterauth "+Password+
		"\nrepl-diskless-sync-delay 0\ncluster-announce-ip 127.0.0.1\n")
}

// StartSentinel starts a sentinel without a password. This sentinel alone starts the failover of a server, called name, to one of
// its replicas, half a second after the server has stopped responding.
func StartSentinel(t testing.TB, of *Server, name string) *Server {
	t.Helper()
	s := &Server{t: t, host: "127.0.0.1", port: freeport.Get(t), dir: t.TempDir(), args: []string{"--sentinel"}, text: "+monitor master"}
	s.more = "sentinel monitor " + name + " " + of.host + " " + of.Port() + " 1\nsentinel auth-pass " + name + " " + Password +
		"\nsentinel down-after-milliseconds " + name + " 500\nsentinel failover-timeout " + name + " 2000\n"
	return s.run()
}

// run starts a server for the first time.
func (s *Server) run() *Server {
	s.t.Helper()
	if !s.start() {
		s.t.Fatal("redis-server does not start")
	}
	s.t.Cleanup(s.Stop)
	return s
}

// start starts the server, and reports whether it accepts connections.
func (s *Server) start() bool {
	s.t.Helper()
	// The password is in a file, because other users of the machine can read the arguments of a process.
	conf := filepath.Join(s.dir, "redis.conf")
	text := "bind " + s.host + "\nport " + s.Port() + "\ndir " + s.dir + "\n" + s.more
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.cmd = exec.Command("redis-server", append([]string{conf}, s.args...)...)
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatalf("redis-server (Debian package redis-server): %v", err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.Contains(lines.Text(), s.text) {
			return true
		}
	}
	_ = s.cmd.Wait() // the process has ended without printing the text
	return false
}

// Restart starts the server again after Stop, at the same address and with its stored data.
func (s *Server) Restart() {
	s.t.Helper()
	if !s.start() {
		s.t.Error("redis-server does not start again")
	}
}

// Stop kills the server immediately, as in a crash.
func (s *Server) Stop() {
	_ = s.cmd.Process.Kill() // the server may have exited
	_ = s.cmd.Wait()
}

// Signal sends the server a signal.
func (s *Server) Signal(sig syscall.Signal) {
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Error(err)
	}
}

// Port returns the port.
func (s *Server) Port() string { return s.port }

// Addr returns host and port.
func (s *Server) Addr() string { return net.JoinHostPort(s.host, s.Port()) }

// URL returns the URL, with the password.
func (s *Server) URL() string { return "redis://:" + Password + "@" + s.Addr() + "/0" }
