//go:build e2e

package interop_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os/exec"
	"testing"

	"github.com/handfast/handfast/e2e/internal/harness"
)

// A peer is a process that prints a line of JSON for each of its observations.
type peer struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	stdout *bufio.Reader
	stderr harness.Output
}

// startPeer starts a program in the folder peers, which is stopped at the end of the test if it is still running.
func startPeer(t *testing.T, env []string, name string, args ...string) *peer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	p := &peer{cmd: exec.CommandContext(ctx, name, args...)}
	p.cmd.Dir = "peers"
	p.cmd.Env = append(p.cmd.Environ(), env...)
	p.cmd.WaitDelay = limit / 6
	p.cmd.Stderr = &p.stderr
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdin, p.stdout = stdin, bufio.NewReader(stdout)
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("a peer is missing (make setup installs them): %v", err)
	}
	t.Cleanup(func() {
		cancel()
		_ = p.cmd.Wait() // finish has checked the error, or the test has already failed
	})
	return p
}

// next reads one line of the peer's output. ok is false at the end of the output.
func (p *peer) next(t *testing.T) (l line, ok bool) {
	t.Helper()
	b, err := p.stdout.ReadBytes('\n')
	if err == io.EOF && len(b) == 0 {
		return line{}, false
	}
	if err != nil {
		t.Fatalf("the peer's output ended with %q: %v; on its standard error: %s", b, err, &p.stderr)
	}
	if err := json.Unmarshal(b, &l); err != nil {
		t.Fatalf("the peer printed %q: %v", b, err)
	}
	return l, true
}

// finish makes a server stop, reads its remaining lines, and waits until it has exited.
func (p *peer) finish(t *testing.T) []line {
	t.Helper()
	p.stdin.Close()
	var lines []line
	for {
		l, ok := p.next(t)
		if !ok {
			break
		}
		lines = append(lines, l)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("the peer ended with %v; on its standard error: %s", err, &p.stderr)
	}
	return lines
}
