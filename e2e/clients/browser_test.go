package clients

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A browser is a headless Chromium, driven over its debugging pipe: JSON messages that end in a zero byte. It trusts the
// authority of its home (ca.pem), and has a client certificate when there is one in the store.
type browser struct {
	t        *testing.T
	cmd      *exec.Cmd
	commands *os.File
	reader   *bufio.Reader
	stderr   string // a file
	calls    int
	session  string
	console  []string // what pages printed
}

// message is an answer (it has an ID) or an event (it has a method).
type message struct {
	ID     int             `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// store makes the user's store of certificates, where Chromium looks, and puts ca.pem into it.
func (h *home) store() {
	h.t.Helper()
	h.must(`mkdir -p .pki/nssdb
certutil -N -d sql:.pki/nssdb --empty-password
certutil -A -d sql:.pki/nssdb -n ca -t C,, -i ca.pem`)
}

// browser starts Chromium with a profile of its own. Every host of the names that are mapped is this machine.
func (h *home) browser() *browser {
	h.t.Helper()
	theirCommands, commands := pipe(h.t)
	events, theirEvents := pipe(h.t)
	stderr, err := os.Create(filepath.Join(h.dir, "chromium.stderr"))
	if err != nil {
		h.t.Fatal(err)
	}
	b := &browser{t: h.t, commands: commands, reader: bufio.NewReader(events), stderr: stderr.Name()}
	b.cmd = exec.Command("chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-breakpad",
		"--host-resolver-rules=MAP *.example.com 127.0.0.1, MAP attacker.example 127.0.0.1",
		"--user-data-dir="+filepath.Join(h.dir, "profile"), "--remote-debugging-pipe", "about:blank")
	b.cmd.Dir, b.cmd.Env = h.dir, h.environ()
	b.cmd.ExtraFiles = []*os.File{theirCommands, theirEvents} // its descriptors 3 and 4
	b.cmd.Stderr = stderr
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := b.cmd.Start(); err != nil {
		h.t.Fatalf("chromium is missing (make setup installs it): %v", err)
	}
	for _, f := range []*os.File{theirCommands, theirEvents, stderr} {
		_ = f.Close() // the browser has its own
	}
	deadline := time.Now().Add(2 * patience)
	if err := errors.Join(commands.SetDeadline(deadline), events.SetDeadline(deadline)); err != nil {
		h.t.Error(err)
	}
	h.t.Cleanup(b.end)
	return b
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = r.Close(), w.Close() }) // one of them is closed already, and says so
	return r, w
}

// end closes the browser and waits for it and its children, which are a process group.
func (b *browser) end() {
	b.session = ""
	if err := b.send("Browser.close", nil); err != nil {
		b.t.Errorf("closing the browser: %v", err)
		b.kill()
	}
	stuck := time.AfterFunc(20*time.Second, b.kill)
	defer stuck.Stop()
	if err := b.cmd.Wait(); err != nil {
		b.t.Errorf("chromium ended with %v", err)
	}
	b.kill()
}

// kill ends what is left of the process group.
func (b *browser) kill() {
	if err := syscall.Kill(-b.cmd.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		b.t.Errorf("ending chromium: %v", err)
	}
}

// open loads an address in a new page, and waits until it is there.
func (b *browser) open(address string) {
	b.t.Helper()
	if fault := b.load(address); fault != "" {
		b.t.Fatalf("%s: %s", address, fault)
	}
	const loaded = `new Promise(done => {
		const tell = () => done(location.href);
		document.readyState === "complete" ? tell() : addEventListener("load", tell);
	})`
	if got := b.eval(loaded); got != address {
		b.t.Fatalf("the page is %s, want %s", got, address)
	}
}

// load begins to load an address in a new page, and returns why that cannot be done, "" if it can.
func (b *browser) load(address string) string {
	b.t.Helper()
	b.session = ""
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	b.call("Runtime.enable", nil, nil)
	var navigated struct{ ErrorText string }
	b.call("Page.navigate", map[string]any{"url": address}, &navigated)
	return navigated.ErrorText
}

// eval runs an expression in the page and returns what it, or its promise, comes to.
func (b *browser) eval(expression string) string {
	b.t.Helper()
	var r struct {
		Result           struct{ Value any }
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	b.call("Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true}, &r)
	if e := r.ExceptionDetails; e != nil {
		b.t.Fatalf("%s: %s %s", expression, e.Text, e.Exception.Description)
	}
	return fmt.Sprint(r.Result.Value)
}

// printed waits for the next line that a page prints.
func (b *browser) printed() string {
	b.t.Helper()
	for len(b.console) == 0 {
		b.handle(b.receive())
	}
	s := b.console[0]
	b.console = b.console[1:]
	return s
}

// call sends a command and waits for its answer.
func (b *browser) call(method string, params map[string]any, into any) {
	b.t.Helper()
	if err := b.send(method, params); err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
	for {
		m := b.receive()
		if m.ID != b.calls {
			b.handle(m)
			continue
		}
		if m.Error != nil {
			b.t.Fatalf("%s: %s", method, m.Error.Message)
		}
		if into != nil {
			b.unmarshal(m.Result, into)
		}
		return
	}
}

func (b *browser) send(method string, params map[string]any) error {
	b.calls++
	command := map[string]any{"id": b.calls, "method": method}
	if params != nil {
		command["params"] = params
	}
	if b.session != "" {
		command["sessionId"] = b.session
	}
	j, err := json.Marshal(command)
	if err != nil {
		return err
	}
	_, err = b.commands.Write(append(j, 0))
	return err
}

func (b *browser) receive() (m message) {
	b.t.Helper()
	j, err := b.reader.ReadBytes(0)
	if err != nil {
		said, _ := os.ReadFile(b.stderr) // only more about an error
		b.t.Fatalf("chromium says no more: %v; on its standard error: %s", err, said)
	}
	b.unmarshal(j[:len(j)-1], &m)
	return m
}

// handle keeps what a page prints.
func (b *browser) handle(m message) {
	b.t.Helper()
	if m.Method != "Runtime.consoleAPICalled" {
		return
	}
	var p struct{ Args []struct{ Value any } }
	b.unmarshal(m.Params, &p)
	for _, arg := range p.Args {
		b.console = append(b.console, fmt.Sprint(arg.Value))
	}
}

func (b *browser) unmarshal(j []byte, into any) {
	b.t.Helper()
	if err := json.Unmarshal(j, into); err != nil {
		b.t.Fatalf("%v in %.200q", err, j)
	}
}
