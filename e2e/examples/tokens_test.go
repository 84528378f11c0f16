//go:build e2e

package examples

import (
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/handfast/handfast/e2e/internal/harness"
)

// After a reload of the page, and after the server was killed and restarted, an answer continues where it was interrupted.
func TestTokens(t *testing.T) {
	u := harness.NewUser(t)
	build(t, u, "tokens")
	address := "127.0.0.1:" + harness.FreePort(t)
	serve := func() (stop func(syscall.Signal)) {
		cmd := u.Command(filepath.Join(u.Home, "tokens"), "-listen", address)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		harness.Until(t, "the example to listen", func() bool { return u.Bash("curl -sSf http://"+address+"/").Code == 0 })
		return func(s syscall.Signal) { stopped(t, cmd, s) }
	}
	stop := serve()
	p := open(t, "http://"+address+"/")
	// The answer repeats the words of the question, so a longer question leaves more time for an interruption.
	p.Eval(`submit(window, "ask", {question: "What is new?" + " a".repeat(60)})`)
	p.want("the first tokens", `$("answer").textContent.startsWith("You have asked: What is")`)
	p.Open("http://" + address + "/" + p.Eval(`location.hash`)) // like a reload, but Open waits until the page is loaded
	p.Eval(until + `true`)
	p.want("what was written before", `$("answer").textContent.startsWith("You have asked: What is new? a a")`)

	stop(syscall.SIGKILL)
	p.want("the page notices", `$("state").textContent === "connecting"`)
	before := p.Eval(`$("answer").textContent`)
	if strings.Contains(before, "the end of the answer.") {
		t.Fatal("the answer was complete before the restart")
	}
	stop = serve()
	p.want("what it has kept", `$("state").textContent === "writing"`)
	if after := p.Eval(`$("answer").textContent`); !strings.HasPrefix(after, before) {
		t.Errorf("%q does not continue %q", after, before)
	}
	p.want("the whole answer", `$("state").textContent === "done" && $("answer").textContent.endsWith("the end of the answer.") &&
		$("answer").textContent.split("You have asked").length === 2`)
	stop(syscall.SIGTERM)

	stop = serve()
	late := open(t, "http://"+address+"/"+p.Eval(`location.hash`))
	late.want("the stored answer", `$("state").textContent === "done"`)
	if got, want := late.Eval(`$("answer").textContent`), p.Eval(`$("answer").textContent`); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	stop(syscall.SIGTERM)
}

// stopped stops a program with a signal.
func stopped(t *testing.T, cmd *exec.Cmd, s syscall.Signal) {
	t.Helper()
	if err := cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); (err != nil) != (s == syscall.SIGKILL) {
		t.Errorf("after %v: %v", s, err)
	}
}
