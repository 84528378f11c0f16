package explain

import (
	"slices"
	"strings"
	"testing"
)

// answered returns a report about a response with the given status, body and header fields.
func answered(status int, body string, header ...string) *Report {
	a := &Response{Proto: "HTTP/1.1", Status: status, Body: body}
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		a.Header = append(a.Header, Field{name, value})
	}
	return &Report{Response: a, Target: &Target{Host: "chat.example", Port: "80", Path: "/ws?x=1", Origin: "http://chat.example"}}
}

// A missing Upgrade header is recognized in the responses of servers and frameworks, and is not assumed in other responses.
func TestVerdictOnAnAnswer(t *testing.T) {
	for _, c := range []struct {
		name  string
		found Fault
		r     *Report
		want  Fault
	}{
		{"this library", FaultStatus426, answered(426, "this is not a WebSocket request: it has no Upgrade: websocket", "Upgrade: websocket"),
			FaultUpgradeStripped},
		{"a 426 without a word", FaultStatus426, answered(426, ""), FaultUpgradeStripped},
		{"a 426 with version 13", FaultStatus426, answered(426, "", "Sec-WebSocket-Version: 13, 8"), FaultUpgradeStripped},
		{"a 426 for another version", FaultStatus426, answered(426, "", "Sec-WebSocket-Version: 8, 7"), FaultVersion},
		{"a 426 for two lines of versions", FaultStatus426, answered(426, "", "Sec-WebSocket-Version: 8", "Sec-WebSocket-Version: 13"),
			FaultUpgradeStripped},
		{"a 426 for TLS", FaultStatus426, answered(426, "", "Upgrade: TLS/1.2, HTTP/1.1"), FaultStatus426},
		{"Tornado and Spring", FaultStatus400, answered(400, `Can "Upgrade" only to "WebSocket".`), FaultUpgradeStripped},
		{"the same in a page", FaultStatus400, answered(400, "<p>Can &quot;Upgrade&quot; only\n to &quot;WebSocket&quot;.</p>"),
			FaultUpgradeStripped},
		{"Python's websockets", FaultStatus426, answered(426, "Failed to open a WebSocket connection: missing Connection header.\n\n"+
			"You cannot access a WebSocket server directly with a browser.", "Upgrade: websocket"), FaultUpgradeStripped},
		{"Python's websockets, HTTP/1.0", FaultStatus400, answered(400, "unsupported HTTP version; expected HTTP/1.1, got HTTP/1.0"),
			FaultUpgradeStripped},
		{"Python's websockets up to 12, HTTP/1.0", FaultStatus400, answered(400,
			"Failed to open a WebSocket connection: did not receive a valid HTTP request.\n", "Server: nginx/1.22.1"), FaultUpgradeStripped},
		{"aiohttp", FaultStatus400, answered(400, "No WebSocket UPGRADE hdr: None\n Can \"Upgrade\" only to \"WebSocket\"."),
			FaultUpgradeStripped},
		{"Engine.IO", FaultStatus400, answered(400, `{"code":3,"message":"Bad request"}`), FaultUpgradeStripped},
		{"Engine.IO, another transport", FaultStatus400, answered(400, `{"code":0,"message":"Transport unknown"}`), FaultStatus400},
		{"a library that names its version", FaultStatus400, answered(400, "Bad Request\n", "Sec-Websocket-Version: 13"),
			FaultUpgradeStripped},
		{"few words behind nginx", FaultStatus400, answered(400, "Bad Request\n", "Server: nginx"), FaultUpgradeStripped},
		{"few words without a proxy", FaultStatus400, answered(400, "Bad Request\n"), FaultStatus400},
		{"another reason behind nginx", FaultStatus400, answered(400, "room is missing", "Server: nginx"), FaultStatus400},
		{"nginx's own 400", FaultStatus400, answered(400, nginxBody("400 Request Header Or Cookie Too Large", "Request Header Or Cookie Too Large"),
			"Server: nginx/1.22.1"), FaultStatus400},
		{"a 404 that complains", FaultStatus404, answered(404, "not a websocket handshake"), FaultUpgradeStripped},
		{"a 404", FaultStatus404, answered(404, "404 page not found", "Server: nginx"), FaultStatus404},
		{"other words", FaultStatus400, answered(400, "Handshake failed: the Upgrade header was not found"), FaultUpgradeStripped},
		{"a link in other words", FaultStatus400, answered(400, "unknown room, see https://docs.example/errors"), FaultStatus400},
		{"a page that speaks of upgrades", FaultStatus200, answered(200, "Upgrade your plan today!"), FaultStatus200},
		{"a port for TLS, Apache", FaultStatus400, answered(400,
			"You're speaking plain HTTP to an SSL-enabled server port.", "Server: Apache"), FaultPlainToTLS},
		{"a port for TLS, Spring", FaultStatus400, answered(400, "Bad Request\nThis combination of host and port requires TLS.\n"),
			FaultPlainToTLS},
		{"a port for TLS, handfast", FaultStatus400, answered(400,
			"400 Bad Request\nThis port speaks TLS.\nNext step: use https:// or wss://\n"), FaultPlainToTLS},
		{"a proxy's own answer", FaultProxyRefused, func() *Report {
			r := answered(426, "")
			r.Response.FromProxy = true
			return r
		}(), FaultProxyRefused},
		{"a fault that is sure", FaultAcceptWrong, answered(101, "not a websocket handshake"), FaultAcceptWrong},
		{"no response", FaultRefused, &Report{}, FaultRefused},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := verdict(c.r, Finding{Fault: c.found}); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// The diagnosis names the proxy in front of the server, and the settings that the proxy lacks.
func TestProxyInFrontIsNamed(t *testing.T) {
	for _, c := range []struct {
		header, want, line string
	}{
		{"Server: nginx/1.22.1", "nginx", `    proxy_set_header Connection "upgrade";`},
		{"Server: nginx", "nginx", "    proxy_set_header Upgrade $http_upgrade;"},
		{"Server: openresty/1.25", "OpenResty", "    proxy_http_version 1.1;"},
		{"Server: HAProxy", "HAProxy", "    timeout tunnel 1h"},
		{"Server: Apache/2.4.62 (Debian)", "Apache", `    ProxyPass "/ws" "http://backend:8080/ws" upgrade=websocket`},
		{"Server: Caddy", "Caddy", "    reverse_proxy backend:8080"},
		{"Via: 1.1 Caddy", "Caddy", "    reverse_proxy backend:8080"},
		{"Server: awselb/2.0", "AWS", "only to target groups for HTTP/1.1"},
		{"Via: 1.1 abc.cloudfront.net (CloudFront)", "CloudFront", "AllViewer"},
		{"Server: cloudflare", "Cloudflare", "enable WebSockets"},
		{"Server: envoy", "Envoy", "    upgrade_configs: [{ upgrade_type: websocket }]"},
		{"Server: Microsoft-IIS/10.0", "IIS", "IIS-WebSockets"},
		{"Via: 1.1 varnish", "Varnish", "return (pipe)"},
	} {
		t.Run(c.header, func(t *testing.T) {
			d := diagnose(answered(426, "Upgrade Required", c.header), Finding{Fault: FaultStatus426, Stage: StageResponse})
			if d.ID != FaultUpgradeStripped || !strings.Contains(d.Cause, c.want) {
				t.Errorf("%s: %s", d.ID, d.Cause)
			}
			if !strings.Contains(strings.Join(d.ForOwner, "\n"), c.line) {
				t.Errorf("%q is not in %q", c.line, d.ForOwner)
			}
			if !slices.Contains(d.Evidence, c.header) {
				t.Errorf("%q is not in %q", c.header, d.Evidence)
			}
		})
	}
}

// A page or a 404 from an application behind nginx may result from a missing Upgrade header: the diagnosis mentions nginx in addition to
// the path, except for nginx's own 404.
func TestProxyIsSuspected(t *testing.T) {
	d := diagnose(answered(404, "Cannot GET /ws", "Server: nginx"), Finding{Fault: FaultStatus404, Stage: StageResponse})
	if d.ID != FaultStatus404 || !strings.Contains(d.Cause, "nginx") ||
		!slices.Contains(d.ForOwner, "    proxy_set_header Upgrade $http_upgrade;") {
		t.Errorf("%s: %s %q", d.ID, d.Cause, d.ForOwner)
	}
	d = diagnose(answered(404, strings.ReplaceAll(nginxBody("404 Not Found", "x"), "<center>x</center>\r\n", ""), "Server: nginx"),
		Finding{Fault: FaultStatus404, Stage: StageResponse})
	if strings.Contains(d.Cause, "nginx") || slices.Contains(d.ForOwner, "    proxy_http_version 1.1;") {
		t.Errorf("%s %q", d.Cause, d.ForOwner)
	}
	d = diagnose(answered(503, "<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body></html>"),
		Finding{Fault: FaultStatus503, Stage: StageResponse})
	if !strings.Contains(strings.Join(d.ForOwner, "\n"), "error page of HAProxy itself") {
		t.Errorf("%q", d.ForOwner)
	}
}

// A finding in an empty report gets the general explanation: no detail function requires a field that a report may lack.
func TestDiagnoseWithoutAReport(t *testing.T) {
	for i, want := range Diagnoses() {
		f := Faults()[i]
		for _, r := range []*Report{{}, {Response: &Response{}}, {TLS: &TLS{}, Target: &Target{}, Key: &Key{}, Close: &Close{}, Idle: &Idle{Cut: true}}} {
			d := diagnose(r, Finding{Fault: f, Detail: "seen"})
			if d.Cause == "" || len(d.ForOwner) < len(want.ForOwner) && d.ID != FaultUpgradeStripped {
				t.Errorf("%s: %+v", f, d)
			}
			if len(d.Evidence) == 0 || d.Evidence[0] != "seen" {
				t.Errorf("%s: the evidence is %q", f, d.Evidence)
			}
		}
	}
	if d := diagnose(&Report{}, Finding{Fault: "new", Clause: "RFC 1 §1", Detail: "seen"}); d.ID != "new" || d.Cause != "seen" {
		t.Errorf("an unknown fault is %+v", d)
	}
}
