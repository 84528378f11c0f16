package gateway

import (
	"math"
	"net"
	"testing"
)

// limits.pending_handshakes applies per address; 0 means no limit, and trusted proxies are exempt.
func TestMayWait(t *testing.T) {
	for limit, want := range map[int]int{0: math.MaxInt, 1: 1, 2: 2} {
		r := run(t, parse(t, "trusted_proxies: [127.0.0.9]\nlimits: {pending_handshakes: %d}\nendpoints: [{path: /open, target: echo, auth: [anonymous]}]", limit))
		if got := r.adm.handshakeLimit(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 8)}); got != want {
			t.Errorf("%d: %d handshakes", limit, got)
		}
		if got := r.adm.handshakeLimit(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}); got != -1 {
			t.Errorf("%d: %d handshakes of a proxy", limit, got)
		}
	}
}

// An endpoint skips authentication only if anonymous is its only method.
func TestAsksNone(t *testing.T) {
	r := run(t, parse(t, `
auth:
	users: {jwt: {secret: "%s"}}
endpoints:
	- {name: open, path: /open, target: echo, auth: [anonymous]}
	- {name: users, path: /users, target: echo, auth: [users]}
	- {name: both, path: /both, target: echo, auth: [users, anonymous]}
`, key))
	for i, want := range []bool{true, false, false} {
		if e := r.site.Load().endpoints[i]; e.skipsAuth != want {
			t.Errorf("%s: %t", e.cfg.Name, e.skipsAuth)
		}
	}
}
