package handshake

import (
	"crypto/tls"
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func TestRFC6454_ParseOrigin(t *testing.T) {
	for s, want := range map[string]Origin{
		"http://example.com":          {"http", "example.com", "80"},
		"HTTPS://Example.COM":         {"https", "example.com", "443"},
		"https://example.com:443":     {"https", "example.com", "443"},
		"https://example.com:0443":    {"https", "example.com", "443"},
		"http://example.com:8080":     {"http", "example.com", "8080"},
		"http://[2001:DB8::1]":        {"http", "[2001:db8::1]", "80"},
		"http://[::1]:8080":           {"http", "[::1]", "8080"},
		"http://127.0.0.1":            {"http", "127.0.0.1", "80"},
		"http://my_service":           {"http", "my_service", "80"},
		"chrome-extension://abcdefgh": {"chrome-extension", "abcdefgh", ""},
		"file://":                     {"file", "", ""},
		"null":                        opaque,
	} {
		if got, ok := ParseOrigin(s); !ok || got != want {
			t.Errorf("ParseOrigin(%q) = %+v, %v; want %+v", s, got, ok, want)
		}
	}
	for _, s := range []string{
		"", "::::", "example.com", "http:", "http://", "http:///", "http://example.com/", "http://example.com/x",
		"http://user@example.com", "http://example.com@evil.net", "http://example.com?x", "http://example.com#x",
		"http://example.com:x", "http://example.com:99999", "http://example.com:80:80", "http://:80",
		"http://a b", "http://a http://b", "http://a,http://b", "http://ex\u00e4mple.com", "http://exam\x00ple.com",
		"http://[::1", "http://::1", "http://[::1]x", "http://[example]", "1http://a", "://a", "Null", "http://a\\b",
		"http://*.example.com",
	} {
		if got, ok := ParseOrigin(s); ok {
			t.Errorf("ParseOrigin(%q) = %+v", s, got)
		}
	}
	if o, _ := ParseOrigin("null://"); o == opaque {
		t.Error("null:// is parsed as null")
	}
	if o, ok := ParseOrigin("http://example.com:"); ok && o != (Origin{"http", "example.com", "80"}) {
		t.Errorf("an empty port is %+v", o)
	}
}

func TestRFC6455_10_2_Origin(t *testing.T) {
	type test struct {
		name    string
		host    string
		tls     bool
		origin  []string
		allowed []string
		want    int // 0 means that the page may connect
	}
	const host = "server.example.com"
	for _, tt := range []test{
		{"no browser", host, false, nil, nil, 0},
		{"same", host, false, []string{"http://server.example.com"}, nil, 0},
		{"same, with TLS", host, true, []string{"https://server.example.com"}, nil, 0},
		{"same, other case", host, false, []string{"HTTP://SERVER.example.com"}, nil, 0},
		{"same, spaces", host, false, []string{" http://server.example.com\t"}, nil, 0},
		{"same, port spelled out", "server.example.com:443", true, []string{"https://server.example.com"}, nil, 0},
		{"same, port in the origin", host, false, []string{"http://server.example.com:80"}, nil, 0},
		{"same, IPv6", "[::1]:8080", false, []string{"http://[::1]:8080"}, nil, 0},
		{"scheme differs", host, false, []string{"https://server.example.com"}, nil, 403},
		{"scheme differs, the other way", host, true, []string{"http://server.example.com"}, nil, 403},
		{"port differs", "server.example.com:8080", false, []string{"http://server.example.com"}, nil, 403},
		{"other host", host, false, []string{"http://evil.example.net"}, nil, 403},
		{"suffix", host, false, []string{"http://server.example.com.evil.net"}, nil, 403},
		{"prefix", host, false, []string{"http://evilserver.example.com"}, nil, 403},
		{"subdomain", host, false, []string{"http://a.server.example.com"}, nil, 403},
		{"user information", host, false, []string{"http://server.example.com@evil.net"}, nil, 403},
		{"list", host, false, []string{"http://server.example.com http://evil.net"}, nil, 403},
		{"two", host, false, []string{"http://server.example.com", "http://server.example.com"}, nil, 403},
		{"empty", host, false, []string{""}, nil, 403},
		{"null", host, false, []string{"null"}, nil, 403},
		{"null, allowed", host, false, []string{"null"}, []string{"null"}, 0},
		{"allowed", host, false, []string{"https://app.example.com"}, []string{"https://x", "https://app.example.com"}, 0},
		{"allowed, port spelled out", host, false, []string{"https://app.example.com"}, []string{"https://APP.example.com:443"}, 0},
		{"allowed is one scheme", host, false, []string{"http://app.example.com"}, []string{"https://app.example.com"}, 403},
		{"allowed is not a suffix", host, false, []string{"https://a.app.example.com"}, []string{"https://app.example.com"}, 403},
		{"extension", host, false, []string{"chrome-extension://abc"}, []string{"chrome-extension://abc"}, 0},
		{"bad entry", host, false, []string{"https://a"}, []string{"https://*.a"}, 500},
		{"bad entry after a good one", host, false, []string{"https://a"}, []string{"https://a", "a"}, 0},
		{"bad entry, same origin", host, false, []string{"http://server.example.com"}, []string{"a"}, 0},
	} {
		r := &http.Request{Host: tt.host, Header: http.Header{}, RemoteAddr: "192.0.2.1:1"}
		if tt.tls {
			r.TLS = &tls.ConnectionState{}
		}
		if tt.origin != nil {
			r.Header["Origin"] = tt.origin
		}
		got := 0
		if v := CheckOrigin(r, OriginPolicy{Allowed: tt.allowed}); v != nil {
			got = v.Status
			if v.Stage != StageOrigin || v.Detail == "" {
				t.Errorf("%s: %+v", tt.name, v)
			}
		}
		if got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
		if v := CheckOrigin(r, OriginPolicy{Any: true}); v != nil {
			t.Errorf("%s: any origin is allowed, and yet: %v", tt.name, v)
		}
	}
}

// The error for a rejected page contains its origin, which the operator may have to allow. The response contains the origin only in escaped
// form.
func TestRFC6455_10_2_RejectedOriginIsReported(t *testing.T) {
	long := "https://" + strings.Repeat("a", 300)
	for origin, want := range map[string]string{
		"https://app.example.com:8443":     `"https://app.example.com:8443" may not connect here`,
		"https://server.example.com":       `"https://server.example.com" was loaded over https`,
		"https://other.example.com":        `"https://other.example.com" may not connect here`,
		"null":                             `"null" may not connect here`,
		long[:128]:                         `"` + long[:128] + `" may not connect here`,
		long:                               `"` + long[:128] + `"... may not connect here`,
		"http://a\r\nX: y\u202e\"<script>": `"http://a\r\nX: y\u202e\"<script>" is not one origin`,
		"https://u:SECRET@a.example.com":   `"https://...@a.example.com" is not one origin`,
		"https://a.example.com/?SECRET":    `"https://a.example.com/?..." is not one origin`,
		"u:SECRET@a.example.com#SECRET":    `"...@a.example.com#..." is not one origin`,
		"https://a:SECRET/SECRET@b":        `"https://...@b" is not one origin`,
	} {
		r := &http.Request{Host: "server.example.com", Header: http.Header{"Origin": {origin}}}
		v := CheckOrigin(r, OriginPolicy{})
		if v == nil || v.Status != http.StatusForbidden || !strings.Contains(v.Detail, want) || strings.Contains(v.Detail, "SECRET") {
			t.Errorf("%q: %v, want it to contain %s", origin, v, want)
		}
	}
}

func TestRFC7239_ForwardedOrigin(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	const page = "https://app.example.com"
	for _, tt := range []struct {
		name   string
		peer   string
		header http.Header
		want   bool
	}{
		{"no header", "10.0.0.1:5", http.Header{}, false},
		{"X-Forwarded-Proto", "10.0.0.1:5", http.Header{"X-Forwarded-Proto": {"https"}}, true},
		{"Forwarded", "10.0.0.1:5", http.Header{"Forwarded": {"for=1.2.3.4;proto=https"}}, true},
		{"IPv6 peer", "[fd00::7]:5", http.Header{"Forwarded": {"proto=https"}}, true},
		{"IPv4 in IPv6", "[::ffff:10.0.0.1]:5", http.Header{"Forwarded": {"proto=https"}}, true},
		{"not a proxy", "192.0.2.1:5", http.Header{"Forwarded": {"proto=https"}, "X-Forwarded-Proto": {"https"}}, false},
		{"no address", "@", http.Header{"Forwarded": {"proto=https"}}, false},
		{"other scheme", "10.0.0.1:5", http.Header{"X-Forwarded-Proto": {"gopher"}}, false},
		{"broken Forwarded", "10.0.0.1:5", http.Header{"Forwarded": {"proto=https;;for=a b"}}, false},
		{"broken Forwarded, good X", "10.0.0.1:5", http.Header{"Forwarded": {"="}, "X-Forwarded-Proto": {"https"}}, true},
		{"Forwarded without a scheme", "10.0.0.1:5",
			http.Header{"Forwarded": {"for=1.2.3.4"}, "X-Forwarded-Proto": {"https"}}, true},

		// The client sent "https", and the only trusted proxy appended "http": only the latter counts.
		{"made up", "10.0.0.1:5", http.Header{"X-Forwarded-Proto": {"https, http"}, "X-Forwarded-For": {"6.6.6.6, 1.2.3.4"}}, false},
		{"made up, Forwarded", "10.0.0.1:5", http.Header{"Forwarded": {"proto=https, for=1.2.3.4;proto=http"}}, false},
		// The near proxy received the request over http from the far one, which is also trusted and received it over https.
		{"two proxies", "10.0.0.1:5", http.Header{"X-Forwarded-Proto": {"https, http"}, "X-Forwarded-For": {"1.2.3.4", "10.0.0.2"}}, true},
		{"two proxies, Forwarded", "10.0.0.1:5",
			http.Header{"Forwarded": {"for=1.2.3.4;proto=https", `for="10.0.0.2:99";proto=http`}}, true},
		{"two proxies, one reports the scheme", "10.0.0.1:5",
			http.Header{"X-Forwarded-Proto": {"https"}, "X-Forwarded-For": {"1.2.3.4, 10.0.0.2"}}, true},
	} {
		tt.header["Origin"] = []string{page}
		r := &http.Request{Host: "app.example.com", Header: tt.header, RemoteAddr: tt.peer}
		if got := CheckOrigin(r, OriginPolicy{Proxies: proxies}) == nil; got != tt.want {
			t.Errorf("%s: may connect: %v", tt.name, got)
		}
		if CheckOrigin(r, OriginPolicy{}) == nil {
			t.Errorf("%s: no proxy is trusted, and yet the header counts", tt.name)
		}
	}
	r := &http.Request{Host: "10.0.0.9:8080", RemoteAddr: "10.0.0.1:5", Header: http.Header{
		"Origin": {page}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"app.example.com"},
	}}
	if v := CheckOrigin(r, OriginPolicy{Proxies: proxies}); v != nil {
		t.Errorf("the forwarded host does not count: %v", v)
	}
	r.Header["X-Forwarded-Host"] = []string{"a/b"}
	if CheckOrigin(r, OriginPolicy{Proxies: proxies}) == nil {
		t.Error("an invalid forwarded host counts")
	}
}

func TestPrintableOrigin(t *testing.T) {
	for origin, want := range map[string]string{
		"https://a.example": "https://a.example", "": "", "null": "null",
		"?SECRET": "?...", "#SECRET": "#...", "https://a?SECRET#SECRET": "https://a?...",
		"@a": "...@a", "SECRET@a": "...@a", "https://SECRET@a": "https://...@a", "1https://SECRET@a": "...@a", "https://SECRET@SECRET@a": "https://...@a",
	} {
		if got := PrintableOrigin(origin); got != want {
			t.Errorf("%q: %q, want %q", origin, got, want)
		}
	}
}

// A single trusted proxy is sufficient to determine the scheme.
func TestRFC7239_OneProxy(t *testing.T) {
	r := &http.Request{Host: "app.example.com", RemoteAddr: "10.0.0.1:5", Header: http.Header{"Origin": {"https://app.example.com"}, "X-Forwarded-Proto": {"https"}}}
	if v := CheckOrigin(r, OriginPolicy{Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32")}}); v != nil {
		t.Errorf("%+v", v)
	}
}
