//go:build unix

package natsengine

import (
	"io"
	"net"
	"os/exec"
	"sync"
	"syscall"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/internal/freeport"
	"github.com/handfast/handfast/internal/natstest"
)

// process is a NATS server in a separate process.
type process struct {
	t    testing.TB
	conf natstest.Server
	cmd  *exec.Cmd
}

func startProcess(t testing.TB) *process {
	t.Helper()
	p := &process{t: t, conf: natstest.Server{Dir: t.TempDir(), Host: "127.0.0.1", Port: freeport.Get(t), MaxPayload: maxPayload}}
	p.start()
	t.Cleanup(p.kill)
	return p
}

func (p *process) addr() string { return net.JoinHostPort(p.conf.Host, p.conf.Port) }

func (p *process) start() {
	p.t.Helper()
	var err error
	if p.cmd, err = p.conf.Command(); err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	bounded.Until(p.t, func() bool {
		c, err := net.Dial("tcp", p.addr())
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

func (p *process) kill() {
	p.cmd.Process.Kill() //nolint:errcheck // Kill fails if the process has already ended
	p.cmd.Wait()         //nolint:errcheck // Wait reports that the process was killed
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Error(err)
	}
}

// relay forwards connections to an address, until cut is called.
type relay struct {
	to       string
	listener net.Listener

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	shut  bool // new connections are closed
}

func startRelay(t testing.TB, to string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{to: to, listener: l, conns: map[net.Conn]struct{}{}}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { r.pass(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		r.cut()
		wg.Wait()
	})
	return r
}

func (r *relay) hold(c net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.shut {
		return false
	}
	r.conns[c] = struct{}{}
	return true
}

func (r *relay) pass(c net.Conn) {
	defer c.Close()
	d, err := net.Dial("tcp", r.to)
	if err != nil {
		return
	}
	defer d.Close()
	if !r.hold(c) || !r.hold(d) {
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		io.Copy(d, c) //nolint:errcheck // Copy returns when one of the connections has ended
		d.Close()
	})
	io.Copy(c, d) //nolint:errcheck // Copy returns when one of the connections has ended
	c.Close()
	wg.Wait()
}

// cut closes all connections, including new ones.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.shut = true
	for c := range r.conns {
		c.Close()
		delete(r.conns, c)
	}
}

func (r *relay) heal() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.shut = false
}
