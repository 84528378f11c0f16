package gateway

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/websocket"
)

// A development listener accepts only the host names of this machine, which prevents DNS rebinding; a listener with hosts accepts
// only those.
func TestListenerHosts(t *testing.T) {
	const endpoints = "\nendpoints:\n\t- {path: /open, target: echo, auth: [anonymous]}\n\t- {path: /, hosts: [named.example], target: echo, auth: [anonymous]}\n"
	for name, tt := range map[string]struct {
		config   string
		good     []string // accepted hosts; PORT is replaced by the port
		bad      []string
		fromAddr string
	}{
		"without TLS on loopback": {config: `listen: [{address: "127.0.0.1:0", tls: off}]`,
			good: []string{"127.0.0.1:PORT", "localhost:PORT", "LOCALHOST", "localhost.", "app.localhost:1", "[::1]:PORT", "192.0.2.1", "named.example"},
			bad:  []string{"evil.example", "evil.example:PORT", "localhost.evil.example", "127.0.0.1.evil.example", "evil-localhost", "named.example.evil"}},
		"a list": {config: `listen: [{address: "127.0.0.1:0", tls: off, hosts: [ws.example, "::1", 192.0.2.1]}]`,
			good: []string{"ws.example", "WS.example:PORT", "[::1]:1", "192.0.2.1:2"},
			bad:  []string{"127.0.0.1:PORT", "localhost", "named.example", "x.ws.example", "192.0.2.10"}},
		"any": {config: `listen: [{address: "127.0.0.1:0", tls: off, hosts: any}]`,
			good: []string{"evil.example", "localhost"}},
		"with proxies": {config: "trusted_proxies: [192.0.2.1]\n" + `listen: [{address: "127.0.0.1:0", tls: off}]`,
			good: []string{"evil.example"}},
		"a list, from a proxy": {config: "trusted_proxies: [127.0.0.9]\n" + `listen: [{address: "127.0.0.1:0", tls: off, hosts: [ws.example]}]`,
			good: []string{"evil.example", "ws.example"}, fromAddr: "127.0.0.9"},
		"a list, not from the proxy": {config: "trusted_proxies: [127.0.0.9]\n" + `listen: [{address: "127.0.0.1:0", tls: off, hosts: [ws.example]}]`,
			good: []string{"ws.example"}, bad: []string{"evil.example"}, fromAddr: "127.0.0.8"},
	} {
		t.Run(name, func(t *testing.T) {
			r := run(t, parse(t, tt.config+endpoints))
			dial := func(host string) *websocket.DialOptions {
				o := &websocket.DialOptions{Header: http.Header{"Host": {strings.ReplaceAll(host, "PORT", r.port(t))}}}
				if tt.fromAddr != "" {
					o = withLocalAddr(tt.fromAddr, o)
				}
				return o
			}
			for _, host := range tt.good {
				wantEcho(t, r.open(t, "/open", dial(host)))
			}
			for _, host := range tt.bad {
				if e := r.refuse(t, "/open", dial(host)); e.Status != http.StatusMisdirectedRequest {
					t.Errorf("%s: %v", host, e)
				}
				if tt.fromAddr != "" {
					continue
				}
				if resp, body := requestPage(t, "GET", r.URLs()[0]+"/", http.Header{"Host": {strings.ReplaceAll(host, "PORT", r.port(t))}}); resp.StatusCode != 421 || !strings.Contains(body, "hosts") {
					t.Errorf("a page for %s: %s %q", host, resp.Status, body)
				}
			}
			if len(tt.bad) > 0 {
				waitForLog(t, &r.audited, `"refused"`, `"status":421`)
			}
		})
	}
}

// The names in the development certificate are accepted as hosts, and a reload changes the hosts.
func TestListenerHostsOfCertificate(t *testing.T) {
	const endpoints = "\nendpoints: [{path: /open, target: echo, auth: [anonymous]}]"
	r := run(t, parse(t, `listen: [{address: "127.0.0.1:0", tls: dev}]`+endpoints))
	n, request := r.site.Load(), &http.Request{}
	for _, name := range append(r.Dev().Names(), "localhost:8443", "") {
		request.Host = name
		if !n.listen[0].hosts.has(hostOf(request)) {
			t.Errorf("%q is not among the hosts", name)
		}
	}
	if n.listen[0].hosts.has("evil.example") {
		t.Error("evil.example is among the hosts")
	}
	if err := r.Reload(t.Context(), parse(t, `listen: [{address: "127.0.0.1:0", tls: dev, hosts: [evil.example]}]`+endpoints)); err != nil {
		t.Fatal(err)
	}
	if h := r.site.Load().listen[0].hosts; !h.has("evil.example") || h.has("localhost") {
		t.Error("the hosts are those from before the reload")
	}
}

// By default, connections_per_address is 1000 and exempts programs on this machine; an explicit value applies to them as well.
// Trusted proxies are always exempt.
func TestConnectionsPerAddressDefault(t *testing.T) {
	const endpoints = "\nendpoints: [{path: /open, target: echo, auth: [anonymous]}]"
	for limits, want := range map[string][3]int{"": {1000, 0, 0}, "limits: {connections_per_address: 7}": {7, 7, 0}, "limits: {connections_per_address: 0}": {0, 0, 0}} {
		r := run(t, parse(t, "trusted_proxies: [10.0.0.0/8]\n"+limits+endpoints))
		e := r.site.Load().endpoints[0]
		var got [3]int
		for i, addr := range []string{"192.0.2.1", "127.0.0.1", "10.1.2.3"} {
			got[i] = e.boundsFor(netip.MustParseAddr(addr)).PerAddress
		}
		if got != want {
			t.Errorf("%q: %v, want %v", limits, got, want)
		}
	}
	if got := config.Default().Limits.ConnectionsPerAddress; got != 1000 {
		t.Errorf("the default is %d", got)
	}
}

// An address beyond its limit gets a 429 with Retry-After; an IPv6 address counts as its /64.
func TestConnectionsPerAddressOfClients(t *testing.T) {
	r := run(t, parse(t, `
trusted_proxies: [127.0.0.9]
limits: {connections_per_address: 2}
endpoints: [{path: /open, target: echo, auth: [anonymous]}]
`))
	behind := func(client string) *websocket.DialOptions {
		return withLocalAddr("127.0.0.9", &websocket.DialOptions{Header: http.Header{"X-Forwarded-For": {client}}})
	}
	for i := range 2 {
		r.open(t, "/open", behind(fmt.Sprintf("2001:db8::%d", i+1)))
	}
	if e := r.refuse(t, "/open", behind("2001:db8::3")); e.Status != 429 || e.Header.Get("Retry-After") == "" {
		t.Errorf("%v, Retry-After %q", e, e.Header.Get("Retry-After"))
	}
	wantEcho(t, r.open(t, "/open", behind("2001:db8:0:1::1")))
	for range 4 { // connections of the proxy itself, which is exempt
		r.open(t, "/open", withLocalAddr("127.0.0.9", nil))
	}
}
