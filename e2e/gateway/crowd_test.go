//go:build e2e

package gateway

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handfast/handfast/e2e/internal/harness"
	"github.com/handfast/handfast/internal/bounded"
)

// 5,000 clients send their handshakes one byte at a time, half of them to the TLS listener. The server still accepts other clients, and
// does not exceed its limit of pending handshakes.
func TestSlowClients(t *testing.T) {
	s := serve(t, `
listen:
	- {address: "127.0.0.1:0", tls: off}
	- {address: "127.0.0.1:0", tls: dev}
admin: {address: "127.0.0.1:0"}
limits: {pending_handshakes: 1000}
http: {head_timeout: 5m, tls_timeout: 5m}
endpoints: [{name: open, path: /open, target: echo, auth: [anonymous]}]
`)
	if len(s.Banner["open"]) != 2 {
		t.Fatalf("banner %q", s.Banner)
	}
	var targets []string
	for _, url := range s.Banner["open"] {
		_, rest, _ := strings.Cut(url, "://")
		targets = append(targets, strings.TrimSuffix(rest, "/open"))
	}
	var slow []net.Conn
	defer func() {
		for _, c := range slow {
			c.Close()
		}
	}()
	for i := range 5000 {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IP(netip.AddrFrom4([4]byte{127, 0, 1, byte(1 + i%100)}).AsSlice())}}
		c, err := d.DialContext(bounded.Context(t), "tcp", targets[i%2])
		if err != nil {
			t.Fatal(err)
		}
		slow = append(slow, c)
	}
	stop := make(chan struct{})
	var dripping sync.WaitGroup
	defer dripping.Wait()
	defer close(stop)
	dripping.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		starts := []string{"GET /open HTTP/1.1\r\nX-Filler: xxxxxxxxxxxxxxxxxxxxxxxxxx", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("x", 40)}
		for n := range len(starts[1]) {
			for i, c := range slow {
				_, _ = io.WriteString(c, starts[i%2][n:n+1]) // fails for most clients: the server has disconnected them
			}
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
	})
	for range 20 {
		c := dial(t, s.url("open"), from("127.0.0.5"))
		echoed(t, c)
		c.CloseNow()
	}
	harness.Until(t, "3900 are cut", func() bool { // the server may still have to accept connections from the kernel
		_, metrics := s.admin(t, "/metrics")
		cut := 0.0
		for line := range strings.Lines(metrics) {
			var n float64
			if _, err := fmt.Sscanf(line, "handfast_handshakes_pending %g", &n); err == nil && n > 1000 {
				t.Errorf("%v handshakes are pending", n)
			}
			_, _ = fmt.Sscanf(line, "handfast_handshakes_cut_total %g", &cut)
		}
		return cut >= 3900
	})
	if status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.Pid())); err == nil {
		for line := range strings.Lines(string(status)) {
			if strings.HasPrefix(line, "VmRSS") {
				t.Log(strings.TrimSpace(line))
			}
		}
	}
}
