package websocket

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/protocol"
)

// serveEcho serves a client with an echo.
func serveEcho(c *Conn) { echo(c) }

// ownServer returns a Server whose Handler is e.
func ownServer(e *Endpoint) *Server { return &Server{HTTP: &http.Server{Handler: e}} }

// acceptEcho is a handler that accepts connections with opts and echoes messages.
func acceptEcho(opts *AcceptOptions) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := Accept(w, r, opts); err == nil {
			defer c.CloseNow()
			serveEcho(c)
		}
	})
}

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
		bounded.Receive(t, s.roster.idleChan())
	})
	return ln.Addr().String()
}

// The handshake cases have the expected results with a Server, too, for each way to serve a connection.
func TestServer_HandshakeCases(t *testing.T) {
	for _, compression := range []*Compression{nil, {}} {
		opts := AcceptOptions{Subprotocols: []string{"chat", "superchat"}, Conn: ConnOptions{Compression: compression}}
		refused := func(_ context.Context, remote string, _ *http.Request, err *HandshakeError) {
			if remote == "" || err.Stage == "" || err.Err == nil {
				t.Errorf("Refused was called without an address, a stage or a cause: %q, %#v", remote, err)
			}
		}
		for way, s := range map[string]*Server{
			"direct": ownServer(&Endpoint{Accept: opts, Serve: serveEcho}),
			"Admit":  ownServer(&Endpoint{Accept: opts, Serve: serveEcho, Admit: func(*http.Request) (*Admission, error) { return nil, nil }}),
			"Accept": {HTTP: &http.Server{Handler: acceptEcho(&opts)}},
			"Open":   ownServer(&Endpoint{Accept: opts, Open: openEcho}),
		} {
			s.Refused = refused
			addr := serveOwn(t, s)
			for _, c := range loadHandshakeCases(t).Server {
				t.Run(fmt.Sprintf("%s/compression=%t/%s", c.Name, compression != nil, way), func(t *testing.T) {
					judge(t, "server/"+c.Name, c.run(t, addr))
				})
			}
		}
	}
}

// openEcho echoes the messages of an event connection.
func openEcho(s Sender) Receiver { return echoReceiver{s} }

type echoReceiver struct{ Sender }

func (e echoReceiver) Message(m Message) error { return e.Send(m) }
func (e echoReceiver) Closed(*CloseError)      {}

// exchangeHead sends a client's request on a new connection, and returns the response and the connection.
func exchangeHead(t *testing.T, addr, request string) (*http.Response, net.Conn, *bufio.Reader) {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(testTimeout))
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

