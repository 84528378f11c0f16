package websocket

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/internal/bounded"
)

// sampleRequest is the request of RFC 6455 §1.3.
const sampleRequest = "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"

// hijackable is a ResponseWriter that supports Hijack, like that of net/http.
type hijackable struct {
	*httptest.ResponseRecorder
	nc    net.Conn
	early string
}

func (h *hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	br := bufio.NewReader(io.MultiReader(strings.NewReader(h.early), h.nc))
	br.Peek(len(h.early))
	return h.nc, bufio.NewReadWriter(br, bufio.NewWriter(h.nc)), nil
}

// recorder is a connection that records the calls of its methods.
type recorder struct {
	net.Conn
	writes    [][]byte
	deadlines []time.Time
	fail      error
}

func (r *recorder) Write(b []byte) (int, error) {
	r.writes = append(r.writes, bytes.Clone(b))
	return len(b), r.fail
}

func (r *recorder) SetDeadline(t time.Time) error {
	r.deadlines = append(r.deadlines, t)
	return nil
}

// accept runs Accept on a request in text form, without a server.
func accept(t *testing.T, request string, opts *AcceptOptions) (c *Conn, reply *http.Response, nc *recorder, err error) {
	t.Helper()
	return acceptOn(t, &hijackable{ResponseRecorder: httptest.NewRecorder()}, request, opts)
}

