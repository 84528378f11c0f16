package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket/handshake"
)

// rawUpstream is a server that reads one header and responds with raw bytes, in which KEY stands for the Sec-WebSocket-Accept
// value.
type rawUpstream struct {
	addr string
	head chan string // the received header
	hold chan struct{}
	gone chan struct{} // receives a value when a held connection has ended
}

// serveRaw starts an upstreamed. It keeps the connection open until the test ends if the response ends in "HOLD".
func serveRaw(t testing.TB, l net.Listener, answer string) *rawUpstream {
	t.Helper()
	u := &rawUpstream{addr: l.Addr().String(), head: make(chan string, 8), hold: make(chan struct{}), gone: make(chan struct{}, 8)}
	over := make(chan struct{})
	go func() {
		defer close(over)
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			u.answer(nc, answer)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		close(u.hold)
		bounded.Receive(t, over)
	})
	return u
}

func (u *rawUpstream) answer(nc net.Conn, answer string) {
	defer nc.Close()
	if answer == "CLOSE" {
		return
	}
	in := bufio.NewReader(nc)
	var head strings.Builder
	// The header of version 2 of the PROXY protocol also contains an empty line.
	for !strings.Contains(head.String(), "HTTP/1.1") || !strings.HasSuffix(head.String(), "\r\n\r\n") {
		line, err := in.ReadString('\n')
		if head.WriteString(line); err != nil {
			return
		}
	}
	u.head <- head.String()
	_, key, _ := strings.Cut(head.String(), "Sec-WebSocket-Key: ")
	key, _, _ = strings.Cut(key, "\r\n")
	answer, held := strings.CutSuffix(answer, "HOLD")
	io.WriteString(nc, strings.ReplaceAll(answer, "KEY", string(handshake.AppendAccept(nil, key))))
	if held {
		go func() { // returns when nc is closed
			io.Copy(io.Discard, in)
			u.gone <- struct{}{}
		}()
		<-u.hold
	}
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

const (
	opens    = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: KEY\r\n"
	clientIP = "192.0.2.7:4000"
	ours     = "198.51.100.1:443"
)

// parseRequest parses raw as a client's request.
func parseRequest(t testing.TB, raw string) *Request {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		t.Fatal(err)
	}
	r.RemoteAddr = "203.0.113.9:5000"
	return &Request{Request: r, Source: netip.MustParseAddrPort(clientIP), Destination: netip.MustParseAddrPort(ours)}
}

const plain = "GET /chat?room=1 HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"

// opener opens a WebSocket to an upstream: [Dialer.Open], or the same on the event loop.
type opener func(context.Context, *Dialer, *Request) (*Link, error)

// eachOpen runs a test with each opener.
func eachOpen(t *testing.T, name string, test func(t *testing.T, open opener)) {
	t.Run(name+" by package net", func(t *testing.T) {
		test(t, func(ctx context.Context, d *Dialer, r *Request) (*Link, error) { return d.Open(ctx, r) })
	})
	t.Run(name+" on the loop", func(t *testing.T) {
		c := NewCarrier()
		t.Cleanup(func() { // the Carrier is closed after the server, because the test ends the server's connections
			if c.Close(); c.Len() > 0 {
				t.Errorf("got %d open connections, want 0", c.Len())
			}
		})
		test(t, c.open)
	})
}