// One connection sends a large request for a page, and is then upgraded. Another one is upgraded immediately.
func TestServer_PagesAndUpgrades(t *testing.T) {
	large := strings.Repeat("x", 100<<10)
	mux := http.NewServeMux()
	s := &Server{HTTP: &http.Server{Handler: mux}}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %d %v", r.Method, r.URL.Path, len(b), r.TLS != nil)
	})
	mux.Handle("/chat", &Endpoint{Serve: serveEcho})
	addr := serveOwn(t, s)

	r, nc, br := exchangeHead(t, addr, fmt.Sprintf("POST /page HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(large), large))
	if b, _ := io.ReadAll(r.Body); string(b) != "POST /page 102400 false" {
		t.Errorf("the page is %q", b)
	}
	c := raw{t, nc, protocol.RoleClient}
	io.WriteString(nc, sampleRequest+"\r\n"+string(c.frame(1, true, "on the same connection")))
	if r, err := http.ReadResponse(br, nil); err != nil || r.StatusCode != 101 {
		t.Fatal(r, err)
	}
	expectEcho(t, br, "on the same connection")

	r, _, br = exchangeHead(t, addr, sampleRequest+"\r\n"+string(c.frame(1, true, "at once")))
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

// Data that the client sends right after its request is not lost, even if it does not fit into the same buffer.
func TestServer_EarlyBytes(t *testing.T) {
	long := strings.Repeat("early ", 20) // the length fits into one byte
	for _, n := range []int{1, 200} {
		addr := serveOwn(t, ownServer(&Endpoint{Serve: serveEcho}))
		frames := bytes.Repeat(raw{t, nil, protocol.RoleClient}.frame(1, true, long), n)
		_, _, br := exchangeHead(t, addr, sampleRequest+"\r\n"+string(frames))
		for range n {
			expectEcho(t, br, long)
		}
	}
}

// TestServer_EarlyPieces splits a frame after the request at every position, with each way of serving the connection.
func TestServer_EarlyPieces(t *testing.T) {
	f := raw{t, nil, protocol.RoleClient}.frame(1, true, "hi")
	for name, h := range map[string]http.Handler{"Accept": acceptEcho(nil), "Serve": &Endpoint{Serve: serveEcho}, "Open": &Endpoint{Open: openEcho}} {
		by := httptest.NewServer(h)
		defer by.Close()
		if e, ok := h.(*Endpoint); ok {
			defer e.Shutdown(bounded.Context(t)) //nolint:errcheck // other tests check the result of Shutdown
		}
		for _, addr := range []string{serveOwn(t, &Server{HTTP: &http.Server{Handler: h}}), by.Listener.Addr().String()} {
			for cut := range len(f) + 1 {
				_, nc, br := exchangeHead(t, addr, sampleRequest+"\r\n"+string(f[:cut]))
				nc.Write(f[cut:])
				if expectEcho(t, br, "hi"); t.Failed() {
					t.Fatalf("%s, by the server at %s, with %d bytes after the request", name, addr, cut)
				}
				nc.Close()
			}
		}
	}
}

func TestServer_Replies(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("/chat", &Endpoint{Serve: serveEcho})
	mux.Handle("/räume", &Endpoint{Serve: serveEcho})
	addr := serveOwn(t, &Server{HTTP: &http.Server{Handler: mux, MaxHeaderBytes: 1000}})
	for _, tt := range []struct {
		name, request string
		status        int
		text          string
	}{
		{"page", "GET /chat HTTP/1.1\r\nHost: a\r\n\r\n", 426, "new WebSocket("},
		{"POST", "POST /chat HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 405, "GET"},
		{"HEAD", "HEAD /chat HTTP/1.1\r\nHost: a\r\n\r\n", 405, ""},
		{"other path", strings.Replace(sampleRequest, "/chat", "/chats", 1) + "\r\n", 404, "404 page not found"},
		{"query", strings.Replace(sampleRequest, "/chat", "/chat?a", 1) + "\r\n", 101, ""},
		{"encoded", strings.Replace(sampleRequest, "/chat", "/ch%61t", 1) + "\r\n", 101, ""},
		{"8 bit", strings.Replace(sampleRequest, "/chat", "/räume", 1) + "\r\n", 101, ""},
		{"8 bit, encoded", strings.Replace(sampleRequest, "/chat", "/r%C3%A4ume", 1) + "\r\n", 101, ""},
		{"whole URI", strings.Replace(sampleRequest, "/chat", "http://server.example.com/chat", 1) + "\r\n", 101, ""},
		{"whole URI without a path", strings.Replace(sampleRequest, "/chat", "http://server.example.com", 1) + "\r\n", 307, "Redirect"},
		{"origin", sampleRequest + "Origin: http://evil.example.net\r\n\r\n", 403, `"http://evil.example.net"`},
		{"long head", sampleRequest + "X: " + strings.Repeat("x", 6000) + "\r\n\r\n", 431, "431"},
		{"a head that only HTTP accepts", sampleRequest + "X: " + strings.Repeat("x", 3000) + "\r\n\r\n", 101, ""},
		{"folded line", sampleRequest + "X: a\r\n b\r\n\r\n", 400, "RFC 9112 §5.2"},
		{"transfer coding", sampleRequest + "Transfer-Encoding: gzip\r\n\r\n", 501, "transfer coding"},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00", 400, "this port does not"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, _, br := exchangeHead(t, addr, tt.request)
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
				t.Errorf("%q (%v) does not contain %q", body, err, tt.text)
			}
			if tt.status == 307 || tt.status == 404 || tt.status == 431 || tt.status == 501 { // the mux or HTTP has responded
				return
			}
			if _, err := http.ParseTime(r.Header.Get("Date")); err != nil || !r.Close ||
				r.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("the header is %v", r.Header)
			}
		})
	}
}

// An excessively long request gets a response, without a reset while the client is still sending.
func TestRFC6585_5_ReplyArrives(t *testing.T) {
	s := ownServer(&Endpoint{Serve: serveEcho})
	s.HTTP.MaxHeaderBytes = 20 << 10
	r, _, _ := exchangeHead(t, serveOwn(t, s), "GET / HTTP/1.1\r\nX: "+strings.Repeat("x", 200<<10))
	if b, err := io.ReadAll(r.Body); r.StatusCode != 431 || err != nil || len(b) == 0 {
		t.Errorf("%d %q (%v)", r.StatusCode, b, err)
	}
}

