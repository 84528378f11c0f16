package gateway

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/internal/bounded"
	wshandshake "github.com/handfast/handfast/websocket/handshake"
)

// recordingServer is a server behind a balancer that records everything it receives.
type recordingServer struct {
	id      string
	streams chan forwarded
}

// forwarded describes one connection to a recorded server: the request, and the data before and after the response.
type forwarded struct {
	request       *http.Request
	body          string
	before, after string
}

// record starts a server that responds to each handshake with raw bytes, in which KEY is replaced by the Sec-WebSocket-Accept
// value, and to other requests with a page.
func record(t *testing.T, answer string) *recordingServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &recordingServer{id: "ws://" + l.Addr().String(), streams: make(chan forwarded, 8)}
	over := make(chan struct{})
	go func() {
		defer close(over)
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			s.serve(nc.(*net.TCPConn), answer)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		bounded.Receive(t, over)
	})
	return s
}

func (s *recordingServer) serve(nc *net.TCPConn, answer string) {
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(2 * time.Minute))
	in := bufio.NewReader(nc)
	r, err := http.ReadRequest(in)
	if err != nil {
		s.streams <- forwarded{before: err.Error()}
		return
	}
	body, _ := io.ReadAll(r.Body)
	early, _ := in.Peek(in.Buffered())
	got := forwarded{request: r, body: string(body), before: string(early)}
	_, _ = in.Discard(len(early))
	if r.Header.Get("Upgrade") == "" {
		answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	}
	_, _ = io.WriteString(nc, strings.ReplaceAll(answer, "KEY", string(wshandshake.AppendAccept(nil, r.Header.Get("Sec-WebSocket-Key")))))
	_ = nc.CloseWrite()
	after, _ := io.ReadAll(in)
	got.after = string(after)
	s.streams <- got
}

const (
	behindOpens = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: KEY\r\n"
	upgradeHead = "Host: front.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
	smuggled    = "GET /smuggled HTTP/1.1\r\nHost: front.example\r\n\r\n"
)

// exchange sends raw bytes, and returns the response and all data after it.
func exchange(t *testing.T, r *running, raw string) (resp *http.Response, head, rest string) {
	t.Helper()
	c := send(t, strings.TrimPrefix(r.URLs()[0], "http://"), "127.0.0.5", raw).(*net.TCPConn)
	c.SetDeadline(time.Now().Add(2 * time.Minute))
	var kept bytes.Buffer
	in := bufio.NewReader(io.TeeReader(c, &kept))
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.CloseWrite()
	if resp.StatusCode == http.StatusSwitchingProtocols {
		all, _ := io.ReadAll(in)
		rest = string(all)
	} else {
		body, _ := io.ReadAll(resp.Body)
		resp.Body = io.NopCloser(bytes.NewReader(body))
		all, _ := io.ReadAll(in)
		rest = string(all)
	}
	head, _, _ = strings.Cut(kept.String(), "\r\n\r\n")
	return resp, head, rest
}

// noDataFollows reports whether no data follows a response; a 101 may be followed by the close frame of a server that has closed.
func noDataFollows(resp *http.Response, rest string) bool {
	return rest == "" || resp.StatusCode == http.StatusSwitchingProtocols && rest[0] == 0x88 && len(rest) == 2+int(rest[1])
}

