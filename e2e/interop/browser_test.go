package interop_test

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

// A browser is a headless Chromium, driven over its debugging pipe: JSON messages that end in a zero byte.
type browser struct {
	cmd      *exec.Cmd
	commands *os.File
	events   *os.File
	reader   *bufio.Reader
	stderr   string // a file
	calls    int
	session  string
	console  []string // what pages printed
	log      []string // what the browser itself said about them
}

// A cdpMessage is an answer (it has an ID) or an event (it has a method).
type cdpMessage struct {
	ID     int             `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// startBrowser starts Chromium with a profile of its own. It trusts one certificate, by the hash of its key.
func startBrowser(t *testing.T, spkiHash string) *browser {
	t.Helper()
	theirCommands, commands := pipe(t)
	events, theirEvents := pipe(t)
	dir := t.TempDir()
	stderr, err := os.Create(filepath.Join(dir, "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{commands: commands, events: events, reader: bufio.NewReader(events), stderr: stderr.Name()}
	b.cmd = exec.Command("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-breakpad",
		"--user-data-dir="+filepath.Join(dir, "profile"), "--ignore-certificate-errors-spki-list="+spkiHash,
		"--remote-debugging-pipe", "about:blank")
	b.cmd.ExtraFiles = []*os.File{theirCommands, theirEvents} // its descriptors 3 and 4
	b.cmd.Stderr = stderr
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := b.cmd.Start(); err != nil {
		t.Fatalf("chromium is missing (make setup installs it): %v", err)
	}
	for _, f := range []*os.File{theirCommands, theirEvents, stderr} {
		_ = f.Close() // the browser has its own
	}
	deadline := time.Now().Add(limit)
	if err := errors.Join(commands.SetDeadline(deadline), events.SetDeadline(deadline)); err != nil {
		t.Error(err)
	}
	t.Cleanup(func() { b.end(t) })
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
func (b *browser) end(t *testing.T) {
	b.session = ""
	if err := b.send("Browser.close", nil); err != nil {
		t.Errorf("closing the browser: %v", err)
		b.kill(t)
	}
	stuck := time.AfterFunc(20*time.Second, func() { b.kill(t) })
	defer stuck.Stop()
	if err := b.cmd.Wait(); err != nil {
		t.Errorf("chromium ended with %v", err)
	}
	b.kill(t)
}

// kill ends what is left of the process group.
func (b *browser) kill(t *testing.T) {
	if err := syscall.Kill(-b.cmd.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Errorf("ending chromium: %v", err)
	}
}

// open loads an address in a new page whose console is heard.
func (b *browser) open(t *testing.T, address string) {
	t.Helper()
	var target struct{ TargetID string }
	b.call(t, "Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call(t, "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Runtime", "Log", "Network"} {
		b.call(t, domain+".enable", nil, nil)
	}
	var navigated struct{ ErrorText string }
	b.call(t, "Page.navigate", map[string]any{"url": address}, &navigated)
	if navigated.ErrorText != "" {
		t.Fatalf("%s: %s", address, navigated.ErrorText)
	}
}

// nextLine waits for the next line that the page prints.
func (b *browser) nextLine(t *testing.T) string {
	t.Helper()
	for len(b.console) == 0 {
		b.handle(t, b.receive(t))
	}
	s := b.console[0]
	b.console = b.console[1:]
	return s
}

// call sends a command and waits for its answer.
func (b *browser) call(t *testing.T, method string, params map[string]any, result any) {
	t.Helper()
	if err := b.send(method, params); err != nil {
		t.Fatalf("%s: %v", method, err)
	}
	for {
		m := b.receive(t)
		if m.ID != b.calls {
			b.handle(t, m)
			continue
		}
		if m.Error != nil {
			t.Fatalf("%s: %s", method, m.Error.Message)
		}
		if result != nil {
			unmarshal(t, m.Result, result)
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

func (b *browser) receive(t *testing.T) (m cdpMessage) {
	t.Helper()
	j, err := b.reader.ReadBytes(0)
	if err != nil {
		said, _ := os.ReadFile(b.stderr) // only more about an error
		t.Fatalf("chromium says no more: %v; on its standard error: %s", err, said)
	}
	unmarshal(t, j[:len(j)-1], &m)
	return m
}

// handle keeps what an event tells.
func (b *browser) handle(t *testing.T, m cdpMessage) {
	t.Helper()
	var p struct {
		Args             []struct{ Value any }
		Entry            struct{ Text string }
		ErrorMessage     string
		ExceptionDetails struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	switch m.Method {
	case "Runtime.consoleAPICalled":
		unmarshal(t, m.Params, &p)
		for _, arg := range p.Args {
			b.console = append(b.console, fmt.Sprint(arg.Value))
		}
	case "Runtime.exceptionThrown":
		unmarshal(t, m.Params, &p)
		t.Fatalf("the page failed: %s %s", p.ExceptionDetails.Text, p.ExceptionDetails.Exception.Description)
	case "Log.entryAdded":
		unmarshal(t, m.Params, &p)
		b.log = append(b.log, p.Entry.Text)
	case "Network.webSocketFrameError":
		unmarshal(t, m.Params, &p)
		b.log = append(b.log, p.ErrorMessage)
	}
}

func unmarshal(t *testing.T, j []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(j, into); err != nil {
		t.Fatalf("%v in %.200q", err, j)
	}
}
