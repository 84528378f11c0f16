package explain

import (
	"fmt"
	"strings"
	"testing"

	"github.com/handfast/handfast/websocket/handshake"
)

// Every close code has an explanation, and every code to which a client can react has a step for the client.
func TestExplainCloseCode(t *testing.T) {
	const none, credential, later = "", "a valid credential", "Reconnect later"
	for _, tt := range []struct {
		code        int
		means, step string
	}{
		{1000, "normal closure", none}, {1001, "going away", later}, {1002, "protocol error", "subprotocol"}, {1009, "too big", "smaller"}, {1003, "type of data", none},
		{1004, "not registered", none}, {1008, "policy", credential}, {1011, "server failed", none}, {1012, "restarting", later},
		{1013, "overloaded", later}, {1014, "gateway", none}, {2999, "not registered", none}, {3000, "unauthorized", credential},
		{3001, "not registered", none}, {3003, "forbidden", credential}, {3008, "timeout", none}, {3999, "not registered", none},
		{4000, "the application's", none}, {4399, "the application's", none}, {4400, "HTTP status 400", none},
		{4401, "HTTP status 401", credential}, {4403, "HTTP status 403", credential}, {4404, "HTTP status 404", none},
		{4406, "subprotocol", "graphql-transport-ws"}, {4429, "HTTP status 429", later}, {4503, "HTTP status 503", later}, {4599, "HTTP status 599", none},
		{4600, "the application's", none}, {4999, "the application's", none}, {5000, "not registered", none},
	} {
		for _, reason := range []string{"", "because"} {
			var d Diagnosis
			explainCloseCode(&Report{Close: &Close{Code: tt.code, Reason: reason}}, Finding{}, &d)
			wantReason := "gave no reason"
			if reason != "" {
				wantReason = `the reason "because"`
			}
			if !strings.Contains(d.Cause, tt.means) || !strings.Contains(d.Cause, wantReason) {
				t.Errorf("%d: %q", tt.code, d.Cause)
			}
			if steps := strings.Join(d.ForClient, "\n"); !strings.Contains(steps, tt.step) || (steps == "") != (tt.step == none) {
				t.Errorf("%d: steps %q, want %q", tt.code, steps, tt.step)
			}
		}
	}
	var d Diagnosis
	explainCloseCode(&Report{}, Finding{}, &d)
	if d.Cause != "" || d.ForClient != nil {
		t.Errorf("without a close frame: %+v", d)
	}
}

