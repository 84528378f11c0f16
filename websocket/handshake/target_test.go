package handshake

import (
	"net/http"
	"strings"
	"testing"
)

func TestRFC6455_3_Target(t *testing.T) {
	for _, tt := range []struct {
		url                   string
		secure                bool
		name, port, host, uri string
	}{
		{"ws://example.com", false, "example.com", "80", "example.com", "/"},
		{"WSS://Example.COM/Chat", true, "example.com", "443", "example.com", "/Chat"},
		{"http://example.com/a", false, "example.com", "80", "example.com", "/a"},
		{"https://example.com:8443/a", true, "example.com", "8443", "example.com:8443", "/a"},
		{"ws://example.com:80/", false, "example.com", "80", "example.com", "/"},
		{"wss://example.com:80/", true, "example.com", "80", "example.com:80", "/"},
		{"ws://example.com:/x", false, "example.com", "80", "example.com", "/x"},
		{"ws://example.com:0080/x", false, "example.com", "80", "example.com", "/x"},
		{"ws://example.com?a=b&c", false, "example.com", "80", "example.com", "/?a=b&c"},
		{"ws://example.com/a%20b%2Fc?x=%zz", false, "example.com", "80", "example.com", "/a%20b%2Fc?x=%zz"},
		{"ws://example.com/a b?c d", false, "example.com", "80", "example.com", "/a%20b?c%20d"},
		{"ws://example.com/\u00e4?\u00e4", false, "example.com", "80", "example.com", "/%C3%A4?%C3%A4"},
		{"ws://example.com/%23", false, "example.com", "80", "example.com", "/%23"},
		{"ws://[::1]:9000/x", false, "::1", "9000", "[::1]:9000", "/x"},
		{"ws://[fe80::1%25eth0]/x", false, "fe80::1%eth0", "80", "[fe80::1]", "/x"},
		{"ws://[FE80::1%25vEth0]/x", false, "fe80::1%vEth0", "80", "[fe80::1]", "/x"},
		{"ws://127.0.0.1:9000", false, "127.0.0.1", "9000", "127.0.0.1:9000", "/"},
		{"ws://user:pass@example.com/", false, "example.com", "80", "example.com", "/"},
	} {
		g, v := ParseTarget(tt.url)
		if v != nil {
			t.Errorf("%s: %v", tt.url, v)
			continue
		}
		if g.Secure != tt.secure || g.Name != tt.name || g.Port != tt.port || g.Host() != tt.host || g.URI != tt.uri {
			t.Errorf("%s: %+v, Host: %s", tt.url, g, g.Host())
		}
		if g.URL.User != nil || g.URL.Scheme != map[bool]string{false: "http", true: "https"}[tt.secure] || g.URL.Host != tt.host {
			t.Errorf("%s: the URL for proxies and cookies is %s", tt.url, g.URL)
		}
	}
	for url, want := range map[string]string{
		"ws://u:p%40ss@h/": "Basic dTpwQHNz", "ws://u@h/": "Basic dTo=", "ws://h/": "",
	} {
		if g, v := ParseTarget(url); v != nil || g.Auth != want {
			t.Errorf("%s: Authorization %q (%v), want %q", url, g.Auth, v, want)
		}
	}
}

func TestRFC6455_3_BadURL(t *testing.T) {
	for _, url := range []string{
		"", "example.com", "//example.com", "ws:", "ws:x", "ws://", "ws:///x", "ws://:80/", "ftp://example.com", "unix:///tmp/x",
		"ws://example.com/#", "ws://example.com/#x", "ws://example.com/?a#secret", "ws://example.com:0/", "ws://example.com:65536/",
		"ws://example.com:secret/", "ws://user:sec/ret@example.com/", "ws://exa mple.com/", "ws://example.com/%zz", "ws://a\x00b/",
		"ws://[::1/", "ws://[secret]/", "ws://a,b/", "ws://a\u0308.example/", "ws://\u00fc\u200d.example/", "ws://a\r\nX: y/",
		"ws://[:::1]/", "ws://[fe80::1%25]/", "ws://[1:2]/",
		"ws://\xff.example/", "ws://" + strings.Repeat("\u00fc", 64) + ".example/",
	} {
		g, v := ParseTarget(url)
		if v == nil {
			t.Errorf("%q is %+v", url, g)
			continue
		}
		if v.Stage != StageRequest || v.Section != "RFC 6455 §3" || strings.Contains(v.Detail+" "+v.Hint, "sec") {
			t.Errorf("%q: %+v", url, v)
		}
	}
}

