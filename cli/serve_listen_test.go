package cli

import (
	"os"
	"strings"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
)

// One server, one address with TLS and one without.
func TestServeMixedListen(t *testing.T) {
	state(t)
	s := startServe(t, "--listen", "https://127.0.0.1:0", "--listen", "http://127.0.0.1:0")
	for _, want := range []string{"address=https://127.0.0.1:", "address=http://127.0.0.1:"} {
		if !strings.Contains(s.stderr.String(), want) {
			t.Errorf("no %s in %s", want, s.stderr.String())
		}
	}
	if !strings.HasPrefix(s.banner["echo"], "ws://127.0.0.1:") { // the last line of its kind
		t.Errorf("banner %q", s.banner)
	}
	if got := runWith(t, strings.NewReader("x\n"), nil, "dial", s.banner["echo"]); got.code != 0 || got.stdout != "x\n" {
		t.Errorf("%+v", got)
	}
	s.signals <- os.Interrupt
	if code := bounded.Receive(t, s.code); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