// A product is recognized by its name in Server or Via, or by its error page.
func TestProductOf(t *testing.T) {
	page := func(name string) string {
		return strings.Replace(nginxBody("400 Bad Request", "Bad Request"), "nginx", name, 1)
	}
	haproxy := "<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body></html>\n"
	const apache = "<!DOCTYPE HTML PUBLIC \"-//IETF//DTD HTML 2.0//EN\">\n<html><head>\n<title>404 Not Found</title>\n</head><body>\n<h1>Not Found</h1>\n" +
		"<p>The requested URL was not found on this server.</p>\n<hr>\n<address>Apache/2.4.57 (Debian) Server at 127.0.0.1 Port 80</address>\n</body></html>\n"
	const varnish = "<!DOCTYPE html>\n<html>\n  <head>\n    <title>503 Backend fetch failed</title>\n  </head>\n  <body>\n    <h1>Error 503 Backend fetch failed</h1>\n" +
		"    <p>Backend fetch failed</p>\n    <h3>Guru Meditation:</h3>\n    <p>XID: 3</p>\n    <hr>\n    <p>Varnish cache server</p>\n  </body>\n</html>\n"
	const squid = "<!DOCTYPE html PUBLIC \"-//W3C//DTD HTML 4.01//EN\" \"http://www.w3.org/TR/html4/strict.dtd\">\n<html><head>\n" +
		"<title>ERROR: The requested URL could not be retrieved</title>\n</head><body id=ERR_READ_ERROR>\n<div id=\"titles\">\n<h1>ERROR</h1>\n</div>\n" +
		"<p>Generated Mon, 30 Nov 2026 17:32:54 GMT by squid.example (squid/5.7)</p>\n<!-- ERR_READ_ERROR -->\n</div>\n</body></html>\n"
	for _, tt := range []struct {
		name, server, via, body string
		status                  int
		want                    string
	}{
		{"Server", "nginx/1.22", "", "", 101, "nginx"},
		{"Server begins with it", "my-nginx", "", "", 502, ""},
		{"Via", "app", "1.1 Caddy", "", 200, "Caddy"},
		{"Server before a page", "Apache", "", page("nginx"), 400, "Apache"},
		{"its page", "", "", page("nginx"), 400, "nginx"},
		{"its page, 502", "", "", page("nginx"), 502, "nginx"},
		{"a page that is no error", "", "", page("nginx"), 399, ""},
		{"its page, of a distribution", "", "", strings.Replace(page("nginx"), "1.22.1", "1.18.0 (Ubuntu)", 1), 400, "nginx"},
		{"a page after it", "", "", page("nginx") + "<p>That is the page of nginx", 400, ""},
		{"a page before it", "", "", "<p>This is an error page: " + page("nginx"), 400, ""},
		{"a text that ends with the name", "", "", "We do not use nginx", 404, ""},
		{"a page of OpenResty", "", "", page("openresty"), 400, "OpenResty (nginx)"},
		{"a page of HAProxy", "", "", haproxy, 503, "HAProxy"},
		{"a text of HAProxy", "", "", "<p>No server is available to handle this request.</p>", 503, ""},
		{"a page of Apache", "", "", apache, 404, "Apache"},
		{"a page about Apache", "", "", "<address>Apache/2.4.57 Server at 127.0.0.1 Port 80</address>", 404, ""},
		{"nothing", "", "", "Bad Gateway", 502, ""},
		{"a page of Apache 2.4.71", "", "", strings.Replace(apache, "-//IETF//DTD HTML 2.0//EN\"", "-//W3C//DTD HTML 4.01//EN\" \"http://www.w3.org/TR/html4/strict.dtd\"", 1), 404, "Apache"},
		{"a page of Varnish 7.1", "", "", varnish, 503, "Varnish"},
		{"a page of Squid 5.7", "", "", squid, 502, "Squid"},
		{"a page after Squid's", "", "", squid + "<p>more</p>", 502, ""},
		{"a 404 of HAProxy", "", "", "<html><body><h1>404 Not Found</h1>\nThe resource could not be found.\n</body></html>\n", 404, "HAProxy"},
	} {
		a := &Response{Status: tt.status, Body: tt.body}
		for _, f := range [][2]string{{"Server", tt.server}, {"Via", tt.via}} {
			if f[1] != "" {
				a.Header = append(a.Header, Field{Name: f[0], Value: f[1]})
			}
		}
		got := ""
		if p := productOf(a); p != nil {
			got = p.name
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	if p := productOf(nil); p != nil {
		t.Errorf("without an answer: %s", p.name)
	}
}

// Short texts depend on the observations in a report.
func TestObservationTexts(t *testing.T) {
	for got, want := range map[string]string{
		originText(""): "a handshake without an Origin", originText("https://a"): "Origin: https://a",
		originName(""): "without an Origin header", originName("https://a"): "Origin: https://a",
		triedOrigin(OriginTry{Opened: true}): "accepted", triedOrigin(OriginTry{}): "no response", triedOrigin(OriginTry{Status: 403}): "answered with 403",
		orNone(""): "none", orNone("x"): "x", trimEnd("a  \n"): "a\n", trimEnd("a  "): "a  ",
		deflateText(handshake.Deflate{}):                                      "the server keeps its compression context between messages (context takeover)",
		deflateText(handshake.Deflate{ServerNoTakeover: true, ServerBits: 9}): "the server resets its compression context for each message, window 9 bits",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// If one fault covers several statuses, the clause is that of the received status.
func TestClauseOfStatus(t *testing.T) {
	for status, want := range map[int]string{303: "15.4.4", 410: "15.5.11", 502: ""} {
		d := &Diagnosis{}
		otherClause(&Report{Response: &Response{Status: status}}, d)
		if !strings.HasSuffix(d.Clause, want) || (want == "") != (d.Clause == "") {
			t.Errorf("%d: %s", status, d.Clause)
		}
	}
	otherClause(&Report{}, &Diagnosis{})
}

// The cause lists at most five of the names in a certificate.
func TestCertificateNames(t *testing.T) {
	for n, want := range map[int]string{0: "names no host at all", 1: "but for n0.", 5: "n3, n4.", 6: "n3, n4 and others."} {
		var names []string
		for i := range n {
			names = append(names, fmt.Sprintf("n%d", i))
		}
		d := &Diagnosis{}
		explainNames(&Report{Target: &Target{Host: "h"}, TLS: &TLS{Chain: []Certificate{{Names: names}}}}, Finding{}, d)
		if !strings.Contains(d.Cause, want) {
			t.Errorf("%d names: %s", n, d.Cause)
		}
	}
}

// The error of a Bearer challenge is explained, with its description and its scope.
func TestRFC6750_3_1_Errors(t *testing.T) {
	for code, want := range map[string]string{
		"invalid_token": "get a new one", "insufficient_scope": "does not allow this", "invalid_request": "malformed", "odd": `names the error "odd"`, "": "the server received no token",
	} {
		c := challenge{scheme: "Bearer", params: []Field{{Name: "error", Value: code}, {Name: "error_description", Value: "why"}, {Name: "scope", Value: "read"}}}
		if got := bearerError(c, false); !strings.Contains(got, want) || !strings.Contains(got, `The server says: "why"`) || !strings.Contains(got, `Scope: "read"`) {
			t.Errorf("%s: %s", code, got)
		}
	}
	if got := bearerError(challenge{scheme: "Bearer"}, true); !strings.Contains(got, "whether the server received the token is unknown") || strings.Contains(got, "Scope") {
		t.Error(got)
	}
}
