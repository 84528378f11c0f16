package harness

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// lifetime is the time limit for programs that run until they are stopped.
const lifetime = 4 * Patience

// Output stores the data written to it. It is safe for concurrent use, and the zero value is ready to use.
type Output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write appends p.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

// String returns everything written so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// Await waits until the output contains a text. It fails the test if that takes longer than [Patience]. A server may log an event after
// its client has noticed the event, so a test must wait for the log.
func (o *Output) Await(t *testing.T, text string) {
	t.Helper()
	Until(t, fmt.Sprintf("the output contains %q; so far it is\n%s", text, o), func() bool { return strings.Contains(o.String(), text) })
}

// Start starts a program and waits until the program listens on a TCP address. At the end of the test, the program receives SIGTERM,
// and is killed if it does not exit. Start returns the program's output, which tests use in error messages.
func (u *User) Start(address, name string, args ...string) *Output {
	u.T.Helper()
	out := &Output{}
	cmd := u.command(lifetime, name, args)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		u.T.Fatalf("a program is missing (make setup installs them): %v", err)
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait() // the exit status after a signal varies
	}()
	u.T.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // fails if the program has already exited
		stuck := time.AfterFunc(Patience/6, func() { _ = cmd.Process.Kill() })
		<-exited
		stuck.Stop()
	})
	ready := false
	Until(u.T, name+" listens on "+address, func() bool {
		select {
		case <-exited:
			return true
		default:
		}
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			c.Close()
			ready = true
		}
		return ready
	})
	if !ready {
		u.T.Fatalf("%s ended:\n%s", name, out)
	}
	return out
}

// Server is a running "handfast serve".
type Server struct {
	Banner map[string][]string // the rest of each banner line, by first word: "page", "echo", "CA", "try"
	Lines  []string            // the printed banner
	Stdout Output              // the output after the banner
	Log    Output              // the server's standard error

	u      *User
	cmd    *exec.Cmd
	exited chan struct{}
}

// Serve starts a server and waits until its banner is complete. The server is killed at the end of the test if it is
// still running. The test fails if the server's log contains a data race.
func (u *User) Serve(args ...string) *Server {
	u.T.Helper()
	return u.serve(append([]string{"serve"}, args...))
}

// Balance is like Serve, for "handfast balance".
func (u *User) Balance(args ...string) *Server {
	u.T.Helper()
	return u.serve(append([]string{"balance"}, args...))
}

func (u *User) serve(args []string) *Server {
	u.T.Helper()
	s := &Server{Banner: map[string][]string{}, u: u, exited: make(chan struct{}),
		cmd: u.command(lifetime, "handfast", args)}
	s.cmd.Stderr = &s.Log
	stdout, err := s.cmd.StdoutPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		u.T.Fatal(err)
	}
	late := time.AfterFunc(Patience, func() { _ = s.cmd.Process.Kill() })
	r := bufio.NewReader(stdout)
	ready := s.readBanner(r)
	late.Stop()
	go func() {
		defer close(s.exited)
		_, _ = io.Copy(&s.Stdout, r)
		_ = s.cmd.Wait() // Wait returns the exit code
	}()
	u.T.Cleanup(func() {
		_ = s.cmd.Process.Kill() // fails if the server has already exited
		s.Wait()
		if strings.Contains(s.Log.String(), "WARNING: DATA RACE") {
			u.T.Errorf("the server has a data race:\n%s", &s.Log)
		}
	})
	if !ready {
		u.T.Fatalf("no banner: exit %d, %q\n%s", s.Wait(), s.Lines, &s.Log)
	}
	return s
}

// readBanner reads the banner, and reports whether it is complete.
func (s *Server) readBanner(r *bufio.Reader) bool {
	for {
		line, err := r.ReadString('\n')
		line = strings.TrimRight(line, "\n")
		if err != nil || line == "Ctrl-C stops it" {
			return err == nil
		}
		s.Lines = append(s.Lines, line)
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		s.Banner[word] = append(s.Banner[word], strings.TrimSpace(rest))
	}
}

// First returns the rest of the first banner line that begins with a word, or "" if there is no such line.
func (s *Server) First(word string) string {
	if all := s.Banner[word]; len(all) > 0 {
		return all[0]
	}
	return ""
}

// Pid returns the server's process ID.
func (s *Server) Pid() int { return s.cmd.Process.Pid }

// Signal sends a signal to the server, which must not have exited.
func (s *Server) Signal(sig os.Signal) {
	s.u.T.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.u.T.Fatal(err)
	}
}

// Wait waits for the server to exit and returns its exit code. The server's output is complete when Wait returns.
func (s *Server) Wait() int {
	<-s.exited
	return s.cmd.ProcessState.ExitCode()
}

// Stop sends a signal, waits for the server to exit, and returns its exit code.
func (s *Server) Stop(sig os.Signal) int {
	s.u.T.Helper()
	s.Signal(sig)
	return s.Wait()
}
