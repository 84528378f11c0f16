package gateway

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
)

// send connects from a loopback address and sends text.
func send(t *testing.T, to, address, text string) net.Conn {
	t.Helper()
	c, err := from(address, nil).DialContext(bounded.Context(t), "tcp", to)
	if err == nil {
		t.Cleanup(func() { c.Close() })
		_, err = io.WriteString(c, text)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Requests whose bodies do not come, be they for a page or for a WebSocket that was refused, count as those that wait.
func TestSlowBodies(t *testing.T) {
	for name, head := range map[string]string{
		"page":    "POST /ticket HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n",
		"nothing": "GET /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n",
		"socket": "GET /chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			r := run(t, parse(t, users+"limits: {pending_handshakes: 20}\n", key))
			to := strings.TrimPrefix(r.URLs()[0], "http://")
			for range 60 {
				send(t, to, "127.0.0.5", head)
			}
			bounded.Until(t, func() bool { return strings.Contains(metrics(t, r), "handfast_handshakes_cut_total 40") })
			echoed(t, r.open(t, "/open", from("127.0.0.6", nil)))
			if n := r.in.server.Handshakes(); n > 20 {
				t.Errorf("%d are waiting", n)
			}
		})
	}
}

// Many slow clients of the admin listener do not keep an operator out, nor take all descriptors.
func TestSlowAdminClients(t *testing.T) {
	r := run(t, parse(t, users, key))
	to := strings.TrimPrefix(r.AdminURL(), "http://")
	heads := []string{"", "GET /metrics HTTP/1.1\r\nHo", "POST /connections/close HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"}
	for i := range adminMost + 100 {
		send(t, to, "127.0.0.5", heads[i%len(heads)])
	}
	for range 3 {
		if _, text := page(t, "GET", r.AdminURL()+"/livez", nil); text != "ok\n" {
			t.Errorf("%q", text)
		}
	}
	bounded.Until(t, func() bool { return r.admin.server.Handshakes() <= adminMost })
}