// A header that exceeds the Server's own limit is passed to HTTP.
func TestServer_LongHead(t *testing.T) {
	long := sampleRequest + "X: " + strings.Repeat("x", 100<<10) + "\r\n" + strings.Repeat("Y: y\r\n", 200) + "\r\n"
	r, _, br := exchangeHead(t, serveOwn(t, ownServer(&Endpoint{Serve: serveEcho})), long+string(raw{t, nil, protocol.RoleClient}.frame(1, true, "long")))
	if r.StatusCode != 101 {
		t.Fatal(r)
	}
	expectEcho(t, br, "long")
}

// A socket that was passed to HTTP, or hijacked, is returned without a wrapper.
func TestServer_Unwrapped(t *testing.T) {
	conns := make(chan *Conn, 1)
	s := &Server{HTTP: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := Accept(w, r, nil)
		if err != nil {
			t.Error(err)
		}
		conns <- c
	})}}
	addr := serveOwn(t, s)
	for name, request := range map[string]string{
		"hijacked":    sampleRequest + "\r\n",
		"handed over": sampleRequest + "X: " + strings.Repeat("x", 20<<10) + "\r\n\r\n",
	} {
		exchangeHead(t, addr, request)
		c := bounded.Receive(t, conns)
		if !c.stream.CanTryWrite() {
			t.Errorf("%s: the Conn does not know its socket", name)
		}
		c.CloseNow()
	}
}

