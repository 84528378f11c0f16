package websocket

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/websocket/internal/bounded"
)

// echoing is a Handler.
func echoing(c *Conn) { echo(c) }

// serveOwn runs s on a loopback port until the test ends.
func serveOwn(t testing.TB, s *Server) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, s, ln, s.Serve)
}

func serveOn(t testing.TB, s *Server, ln net.Listener, serve func(net.Listener) error) (addr string) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- serve(ln) }()
	t.Cleanup(func() {
		s.Close()
		if err := bounded.Receive(t, done); err != http.ErrServerClosed {
			t.Errorf("Serve: %v", err)
		}
		bounded.Receive(t, s.idle)
	})
	return ln.Addr().String()
}

// The cases that Accept is tested with, by themselves and with an http.Server beside.
func TestService_HandshakeCases(t *testing.T) {
	for _, compression := range []*Compression{nil, {}} {
		for _, pages := range []bool{false, true} {
			s := &Server{
				Handler: echoing,
				Accept:  AcceptOptions{Subprotocols: []string{"chat", "superchat"}, Conn: ConnOptions{Compression: compression}},
				Refused: func(remote string, err *HandshakeError) {
					if remote == "" || err.Stage == "" || err.Err == nil {
						t.Errorf("Refused is told too little: %q, %#v", remote, err)
					}
				},
			}
			if pages {
				s.HTTP = &http.Server{Handler: s, ReadHeaderTimeout: patience}
			}
			addr := serveOwn(t, s)
			for _, c := range loadHandshakeCases(t).Server {
				t.Run(fmt.Sprintf("%s/compression=%t/pages=%t", c.Name, compression != nil, pages), func(t *testing.T) {
					judge(t, "server/"+c.Name, c.run(t, addr))
				})
			}
		}
	}
}

// converse sends what a client says on a new connection, and returns the answer and the connection.
func converse(t *testing.T, addr, request string) (*http.Response, net.Conn, *bufio.Reader) {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(nc, request); err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReader(nc)
	r, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r, nc, br
}

// A page, then a larger request, then an upgrade on the same connection; and one at once.
func TestService_PagesBeside(t *testing.T) {
	large := strings.Repeat("x", 100<<10)
	mux := http.NewServeMux()
	s := &Server{Handler: echoing, HTTP: &http.Server{Handler: mux}}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %d %v", r.Method, r.URL.Path, len(b), r.TLS != nil)
	})
	mux.Handle("/chat", s)
	addr := serveOwn(t, s)

	r, nc, br := converse(t, addr, fmt.Sprintf("POST /page HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(large), large))
	if b, _ := io.ReadAll(r.Body); string(b) != "POST /page 102400 false" {
		t.Errorf("the page is %q", b)
	}
	c := raw{t, nc, RoleClient}
	io.WriteString(nc, sampleRequest+"\r\n"+string(c.frame(1, true, "on the same connection")))
	if r, err := http.ReadResponse(br, nil); err != nil || r.StatusCode != 101 {
		t.Fatal(r, err)
	}
	expectEcho(t, br, "on the same connection")

	r, _, br = converse(t, addr, sampleRequest+"\r\n"+string(c.frame(1, true, "at once")))
	if r.StatusCode != 101 || r.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Errorf("the answer is %v", r)
	}
	expectEcho(t, br, "at once")
}

func expectEcho(t *testing.T, br *bufio.Reader, want string) {
	t.Helper()
	got := make([]byte, 2+len(want))
	if _, err := io.ReadFull(br, got); err != nil || string(got[2:]) != want {
		t.Errorf("the echo is %q (%v)", got, err)
	}
}

// What the client sends behind its request is not lost, even where it does not fit behind it.
func TestService_EarlyBytes(t *testing.T) {
	long := strings.Repeat("early ", 20) // fits a one-byte length
	for _, n := range []int{1, 200} {
		addr := serveOwn(t, &Server{Handler: echoing})
		frames := bytes.Repeat(raw{t, nil, RoleClient}.frame(1, true, long), n)
		_, _, br := converse(t, addr, sampleRequest+"\r\n"+string(frames))
		for range n {
			expectEcho(t, br, long)
		}
	}
}

