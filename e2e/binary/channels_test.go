package binary

import (
	"bufio"
	"strings"
	"syscall"
	"testing"

	"github.com/handfast/handfast/e2e/internal/harness"
)

// A subscriber receives the messages published by other processes over TLS with the development CA, and exits on SIGINT.
func TestChannels(t *testing.T) {
	u := harness.NewUser(t)
	s := u.Serve("--listen", "localhost:0")
	url := s.First("channels")
	if !strings.HasPrefix(url, "wss://localhost:") || !strings.HasSuffix(url, "/channels") {
		t.Fatalf("banner %q", s.Lines)
	}
	sub := u.Command("handfast", "subscribe", "--url", url, "--history", "10", "chat")
	out, err := sub.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := sub.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if got := u.Handfast("one\n\ntwo words\n", "publish", "--url", url, "chat"); got != (harness.Result{}) {
		t.Errorf("%+v", got)
	}
	if got := u.Handfast("", "publish", "--url", url, "--raw", "chat", `{"n": 3}`); got != (harness.Result{}) {
		t.Errorf("%+v", got)
	}
	for _, want := range []string{"one", "", "two words", `{"n":3}`} {
		if !lines.Scan() || lines.Text() != want {
			t.Errorf("got %q, want %q", lines.Text(), want)
		}
	}
	if err := sub.Process.Signal(syscall.SIGINT); err != nil {
		t.Error(err)
	}
	if lines.Scan() {
		t.Errorf("then %q", lines.Text())
	}
	if err := sub.Wait(); err != nil {
		t.Errorf("subscribe: %v", err)
	}
	for _, command := range []string{"subscribe", "publish"} {
		if help := u.Handfast("", command, "--help"); help.Code != 0 || !strings.Contains(help.Stdout, "handfast "+command) || !strings.Contains(help.Stdout, "wss://localhost:8443/channels") {
			t.Errorf("%+v", help)
		}
		if got := u.Handfast("", command, "--url", strings.Replace(url, "wss", "ws", 1), "chat", "x"); got.Code != 1 {
			t.Errorf("without TLS: %+v", got)
		}
	}
	if code := s.Stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit %d", code)
	}
}
