package proxy

import (
	"bufio"
	"bytes"
	"cmp"
	"net/http"
	"net/netip"
	"path"
	"strings"
	"testing"
)

// Whatever a client sends, the upstream gets one request without content, below its prefix, for its own host, with our identity
// fields.
func FuzzRequest(f *testing.F) {
	f.Add(plain + "\r\n")
	f.Add(plain + "X-User: mallory\r\nx_user: mallory\r\nConnection: X-User\r\nForwarded: for=x\r\n\r\n")
	f.Add(strings.Replace(plain, "/chat", "/a/%2e%2e/b", 1) + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
	f.Add("GET http://other.example/chat HTTP/1.1\r\nHost: example.org\r\nX-A: b\r\n c\r\n\r\nGET /second HTTP/1.1\r\n\r\n")
	f.Add("GET /a HTTP/1.1\nHost: a\nUpgrade: h2c\nHTTP2-Settings: x\nExpect: 100-continue\nTE: trailers\nTrailer: X\n\n")
	f.Add(strings.Replace(plain, "/chat", "/ws/a;b/%2f?c=d#e", 1) + "Sec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Protocol: c\r\nSec-WebSocket-Extensions: permessage-deflate; x=\"y\", z\r\n\r\n")
	f.Add(strings.Replace(plain, "/chat?room=1", "/ws?a= b\x7f", 1) + "X_Handfast-Identity: x\r\nCookie: a=b\r\nX-Forwarded-For: a\r\nX-Forwarded-Proto: https, b\r\nX-Forwarded-Host: c\r\n\r\n")
	id, token := http.Header{"X-User": {"alice"}}, http.Header{"X-Handfast-Identity": {"a.b.c"}}
	dialers := map[string]*Dialer{}
	for host, o := range map[string]DialerOptions{
		"inner.example": {},
		"":              {KeepHost: true, StripPrefix: "/ws", AddPrefix: "/v1", AppendForwarded: true, Header: http.Header{"X-Balancer": {"b"}}, Remove: []string{"x_secret"}},
	} {
		d, err := NewDialer("ws://inner.example"+map[bool]string{true: "/v1"}[host != ""], o)
		if err != nil {
			f.Fatal(err)
		}
		dialers[host] = d
	}
	f.Fuzz(func(t *testing.T, raw string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil {
			return
		}
		for host, d := range dialers {
			req, err := d.request(&Request{Request: r, Source: netip.MustParseAddrPort("[2001:db8::1%eth0]:1"), Identity: id, Sign: func(string) (http.Header, error) { return token, nil }})
			if err == nil {
				checkHead(t, req.AppendHead(nil), cmp.Or(host, r.Host))
			}
		}
	})
}

// checkHead checks that a header is one request without content for a host, below /v1, with our identity fields and no others.
func checkHead(t *testing.T, head []byte, host string) {
	t.Helper()
	in := bufio.NewReader(bytes.NewReader(head))
	got, err := http.ReadRequest(in)
	if err != nil || in.Buffered() > 0 || got.ContentLength != 0 || len(got.TransferEncoding) > 0 {
		t.Fatalf("got %q, want one request without content (%v)", head, err)
	}
	if got.Host != host || !strings.HasPrefix(path.Clean(got.URL.Path)+"/", "/v1/") {
		t.Fatalf("got %q, want a request for %s below /v1", head, host)
	}
	for name, values := range got.Header {
		want := map[string]string{"x-user": "alice", "x-handfast-identity": "a.b.c"}[folded(name)]
		if want != "" && (strings.Contains(name, "_") || len(values) != 1 || values[0] != want) || folded(name) == "x-secret" {
			t.Fatalf("got %q, want only our identity fields", head)
		}
	}
	if u := got.Header["Upgrade"]; len(u) != 1 || u[0] != "websocket" || len(got.Header["Connection"]) != 1 {
		t.Fatalf("got %q, want an upgrade to websocket", head)
	}
}