// The test compares the bytes that the upstream receives, with KEY for the value of Sec-WebSocket-Key.
func TestDialerRequest(t *testing.T) {
	const forwarded = "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Host: example.org\r\nX-Forwarded-Proto: http\r\n"
	const element = `Forwarded: for=192.0.2.7;proto=http;host=example.org` + "\r\n"
	const lead = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: KEY\r\nSec-WebSocket-Version: 13\r\n"
	for name, tt := range map[string]struct {
		o      DialerOptions
		path   string // path of the upstream's URL
		fields string // the client's fields, in addition to those of plain
		line   string // the client's request line; "" means that of plain
		id     http.Header
		want   string // HOST stands for the upstream's address
	}{
		"plain": {want: "GET /chat?room=1 HTTP/1.1\r\nHost: HOST\r\n" + lead + element + forwarded + "\r\n"},
		"offers are passed on": {
			fields: "Sec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Protocol: c\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n",
			want: "GET /chat?room=1 HTTP/1.1\r\nHost: HOST\r\n" + lead + "Sec-WebSocket-Protocol: a, b, c\r\n" +
				"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n" + element + forwarded + "\r\n",
		},
		"end to end and hop by hop": {
			fields: "Cookie: a=b\r\nOrigin: https://example.org\r\nKeep-Alive: 5\r\nProxy-Authorization: x\r\nTE: trailers\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 1\r\nX_Hop: 2\r\nTrailer: y\r\n",
			want:   "GET /chat?room=1 HTTP/1.1\r\nHost: HOST\r\n" + lead + "Cookie: a=b\r\n" + element + "Origin: https://example.org\r\n" + forwarded + "\r\n",
		},
		"identity": {
			o: DialerOptions{Header: http.Header{"X-Balancer": {"b1"}}, Remove: []string{"x-secret-claim"}}, id: http.Header{"X-User": {"alice"}},
			fields: "X-User: mallory\r\nX_USER: mallory\r\nx-balancer: other\r\nX_Secret-Claim: 1\r\nConnection: X-User, X-Forwarded-For, X-Balancer\r\n",
			want:   "GET /chat?room=1 HTTP/1.1\r\nHost: HOST\r\n" + lead + element + "X-Balancer: b1\r\n" + forwarded + "X-User: alice\r\n\r\n",
		},
		"what clients say of others is replaced": {
			fields: "X-Forwarded-For: 10.0.0.1\r\nX_Forwarded_For: 10.0.0.1\r\nForwarded: for=10.0.0.1\r\nX-Forwarded-Proto: https\r\nX-Real-IP: 10.0.0.1\r\n",
			want:   "GET /chat?room=1 HTTP/1.1\r\nHost: HOST\r\n" + lead + element + forwarded + "\r\n",
		},
		"or appended to": {
			o:      DialerOptions{AppendForwarded: true},
			fields: "X-Forwarded-For: 10.0.0.1\r\nForwarded: for=10.0.0.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: outer.example\r\n",
			want: "GET /chat?room=1 HTTP/1.1\r\nHost: HOST\r\n" + lead + "Forwarded: for=10.0.0.1, for=203.0.113.9;proto=https;host=outer.example\r\n" +
				"X-Forwarded-For: 10.0.0.1, 203.0.113.9\r\nX-Forwarded-Host: outer.example\r\nX-Forwarded-Proto: https\r\n\r\n",
		},
		"the client's Host": {o: DialerOptions{KeepHost: true}, want: "GET /chat?room=1 HTTP/1.1\r\nHost: example.org\r\n" + lead + element + forwarded + "\r\n"},
		"a path": {
			o: DialerOptions{StripPrefix: "/public/"}, path: "/v1/", line: "GET /public/a%20b HTTP/1.1",
			want: "GET /v1/a%20b HTTP/1.1\r\nHost: HOST\r\n" + lead + element + forwarded + "\r\n",
		},
		"an absolute target": {
			o: DialerOptions{KeepHost: true}, line: "GET http://169.254.169.254/latest HTTP/1.1",
			want: "GET /latest HTTP/1.1\r\nHost: 169.254.169.254\r\n" + lead + strings.Replace(element, "example.org", "169.254.169.254", 1) +
				strings.Replace(forwarded, "example.org", "169.254.169.254", 1) + "\r\n",
		},
		"PROXY 1": {o: DialerOptions{ProxyProtocol: 1}, want: "PROXY TCP4 192.0.2.7 198.51.100.1 4000 443\r\nGET /chat?room=1 HTTP/1.1\r\nHost: HOST\r\n" + lead + element + forwarded + "\r\n"},
		"PROXY 2": {
			o: DialerOptions{ProxyProtocol: 2},
			want: "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\xc6\x33\x64\x01\x0f\xa0\x01\xbbGET /chat?room=1 HTTP/1.1\r\nHost: HOST\r\n" +
				lead + element + forwarded + "\r\n",
		},
	} {
		eachOpen(t, name, func(t *testing.T, open opener) {
			u := serveRaw(t, listen(t), opens+"\r\n")
			d, err := NewDialer("ws://"+u.addr+tt.path, tt.o)
			if err != nil {
				t.Fatal(err)
			}
			raw := plain
			if tt.line != "" {
				raw = tt.line + strings.TrimPrefix(plain, "GET /chat?room=1 HTTP/1.1")
			}
			r := parseRequest(t, raw+tt.fields+"\r\n")
			r.Identity = tt.id
			link, err := open(bounded.Context(t), d, r)
			if err != nil {
				t.Fatalf("open: %v", err)
			}
			link.close()
			got := bounded.Receive(t, u.head)
			_, key, _ := strings.Cut(got, "Sec-WebSocket-Key: ")
			key, _, _ = strings.Cut(key, "\r\n")
			if len(key) != 24 || strings.HasPrefix(key, "AAAAAAAA") {
				t.Errorf("got Sec-WebSocket-Key %q, want a new one", key)
			}
			got = strings.ReplaceAll(got, key, "KEY")
			if want := strings.ReplaceAll(tt.want, "HOST", u.addr); got != want {
				t.Errorf("the upstream got\n%q\nwant\n%q", got, want)
			}
		})
	}
}

