package cli

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/internal/pty"
	"github.com/handfast/handfast/websocket"
)

// terminalSession is a user at a terminal in which dial is running.
type terminalSession struct {
	t     *testing.T
	tty   *os.File
	keys  func(string)
	shown *buffer
	code  chan int
}

// startTerminal runs dial in a terminal.
func startTerminal(t *testing.T, args ...string) *terminalSession {
	t.Helper()
	keys, tty, shown := screen(t)
	p := &terminalSession{t: t, tty: tty, shown: shown, code: make(chan int, 1)}
	p.keys = func(s string) { press(t, keys, s) }
	go func() {
		p.code <- Run(context.Background(), append([]string{"dial"}, args...), System{Program: "handfast", Stdin: tty, Stdout: tty, Stderr: tty,
			Getenv: func(name string) string { return map[string]string{"NO_COLOR": "1"}[name] }})
	}()
	return p
}

// waitFor waits until the terminal has shown a text; line ends are those of a terminal.
func (p *terminalSession) waitFor(text string) {
	p.t.Helper()
	bounded.Until(p.t, func() bool { return strings.Contains(p.shown.String(), text) })
}

func (p *terminalSession) waitExit(code int) {
	p.t.Helper()
	if got := bounded.Receive(p.t, p.code); got != code {
		p.t.Errorf("exit %d, want %d: %q", got, code, p.shown.String())
	}
}

// A typed line may have 1 MiB, and is sent completely; a longer line is not sent, and the error contains its size.
func TestDialTerminalLongLine(t *testing.T) {
	got := make(chan string, 8)
	url := peer(t, func(ctx context.Context, c *websocket.Conn, _ *http.Request) {
		for m, err := range c.Messages(ctx) {
			if err == nil {
				got <- string(m.Data)
			}
		}
	})
	p := startTerminal(t, url)
	p.waitFor("connected to")
	for _, n := range []int{4095, 4097, 100_000, maxTyped} {
		line := strings.Repeat("0123456789abcdef", n/16+1)[:n]
		p.keys(line + "\r")
		if m := bounded.Receive(t, got); m != line {
			t.Errorf("%d of %d bytes were sent", len(m), n)
		}
	}
	p.keys(strings.Repeat("\u20ac", maxTyped/3+1) + "\r")
	p.waitFor("not sent: the line has 1048578 bytes, but a typed line may have at most 1048576")
	p.keys("next\r")
	if m := bounded.Receive(t, got); m != "next" {
		t.Errorf("%d bytes were sent", len(m))
	}
	p.keys("\x04")
	p.waitExit(exitOK)
}

// If the terminal itself edits the lines, it drops the end of a line that is too long, and the command fails.
func TestDialTerminalCutsLine(t *testing.T) {
	url := peer(t, echo)
	for _, args := range [][]string{{"dial", url}, {"dial", "--binary", url}} {
		keys, tty, _ := screen(t)
		press(t, keys, strings.Repeat("x", 5000)+"\n")
		got := runWith(t, tty, nil, args...)
		if got.code != exitFailed || !strings.Contains(got.stderr, "4095 bytes or more") || got.stdout != "" {
			t.Errorf("%q: exit %d, %q, %q", args, got.code, got.stdout, got.stderr)
		}
	}
}

// A line that begins with a slash is a command, and two slashes send one slash.
func TestDialTerminalCommands(t *testing.T) {
	ended := make(chan error, 1)
	url := peer(t, func(ctx context.Context, c *websocket.Conn, _ *http.Request) {
		for {
			m, err := c.Read(ctx)
			if err != nil {
				ended <- err
				return
			}
			_ = c.Write(ctx, m)
		}
	})
	p := startTerminal(t, url)
	p.waitFor("connected to")
	p.keys("/ping\r")
	p.waitFor("pong after ")
	p.keys("//ping\r")
	p.waitFor("< /ping")
	for line, want := range map[string]string{
		"/help":           "/close [CODE [REASON]]   close with this code",
		"/nothing at all": "not sent: /nothing is not a command. //nothing at all sends the line with one slash",
		"/ping x":         "/ping takes no arguments",
		"/close 1005":     "not closed: the code 1005 must not be sent",
		"/close now":      "not closed: the code must be a number",
		"/close 1000 " + strings.Repeat("x", 124): "not closed: the reason has 124 bytes",
	} {
		p.keys(line + "\r")
		p.waitFor(want)
	}
	p.keys("/close 4001 bye bye\r")
	p.waitFor("closed with 4001")
	p.waitExit(exitOK)
	if e := new(websocket.CloseError); !as(bounded.Receive(t, ended), &e) || e.Code != 4001 || e.Reason != "bye bye" {
		t.Errorf("the server saw %v", e)
	}
}

// The second line of a message cannot be mistaken for another message, nor for typed text.
func TestDialTerminalLinesOfAMessage(t *testing.T) {
	url := peer(t, func(ctx context.Context, c *websocket.Conn, r *http.Request) {
		_ = c.Write(ctx, websocket.Message{Type: websocket.Text, Data: []byte("one\n> two\n< three\r\n\n")})
		echo(ctx, c, r)
	})
	p := startTerminal(t, url)
	p.waitFor("< one\r\n| > two\r\n| < three\\x0d\r\n| \r\n| \r\n")
	p.keys("\x03")
	p.waitExit(exitOK)
	if got := string(newFormat(false, true)(nil, websocket.Message{Type: websocket.Text, Data: []byte("a\nb")})); got != "a\n| b" {
		t.Errorf("without a prompt: %q", got)
	}
}