func TestService_Replies(t *testing.T) {
	addr := serveOwn(t, &Server{Handler: echoing, Paths: []string{"/chat"}, MaxHead: 1000})
	for _, tt := range []struct {
		name, request string
		status        int
		text          string
	}{
		{"page", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 426, "new WebSocket("},
		{"POST", "POST /chat HTTP/1.1\r\n", 405, "GET"},
		{"HEAD", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", 405, ""},
		{"other path", strings.Replace(sampleRequest, "/chat", "/chats", 1) + "\r\n", 404, "no WebSocket at this path"},
		{"query", strings.Replace(sampleRequest, "/chat", "/chat?a", 1) + "\r\n", 101, ""},
		{"whole URI", strings.Replace(sampleRequest, "/chat", "http://server.example.com/chat", 1) + "\r\n", 101, ""},
		{"whole URI without a path", strings.Replace(sampleRequest, "/chat", "http://server.example.com", 1) + "\r\n", 404, ""},
		{"origin", sampleRequest + "Origin: http://evil.example.net\r\n\r\n", 403, `"http://evil.example.net"`},
		{"long head", sampleRequest + "X: " + strings.Repeat("x", 1000) + "\r\n\r\n", 431, "RFC 6585 §5"},
		{"folded line", sampleRequest + "X: a\r\n b\r\n\r\n", 400, "RFC 9112 §5.2"},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00", 400, "this port does not"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, _, br := converse(t, addr, tt.request)
			if r.StatusCode != tt.status {
				t.Errorf("%d, want %d", r.StatusCode, tt.status)
			}
			if r.StatusCode == 101 {
				return
			}
			if tt.name == "HEAD" {
				if rest, _ := io.ReadAll(br); len(rest) > 0 || r.ContentLength == 0 {
					t.Errorf("a reply to HEAD with the body %q", rest)
				}
				return
			}
			body, err := io.ReadAll(r.Body)
			if err != nil || !strings.Contains(string(body), tt.text) {
				t.Errorf("%q (%v) does not tell %q", body, err, tt.text)
			}
			if _, err := http.ParseTime(r.Header.Get("Date")); err != nil || !r.Close ||
				r.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("the header is %v", r.Header)
			}
		})
	}
}

// A request that is much too long is answered, and not reset while the client still sends.
func TestRFC6585_5_ReplyArrives(t *testing.T) {
	addr := serveOwn(t, &Server{Handler: echoing})
	r, _, _ := converse(t, addr, "GET / HTTP/1.1\r\nX: "+strings.Repeat("x", 200<<10))
	if b, err := io.ReadAll(r.Body); r.StatusCode != 431 || err != nil || len(b) == 0 {
		t.Errorf("%d %q (%v)", r.StatusCode, b, err)
	}
}

// An upgrade at a path that is not ours is HTTP's, bytes and all.
func TestService_PathsOfHTTP(t *testing.T) {
	s := &Server{Handler: func(c *Conn) { c.Close(CodeNormal, "not here") }, Paths: []string{"/own"}}
	s.HTTP = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := Accept(w, r, nil); err == nil {
			defer c.CloseNow()
			echoing(c)
		}
	})}
	_, nc, br := converse(t, serveOwn(t, s), sampleRequest+"\r\n"+string(raw{t, nil, RoleClient}.frame(1, true, "there")))
	expectEcho(t, br, "there")
	if _, wrapped := nc.(*replayed); wrapped {
		t.Error("the client's end is wrapped")
	}
}