// Whatever a client sends, its server receives at most one request: for the server's own address, below its prefix, and with the
// authenticated identity. Data after a handshake is forwarded only after the 101.
func TestBalanceHostileRequests(t *testing.T) {
	behind := record(t, behindOpens+"\r\n")
	settings := "request: {user_header: X-User, add_prefix: /v1, identity: {header: X-Handfast-Identity, secret: \"" + key + "\"}}"
	r := run(t, parse(t, strings.Replace(balancing(nil, settings), "to: []", "to: ['"+behind.id+"']", 1)))
	for name, tt := range map[string]struct {
		raw    string
		status int    // if 400 or above, the server receives nothing; the same applies to OPTIONS *
		path   string // the path that the server receives, or "" for /v1/
		after  string // the data that the server receives after the 101
	}{
		"a handshake":              {"GET / HTTP/1.1\r\n" + upgradeHead + "\r\n", 101, "", ""},
		"two lengths":              {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 40\r\n\r\nabc" + smuggled, 400, "", ""},
		"two lengths in one":       {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3, 40\r\n\r\nabc" + smuggled, 400, "", ""},
		"a length with a sign":     {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +3\r\n\r\nabc" + smuggled, 400, "", ""},
		"a length and chunks":      {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, 200, "", ""},
		"another coding":           {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + smuggled, 501, "", ""},
		"a coding twice":           {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + smuggled, 501, "", ""},
		"a coding, obscured":       {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\nContent-Length: 3\r\n\r\nabc" + smuggled, 400, "", ""},
		"a handshake, two lengths": {"GET / HTTP/1.1\r\n" + upgradeHead + "Content-Length: 0\r\nContent-Length: 50\r\n\r\n" + smuggled, 400, "", ""},
		"a handshake with a body":  {"GET / HTTP/1.1\r\n" + upgradeHead + "Content-Length: 50\r\n\r\n" + smuggled, 400, "", ""},
		"a handshake in chunks":    {"GET / HTTP/1.1\r\n" + upgradeHead + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, 400, "", ""},
		"bytes behind a handshake": {"GET / HTTP/1.1\r\n" + upgradeHead + "\r\n" + smuggled, 101, "", smuggled},
		"bare LF":                  {"GET / HTTP/1.1\n" + strings.ReplaceAll(upgradeHead, "\r\n", "\n") + "X-User: mallory\n\n", 400, "", ""},
		"a bare CR":                {"GET / HTTP/1.1\r\n" + upgradeHead + "X-A: b\rX-User: mallory\r\n\r\n", 400, "", ""},
		"obs-fold":                 {"GET / HTTP/1.1\r\n" + upgradeHead + "X-A: b\r\n X-User: mallory\r\n\r\n", 400, "", ""},
		"a NUL":                    {"GET / HTTP/1.1\r\n" + upgradeHead + "X-A: b\x00\r\n\r\n", 400, "", ""},
		"absolute form":            {"GET http://169.254.169.254/latest HTTP/1.1\r\n" + upgradeHead + "\r\n", 101, "/v1/latest", ""},
		"absolute form, a page":    {"GET http://169.254.169.254/latest HTTP/1.1\r\nHost: front.example\r\n\r\n", 200, "/v1/latest", ""},
		"another Host":             {"GET / HTTP/1.1\r\n" + strings.Replace(upgradeHead, "front.example", "169.254.169.254:80", 1) + "\r\n", 101, "", ""},
		"two Hosts":                {"GET / HTTP/1.1\r\n" + upgradeHead + "Host: other\r\n\r\n", 400, "", ""},
		"a Host with a path":       {"GET / HTTP/1.1\r\n" + strings.Replace(upgradeHead, "front.example", "front.example/x", 1) + "\r\n", 400, "", ""},
		"authority form":           {"CONNECT 169.254.169.254:80 HTTP/1.1\r\nHost: 169.254.169.254:80\r\n\r\n", 404, "", ""},
		"asterisk form":            {"OPTIONS * HTTP/1.1\r\nHost: front.example\r\n\r\n", 200, "", ""},
		"identity":                 {"GET / HTTP/1.1\r\n" + upgradeHead + "X-User: mallory\r\nx_user: mallory\r\nX-Handfast-Identity: mallory\r\nX_HANDFAST-IDENTITY: mallory\r\n\r\n", 101, "", ""},
		"hop by hop":               {"GET / HTTP/1.1\r\n" + strings.Replace(upgradeHead, "Connection: ", "Connection: X-User, X-Handfast-Identity, X-Forwarded-For, ", 1) + "X-User: mallory\r\n\r\n", 101, "", ""},
		"hop by hop, a page":       {"GET / HTTP/1.1\r\nHost: front.example\r\nConnection: X-User, X-Handfast-Identity, X-Forwarded-For, close\r\nX-User: mallory\r\n\r\n", 200, "", ""},
		"h2c":                      {"GET / HTTP/1.1\r\nHost: front.example\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n", 200, "", ""},
		"h2c and WebSocket":        {"GET / HTTP/1.1\r\n" + strings.Replace(upgradeHead, "Upgrade: websocket", "Upgrade: websocket, h2c\r\nHTTP2-Settings: AAMAAABk", 1) + "\r\n", 101, "", ""},
		"HTTP/2 with knowledge":    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "", ""},
		"a line end in the path":   {"GET /a%0d%0aX-User:%20mallory HTTP/1.1\r\n" + upgradeHead + "\r\n", 400, "", ""},
		"a line end in the query":  {"GET /?a=%0d%0aX-User:%20mallory HTTP/1.1\r\n" + upgradeHead + "\r\n", 101, "/v1/?a=%0d%0aX-User:%20mallory", ""},
		"above the prefix":         {"GET /%2e%2e/admin HTTP/1.1\r\n" + upgradeHead + "\r\n", 400, "", ""},
		"a subprotocol":            {"GET / HTTP/1.1\r\n" + upgradeHead + "Sec-WebSocket-Protocol: a\tb\r\n\r\n", 400, "", ""},
		"an extension":             {"GET / HTTP/1.1\r\n" + upgradeHead + "Sec-WebSocket-Extensions: a; b=\"c\x01\"\r\n\r\n", 400, "", ""},
		"a large head":             {"GET / HTTP/1.1\r\n" + upgradeHead + "X-Large: " + strings.Repeat("a", 40<<10) + "\r\n\r\n", 431, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			resp, _, rest := exchange(t, r, tt.raw)
			if resp.StatusCode != tt.status || !noDataFollows(resp, rest) {
				t.Errorf("client: got %s and %q, want %d and no other data", resp.Status, rest, tt.status)
			}
			if resp.StatusCode >= 400 || strings.HasPrefix(tt.raw, "OPTIONS *") {
				if n := len(behind.streams); n != 0 {
					t.Errorf("server: got %d requests, want 0", n)
				}
				return
			}
			got := bounded.Receive(t, behind.streams)
			if got.request == nil || got.body != "" || got.before != "" || got.after != tt.after {
				t.Fatalf("server: got %+v, want one request, and %q after it", got, tt.after)
			}
			h := got.request.Header
			if want := tt.path; want == "" && got.request.RequestURI != "/v1/" || want != "" && got.request.RequestURI != want {
				t.Errorf("server: got target %q, want %q below /v1/", got.request.RequestURI, want)
			}
			if u := h["Upgrade"]; resp.StatusCode == 101 && (len(u) != 1 || u[0] != "websocket" || len(h["Connection"]) != 1) || resp.StatusCode != 101 && len(u) != 0 {
				t.Errorf("server: got Upgrade %q and Connection %q", u, h["Connection"])
			}
			if h.Get("X-Forwarded-For") != "127.0.0.5" {
				t.Errorf("server: got X-Forwarded-For %q, want 127.0.0.5", h["X-Forwarded-For"])
			}
			for name, values := range h {
				if folded := strings.ReplaceAll(strings.ToLower(name), "_", "-"); folded == "x-user" || folded == "x-handfast-identity" || strings.HasPrefix(folded, "http2") {
					t.Errorf("server: got %s: got %q, want no such field", name, values)
				}
			}
		})
	}
}

// Whatever a server sends, a client gets a 101 only for a handshake that the server has accepted, and exactly one response from the
// balancer. A header field of the server cannot terminate the header of that response.
func TestBalanceHostileResponses(t *testing.T) {
	for name, tt := range map[string]struct {
		answer string
		status int
	}{
		"opens":                             {behindOpens + "\r\n", 101},
		"200":                               {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 502},
		"200 and a 101":                     {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" + behindOpens + "\r\n", 502},
		"204":                               {"HTTP/1.1 204 No Content\r\n\r\n", 502},
		"the answer to another key":         {strings.Replace(behindOpens, "KEY", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", 1) + "\r\n", 502},
		"no answer to the key":              {strings.Replace(behindOpens, "Sec-WebSocket-Accept: KEY\r\n", "", 1) + "\r\n", 502},
		"h2c":                               {strings.Replace(behindOpens, "websocket", "h2c", 1) + "\r\n", 502},
		"an extension that is not offered":  {behindOpens + "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n", 502},
		"a subprotocol that is not offered": {behindOpens + "Sec-WebSocket-Protocol: admin\r\n\r\n", 502},
		"a line end in a field":             {behindOpens + "X-A: b\rX-Split: yes\r\n\r\n", 502},
		"LF in a field":                     {behindOpens + "X-A: b\nX-Split: yes\r\n\r\n", 502},
		"a fold":                            {behindOpens + "X-A: b\r\n X-Split: yes\r\n\r\n", 101},
		"a line end in the reason":          {"HTTP/1.1 403 No\rX-Split: yes\r\nContent-Length: 0\r\n\r\n", 502},
		"a large head":                      {behindOpens + "X-A: " + strings.Repeat("a", 70<<10) + "\r\n\r\n", 502},
		"an endless head":                   {behindOpens + strings.Repeat("X-A: b\r\n", 20<<10), 502},
		"two answers":                       {"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno" + "HTTP/1.1 200 OK\r\nX-Split: yes\r\nContent-Length: 0\r\n\r\n", 403},
		"two lengths":                       {"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nContent-Length: 60\r\n\r\nnoHTTP/1.1 200 OK\r\nX-Split: yes\r\nContent-Length: 0\r\n\r\n", 403},
		"a length and chunks":               {"HTTP/1.1 403 Forbidden\r\nContent-Length: 60\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nX-Split: yes\r\n\r\n", 403},
	} {
		t.Run(name, func(t *testing.T) {
			behind := record(t, tt.answer)
			r := run(t, parse(t, strings.Replace(balancing(nil, ""), "to: []", "to: ['"+behind.id+"']", 1)))
			resp, head, rest := exchange(t, r, "GET / HTTP/1.1\r\n"+upgradeHead+"\r\n")
			if resp.StatusCode != tt.status || !noDataFollows(resp, rest) {
				t.Errorf("client: got %s and %q, want %d and no other data", resp.Status, rest, tt.status)
			}
			if n := strings.Count(head, "\r\n"); resp.Header.Get("X-Split") != "" || strings.Contains(strings.ReplaceAll(head, "\r\n", ""), "\n") || n > 20 {
				t.Errorf("client: got header %q, want no field of the server's body", head)
			}
			if accept := resp.Header["Sec-Websocket-Accept"]; resp.StatusCode == 101 && (len(accept) != 1 || accept[0] != string(wshandshake.AppendAccept(nil, "AAAAAAAAAAAAAAAAAAAAAA=="))) {
				t.Errorf("client: got Sec-WebSocket-Accept %q, want that of its key", accept)
			}
			bounded.Receive(t, behind.streams) // the connection to the server was closed
			if resp.StatusCode == 502 {
				body, _ := io.ReadAll(resp.Body)
				if strings.Contains(string(body), strings.TrimPrefix(behind.id, "ws://")) {
					t.Errorf("client: got %s, want no address of the server", body)
				}
				waitForLog(t, &r.log, behind.id, "answer")
			}
		})
	}
}

// A server's error page is forwarded to the client; only its beginning is written to the log, the audit log and the list of
// refusals.
func TestBalanceLogTruncatesPage(t *testing.T) {
	behind := record(t, "HTTP/1.1 403 Forbidden\r\nContent-Length: 40000\r\n\r\n"+strings.Repeat("<p>no\x1b", 40_000/6)+"end.")
	r := run(t, parse(t, strings.Replace(balancing(nil, ""), "to: []", "to: ['"+behind.id+"']", 1)))
	resp, _, _ := exchange(t, r, "GET / HTTP/1.1\r\n"+upgradeHead+"\r\n")
	if body, err := io.ReadAll(resp.Body); resp.StatusCode != 403 || err != nil || len(body) < 30_000 {
		t.Errorf("client: got %s and %d bytes, %v, want 403 and the page", resp.Status, len(body), err)
	}
	bounded.Until(t, func() bool { return strings.Contains(r.log.String(), "handshake refused") })
	for name, text := range map[string]string{"log": r.log.String(), "audit log": r.audited.String(), "list": fmt.Sprint(r.rec.refused.List())} {
		if !strings.Contains(text, "<p>no") || !strings.Contains(text, "…") || len(text) > 8<<10 {
			t.Errorf("%s: got %d bytes, want the beginning of the page: %.500s", name, len(text), text)
		}
	}
}