// Handshake has the same content as behind net/http, whichever code fills it in.
func TestServer_Handshake(t *testing.T) {
	opts := AcceptOptions{Subprotocols: []string{"superchat"}, Conn: ConnOptions{Compression: &Compression{}}}
	request := strings.Replace(browserHead, "/chat", "/chat?q=1", 1)
	told := make(chan *Handshake, 1)
	handler := func(c *Conn) { told <- c.Handshake() }
	ask := func(addr string) *Handshake {
		exchangeHead(t, addr, request)
		return bounded.Receive(t, told)
	}
	want := ask(serve(t, &Endpoint{Serve: handler, Accept: opts}))
	admit := func(r *http.Request) (*Admission, error) {
		if r.RemoteAddr == "" || r.URL.Path != "/chat" || r.Host != "server.example.com" || r.TLS != nil || r.Context() == nil ||
			r.Header.Get("Cookie") != "a=b" || r.Body != http.NoBody {
			t.Errorf("Admit was called with %+v", r)
		}
		return nil, nil
	}
	for name, f := range map[string]func(*http.Request) (*Admission, error){"late": nil, "by Admit": admit} {
		got := ask(serveOwn(t, ownServer(&Endpoint{Serve: handler, Accept: opts, Admit: f})))
		if got.Proto != want.Proto || got.URL.String() != want.URL.String() || fmt.Sprint(got.Header) != fmt.Sprint(want.Header) ||
			got.Subprotocol != "superchat" || got.Extensions == "" || got.Extensions != want.Extensions || got.TLS != nil {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
		if _, err := netip.ParseAddrPort(got.RemoteAddr); err != nil {
			t.Errorf("%s: the peer is %q", name, got.RemoteAddr)
		}
	}
}

// An Endpoint behind a Server uses the scheme that a trusted proxy reports.
func TestRFC7239_Service(t *testing.T) {
	addr := serveOwn(t, ownServer(&Endpoint{
		Serve:  serveEcho,
		Accept: AcceptOptions{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
	}))
	for proto, want := range map[string]int{"https": 101, "http": 403} {
		r, _, _ := exchangeHead(t, addr, sampleRequest+"Origin: https://server.example.com\r\nX-Forwarded-Proto: "+proto+"\r\n\r\n")
		if r.StatusCode != want {
			t.Errorf("%s: %d", proto, r.StatusCode)
		}
	}
}

func TestServer_TLS(t *testing.T) {
	mux := http.NewServeMux()
	s := &Server{HTTP: &http.Server{Handler: mux}}
	mux.Handle("/chat", &Endpoint{Serve: serveEcho})
	mux.HandleFunc("/page", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%d %v", r.ProtoMajor, r.TLS != nil && r.TLS.HandshakeComplete)
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.HTTP.TLSConfig = &tls.Config{Certificates: []tls.Certificate{testCertificate(t)}}
	addr := serveOn(t, s, ln, func(l net.Listener) error { return s.ServeTLS(l, "", "") })

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
	r, _, _ := exchangeHead(t, addr, sampleRequest+"\r\n") // without TLS
	if b, _ := io.ReadAll(r.Body); r.StatusCode != 400 || !strings.Contains(string(b), "wss://") {
		t.Errorf("%d %q", r.StatusCode, b)
	}
}

// A connection for an ACME challenge is closed after its TLS handshake (RFC 8737 §3). A client that sends plain HTTP to a TLS port
// gets a response, and is reported.
func TestServer_TLSRefusals(t *testing.T) {
	reports := make(chan *HandshakeError, 1)
	s := ownServer(&Endpoint{Serve: serveEcho})
	s.Refused = func(_ context.Context, _ string, _ *http.Request, err *HandshakeError) { reports <- err }
	config := &tls.Config{Certificates: []tls.Certificate{testCertificate(t)}, NextProtos: []string{"http/1.1", "acme-tls/1"}}
	s.TLS = func(context.Context, net.Conn) *tls.Config { return config }
	addr := serveOwn(t, s)
	nc := tls.Client(dialRaw(t, addr), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"acme-tls/1"}})
	if err := nc.HandshakeContext(bounded.Context(t)); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(nc); len(b) > 0 || err != nil {
		t.Errorf("the connection continues: %q, %v", b, err)
	}
	for method, length := range map[string]int64{"GET": 73, "HEAD": 0} {
		nc := dialRaw(t, addr)
		io.WriteString(nc, method+" / HTTP/1.1\r\nHost: a\r\n\r\n")
		b, err := io.ReadAll(nc)
		head, body, _ := strings.Cut(string(b), "\r\n\r\n")
		if err != nil || !strings.HasPrefix(head, "HTTP/1.1 400 Bad Request\r\n") || !strings.Contains(head, "\r\nDate: ") || int64(len(body)) != length {
			t.Errorf("%s: %q, %v", method, b, err)
		}
		e := bounded.Receive(t, reports)
		if _, ok := errors.AsType[tls.RecordHeaderError](e); !ok || e.Stage != handshake.StageTLS || e.Status != 400 || e.Hint == "" {
			t.Errorf("%s: reported %#v", method, e)
		}
	}
}

// Serve finds the TLS state in the Handshake. A Server whose HTTP server does not support HTTP/2 does not offer it.
func TestServer_TLSAlone(t *testing.T) {
	told := make(chan *Handshake, 1)
	s := ownServer(&Endpoint{Serve: func(c *Conn) { told <- c.Handshake() }})
	s.HTTP.Protocols = new(http.Protocols)
	s.HTTP.Protocols.SetHTTP1(true)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.HTTP.TLSConfig = &tls.Config{Certificates: []tls.Certificate{testCertificate(t)}}
	addr := serveOn(t, s, ln, func(l net.Listener) error { return s.ServeTLS(l, "", "") })
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

func TestServer_Misuse(t *testing.T) {
	if err := new(Server).Serve(newPipeListener()); err != errNoHTTP {
		t.Errorf("without HTTP: %v", err)
	}
	s := ownServer(&Endpoint{Serve: serveEcho})
	s.Close()
	for range 2 {
		if err := s.Serve(newPipeListener()); err != http.ErrServerClosed {
			t.Errorf("after Close: %v", err)
		}
		if err := s.ListenAndServe(); err != http.ErrServerClosed {
			t.Errorf("after Close: %v", err)
		}
		if err := s.Shutdown(bounded.Context(t)); err != nil {
			t.Errorf("after Close: %v", err)
		}
	}
	broken := errors.New("broken")
	if err := ownServer(&Endpoint{Serve: serveEcho}).Serve(&failingListener{errs: []error{broken}}); err != broken {
		t.Errorf("a listener that fails: %v", err)
	}
}

// failingListener is a listener that returns errors, some of which are temporary.
type failingListener struct {
	net.Listener
	errs   []error
	closed bool
}

func (f *failingListener) Addr() net.Addr { return nil }
func (f *failingListener) Close() error   { f.closed = true; return nil }
func (f *failingListener) Accept() (net.Conn, error) {
	err := f.errs[0]
	f.errs = f.errs[1:]
	return nil, err
}

// When descriptors run out, the listener is called again after increasing delays.
func TestServer_AcceptAgain(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EPROTO, syscall.EPERM} {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			l := &failingListener{}
			for range 5 {
				l.errs = append(l.errs, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", errno)})
			}
			l.errs = append(l.errs, net.ErrClosed)
			s := ownServer(&Endpoint{Serve: serveEcho})
			if err := s.Serve(l); err != net.ErrClosed || len(l.errs) > 0 || !l.closed {
				t.Errorf("%v, %d errors left, closed: %v", err, len(l.errs), l.closed)
			}
			if took := time.Since(begin); took != 155*time.Millisecond {
				t.Errorf("%v: Serve paused for %v", errno, took)
			}
			s.Close()
		})
	}
}
