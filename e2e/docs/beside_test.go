//go:build e2e

package docs

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// save writes a block to the file name, for later commands.
func (r *reader) save(b block, name string) {
	r.t.Helper()
	if !filepath.IsLocal(name) {
		r.t.Fatalf("line %d: the file %q is not below the reader's directory", b.line, name)
	}
	path := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatalf("line %d: %v", b.line, err)
	}
	// The rename ensures that a program that watches the file never sees an incomplete file.
	if err := os.WriteFile(path+".new", []byte(r.typed(b.text)), 0o644); err != nil {
		r.t.Fatalf("line %d: %v", b.line, err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		r.t.Fatalf("line %d: %v", b.line, err)
	}
}

var space = regexp.MustCompile(`\s+`)

// part checks that a block is a part of the last command's output. Line breaks may differ, because ports and names may be longer
// or shorter than in the document.
func (r *reader) part(b block) {
	r.t.Helper()
	pattern := regexp.QuoteMeta(strings.TrimSpace(r.typed(b.text)))
	pattern = space.ReplaceAllString(strings.ReplaceAll(pattern, `\.\.\.`, `.*`), `\s+`)
	if !regexp.MustCompile(`(?s)` + pattern).MatchString(r.last) {
		r.t.Errorf("line %d: the last command printed\n%s\nwhich does not contain\n%s", b.line, r.last, b.text)
	}
}

// beside starts a block's command, which runs until the end of the document.
func (r *reader) beside(b block, addr string) {
	r.t.Helper()
	r.listening(b, addr)
}

// listening starts a block's command and waits until a program listens on addr.
func (r *reader) listening(b block, addr string) (*exec.Cmd, chan error) {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), "bash", "-c", "exec "+strings.TrimSpace(r.typed(b.text)))
	cmd.Dir, cmd.Env = r.dir, r.env
	out := &buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = timeout
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait(); close(exited) }()
	r.t.Cleanup(func() { <-exited }) // the context of the test is done, so Cancel has been called
	tick, late := time.NewTicker(10*time.Millisecond), time.NewTimer(timeout)
	defer tick.Stop()
	defer late.Stop()
	for {
		if c, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
			c.Close()
			return cmd, exited
		}
		select {
		case <-tick.C:
		case err := <-exited:
			r.t.Fatalf("line %d: the command ended: %v\n%s\n%s", b.line, err, b.text, out)
		case <-late.C:
			r.t.Fatalf("line %d: nothing listens on %s\n%s\n%s", b.line, addr, b.text, out)
		}
	}
}
