package gateway

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/observe"
)

// send connects from a loopback address and sends text.
func send(t *testing.T, to, address, text string) net.Conn {
	t.Helper()
	c, err := withLocalAddr(address, nil).DialContext(bounded.Context(t), "tcp", to)
	if err == nil {
		t.Cleanup(func() { c.Close() })
		_, err = io.WriteString(c, text)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Requests whose bodies do not arrive count as waiting, whether for a page or for a rejected WebSocket.
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
			wantEcho(t, r.open(t, "/open", withLocalAddr("127.0.0.6", nil)))
			if n := r.entrance.server.Handshakes(); n > 20 {
				t.Errorf("%d connections are waiting", n)
			}
		})
	}
}

// Behind a balancer with the PROXY protocol, slow clients displace only clients with the same address. Connections of a trusted proxy,
// which is trusted per request, do not count.
func TestSlowClientsBehindProxies(t *testing.T) {
	const half = "GET /open HTTP/1.1\r\nHo"
	r := run(t, parse(t, balanced+"trusted_proxies: [127.0.0.7]\nlimits: {pending_handshakes: 3}\n"))
	to := strings.TrimPrefix(r.URLs()[0], "http://")
	other := send(t, to, "127.0.0.9", fromV2+half)
	bounded.Until(t, func() bool { return r.entrance.server.Handshakes() == 1 })
	for range 5 {
		send(t, to, "127.0.0.9", fromV1+half)
		send(t, to, "127.0.0.7", half)
	}
	r.metric(t, "handfast_handshakes_cut_total 3")
	r.metric(t, "handfast_handshakes_pending 3")
	waitForLog(t, &r.log, observe.EventCut, "addr=192.0.2.1")
	if _, err := io.WriteString(other, "st: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if got := readStatus(t, other); got != 426 {
		t.Errorf("the other client: %d", got)
	}
}

// Many slow clients of the admin listener neither lock out an operator, nor use up all descriptors.
func TestSlowAdminClients(t *testing.T) {
	r := run(t, parse(t, users, key))
	to := strings.TrimPrefix(r.AdminURL(), "http://")
	heads := []string{"", "GET /metrics HTTP/1.1\r\nHo", "POST /connections/close HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"}
	for i := range adminMaxConns + 100 {
		send(t, to, "127.0.0.5", heads[i%len(heads)])
	}
	for range 3 {
		if _, text := requestPage(t, "GET", r.AdminURL()+"/livez", nil); text != "ok\n" {
			t.Errorf("%q", text)
		}
	}
	bounded.Until(t, func() bool { return r.admin.server.Handshakes() <= adminMaxConns })
}
