package binary

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/handfast/handfast/e2e/internal/harness"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/internal/pty"
	"github.com/handfast/handfast/websocket"
)

// screen is a terminal in which the binary runs.
type screen struct {
	t        *testing.T
	master   *os.File // the test's end
	terminal *os.File // the program's end
	cmd      *exec.Cmd
	seen     string // the output after the last text that expect has found
	all      string // all output
}

// onScreen runs a command in a terminal.
func onScreen(u *harness.User, args ...string) *screen {
	u.T.Helper()
	master, terminal := pty.Open(u.T)
	cmd := u.Command("handfast", args...)
	cmd.Env = append(cmd.Env, "TERM=xterm")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true} // the controlling terminal is the standard input
	if err := cmd.Start(); err != nil {
		u.T.Fatal(err)
	}
	s := &screen{t: u.T, master: master, terminal: terminal, cmd: cmd}
	u.T.Cleanup(func() {
		if s.cmd.ProcessState == nil {
			_ = s.cmd.Process.Kill() // fails if it has already exited
			_ = s.cmd.Wait()
		}
	})
	return s
}

// expect waits until the program has written a text, and discards the output up to the end of the text.
func (s *screen) expect(text string) {
	s.t.Helper()
	if err := s.master.SetReadDeadline(time.Now().Add(harness.Patience)); err != nil {
		s.t.Fatal(err)
	}
	buf := make([]byte, 4096)
	for {
		if _, after, found := strings.Cut(s.seen, text); found {
			s.seen = after
			return
		}
		n, err := s.master.Read(buf)
		s.seen += string(buf[:n])
		s.all += string(buf[:n])
		if err != nil {
			s.t.Fatalf("waiting for %q: %v; on the screen %q", text, err, s.all)
		}
	}
}

func (s *screen) press(keys string) {
	s.t.Helper()
	if _, err := s.master.WriteString(keys); err != nil {
		s.t.Fatal(err)
	}
}

// modes returns the terminal's settings.
func (s *screen) modes() unix.Termios {
	s.t.Helper()
	modes, err := unix.IoctlGetTermios(int(s.terminal.Fd()), unix.TCGETS)
	if err != nil {
		s.t.Fatal(err)
	}
	return *modes
}

// end waits for the program and returns its exit code.
func (s *screen) end() int {
	_ = s.cmd.Wait() // the exit code is returned instead of the error
	return s.cmd.ProcessState.ExitCode()
}

const (
	ctrlC = "\x03"
	ctrlD = "\x04"
	enter = "\r"
)

func TestTerminal(t *testing.T) {
	u := harness.NewUser(t)
	server := u.Serve("--listen", "localhost:0")
	for _, tt := range []struct{ name, key string }{{"Ctrl-C", ctrlC}, {"Ctrl-D", ctrlD}} {
		t.Run(tt.name, func(t *testing.T) {
			u := u.In(t)
			s := onScreen(u, "dial", server.First("echo"))
			before := s.modes()
			s.expect("connected to " + server.First("echo"))
			s.expect("> ")
			s.press("hello" + enter)
			s.expect("< hello")
			s.press(tt.key)
			s.expect("closed with 1000")
			if code := s.end(); code != 0 {
				t.Errorf("exit %d", code)
			}
			if s.modes() != before {
				t.Error("the terminal was not restored")
			}
		})
	}
}

// Messages that arrive while the user types are printed above the prompt, and the incomplete line is preserved.
func TestTerminalPromptSurvives(t *testing.T) {
	push, got := make(chan struct{}), make(chan string, 1)
	url := listen(t, func(c *websocket.Conn, r *http.Request) {
		<-push
		_ = c.Write(r.Context(), websocket.Message{Type: websocket.Text, Data: []byte("news \x1b[2J")})
		m, err := c.Read(r.Context())
		got <- string(m.Data)
		if err == nil {
			_ = c.Close(websocket.CodeTryAgainLater, "come back")
		}
	})
	u := harness.NewUser(t)
	u.Env = []string{"NO_COLOR=1"}
	s := onScreen(u, "dial", url)
	s.expect("> ")
	s.press("half")
	s.expect("half")
	close(push)
	s.expect(`< news \x1b[2J`) // unescaped, the message would clear the screen
	s.expect("> half")         // the incomplete line is redrawn below the message
	s.press(" and half" + enter)
	if line := bounded.Receive(t, got); line != "half and half" {
		t.Errorf("sent %q", line)
	}
	s.expect("1013 try again later: come back")
	if code := s.end(); code != 1 {
		t.Errorf("exit %d", code)
	}
	if strings.Contains(s.all, "\x1b[32m") || strings.Contains(s.all, "\x1b[1m") {
		t.Errorf("colors in spite of NO_COLOR: %q", s.all)
	}
}

func TestTerminalColors(t *testing.T) {
	u := harness.NewUser(t)
	server := u.Serve("--tls", "off", "--listen", "127.0.0.1:0")
	s := onScreen(u, "dial", server.First("echo"))
	s.press("hi" + enter)
	s.expect("\x1b[32m< hi\x1b[0m")
	s.press(ctrlD)
	if code := s.end(); code != 0 {
		t.Errorf("exit %d", code)
	}
}

// Ctrl-C stops a server that runs in a terminal.
func TestTerminalServe(t *testing.T) {
	u := harness.NewUser(t)
	s := onScreen(u, "serve", "--listen", "localhost:0")
	s.expect("Ctrl-C stops it")
	s.press(ctrlC)
	s.expect("msg=stopped")
	if code := s.end(); code != 0 {
		t.Errorf("exit %d", code)
	}
}

// On SIGHUP, a server reloads its files, but it exits if its terminal was closed.
func TestTerminalServeHangUp(t *testing.T) {
	u := harness.NewUser(t)
	s := onScreen(u, "serve", "--listen", "localhost:0")
	s.expect("Ctrl-C stops it")
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	s.expect(`msg="configuration unchanged"`)
	if err := errors.Join(s.terminal.Close(), s.master.Close()); err != nil {
		t.Fatal(err)
	}
	if code := s.end(); code != 0 {
		t.Errorf("exit %d", code)
	}
}

// With --binary, no binary data is written to a terminal.
func TestTerminalBinary(t *testing.T) {
	u := harness.NewUser(t)
	s := onScreen(u, "dial", "--binary", "ws://127.0.0.1:1/")
	s.expect("raw bytes to the terminal")
	if code := s.end(); code != 2 {
		t.Errorf("exit %d", code)
	}
}
