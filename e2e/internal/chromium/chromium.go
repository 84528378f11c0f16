// Package chromium controls a headless Chromium in tests over its debugging pipe, whose JSON messages are terminated by a zero
// byte.
package chromium

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// lifetime is the time limit for all operations of one browser. A passing test never takes that long.
const lifetime = 5 * time.Minute

// Options configure a browser. The zero value is ready to use.
type Options struct {
	// Dir is the parent of the browser's profile directory, "profile". "" means a temporary directory of the test.
	Dir string
	// Env is the environment of the browser. nil means the environment of the test.
	Env []string
	// Flags are additional command line flags.
	Flags []string
}

// A Browser is a Chromium that runs until its test ends. Any failure of a method fails the test. Methods must be called from the
// goroutine of the test.
type Browser struct {
	// Log contains the messages that the browser itself has logged about pages so far.
	Log []string

	t        *testing.T
	cmd      *exec.Cmd
	commands *os.File
	reader   *bufio.Reader
	stderr   string // path of the file that contains the browser's standard error
	calls    int
	session  string
	console  []string // printed lines that Printed has not returned yet
}

// Start starts Chromium without a page.
func Start(t *testing.T, opts Options) *Browser {
	t.Helper()
	if opts.Dir == "" {
		opts.Dir = t.TempDir()
	}
	theirCommands, commands := pipe(t)
	events, theirEvents := pipe(t)
	stderr, err := os.Create(filepath.Join(opts.Dir, "chromium.stderr"))
	if err != nil {
		t.Fatal(err)
	}
	b := &Browser{t: t, commands: commands, reader: bufio.NewReader(events), stderr: stderr.Name()}
	b.cmd = exec.Command("chromium", append([]string{"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic",
		"--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-breakpad",
		"--user-data-dir=" + filepath.Join(opts.Dir, "profile"), "--remote-debugging-pipe"}, append(opts.Flags, "about:blank")...)...)
	b.cmd.Dir, b.cmd.Env = opts.Dir, opts.Env
	b.cmd.ExtraFiles = []*os.File{theirCommands, theirEvents} // become the browser's descriptors 3 and 4
	b.cmd.Stderr = stderr
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := b.cmd.Start(); err != nil {
		t.Fatalf("chromium is missing (make setup installs it): %v", err)
	}
	for _, f := range []*os.File{theirCommands, theirEvents, stderr} {
		f.Close() // the browser has its own copies
	}
	deadline := time.Now().Add(lifetime)
	if err := errors.Join(commands.SetDeadline(deadline), events.SetDeadline(deadline)); err != nil {
		t.Error(err)
	}
	t.Cleanup(b.end)
	return b
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// end closes the browser, waits for it, and kills its remaining child processes.
func (b *Browser) end() {
	b.session = ""
	if err := b.send("Browser.close", nil); err != nil {
		b.t.Errorf("closing the browser: %v", err)
		b.kill()
	}
	stuck := time.AfterFunc(time.Minute, b.kill)
	defer stuck.Stop()
	if err := b.cmd.Wait(); err != nil {
		b.t.Errorf("chromium ended with %v", err)
	}
	b.kill()
}

// kill kills the browser and its child processes, which are a process group.
func (b *Browser) kill() {
	if err := syscall.Kill(-b.cmd.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		b.t.Errorf("ending chromium: %v", err)
	}
}

// Open loads an address in a new page, and waits until the page has loaded.
func (b *Browser) Open(address string) {
	b.t.Helper()
	if fault := b.Load(address); fault != "" {
		b.t.Fatalf("%s: %s", address, fault)
	}
	const loaded = `new Promise(done => {
		const tell = () => done(location.href);
		document.readyState === "complete" ? tell() : addEventListener("load", tell);
	})`
	if got := b.Eval(loaded); got != address {
		b.t.Fatalf("the page is %s, want %s", got, address)
	}
}

// Load starts loading an address in a new page. It returns the error text if the page cannot be loaded, otherwise "". The browser's
// other methods then apply to the new page.
func (b *Browser) Load(address string) string {
	b.t.Helper()
	b.session = ""
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Runtime", "Log", "Network"} {
		b.call(domain+".enable", nil, nil)
	}
	var navigated struct{ ErrorText string }
	b.call("Page.navigate", map[string]any{"url": address}, &navigated)
	return navigated.ErrorText
}

// Eval evaluates an expression in the page and returns its value. If the value is a promise, Eval waits for the result.
func (b *Browser) Eval(expression string) string {
	b.t.Helper()
	var r struct {
		Result           struct{ Value any }
		ExceptionDetails *exception
	}
	b.call("Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true}, &r)
	if r.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", expression, r.ExceptionDetails)
	}
	return fmt.Sprint(r.Result.Value)
}

// Printed returns the next line that a page prints on its console, and waits for it if necessary.
func (b *Browser) Printed() string {
	b.t.Helper()
	for len(b.console) == 0 {
		b.handle(b.receive())
	}
	s := b.console[0]
	b.console = b.console[1:]
	return s
}