// A socket that was handed over comes back bare when net/http gives it away.
func TestService_HandOverUnwrapped(t *testing.T) {
	conns := make(chan *Conn, 1)
	s := &Server{Handler: echoing, Paths: []string{"/"}}
	s.HTTP = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := Accept(w, r, nil)
		if err != nil {
			t.Error(err)
		}
		conns <- c
	})}
	converse(t, serveOwn(t, s), sampleRequest+"\r\n")
	c := bounded.Receive(t, conns)
	defer c.CloseNow()
	if !c.stream.WritesAtOnce() {
		t.Error("the Conn does not know its socket")
	}
}

// Handshake tells what it tells behind net/http, from whichever path it is filled in.
func TestService_Handshake(t *testing.T) {
	opts := AcceptOptions{Subprotocols: []string{"superchat"}, Conn: ConnOptions{Compression: &Compression{}}}
	request := strings.Replace(browserHead, "/chat", "/chat?q=1", 1)
	told := make(chan *Handshake, 1)
	handler := func(c *Conn) { told <- c.Handshake() }
	ask := func(addr string) *Handshake {
		converse(t, addr, request)
		return <-told
	}
	want := ask(serve(t, &Server{Handler: handler, Accept: opts}))
	checked := opts
	checked.Check = func(r *http.Request) error {
		if r.RemoteAddr == "" || r.URL.Path != "/chat" || r.Host != "server.example.com" || r.TLS != nil || r.Context() == nil ||
			r.Header.Get("Cookie") != "a=b" || r.Body != http.NoBody {
			t.Errorf("Check gets %+v", r)
		}
		return nil
	}
	for name, o := range map[string]AcceptOptions{"late": opts, "by Check": checked} {
		got := ask(serveOwn(t, &Server{Handler: handler, Accept: o}))
		if got.Proto != want.Proto || got.URL.String() != want.URL.String() || fmt.Sprint(got.Header) != fmt.Sprint(want.Header) ||
			got.Subprotocol != "superchat" || got.Extensions == "" || got.Extensions != want.Extensions || got.TLS != nil {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
		if _, err := netip.ParseAddrPort(got.RemoteAddr); err != nil {
			t.Errorf("%s: the peer is %q", name, got.RemoteAddr)
		}
	}
}

func TestService_Check(t *testing.T) {
	refused := make(chan *HandshakeError, 1)
	addr := serveOwn(t, &Server{
		Handler: echoing,
		Accept: AcceptOptions{Check: func(*http.Request) error {
			return &Reject{Status: 401, Header: http.Header{"Www-Authenticate": {"Bearer"}}, Reason: "who are you?"}
		}},
		Refused: func(_ string, err *HandshakeError) { refused <- err },
	})
	r, _, _ := converse(t, addr, sampleRequest+"\r\n")
	b, _ := io.ReadAll(r.Body)
	if r.StatusCode != 401 || r.Header.Get("WWW-Authenticate") != "Bearer" || string(b) != "who are you?\n" {
		t.Errorf("%d %v %q", r.StatusCode, r.Header, b)
	}
	if e := bounded.Receive(t, refused); e.Stage != StageCheck || e.Status != 401 {
		t.Errorf("Refused is told %+v", e)
	}
}

// A trusted proxy's word counts here too.
func TestRFC7239_Service(t *testing.T) {
	addr := serveOwn(t, &Server{
		Handler: echoing,
		Accept:  AcceptOptions{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
	})
	for proto, want := range map[string]int{"https": 101, "http": 403} {
		r, _, _ := converse(t, addr, sampleRequest+"Origin: https://server.example.com\r\nX-Forwarded-Proto: "+proto+"\r\n\r\n")
		if r.StatusCode != want {
			t.Errorf("%s: %d", proto, r.StatusCode)
		}
	}
}

func TestService_TLS(t *testing.T) {
	mux := http.NewServeMux()
	s := &Server{Handler: echoing, HTTP: &http.Server{Handler: mux}}
	mux.HandleFunc("/page", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%d %v", r.ProtoMajor, r.TLS != nil && r.TLS.HandshakeComplete)
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{testCertificate(t)}}
	addr := serveOn(t, s, ln, func(l net.Listener) error { return s.ServeTLS(l, config) })

	trust := &tls.Config{InsecureSkipVerify: true}
	for _, h2 := range []bool{true, false} {
		protocols := new(http.Protocols)
		protocols.SetHTTP1(!h2)
		protocols.SetHTTP2(h2)
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: trust.Clone(), Protocols: protocols}}
		r, err := client.Get("https://" + addr + "/page")
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if want := map[bool]string{true: "2 true", false: "1 true"}[h2]; string(b) != want {
			t.Errorf("the page is %q, want %q", b, want)
		}
		client.CloseIdleConnections()
	}
	c, err := Dial(bounded.Context(t), "wss://"+addr+"/chat", &DialOptions{
		TLS: trust, Proxy: noProxy, Header: http.Header{"Origin": {"https://" + addr}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	if err := c.Write(bounded.Context(t), Message{Text, []byte("hi")}); err != nil {
		t.Error(err)
	}
	if m, err := c.Read(bounded.Context(t)); err != nil || string(m.Data) != "hi" {
		t.Errorf("%q, %v", m.Data, err)
	}
	r, _, _ := converse(t, addr, sampleRequest+"\r\n") // without TLS
	if b, _ := io.ReadAll(r.Body); r.StatusCode != 400 || !strings.Contains(string(b), "wss://") {
		t.Errorf("%d %q", r.StatusCode, b)
	}
}

// A Handler sees TLS in the Handshake; an empty one, of a Server without pages, offers no HTTP/2.
func TestService_TLSAlone(t *testing.T) {
	told := make(chan *Handshake, 1)
	s := &Server{Handler: func(c *Conn) { told <- c.Handshake() }}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{testCertificate(t)}}
	addr := serveOn(t, s, ln, func(l net.Listener) error { return s.ServeTLS(l, config) })
	nc, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	io.WriteString(nc, sampleRequest+"\r\n")
	hs := bounded.Receive(t, told)
	if nc.ConnectionState().NegotiatedProtocol != "http/1.1" || hs.TLS == nil || !hs.TLS.HandshakeComplete || hs.URL.Path != "/chat" {
		t.Errorf("%+v", hs)
	}
}

func TestService_Misuse(t *testing.T) {
	p := newPipes()
	if err := new(Server).Serve(p); err == nil || err == http.ErrServerClosed {
		t.Errorf("without a Handler: %v", err)
	}
	s := &Server{Handler: echoing}
	s.Close()
	for range 2 {
		if err := s.Serve(newPipes()); err != http.ErrServerClosed {
			t.Errorf("after Close: %v", err)
		}
		if err := s.Shutdown(bounded.Context(t)); err != nil {
			t.Errorf("after Close: %v", err)
		}
	}
	broken := errors.New("broken")
	if err := (&Server{Handler: echoing}).Serve(&failing{errs: []error{broken}}); err != broken {
		t.Errorf("a listener that fails: %v", err)
	}
}

// failing is a listener that fails, in ways that may pass.
type failing struct {
	net.Listener
	errs   []error
	closed bool
}

func (f *failing) Addr() net.Addr { return nil }
func (f *failing) Close() error   { f.closed = true; return nil }
func (f *failing) Accept() (net.Conn, error) {
	err := f.errs[0]
	f.errs = f.errs[1:]
	return nil, err
}

// Out of descriptors, the listener is asked again, later and later.
func TestService_AcceptAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		l := &failing{}
		for range 5 {
			l.errs = append(l.errs, &net.OpError{Op: "accept", Err: syscall.EMFILE})
		}
		l.errs = append(l.errs, net.ErrClosed)
		if err := (&Server{Handler: echoing}).Serve(l); err != net.ErrClosed || len(l.errs) > 0 || !l.closed {
			t.Errorf("%v, %d errors left, closed: %v", err, len(l.errs), l.closed)
		}
		if took := time.Since(begin); took != 155*time.Millisecond {
			t.Errorf("it paused for %v", took)
		}
	})
}
