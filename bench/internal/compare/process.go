//go:build linux

package compare

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/handfast/handfast/bench/internal/load"
	"github.com/handfast/handfast/bench/internal/peers"
)

// Bench contains the state that all runs share: the two programs and their processors.
type Bench struct {
	Peer, Load       string // the paths of the programs
	PeerCPU, LoadCPU int    // the processor of each; negative means any
}

// Build builds the two programs into dir.
func Build(ctx context.Context, dir string) (*Bench, error) {
	b := &Bench{Peer: filepath.Join(dir, "peer"), Load: filepath.Join(dir, "load"), LoadCPU: 1}
	for out, name := range map[string]string{b.Peer: "peer", b.Load: "load"} {
		cmd := exec.CommandContext(ctx, "go", "build", "-o", out, "github.com/handfast/handfast/bench/cmd/"+name)
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			return nil, fmt.Errorf("compare: build %s: %w", name, err)
		}
	}
	if runtime.NumCPU() < 2 {
		b.PeerCPU, b.LoadCPU = -1, -1
	}
	return b, nil
}

// process is a program of this module that exits when its standard input is closed.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	err bytes.Buffer
}

// startOn starts a program on one processor: a process inherits the affinity of the thread that starts it.
func startOn(ctx context.Context, cpu int, program string, args ...string) (*process, error) {
	p := &process{cmd: exec.CommandContext(ctx, program, args...)}
	p.cmd.Stderr = &p.err
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	return p, load.OnProcessor(cpu, p.cmd.Start)
}

// stop terminates the program and waits until it has exited.
func (p *process) stop() error {
	p.in.Close()
	late := time.AfterFunc(5*time.Second, func() { _ = p.cmd.Process.Kill() }) // fails if it has already exited
	defer late.Stop()
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(p.err.String()))
	}
	return nil
}

func (p *process) line() (string, error) {
	s, err := p.out.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("compare: the program printed nothing: %w", errors.Join(err, p.stop()))
	}
	return strings.TrimSpace(s), nil
}

// server is a running peer.
type server struct {
	*process
	addr string
}

func (b *Bench) serve(ctx context.Context, m Mode, peer peers.Peer) (*server, error) {
	p, err := startOn(ctx, b.PeerCPU, cmp.Or(peer.Program, b.Peer), append(m.flags(), "-server", peer.Name)...)
	if err != nil {
		return nil, err
	}
	s := &server{process: p}
	line, err := p.line()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", peer.Name, err)
	}
	_, s.addr, _ = strings.Cut(line, " ")
	return s, nil
}

// resident returns the server's resident memory, in bytes.
func (s *server) resident() (int64, error) {
	if _, err := io.WriteString(s.in, "gc\n"); err != nil {
		return 0, err
	}
	if _, err := s.line(); err != nil {
		return 0, err
	}
	return load.Resident(s.cmd.Process.Pid)
}

// begin starts the load on s.
func (b *Bench) begin(ctx context.Context, c load.Config, s *server) (*process, error) {
	args := []string{
		"-addr", s.addr, "-mode", c.Mode, "-conns", strconv.Itoa(c.Conns), "-size", strconv.Itoa(c.Size),
		"-fragments", strconv.Itoa(c.Fragments), "-flight", strconv.Itoa(c.Flight), "-compress", c.Compress,
		"-messages", strconv.Itoa(c.Messages), "-busy", strconv.Itoa(c.Busy), "-rate", strconv.Itoa(c.Rate),
		"-raw=" + strconv.FormatBool(c.Raw), "-tls=" + strconv.FormatBool(c.TLS),
		"-warm", c.Warm.String(), "-for", c.For.String(), "-pid", strconv.Itoa(s.cmd.Process.Pid),
	}
	return startOn(ctx, b.LoadCPU, b.Load, args...)
}

// round performs one measurement.
func (b *Bench) round(ctx context.Context, c load.Config, s *server) (r load.Result, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.Warm+c.For+time.Minute)
	defer cancel()
	p, err := b.begin(ctx, c, s)
	if err != nil {
		return r, err
	}
	line, err := p.line()
	if err != nil {
		return r, err
	}
	return r, errors.Join(json.Unmarshal([]byte(line), &r), p.stop())
}

// hold opens the connections of an idle mode, calls f, and closes them.
func (b *Bench) hold(ctx context.Context, c load.Config, s *server, f func() error) error {
	p, err := b.begin(ctx, c, s)
	if err != nil {
		return err
	}
	if _, err := p.line(); err != nil {
		return err
	}
	return errors.Join(f(), p.stop())
}
