package proxy

import (
	"bufio"
	"bytes"
	"net/http"
	"path"
	"strings"
	"testing"
)

// Whatever a client sends, the upstream gets one request without content, below its prefix, for its own host, with our identity.
func FuzzRequest(f *testing.F) {
	f.Add(plain + "\r\n")
	f.Add(plain + "X-User: mallory\r\nx_user: mallory\r\nConnection: X-User\r\nForwarded: for=x\r\n\r\n")
	f.Add(strings.Replace(plain, "/chat", "/a/%2e%2e/b", 1) + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
	f.Add("GET http://other.example/chat HTTP/1.1\r\nHost: example.org\r\nX-A: b\r\n c\r\n\r\nGET /second HTTP/1.1\r\n\r\n")
	f.Add("GET /a HTTP/1.1\nHost: a\nUpgrade: h2c\nHTTP2-Settings: x\nExpect: 100-continue\nTE: trailers\nTrailer: X\n\n")
	d, err := NewDialer("ws://inner.example/v1", DialerOptions{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil {
			return
		}
		req, err := d.request(&Request{Request: r, Identity: http.Header{"X-User": {"alice"}}})
		if err != nil {
			return
		}
		head := req.AppendHead(nil)
		in := bufio.NewReader(bytes.NewReader(head))
		got, err := http.ReadRequest(in)
		if err != nil || in.Buffered() > 0 || got.ContentLength != 0 || len(got.TransferEncoding) > 0 {
			t.Fatalf("%q is not one request: %v", head, err)
		}
		if got.Host != "inner.example" || !strings.HasPrefix(path.Clean(got.URL.Path)+"/", "/v1/") {
			t.Fatalf("%q is for another place", head)
		}
		for name, values := range got.Header {
			if folded(name) == "x-user" && (name != "X-User" || len(values) != 1 || values[0] != "alice") {
				t.Fatalf("%q has another identity", head)
			}
		}
		if u := got.Header["Upgrade"]; len(u) != 1 || u[0] != "websocket" || len(got.Header["Connection"]) != 1 {
			t.Fatalf("%q asks for something else", head)
		}
	})
}
