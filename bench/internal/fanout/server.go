//go:build linux

package fanout

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/handfast/handfast/bench/internal/load"
)

// Kind is a kind of server.
type Kind struct {
	Name     string
	Protocol Protocol

	// Command returns the program and its arguments; dir is an empty directory for its files.
	Command func(dir, addr string) ([]string, error)
}

// Server is a running server.
type Server struct {
	Kind
	Addr     string
	protocol *Protocol
	cmd      *exec.Cmd
	log      *os.File
}

// Start starts a server on one processor, and waits until it listens.
func Start(ctx context.Context, k Kind, cpu int) (*Server, error) {
	dir, err := os.MkdirTemp("", "channels")
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Server{Kind: k, Addr: l.Addr().String(), protocol: &k.Protocol}
	l.Close()
	args, err := k.Command(dir, s.Addr)
	if err != nil {
		return nil, err
	}
	if s.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
		return nil, err
	}
	s.cmd = exec.CommandContext(ctx, args[0], args[1:]...)
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = dir, s.log, s.log
	s.cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_STATE_HOME="+dir, "HANDFAST_LIMITS_CONNECTIONS=50000")
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := load.OnProcessor(cpu, s.cmd.Start); err != nil {
		return nil, err
	}
	if err := load.Await(ctx, s.Addr); err != nil {
		text, unread := os.ReadFile(s.log.Name())
		return nil, errors.Join(fmt.Errorf("%s: %w:\n%s", k.Name, err, text), unread, s.Stop())
	}
	return s, nil
}

// Stop terminates the server, and waits until it has exited.
func (s *Server) Stop() error {
	defer os.RemoveAll(filepath.Dir(s.log.Name()))
	defer s.log.Close()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	late := time.AfterFunc(10*time.Second, func() { _ = s.cmd.Process.Kill() }) // fails if it has already exited
	defer late.Stop()
	_ = s.cmd.Wait() // servers exit with different statuses after a signal
	return nil
}

func (s *Server) pid() int { return s.cmd.Process.Pid }

// Stay keeps all present and future threads of this process on one processor.
func Stay(cpu int) error {
	if runtime.NumCPU() < 2 {
		return nil
	}
	var only unix.CPUSet
	only.Set(cpu)
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range threads {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(id, &only); err != nil {
			return err
		}
	}
	return nil
}