// With --jsonl, typed lines must be JSON; an invalid one is not sent.
func TestDialTerminalJSON(t *testing.T) {
	p := startTerminal(t, "--jsonl", peer(t, echo))
	p.waitFor("connected to")
	p.keys("hello\r")
	p.waitFor("not sent: the line is not a JSON message")
	p.keys(`{"type":"binary","data":"AAH/"}` + "\r")
	p.waitFor(`< {"type":"binary","data":"AAH/"}`)
	p.keys("\x04")
	p.waitExit(exitOK)
}

// If connecting takes long, a note appears on a terminal, but not in a pipe.
func TestDialConnectingNote(t *testing.T) {
	state(t)
	open := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-open }))
	t.Cleanup(s.Close)
	url := "ws" + strings.TrimPrefix(s.URL, "http")
	p := startTerminal(t, url)
	p.waitFor("connecting to " + url)
	close(open)
	p.waitExit(exitFailed)

	synctest.Test(t, func(t *testing.T) {
		var stderr buffer
		d := &dialRun{
			sys: &System{Stderr: &stderr}, raw: "ws://example.com/", displayURL: "ws://example.com/", notes: &stderr,
			opts: &websocket.DialOptions{Proxy: noProxy, DialContext: func(context.Context, string, string) (net.Conn, error) {
				<-time.After(5 * connectNoteDelay)
				return nil, os.ErrNotExist
			}},
		}
		if _, err := d.connect(t.Context()); err == nil || stderr.String() != "" {
			t.Errorf("%v, %q", err, stderr.String())
		}
	})
}

// With --reconnect the prompt stays from one connection to the next. At the end of the input the terminal is restored even if
// --wait continues, so that Ctrl-C raises a signal.
func TestDialTerminalReconnect(t *testing.T) {
	end := make(chan struct{})
	url := serveSuccessively(t, func(_ context.Context, c *websocket.Conn) { _ = c.Close(websocket.CodeInternalError, "") },
		func(ctx context.Context, c *websocket.Conn) {
			if m, err := c.Read(ctx); err == nil {
				_ = c.Write(ctx, m)
			}
			<-end
			_ = c.Close(websocket.CodeNormal, "")
		})
	p := startTerminal(t, "--reconnect", "--wait", "1h", url)
	p.waitFor("reconnecting in")
	p.waitFor("reconnected")
	raw := modes(t, p.tty)
	p.keys("hello\r")
	p.waitFor("< hello")
	p.keys("\x04")
	bounded.Until(t, func() bool { return modes(t, p.tty) != raw })
	close(end)
	p.waitExit(exitOK)
}

// Ctrl-Z restores the terminal for the shell, and fg continues.
func TestDialTerminalSuspended(t *testing.T) {
	url := peer(t, echo)
	master, tty := pty.Open(t)
	shell := exec.CommandContext(bounded.Context(t), "bash", "--norc", "--noprofile", "--noediting", "-i")
	shell.Env = append(os.Environ(), asProgram+"=1", "TERM=xterm", "PS1=READY ", "PROGRAM="+os.Args[0])
	shell.Stdin, shell.Stdout, shell.Stderr = tty, tty, tty
	shell.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	shown := &buffer{}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b := make([]byte, 4096)
		for {
			n, err := master.Read(b)
			_, _ = shown.Write(b[:n])
			if err != nil {
				return
			}
		}
	}()
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = shell.Process.Kill()
		_ = shell.Wait()
		master.Close()
		bounded.Receive(t, ended)
		if t.Failed() {
			t.Logf("%q", shown.String())
		}
	})
	seen := 0
	waitFor := func(text string) {
		t.Helper()
		bounded.Until(t, func() bool {
			all := shown.String()
			i := strings.Index(all[seen:], text)
			if i >= 0 {
				seen += i + len(text)
			}
			return i >= 0
		})
	}
	waitFor("READY ")
	press(t, master, `"$PROGRAM" dial `+url+"\n")
	waitFor("connected to")
	raw := modes(t, tty)
	for _, text := range []string{"hello", "hello again"} {
		press(t, master, text+"\r")
		waitFor("< " + text)
		press(t, master, "\x1a")
		waitFor("Stopped")
		waitFor("READY ")
		if modes(t, tty) == raw {
			t.Error("the terminal was not restored")
		}
		press(t, master, "echo $((40+2))\n")
		waitFor("\n42")
		press(t, master, "fg\n")
		waitFor("> ")
		bounded.Until(t, func() bool { return modes(t, tty) == raw })
	}
	press(t, master, "\x04")
	waitFor("closed with 1000")
	waitFor("READY ")
	press(t, master, "exit $?\n")
	if err := shell.Wait(); err != nil {
		t.Errorf("%v\n%s", err, shown.String())
	}
}
