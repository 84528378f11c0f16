package behave

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/handfast/handfast/bench/internal/load"
)

// process is a running program and its child processes, in a process group of their own.
type process struct {
	cmd   *exec.Cmd
	group int
	log   *log
	ended chan struct{}
}

// log is the output of a program.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func start(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, log: &log{}, ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.log, p.log
	cmd.WaitDelay = time.Second // child processes may keep the pipe open
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p.group = cmd.Process.Pid
	go func() {
		_ = cmd.Wait() // usually terminated by a signal
		close(p.ended)
	}()
	return p, nil
}

func (p *process) signal(s syscall.Signal) { _ = syscall.Kill(p.group, s) } // the process may have exited

// kill kills the whole group, and waits for the program.
func (p *process) kill() {
	if p.group > 1 { // 0 and -1 have other meanings in kill(2)
		_ = syscall.Kill(-p.group, syscall.SIGKILL) // all processes may have exited
	}
	<-p.ended
}

// members returns the number of processes in the group.
func (p *process) members() (n int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is valid
	for _, name := range stats {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // the process has exited
		}
		// The fields are: pid (name) state parent group …
		if f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])); len(f) > 2 && f[0] != "Z" && f[2] == strconv.Itoa(p.group) {
			n++
		}
	}
	return n
}

// ports is the last port that freeAddress has tried. The first one is random. Ports are below the range for outgoing connections.
var ports = func() *atomic.Int32 {
	var n atomic.Int32
	n.Store(20000 + rand.Int32N(8000))
	return &n
}()

// freeAddress returns an address on which no program listens. Each call returns a different one.
func freeAddress() (string, error) {
	for {
		port := ports.Add(1)
		if port >= 32768 {
			return "", errors.New("no port is free")
		}
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return l.Addr().String(), l.Close()
		}
	}
}

// server is a server behind the balancer.
type server struct {
	addr    string
	program string
	args    []string
	*process
}

// newServer starts a server, unless answer is "".
func newServer(ctx context.Context, program, answer string) (*server, error) {
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	s := &server{addr: addr, program: program, args: []string{"-listen", addr, "-answer", answer}}
	if answer == "" {
		return s, nil
	}
	return s, s.start(ctx)
}

func (s *server) start(ctx context.Context) (err error) {
	s.process, err = start(exec.CommandContext(ctx, s.program, s.args...))
	if err != nil {
		return err
	}
	if err := load.Await(ctx, s.addr); err != nil {
		return fmt.Errorf("%w: %s", err, s.log)
	}
	return nil
}
