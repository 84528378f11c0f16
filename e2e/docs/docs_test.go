//go:build e2e

package docs

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/handfast/handfast/e2e/internal/harness"
	"github.com/handfast/handfast/internal/bounded"
)

const root = "../.."

func TestMain(m *testing.M) { os.Exit(bounded.Main(m)) }

// timeout is the time limit for every wait. A passing test never waits that long.
const timeout = 2 * time.Minute

// block is one fenced block in a document.
type block struct {
	line  int
	info  string
	text  string
	after bool // only empty lines separate this block from the previous one
}

// read returns the blocks of a document.
func read(t *testing.T, name string) []block {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var all []block
	inside, after := false, false
	for i, line := range strings.Split(string(text), "\n") {
		info, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && !inside:
			all = append(all, block{line: i + 1, info: strings.TrimSpace(info), after: after})
			inside = true
		case fence:
			inside, after = false, true
		case inside:
			all[len(all)-1].text += line + "\n"
		case strings.TrimSpace(line) != "":
			after = false
		}
	}
	return all
}

// build builds the binary and returns its directory.
func build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-o", filepath.Join(dir, "handfast"), "./cmd/handfast")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return dir
}

func TestCommandsInDocuments(t *testing.T) {
	bin := build(t)
	guides, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, name := range append(guides, filepath.Join(root, "README.md")) {
		blocks := read(t, name)
		t.Run(filepath.Base(name), func(t *testing.T) {
			r := newReader(t, bin)
			for i, b := range blocks {
				var want string
				if i+1 < len(blocks) && blocks[i+1].after && blocks[i+1].info == "text" {
					want = blocks[i+1].text
				}
				ran += r.follow(b, want)
			}
			r.stop()
		})
	}
	if ran == 0 {
		t.Error("no document has a command")
	}
}