func acceptOn(t *testing.T, w *hijackable, request string, opts *AcceptOptions) (c *Conn, reply *http.Response, nc *recorder, err error) {
	t.Helper()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	nc = &recorder{Conn: ours}
	w.nc = nc
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(request + "\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	r.RemoteAddr = "192.0.2.1:4711"
	c, err = Accept(w, r, opts)
	if c != nil {
		t.Cleanup(func() { c.CloseNow() })
		b := bufio.NewReader(bytes.NewReader(bytes.Join(nc.writes, nil)))
		reply, rerr := http.ReadResponse(b, nil)
		if rerr != nil {
			t.Fatal(rerr)
		}
		return c, reply, nc, err
	}
	return nil, w.Result(), nc, err
}

func TestRFC6455_4_2_2_Accept(t *testing.T) {
	w := &hijackable{ResponseRecorder: httptest.NewRecorder(), early: "\x81\x80\x00\x00\x00\x00"}
	w.Header().Set("X-Request-Id", "7")
	w.Header().Set("Content-Type", "text/html")
	w.Header().Set("Upgrade", "h2c")
	request := sampleRequest + "Sec-WebSocket-Protocol: chat, superchat\r\nX-Mine: 1\r\n"
	c, reply, nc, err := acceptOn(t, w, request, &AcceptOptions{
		Subprotocols: []string{"superchat", "chat"}, Header: http.Header{"Set-Cookie": {"a=b", "c=d"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(nc.writes) != 1 {
		t.Errorf("the 101 was sent in %d writes", len(nc.writes))
	}
	if n := len(nc.deadlines); n < 2 || nc.deadlines[0].IsZero() || !nc.deadlines[n-1].IsZero() {
		t.Errorf("the deadlines are %v, want one for the write, and none afterwards", nc.deadlines)
	}
	h := reply.Header
	if reply.StatusCode != 101 || h.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" ||
		strings.Join(h["Upgrade"], "|") != "websocket" || h.Get("Connection") != "Upgrade" ||
		h.Get("Sec-WebSocket-Protocol") != "superchat" || h.Get("X-Request-Id") != "7" ||
		strings.Join(h["Set-Cookie"], "|") != "a=b|c=d" || h["Content-Type"] != nil {
		t.Errorf("the reply is %d %v", reply.StatusCode, h)
	}
	hs := c.Handshake()
	if hs.Proto != "HTTP/1.1" || hs.Subprotocol != "superchat" || hs.Extensions != "" || hs.Header.Get("X-Mine") != "1" ||
		hs.RemoteAddr != "192.0.2.1:4711" || hs.URL.Path != "/chat" || hs.TLS != nil {
		t.Errorf("the handshake is %+v", hs)
	}
	if m, err := c.Read(bounded.Context(t)); err != nil || m.Type != Text || len(m.Data) != 0 {
		t.Errorf("the message that the client sent early is %v (%v)", m, err)
	}
}

func TestAccept_Replies(t *testing.T) {
	same := func(s string) string { return strings.Replace(sampleRequest, "\r\n", "\r\n"+s+"\r\n", 1) }
	without := func(name string) string {
		i := strings.Index(sampleRequest, name+":")
		return sampleRequest[:i] + sampleRequest[i+strings.Index(sampleRequest[i:], "\r\n")+2:]
	}
	for _, tt := range []struct {
		name    string
		request string
		stage   handshake.Stage
		status  int
		header  string // "Name: value" in the response
		text    []string
	}{
		{"a browser's page", "GET / HTTP/1.1\r\nHost: a\r\n", handshake.StageHeader, 426, "Upgrade: websocket",
			[]string{"426 Upgrade Required", "new WebSocket(", "RFC 6455 §4.2.1"}},
		{"a proxy that drops Upgrade", without("Upgrade"), handshake.StageHeader, 426, "Upgrade: websocket", []string{"proxy_set_header"}},
		{"POST", strings.Replace(sampleRequest, "GET", "POST", 1), handshake.StageRequest, 405, "Allow: GET", []string{"GET"}},
		{"version", strings.Replace(sampleRequest, "13", "8", 1), handshake.StageHeader, 426, "Sec-WebSocket-Version: 13", []string{"version 13", "§4.4"}},
		{"HTTP/1.0", strings.Replace(sampleRequest, "HTTP/1.1", "HTTP/1.0", 1), handshake.StageHeader, 426, "Upgrade: websocket", []string{"HTTP/1.1"}},
		{"key", strings.Replace(sampleRequest, "dGhl", "!!!!", 1), handshake.StageKey, 400, "", []string{"16 bytes"}},
		{"body", same("Content-Length: 5") + "\r\nhello", handshake.StageRequest, 400, "", []string{"body"}},
		{"subprotocol", same("Sec-WebSocket-Protocol: a b"), handshake.StageSubprotocol, 400, "", []string{"Sec-WebSocket-Protocol"}},
		{"extension", same("Sec-WebSocket-Extensions: ;"), handshake.StageExtension, 400, "", []string{"§9.1"}},
		{"origin", same("Origin: http://evil.example.net"), handshake.StageOrigin, 403, "", []string{"may not connect", "§10.2"}},
		{"origin behind a proxy", same("Origin: https://server.example.com"), handshake.StageOrigin, 403, "", []string{"trusted proxies"}},
	} {
		c, reply, nc, err := accept(t, tt.request, nil)
		e, ok := errors.AsType[*HandshakeError](err)
		if c != nil || !ok {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		body, _ := io.ReadAll(reply.Body)
		if e.Stage != tt.stage || e.Status != tt.status || reply.StatusCode != tt.status || e.Section == "" || !bytes.Equal(e.Body, body) {
			t.Errorf("%s: %#v, reply %d", tt.name, e, reply.StatusCode)
		}
		if name, value, ok := strings.Cut(tt.header, ": "); ok && reply.Header.Get(name) != value {
			t.Errorf("%s: %s: %q", tt.name, name, reply.Header.Get(name))
		}
		for _, want := range tt.text {
			if !strings.Contains(string(body), want) {
				t.Errorf("%s: %q does not contain %q", tt.name, body, want)
			}
		}
		h := reply.Header
		if h.Get("Content-Type") != "text/plain; charset=utf-8" || h.Get("X-Content-Type-Options") != "nosniff" ||
			h.Get("Cache-Control") != "no-store" || h.Get("Connection") != "close" {
			t.Errorf("%s: %v", tt.name, h)
		}
		if len(nc.writes) > 0 {
			t.Errorf("%s: the connection was taken over", tt.name)
		}
	}
}

func TestAccept_Check(t *testing.T) {
	for _, tt := range []struct {
		name   string
		err    error
		status int
		header string
		body   string
	}{
		{"401", &Reject{Status: 401, Header: http.Header{"Www-Authenticate": {"Bearer"}}, Reason: "who are you?"}, 401, "WWW-Authenticate: Bearer", "who are you?\n"},
		{"429", &Reject{Status: 429, Header: http.Header{"Retry-After": {"7"}}}, 429, "Retry-After: 7", "429 Too Many Requests\n"},
		{"503", &Reject{Status: 503}, 503, "", "503 Service Unavailable\n"},
		{"wrapped", errors.Join(errors.New("secret"), &Reject{Status: 401, Reason: "no"}), 401, "", "no\n"},
		{"zero", &Reject{}, 403, "", "403 Forbidden\n"},
		{"redirect", &Reject{Status: 307, Header: http.Header{"Location": {"/x"}}}, 307, "Location: /x", "307 Temporary Redirect\n"},
		{"JSON", &Reject{Status: 403, Header: http.Header{"Content-Type": {"application/json"}}, Reason: `{"a":1}`}, 403, "Content-Type: application/json", `{"a":1}`},
		{"an invalid status", &Reject{Status: 99}, 500, "", "500 Internal Server Error\n"},
		{"a success status", &Reject{Status: 200}, 500, "", "500 Internal Server Error\n"},
		{"101", &Reject{Status: 101}, 500, "", "500 Internal Server Error\n"},
		{"other error", errors.New("secret"), 403, "", "403 Forbidden\n\nAccess denied.\n"},
	} {
		asked := 0
		_, reply, _, err := accept(t, sampleRequest, &AcceptOptions{Check: func(r *http.Request) error {
			asked++
			return tt.err
		}})
		body, _ := io.ReadAll(reply.Body)
		e, ok := errors.AsType[*HandshakeError](err)
		if !ok || e.Stage != handshake.StageCheck || e.Status != tt.status || !errors.Is(err, tt.err) || asked != 1 {
			t.Errorf("%s: %#v, Check was called %d times", tt.name, err, asked)
		}
		if name, value, ok := strings.Cut(tt.header, ": "); ok && reply.Header.Get(name) != value {
			t.Errorf("%s: %s: %q", tt.name, name, reply.Header.Get(name))
		}
		if reply.StatusCode != tt.status || string(body) != tt.body {
			t.Errorf("%s: the client got %d %q", tt.name, reply.StatusCode, body)
		}
		if r, ok := errors.AsType[*Reject](tt.err); ok != (tt.name != "other error") || ok && r.Error() == "" {
			t.Errorf("%s: the error wraps a Reject: %t", tt.name, ok)
		}
	}
}

// Check is called last, and only if nothing else rejects the client.
func TestAccept_CheckLast(t *testing.T) {
	opts := &AcceptOptions{Check: func(*http.Request) error {
		t.Error("Check was called")
		return nil
	}}
	for _, bad := range []string{
		strings.Replace(sampleRequest, "13", "8", 1),
		sampleRequest + "Origin: http://evil.example.net\r\n",
		sampleRequest + "Sec-WebSocket-Extensions: ;\r\n",
	} {
		if c, _, _, err := accept(t, bad, opts); c != nil || err == nil {
			t.Errorf("%q is admitted", bad)
		}
	}
}

func TestAccept_ConfigurationErrors(t *testing.T) {
	for name, opts := range map[string]*AcceptOptions{
		"handshake header": {Header: http.Header{"Sec-Websocket-Accept": {"secret"}}},
		"subprotocol":      {Header: http.Header{"sec-websocket-protocol": {"secret"}}},
		"upgrade":          {Header: http.Header{"Upgrade": {"secret"}}},
		"line end":         {Header: http.Header{"X": {"secret\r\nX-Injected: 1"}}},
		"line end in name": {Header: http.Header{"X\r\nX-Injected": {"secret"}}},
		"origin":           {Origins: []string{"secret.example.com"}},
	} {
		c, reply, nc, err := accept(t, sampleRequest+"Origin: http://other.example.com\r\n",
			&AcceptOptions{Header: opts.Header, Origins: opts.Origins, AnyOrigin: opts.Origins == nil})
		e, ok := errors.AsType[*HandshakeError](err)
		body, _ := io.ReadAll(reply.Body)
		if c != nil || !ok || e.Status != 500 || reply.StatusCode != 500 || e.Err == nil || len(nc.writes) > 0 {
			t.Errorf("%s: %v, reply %d", name, err, reply.StatusCode)
		}
		if strings.Contains(string(body)+err.Error(), "secret") || reply.Header.Get("X-Injected") != "" {
			t.Errorf("%s: %q, %v", name, body, err)
		}
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/", nil)
	r.Header = http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Version": {"13"},
		"Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}
	_, err := Accept(w, r, nil)
	if !errors.Is(err, http.ErrNotSupported) || w.Code != 500 || !strings.Contains(err.Error(), "Unwrap") {
		t.Errorf("a ResponseWriter without Hijack: %v, reply %d", err, w.Code)
	}
}

// A connection that fails while the 101 is sent is closed, and Accept returns the error.
func TestAccept_Broken(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	broken := &recorder{Conn: ours, fail: io.ErrClosedPipe}
	w := &hijackable{ResponseRecorder: httptest.NewRecorder(), nc: broken}
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(sampleRequest + "\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	c, err := Accept(w, r, nil)
	e, ok := errors.AsType[*HandshakeError](err)
	if c != nil || !ok || e.Stage != handshake.StageStatus || !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("%v, %v", c, err)
	}
	if _, err := theirs.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the connection is still open: %v", err)
	}
}

// This test uses real connections: a same-origin request over TLS, and one through a proxy that terminates TLS.
func TestRFC6455_10_2_OriginOverTLS(t *testing.T) {
	handler := func(opts *AcceptOptions) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if c, err := Accept(w, r, opts); err == nil {
				c.CloseNow()
			}
		})
	}
	dial := func(s *httptest.Server, header http.Header) error {
		roots := s.Client().Transport.(*http.Transport).TLSClientConfig
		c, err := Dial(bounded.Context(t), s.URL, &DialOptions{Header: header, TLS: roots, Proxy: noProxy})
		if err == nil {
			c.CloseNow()
		}
		return err
	}
	secure := httptest.NewTLSServer(handler(nil))
	defer secure.Close()
	plain := httptest.NewServer(handler(&AcceptOptions{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}))
	defer plain.Close()
	untrusting := httptest.NewServer(handler(nil))
	defer untrusting.Close()

	if err := dial(secure, http.Header{"Origin": {secure.URL}}); err != nil {
		t.Errorf("same origin with TLS: %v", err)
	}
	if err := dial(secure, http.Header{"Origin": {strings.Replace(secure.URL, "https", "http", 1)}}); err == nil {
		t.Error("a page without TLS is treated as one with TLS")
	}
	page := http.Header{"Origin": {strings.Replace(plain.URL, "http", "https", 1)}, "X-Forwarded-Proto": {"https"}}
	if err := dial(plain, page); err != nil {
		t.Errorf("behind a trusted proxy: %v", err)
	}
	page["Origin"] = []string{strings.Replace(untrusting.URL, "http", "https", 1)}
	if e, ok := errors.AsType[*HandshakeError](dial(untrusting, page)); !ok || e.Status != 403 || e.Stage != handshake.StageStatus {
		t.Errorf("behind a proxy that is not trusted: %v", e)
	}
}

func noProxy(*http.Request) (*url.URL, error) { return nil, nil }
