package cli

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
)

// On a terminal, drain shows a bar, and top uses the screen until Ctrl-C.
func TestBalanceTerminal(t *testing.T) {
	a, b := serverOf(peer(t, echo)), serverOf(peer(t, echo))
	r := startBalance(t, a, b)
	r.connect(t, 4)
	start := func(args ...string) (shown *buffer, signals chan os.Signal, code chan int) {
		_, tty, shown := screen(t)
		signals, code = make(chan os.Signal, 1), make(chan int, 1)
		go func() {
			code <- Run(context.Background(), append(append([]string{"balance"}, args...), r.admin...), System{
				Program: "handfast", Stdin: tty, Stdout: tty, Stderr: tty, Signals: signals, Getenv: func(string) string { return "" }})
		}()
		return shown, signals, code
	}
	shows := func(shown *buffer, text string) {
		t.Helper()
		bounded.Until(t, func() bool { return strings.Contains(shown.String(), text) })
	}
	shown, _, code := start("drain", a, "--wait", "--pace", "10/s")
	shows(shown, a+"  ["+strings.Repeat("#", 30)+"]  0 left ")
	shows(shown, "\n"+a+" has no connections left")
	if got := bounded.Receive(t, code); got != exitOK {
		t.Errorf("exit %d", got)
	}
	shown, signals, code := start("top", "--every", "100ms")
	shows(shown, "\033[?1049h\033[?25l")
	shows(shown, "draining")
	signals <- os.Interrupt
	if got := bounded.Receive(t, code); got != exitInterrupted {
		t.Errorf("exit %d", got)
	}
	shows(shown, "\033[?25h\033[?1049l")
}