func TestRFC6455_11_1_1_Host(t *testing.T) {
	for host, want := range map[string]string{
		"b\u00fccher.example":      "xn--bcher-kva.example",
		"B\u00dcCHER.Example":      "xn--bcher-kva.example",
		"m\u00fcnchen\u3002de":     "xn--mnchen-3ya.de",
		"\u4e2d\u56fd.icom.museum": "xn--fiqs8s.icom.museum",
		"\u4ed6\u4eec\u4e3a\u4ec0\u4e48\u4e0d\u8bf4\u4e2d\u6587.x": "xn--ihqwcrb4cv8a8dqg056pqjye.x", // RFC 3492 §7.1 (B)
		"\u30d1\u30d5\u30a3\u30fcde\u30eb\u30f3\u30d0.x":           "xn--de-jg4avhby1noc0d.x",        // RFC 3492 §7.1 (Q)
		"\u305d\u306e\u30b9\u30d4\u30fc\u30c9\u3067.x":             "xn--d9juau41awczczp.x",          // RFC 3492 §7.1 (R)
		"fa\u00df.de": "xn--fa-hia.de",
	} {
		if g, v := ParseTarget("ws://" + host + "/"); v != nil || g.Name != want {
			t.Errorf("%s: %+v (%v), want %s", host, g, v, want)
		}
	}
}

func TestTarget_Resolve(t *testing.T) {
	from, v := ParseTarget("wss://user:pass@example.com/a/b?c")
	if v != nil {
		t.Fatal(v)
	}
	for location, want := range map[string]string{
		"/x":                      "https://example.com/x",
		"x":                       "https://example.com/a/x",
		"?y":                      "https://example.com/a/b?y",
		"//other.example/x":       "https://other.example/x",
		"wss://example.com/x#top": "https://example.com/x",
		"https://example.com:444": "https://example.com:444/",
		"ws://example.com/x":      "http://example.com/x",
	} {
		to, v := from.Resolve(location)
		if v != nil || to.URL.Scheme+"://"+to.URL.Host+to.URI != want {
			t.Errorf("%s: %+v (%v), want %s", location, to, v, want)
			continue
		}
		if to.URL.Fragment != "" {
			t.Errorf("%s: the fragment %q", location, to.URL.Fragment)
		}
		if same := strings.HasPrefix(want, "https://example.com/"); from.SameOrigin(to) != same || to.Auth != "" {
			t.Errorf("%s: same origin %v, credentials %q", location, !same, to.Auth)
		}
	}
	for _, location := range []string{"ftp://example.com/", "http://[", "mailto:x", "https://a b/"} {
		if to, v := from.Resolve(location); v == nil {
			t.Errorf("%s: %+v", location, to)
		}
	}
}

// A valid URL results in a request that net/http can parse, and that our own check accepts.
func FuzzTarget(f *testing.F) {
	for _, s := range []string{"ws://u:p@example.com/a b?c d", "wss://[fe80::1%25eth0]:1/x", "ws://b\u00fccher.example?\u00e4", "http://h//x?"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		g, v := ParseTarget(s)
		if v != nil {
			return
		}
		req := Request{Target: g.URI, Host: g.Host(), Key: goodRequest.Key, Subprotocols: []string{"chat"}}
		r := parse(t, strings.TrimSuffix(string(req.AppendHead(nil)), "\r\n"))
		if v := Check(r); v != nil {
			t.Errorf("%q: %v", s, v)
		}
		if r.RequestURI != g.URI || r.Host != g.Host() {
			t.Errorf("%q: %q and %q arrive as %q and %q", s, g.URI, g.Host(), r.RequestURI, r.Host)
		}
	})
}

func TestRFC6455_4_1_Request(t *testing.T) {
	req := Request{
		Target: "/chat?x", Host: "server.example.com", Key: "dGhlIHNhbXBsZSBub25jZQ==", Subprotocols: []string{"chat", "superchat"},
		Extensions: []Extension{extension(t, "foo; a"), extension(t, "bar")}, Header: http.Header{"X-B": {"1", "2"}, "Origin": {"http://example.com"}},
	}
	const want = "GET /chat?x HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat, superchat\r\n" +
		"Sec-WebSocket-Extensions: foo; a, bar\r\nOrigin: http://example.com\r\nX-B: 1\r\nX-B: 2\r\n\r\n"
	if got := string(req.AppendHead(nil)); got != want {
		t.Errorf("the request is\n%q, want\n%q", got, want)
	}
	for _, list := range [][]string{{""}, {"a b"}, {"a,b"}, {"a\r\n"}, {"a", "b", "a"}, {"\u00e4"}} {
		if CheckSubprotocols(list) == nil {
			t.Errorf("%q is accepted as an offer", list)
		}
	}
	if err := CheckSubprotocols([]string{"a", "A", "v1.x-y"}); err != nil {
		t.Error(err)
	}
}
