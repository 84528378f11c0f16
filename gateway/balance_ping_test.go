package gateway

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
)

// A client that does not answer pings is closed, whether the balancer forwards bytes or messages, and the audit log has the reason.
func TestBalancePing(t *testing.T) {
	for messages, code := range map[string]string{"false": `"code":1001`, "true": `"code":1006`} {
		a := newBackend(t, "a")
		r := run(t, parse(t, balancing([]*backend{a}, "timeouts: {ping: 100ms}\n\t      messages: "+messages)))
		nc, err := net.Dial("tcp", strings.TrimPrefix(r.URLs()[0], "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		if _, err := io.WriteString(nc, "GET / HTTP/1.1\r\n"+upgradeHead+"\r\n"); err != nil {
			t.Fatal(err)
		}
		all := make(chan string, 1)
		go func() {
			b, _ := io.ReadAll(nc)
			all <- string(b)
		}()
		if got := bounded.Receive(t, all); !strings.Contains(got, "\x89") {
			t.Errorf("messages %s: got %q, want a ping in it", messages, got)
		}
		bounded.Until(t, func() bool { return a.open.Load() == 0 })
		waitForLog(t, &r.audited, `"disconnected"`, code, `"reason":"silent for too long"`)
	}
}