// Every fault in the guide's table of next steps is one that explain can report.
func TestFaultsInGuideAreKnown(t *testing.T) {
	known, err := os.ReadFile(filepath.Join(root, "docs", "diagnoses.md"))
	if err != nil {
		t.Fatal(err)
	}
	guide, err := os.ReadFile(filepath.Join(root, "docs", "wss.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(guide), "diagnosis of `explain` |")
	table, _, _ = strings.Cut(table, "\n\n")
	found := 0
	for row := range strings.Lines(table) {
		cells := strings.Split(row, "|")
		if len(cells) < 3 {
			continue
		}
		for _, name := range regexp.MustCompile("`([a-z0-9]+(?:-[a-z0-9]+)+)`").FindAllStringSubmatch(cells[2], -1) {
			found++
			if !strings.Contains(string(known), "| `"+name[1]+"` ") {
				t.Errorf("explain has no fault %s", name[1])
			}
		}
	}
	if found == 0 {
		t.Error("the guide has no table of faults")
	}
}

// reader follows one document.
type reader struct {
	t       *testing.T
	dir     string // where the commands run; also the home of their user
	env     []string
	ports   map[string]string // the ports that are used, by the ports in the document
	last    string            // the output of the last command
	serving *exec.Cmd
	foreign bool // serving is not handfast, but another program in the document
	output  *buffer
	exited  chan error
}

// follow processes a block, and returns the number of commands that it has run.
func (r *reader) follow(b block, want string) int {
	r.t.Helper()
	kind, rest, _ := strings.Cut(b.info, " ")
	verb, what, _ := strings.Cut(rest, " ")
	switch {
	case b.info == "sh":
		r.run(b, want)
	case b.info == "sh serve":
		r.serve(b, want)
	case kind == "sh" && verb == "serve":
		r.stop()
		r.serving, r.exited = r.listening(b, r.typed(what))
		r.foreign = true
	case kind == "sh" && verb == "beside":
		r.beside(b, r.typed(what))
	case b.info == "text" && !b.after && r.last != "":
		r.t.Errorf("line %d: no command directly precedes this text, so nothing is compared with it", b.line)
		return 0
	case b.info == "text part":
		r.part(b)
		return 0
	case kind == "sh" || kind == "text" && rest != "":
		r.t.Errorf("line %d: unknown kind of block %q", b.line, b.info)
	case rest != "":
		r.save(b, rest)
		return 0
	default:
		return 0
	}
	return 1
}

func newReader(t *testing.T, bin string) *reader {
	dir := t.TempDir()
	r := &reader{t: t, dir: dir, ports: map[string]string{}}
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if name != "PATH" && name != "HOME" && !strings.HasPrefix(name, "XDG_") && !strings.HasSuffix(strings.ToLower(name), "_proxy") {
			r.env = append(r.env, v)
		}
	}
	for _, name := range []string{"GOWORK", "GOCACHE", "GOMODCACHE", "GOPATH"} { // their defaults depend on the directory and the home
		out, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		r.env = append(r.env, name+"="+strings.TrimSpace(string(out)))
	}
	r.env = append(r.env, "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "HOME="+dir)
	t.Cleanup(r.kill)
	return r
}

var port = regexp.MustCompile(`((?:localhost|127\.0\.0\.1):|--port )([0-9]{4,5})\b`)

// typed returns the text that is run for a text in a document.
func (r *reader) typed(text string) string {
	text = strings.ReplaceAll(text, "go run ./cmd/handfast", "handfast")
	text = strings.ReplaceAll(text, "go install ./cmd/handfast", "handfast --version") // the binary is already installed
	text = strings.ReplaceAll(text, "--listen :8443", "--listen 127.0.0.1:8443")       // tests listen on loopback only
	return port.ReplaceAllStringFunc(text, func(s string) string {
		p := strings.TrimLeft(s[len(s)-5:], ": t") // four digits or five
		return strings.TrimSuffix(s, p) + r.port(p)
	})
}

// port returns the free port that replaces a port in the document.
func (r *reader) port(p string) string {
	r.t.Helper()
	if r.ports[p] == "" {
		r.ports[p] = harness.FreePort(r.t)
	}
	return r.ports[p]
}

// run runs a block to its end.
func (r *reader) run(b block, want string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 2*timeout) // a block may compile a program
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", r.typed(b.text))
	cmd.Dir, cmd.Env = r.dir, r.env
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = timeout
	if err := cmd.Run(); err != nil {
		r.t.Errorf("line %d: %v\n%s\nstdout:\n%s\nstderr:\n%s", b.line, err, b.text, &out, &errs)
		return
	}
	r.last = strings.ReplaceAll(out.String(), "\r\n", "\n") // curl prints the line ends of HTTP unchanged
	r.compare(b, want, r.last)
}

// compare compares the output of a block with the expected output in the document.
func (r *reader) compare(b block, want, got string) {
	r.t.Helper()
	if want == "" {
		return
	}
	pattern := regexp.QuoteMeta(strings.TrimSpace(r.typed(want)))
	pattern = strings.ReplaceAll(pattern, `\.\.\.`, `.*`)
	if !regexp.MustCompile(`(?s)^` + pattern + `$`).MatchString(strings.TrimSpace(got)) {
		r.t.Errorf("line %d: the output is\n%s\nand in the document it is\n%s", b.line, got, want)
	}
}

// serve starts a block's command and waits until it is ready: until its banner is complete.
func (r *reader) serve(b block, want string) {
	r.t.Helper()
	r.stop()
	text := strings.TrimSpace(r.typed(b.text))
	if !strings.Contains(text, "--listen") && !r.addressIn(text) {
		text += " --listen localhost:" + r.port("8443")
	}
	r.output = &buffer{changed: make(chan struct{}, 1)}
	r.serving = exec.CommandContext(r.t.Context(), "bash", "-c", "exec "+text)
	r.serving.Dir, r.serving.Env = r.dir, r.env
	r.serving.Stdout = r.output
	errs := &buffer{}
	r.serving.Stderr = errs
	if err := r.serving.Start(); err != nil {
		r.t.Fatal(err)
	}
	exited := make(chan error, 1)
	r.exited, r.foreign = exited, false
	go func(cmd *exec.Cmd) { exited <- cmd.Wait() }(r.serving)
	late := time.NewTimer(timeout)
	defer late.Stop()
	for !strings.Contains(r.output.String(), "Ctrl-C") {
		select {
		case <-r.output.changed:
		case err := <-exited:
			r.serving = nil
			r.t.Fatalf("line %d: %q ended: %v\n%s%s", b.line, text, err, r.output, errs)
		case <-late.C:
			r.t.Fatalf("line %d: %q is not ready\n%s%s", b.line, text, r.output, errs)
		}
	}
	r.last = r.output.String()
	r.compare(b, want, r.last)
}

var configFlag = regexp.MustCompile(`--config (\S+)`)

// addressIn reports whether the configuration that a command names has addresses to listen on.
func (r *reader) addressIn(command string) bool {
	r.t.Helper()
	m := configFlag.FindStringSubmatch(command)
	if m == nil {
		return false
	}
	text, err := os.ReadFile(filepath.Join(r.dir, m[1]))
	if err != nil {
		r.t.Fatal(err)
	}
	return strings.Contains(string(text), "listen:")
}

// stop ends the command that keeps running, as a service manager would.
func (r *reader) stop() {
	r.t.Helper()
	if r.serving == nil {
		return
	}
	if err := r.serving.Process.Signal(syscall.SIGTERM); err != nil {
		r.t.Errorf("SIGTERM: %v", err)
	}
	late := time.NewTimer(timeout)
	defer late.Stop()
	select {
	case err := <-r.exited:
		r.serving = nil
		if err != nil && !r.foreign {
			r.t.Errorf("after SIGTERM, the command ended with %v", err)
		}
	case <-late.C:
		r.t.Error("SIGTERM did not end the command")
		r.kill()
	}
}

// kill kills the command that keeps running, if there is one.
func (r *reader) kill() {
	if r.serving != nil {
		r.serving.Process.Kill()
		<-r.exited
		r.serving = nil
	}
}
