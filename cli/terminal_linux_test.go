package cli

import (
	"context"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/term"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/internal/pty"
)

// screen returns a terminal: a writer for typing, the terminal for the program, and the program's output.
func screen(t *testing.T) (keys io.Writer, tty *os.File, shown *buffer) {
	t.Helper()
	master, tty := pty.Open(t)
	shown = &buffer{}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(shown, master) // returns when the test closes the terminal
	}()
	t.Cleanup(func() {
		master.Close()
		bounded.Receive(t, ended)
	})
	return master, tty, shown
}

// modes returns the settings of a terminal.
func modes(t *testing.T, tty *os.File) term.State {
	t.Helper()
	s, err := term.GetState(int(tty.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return *s
}

func press(t *testing.T, to io.Writer, keys string) {
	t.Helper()
	if _, err := io.WriteString(to, keys); err != nil {
		t.Fatal(err)
	}
}

// On a terminal, dial shows a prompt, and restores the terminal at the end. Ctrl-C and Ctrl-D close the connection.
func TestDialTerminal(t *testing.T) {
	url := peer(t, echo)
	for _, key := range []string{"\x03", "\x04"} {
		keys, tty, shown := screen(t)
		before := modes(t, tty)
		code := make(chan int, 1)
		go func() {
			code <- Run(context.Background(), []string{"dial", url}, System{Program: "handfast", Stdin: tty, Stdout: tty, Stderr: tty,
				Getenv: func(string) string { return "" }})
		}()
		appears := func(text string) {
			t.Helper()
			bounded.Until(t, func() bool { return strings.Contains(shown.String(), text) })
		}
		appears("connected to " + url)
		appears("> ")
		if modes(t, tty) == before {
			t.Error("the terminal was not taken over")
		}
		press(t, keys, "hello\r")
		appears("< hello")
		press(t, keys, key)
		appears("closed with 1000")
		if got := bounded.Receive(t, code); got != exitOK {
			t.Errorf("exit %d", got)
		}
		if modes(t, tty) != before {
			t.Error("the terminal was not restored")
		}
	}
}

// On a terminal, publish prints what it does with the lines, and how to end the input.
func TestPublishTerminal(t *testing.T) {
	url := withServer(t)
	keys, tty, shown := screen(t)
	code := make(chan int, 1)
	go func() {
		code <- Run(context.Background(), []string{"publish", "--url", url, "chat"}, System{Program: "handfast", Stdin: tty, Stdout: tty, Stderr: tty,
			Getenv: func(string) string { return "" }})
	}()
	bounded.Until(t, func() bool { return strings.Contains(shown.String(), "each line is a message to chat; Ctrl-D ends") })
	press(t, keys, "hello\n\x04")
	if got := bounded.Receive(t, code); got != exitOK {
		t.Errorf("exit %d, %q", got, shown.String())
	}
	if got := runCommand(t, "subscribe", "--url", url, "--history", "1", "-n", "1", "chat"); got.stdout != "hello\n" {
		t.Errorf("%+v", got)
	}
}

// A typed secret is not displayed. A signal during the input restores the terminal, and a later signal does not change the terminal.
func TestReadSecretTerminal(t *testing.T) {
	keys, tty, shown := screen(t)
	before := modes(t, tty)
	sys := &System{Stdin: tty, Stderr: tty, restore: &atomic.Pointer[func()]{}}
	type answer struct {
		secret string
		err    error
	}
	read := make(chan answer, 1)
	go func() {
		secret, err := readSecret(sys, "password", "")
		read <- answer{secret, err}
	}()
	bounded.Until(t, func() bool { return modes(t, tty) != before })
	hidden := modes(t, tty)
	restore := sys.restore.Load()
	if restore == nil {
		t.Fatal("there is no function that restores the terminal")
	}
	(*restore)()
	if modes(t, tty) != before {
		t.Error("the terminal was not restored")
	}
	if err := term.Restore(int(tty.Fd()), &hidden); err != nil {
		t.Fatal(err)
	}
	press(t, keys, "hunter2\n")
	if got := bounded.Receive(t, read); got.secret != "hunter2" || got.err != nil {
		t.Errorf("%q, %v", got.secret, got.err)
	}
	if modes(t, tty) != before || sys.restore.Load() != nil {
		t.Error("the terminal was changed again, or can be restored again")
	}
	bounded.Until(t, func() bool { return strings.Count(shown.String(), "\n") == 2 }) // the first by restore, the second after the secret
	if got := shown.String(); !strings.HasPrefix(got, "password: ") || strings.Contains(got, "hunter2") {
		t.Errorf("the terminal shows %q", got)
	}
}