func TestDialerRefusesRequests(t *testing.T) {
	u := serveRaw(t, listen(t), opens+"\r\n")
	d, err := NewDialer(u.addr+"/inner", DialerOptions{StripPrefix: "/public", KeepHost: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{
		"/other", "/publicity", "/public/../x", "/public/%2e%2e/x", "/public/.%2E", "/public/..%2fx", "/public/a%2f..%2fx", "/public/%252e%252e/x",
		`/public/..%5cx`, "/public/..;a=b/x", "/./public",
		"/public/100%25/%252e%252e/x", "/public/%25252e%25252e", `/public/x%5C..`, "/public/..%3ba",
	} {
		_, err := d.Open(bounded.Context(t), parseRequest(t, "GET "+path+strings.TrimPrefix(plain, "GET /chat?room=1")+"\r\n"))
		f, ok := errors.AsType[*Failure](err)
		if !ok || f.Stage != StageRequest || f.Status() != http.StatusBadRequest {
			t.Errorf("%s: got %v, want a failure at the stage request with 400", path, err)
		}
	}
	for _, fields := range []string{
		"Sec-WebSocket-Protocol: a b\r\n", "Sec-WebSocket-Protocol: a, a\r\n", "Sec-WebSocket-Extensions: ;\r\n",
	} {
		_, err := d.Open(bounded.Context(t), parseRequest(t, strings.Replace(plain, "/chat", "/public", 1)+fields+"\r\n"))
		if f, ok := errors.AsType[*Failure](err); !ok || f.Stage != StageRequest {
			t.Errorf("%q: got %v, want a failure at the stage request", fields, err)
		}
	}
	r := parseRequest(t, strings.Replace(plain, "/chat", "/public", 1)+"\r\n")
	r.Identity = http.Header{"X-User": {"a\r\nX-Admin: yes"}}
	if _, err := d.Open(bounded.Context(t), r); err == nil {
		t.Error("an identity field with a line break was accepted")
	}
	r.Identity, r.Host = nil, "a b"
	if _, err := d.Open(bounded.Context(t), r); err == nil {
		t.Error("a Host with a space was accepted")
	}
	if len(u.head) > 0 {
		t.Error("the upstream received a request")
	}
}

// The tunnel opens only after a 101 that follows all rules.
func TestDialerResponses(t *testing.T) {
	for name, tt := range map[string]struct {
		answer string
		stage  Stage // "" means that the result is a Link
		status int   // status of the Failure
		err    string
	}{
		"opens":                  {opens + "\r\n", "", 0, ""},
		"behind interim answers": {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + opens + "\r\n", "", 0, ""},
		"what was offered":       {opens + "Sec-WebSocket-Protocol: b\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n", "", 0, ""},
		"closes immediately":     {"CLOSE", StageHandshake, 502, ""},
		"closes within the head": {"HTTP/1.1 101 Sw", StageHandshake, 502, "closed the connection"},
		"hangs":                  {"HOLD", StageHandshake, 504, ""},
		"hangs within the head":  {"HTTP/1.1 101 Switching\r\nUpgrHOLD", StageHandshake, 504, ""},
		"200":                    {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", StageAnswer, 502, "200"},
		"h2c":                    {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: KEY\r\n\r\n", StageAnswer, 502, "a protocol other than websocket"},
		"HTTP/1.0":               {"HTTP/1.0" + strings.TrimPrefix(opens, "HTTP/1.1") + "\r\n", StageAnswer, 502, "HTTP/1.0"},
		"HTTP/2":                 {"\x00\x00\x12\x04\x00\x00\x00\x00\x00", StageAnswer, 502, "not HTTP/1"},
		"without Accept":         {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", StageAnswer, 502, "no Sec-WebSocket-Accept"},
		"the Accept of the client's key": {
			strings.Replace(opens, "KEY", string(handshake.AppendAccept(nil, "AAAAAAAAAAAAAAAAAAAAAA==")), 1) + "\r\n", StageAnswer, 502, "does not match",
		},
		"two Accepts":         {opens + "Sec-WebSocket-Accept: KEY\r\n\r\n", StageAnswer, 502, "more than one"},
		"without Upgrade":     {strings.Replace(opens, "Upgrade: websocket\r\n", "", 1) + "\r\n", StageAnswer, 502, "Upgrade"},
		"without Connection":  {strings.Replace(opens, "Connection: Upgrade\r\n", "", 1) + "\r\n", StageAnswer, 502, "Connection"},
		"another subprotocol": {opens + "Sec-WebSocket-Protocol: z\r\n\r\n", StageAnswer, 502, "subprotocol"},
		"another extension":   {opens + "Sec-WebSocket-Extensions: x-other\r\n\r\n", StageAnswer, 502, "extension"},
		"a bare LF":           {strings.ReplaceAll(opens, "\r\n", "\n") + "\n", StageAnswer, 502, "CR LF"},
		"endless":             {opens + "X-Long: " + strings.Repeat("a", 70<<10), StageAnswer, 502, "64 KiB"},
		"a name with a space": {opens + "Set-Cookie : a=b\r\n\r\n", StageAnswer, 502, "token"},
	} {
		eachOpen(t, name, func(t *testing.T, open opener) {
			u := serveRaw(t, listen(t), tt.answer)
			o := DialerOptions{}
			if tt.status == http.StatusGatewayTimeout {
				o.Handshake = 50 * time.Millisecond
			}
			d, err := NewDialer(u.addr, o)
			if err != nil {
				t.Fatal(err)
			}
			link, err := open(bounded.Context(t), d, parseRequest(t, plain+"Sec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"))
			if tt.stage == "" {
				if err != nil {
					t.Fatal(err)
				}
				link.close()
				if want := strings.Contains(tt.answer, "Protocol: b"); (link.Subprotocol == "b") != want || (link.Extensions == "permessage-deflate") != want {
					t.Errorf("got subprotocol %q and extensions %q, want offered ones: %v", link.Subprotocol, link.Extensions, want)
				}
				return
			}
			f, ok := errors.AsType[*Failure](err)
			if !ok || f.Stage != tt.stage || f.Status() != tt.status {
				t.Fatalf("got %v, want a failure at the stage %s with %d", err, tt.stage, tt.status)
			}
			if s := f.Error(); !strings.Contains(s, tt.err) || !strings.HasPrefix(s, "upstream ws://"+u.addr+": "+string(tt.stage)) {
				t.Errorf("got %q, want the upstream, the stage and %q", s, tt.err)
			}
		})
	}
}

func TestDialerHeaderAndEarlyBytes(t *testing.T) {
	u := serveRaw(t, listen(t), opens+"Set-Cookie: a=b\r\nSet-Cookie: c=d\r\nX-Hop: 1\r\nConnection: X-Hop\r\nKeep-Alive: 5\r\nContent-Length: 0\r\nX-Fold: a\r\n b\r\n\r\n\x81\x02hiHOLD")
	d, err := NewDialer("http://"+u.addr, DialerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	link, err := d.Open(bounded.Context(t), parseRequest(t, plain+"\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	defer link.Conn.Close()
	late := string(link.Late)
	if n := len("\x81\x02hi") - len(late); n > 0 {
		rest := make([]byte, n)
		if _, err := io.ReadFull(link.Conn, rest); err != nil {
			t.Fatal(err)
		}
		late += string(rest)
	}
	if late != "\x81\x02hi" {
		t.Errorf("got %q after the response, want one frame", late)
	}
	if h := link.Header; len(h) != 2 || len(h["Set-Cookie"]) != 2 || h.Get("X-Fold") != "a b" {
		t.Errorf("got header %q, want Set-Cookie and X-Fold", h)
	}
}

// An upstream's refusal is passed on with its status, header fields and body.
func TestDialerRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		answer string
		want   Refused
	}{
		"403":         {"HTTP/1.1 403 No Way\r\nSet-Cookie: a=b\r\nContent-Length: 4\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\nbodymoreHOLD", Refused{Status: 403, Reason: "No Way", Body: []byte("body")}},
		"503":         {"HTTP/1.1 503 Busy\r\nRetry-After: 3\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\nHOLD", Refused{Status: 503, Reason: "Busy", Body: []byte("body")}},
		"to the end":  {"HTTP/1.1 500 Oops\r\n\r\nbody", Refused{Status: 500, Reason: "Oops", Body: []byte("body")}},
		"302":         {"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\nHOLD", Refused{Status: 302, Reason: "Found"}},
		"304":         {"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\nHOLD", Refused{Status: 304, Reason: "Not Modified"}},
		"two lengths": {"HTTP/1.1 400 Bad\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nbodyHOLD", Refused{Status: 400, Reason: "Bad", Cut: true}},
		"a length and chunks": {
			"HTTP/1.1 400 Bad\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHOLD", Refused{Status: 400, Reason: "Bad", Cut: true},
		},
		"a length with a sign": {"HTTP/1.1 400 Bad\r\nContent-Length: +4\r\n\r\nbodyHOLD", Refused{Status: 400, Reason: "Bad", Cut: true}},
		"too short":            {"HTTP/1.1 400 Bad\r\nContent-Length: 9\r\n\r\nbody", Refused{Status: 400, Reason: "Bad", Body: []byte("body"), Cut: true}},
		"too long": {
			"HTTP/1.1 400 Bad\r\n\r\n" + strings.Repeat("a", maxBody+10), Refused{Status: 400, Reason: "Bad", Body: []byte(strings.Repeat("a", maxBody)), Cut: true},
		},
	} {
		eachOpen(t, name, func(t *testing.T, open opener) {
			u := serveRaw(t, listen(t), tt.answer)
			d, err := NewDialer(u.addr, DialerOptions{})
			if err != nil {
				t.Fatal(err)
			}
			_, err = open(bounded.Context(t), d, parseRequest(t, plain+"\r\n"))
			r, ok := errors.AsType[*Refused](err)
			if !ok {
				t.Fatalf("got %v, want a *Refused", err)
			}
			if r.Status != tt.want.Status || r.Reason != tt.want.Reason || string(r.Body) != string(tt.want.Body) || r.Cut != tt.want.Cut {
				t.Errorf("got %d %q, %.30q of %d bytes, cut %v, want %d %q, %.30q, %v", r.Status, r.Reason, r.Body, len(r.Body), r.Cut, tt.want.Status, tt.want.Reason, tt.want.Body, tt.want.Cut)
			}
			if r.Header.Get("Content-Length")+r.Header.Get("X-Hop")+r.Header.Get("Connection") != "" {
				t.Errorf("got header %q, want no field for the next hop", r.Header)
			}
			if strings.Contains(tt.answer, "Set-Cookie") && r.Header.Get("Set-Cookie") != "a=b" {
				t.Errorf("got header %q, want Set-Cookie: a=b", r.Header)
			}
			if !strings.Contains(r.Error(), u.addr) {
				t.Errorf("got error %q, want the upstream's address in it", r.Error())
			}
		})
	}
}

// The server supports only HTTP/1.1: if another protocol were offered, it would refuse the connection (RFC 7301 §3.2).
func TestDialerTLSAndUnix(t *testing.T) {
	roots := x509.NewCertPool()
	roots.AddCert(certificate().Leaf)
	server := &tls.Config{Certificates: []tls.Certificate{certificate()}, ClientAuth: tls.RequireAnyClientCert, NextProtos: []string{"http/1.1"}}
	u := serveRaw(t, tls.NewListener(listen(t), server), opens+"\r\n")
	open := func(upstreamURL string, o DialerOptions) error {
		t.Helper()
		d, err := NewDialer(upstreamURL, o)
		if err != nil {
			t.Fatal(err)
		}
		link, err := d.Open(bounded.Context(t), parseRequest(t, plain+"\r\n"))
		if err == nil {
			link.Conn.Close()
		}
		return err
	}
	good := &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{certificate()}, NextProtos: []string{"h2"}}
	if err := open("wss://"+u.addr, DialerOptions{TLS: good}); err != nil {
		t.Error(err)
	}
	named := good.Clone()
	named.ServerName = "localhost"
	if err := open("https://"+u.addr, DialerOptions{TLS: named}); err != nil {
		t.Error(err)
	}
	other := good.Clone()
	other.ServerName = "other.example"
	for name, cfg := range map[string]*tls.Config{"another name": other, "an unknown CA": {Certificates: good.Certificates}} {
		err := open("wss://"+u.addr, DialerOptions{TLS: cfg})
		if f, ok := errors.AsType[*Failure](err); !ok || f.Stage != StageTLS || f.Status() != http.StatusBadGateway {
			t.Errorf("%s: got %v, want a failure at the stage tls with 502", name, err)
		}
	}
	if err := open("wss://"+u.addr, DialerOptions{TLS: &tls.Config{RootCAs: roots}}); err == nil {
		t.Error("Open succeeded without a client certificate")
	}

	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	serveRaw(t, l, opens+"\r\n")
	if err := open("unix:"+path, DialerOptions{}); err != nil {
		t.Error(err)
	}
}

func TestDialerFailsToConnect(t *testing.T) {
	eachOpen(t, "", func(t *testing.T, open opener) {
		l := listen(t)
		l.Close()
		d, err := NewDialer(l.Addr().String(), DialerOptions{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = open(bounded.Context(t), d, parseRequest(t, plain+"\r\n"))
		if f, ok := errors.AsType[*Failure](err); !ok || f.Stage != StageConnect || f.Status() != http.StatusServiceUnavailable {
			t.Errorf("got %v, want a failure at the stage connect with 503", err)
		}
		ctx, cancel := context.WithCancel(bounded.Context(t))
		u := serveRaw(t, listen(t), "HOLD")
		if d, err = NewDialer(u.addr, DialerOptions{}); err != nil {
			t.Fatal(err)
		}
		go func() { <-u.head; cancel() }()
		if _, err = open(ctx, d, parseRequest(t, plain+"\r\n")); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
	})
}

func TestNewDialerErrors(t *testing.T) {
	for _, raw := range []string{"", "ws://", "ws://user:hunter2@host", "ws://host/?token=hunter2", "ws://host/#hunter2", "ftp://host", "ws://host/a/../b", "ws://ho st"} {
		if _, err := NewDialer(raw, DialerOptions{}); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("NewDialer(%q): got %v, want an error without the secret", raw, err)
		}
	}
	for _, o := range []DialerOptions{{ProxyProtocol: 3}, {StripPrefix: "x"}, {StripPrefix: "/.."}, {AddPrefix: "x"}, {AddPrefix: "/a/../b"}, {AddPrefix: "/?a=b"}, {Header: http.Header{"Upgrade": {"x"}}}} {
		if _, err := NewDialer("host", o); err == nil {
			t.Errorf("NewDialer accepted %+v", o)
		}
	}
}

func TestProxyHeader(t *testing.T) {
	v6, v4 := netip.MustParseAddrPort("[2001:db8::1]:1"), netip.MustParseAddrPort("192.0.2.1:2")
	for _, tt := range []struct {
		version  int
		from, to netip.AddrPort
		want     string
	}{
		{1, v6, v6, "PROXY TCP6 2001:db8::1 2001:db8::1 1 1\r\n"},
		{1, v6, v4, "PROXY TCP6 2001:db8::1 ::ffff:c000:201 1 2\r\n"},
		{1, netip.AddrPort{}, v4, "PROXY UNKNOWN\r\n"},
		{2, netip.AddrPort{}, v4, "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"},
		{
			2, v4, v6, "\r\n\r\n\x00\r\nQUIT\n\x21\x21\x00\x24\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02\x01" +
				"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x02\x00\x01",
		},
	} {
		d := Dialer{o: DialerOptions{ProxyProtocol: tt.version}}
		if got := string(d.proxyHeader(nil, &Request{Source: tt.from, Destination: tt.to})); got != tt.want {
			t.Errorf("version %d, %v to %v: got %q, want %q", tt.version, tt.from, tt.to, got, tt.want)
		}
	}
}

// Whatever an upstream sends, a tunnel opens only after a 101 with the right Sec-WebSocket-Accept value, and no field that is added
// to the client's 101 can terminate its header.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(opens + "\r\n\x81\x02hi"))
	f.Add([]byte(opens + "Set-Cookie: a\r\n b\r\nSec-WebSocket-Protocol: b\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 No\r\nContent-Length: 4\r\n\r\nbody"))
	f.Add([]byte("HTTP/1.1 304 Not Modified\r\nConnection: X-Hop, close\r\nX-Hop: 1\r\nX_Hop: 2\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 400 Bad\r\nContent-Encoding: gzip\r\nContent-Length: 9\r\n\r\nbody"))
	f.Add([]byte("HTTP/1.1 400 Bad\r\nContent-Length: 99999999999999999999\r\nTransfer-Encoding: chunked\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 400 Bad\r\nContent-Length: -1\r\n\r\nbodyHTTP/1.1 200 OK\r\n\r\n"))
	f.Add([]byte(opens + "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n\r\n"))
	f.Add([]byte(opens + "Set-Cookie: a\rX-Split: b\r\n\r\n"))
	d, err := NewDialer("host", DialerOptions{})
	if err != nil {
		f.Fatal(err)
	}
	offered, err := handshake.ParseExtensions([]string{"permessage-deflate; server_no_context_takeover"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		req := &handshake.Request{Target: "/", Host: "host", Key: newKey(), Subprotocols: []string{"a", "b"}, Extensions: offered}
		accept := string(handshake.AppendAccept(nil, req.Key))
		raw := strings.ReplaceAll(string(answer), "KEY", accept)
		link, err := d.answer(t.Context(), &answerReader{r: iotest.HalfReader(strings.NewReader(raw))}, req)
		if err == nil {
			if !strings.Contains(raw, accept) || !strings.Contains(raw, " 101") {
				t.Fatalf("got a link for %q, want a failure", raw)
			}
			if err := handshake.CheckFields(link.Header); err != nil {
				t.Fatalf("%q: got header %v: %v", raw, link.Header, err)
			}
			return
		}
		if r, ok := errors.AsType[*Refused](err); ok {
			if r.Status < 300 || len(r.Body) > maxBody || handshake.CheckFields(r.Header) != nil {
				t.Fatalf("%q: got %+v, want a valid refusal", raw, r)
			}
		} else if _, ok := errors.AsType[*Failure](err); !ok {
			t.Fatalf("%q: got %v, want a *Refused or a *Failure", raw, err)
		}
	})
}

// answerReader is a connection from which a test reads.
type answerReader struct {
	net.Conn
	r io.Reader
}

func (p *answerReader) Read(b []byte) (int, error) { return p.r.Read(b) }
