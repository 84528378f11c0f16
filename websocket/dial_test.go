package websocket

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/internal/bounded"
)

// dialed calls Dial without a proxy. The connection is closed when the test ends.
func dialed(t *testing.T, url string, opts *DialOptions) (*Conn, error) {
	t.Helper()
	if opts == nil {
		opts = &DialOptions{}
	}
	if opts.Proxy == nil {
		o := *opts
		o.Proxy = noProxy
		opts = &o
	}
	c, err := Dial(bounded.Context(t), url, opts)
	if c != nil {
		t.Cleanup(func() { c.CloseNow() })
	}
	if (c == nil) == (err == nil) {
		t.Fatalf("Dial returned %v and %v", c, err)
	}
	return c, err
}

// failure calls Dial, expects it to fail, and returns the error.
func failure(t *testing.T, url string, opts *DialOptions) *HandshakeError {
	t.Helper()
	_, err := dialed(t, url, opts)
	e, ok := errors.AsType[*HandshakeError](err)
	if !ok || e.Stage == "" || e.Err == nil {
		t.Fatalf("%s: %#v", url, err)
	}
	return e
}

// recordingServer is a handler that accepts every client and records the requests.
type recordingServer struct {
	mu       sync.Mutex
	requests []*http.Request
	opts     AcceptOptions
}

func (a *recordingServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.requests = append(a.requests, r)
	a.mu.Unlock()
	c, err := Accept(w, r, &a.opts)
	if err != nil {
		return
	}
	defer c.CloseNow()
	for m, err := range c.Messages(r.Context()) {
		if err != nil || c.Write(r.Context(), m) != nil {
			return
		}
	}
}

// last returns the last request.
func (a *recordingServer) last() *http.Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.requests[len(a.requests)-1]
}

// roots returns a TLS configuration for a client that trusts s, whose certificate is valid for 127.0.0.1 and example.com.
func roots(s *httptest.Server) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return &tls.Config{RootCAs: pool}
}

func TestRFC6455_4_1_DialRequest(t *testing.T) {
	h := &recordingServer{opts: AcceptOptions{Subprotocols: []string{"b"}, Header: http.Header{"X-Server": {"1"}}}}
	addr := serve(t, h)
	header := http.Header{"x-lower": {"1"}, "Origin": {"http://" + addr}, "Cookie": {"a=b"}}
	c, err := dialed(t, "ws://us%40er:pass@"+addr+"/chat room?x=y z", &DialOptions{Subprotocols: []string{"a", "b"}, Header: header})
	if err != nil {
		t.Fatal(err)
	}
	r := h.last()
	if user, pass, ok := r.BasicAuth(); !ok || user != "us@er" || pass != "pass" {
		t.Errorf("the credentials arrived as %q, %q", user, pass)
	}
	if r.Method != "GET" || r.RequestURI != "/chat%20room?x=y%20z" || r.Host != addr || r.Header.Get("X-Lower") != "1" ||
		r.Header.Get("User-Agent") != "handfast" || r.Header.Get("Sec-WebSocket-Protocol") != "a, b" ||
		r.Header["Sec-Websocket-Extensions"] != nil || r.Header.Get("Cookie") != "a=b" {
		t.Errorf("the request is %s %s, Host %s, %v", r.Method, r.RequestURI, r.Host, r.Header)
	}
	hs := c.Handshake()
	if hs.Proto != "HTTP/1.1" || hs.Subprotocol != "b" || hs.Header.Get("X-Server") != "1" || hs.RemoteAddr != addr || hs.TLS != nil ||
		hs.URL.String() != "http://"+addr+"/chat%20room?x=y%20z" {
		t.Errorf("the handshake is %+v, URL %s", hs, hs.URL)
	}
	first := r.Header.Get("Sec-WebSocket-Key")
	if _, err := dialed(t, "http://"+addr, &DialOptions{Header: http.Header{"User-Agent": {"x"}, "Host": {"other.example.com:1"}}}); err != nil {
		t.Fatal(err)
	}
	r = h.last()
	if r.Host != "other.example.com:1" || r.Header["Host"] != nil || r.Header.Get("User-Agent") != "x" || r.RequestURI != "/" {
		t.Errorf("the request is %s, Host %s, %v", r.RequestURI, r.Host, r.Header)
	}
	if second := r.Header.Get("Sec-WebSocket-Key"); second == first {
		t.Errorf("two handshakes with the key %s", first)
	}
	if _, err := dialed(t, "ws://u:p@"+addr, &DialOptions{Header: http.Header{"Authorization": {"Bearer x"}}}); err != nil {
		t.Fatal(err)
	}
	if got := h.last().Header["Authorization"]; !slices.Equal(got, []string{"Bearer x"}) {
		t.Errorf("the caller's Authorization became %q", got)
	}
}

func TestDial_BadOptions(t *testing.T) {
	opts := func(name, value string) *DialOptions { return &DialOptions{Header: http.Header{name: {value}}} }
	for name, o := range map[string]*DialOptions{
		"key":               opts("Sec-WebSocket-Key", "secret"),
		"lower-case":        opts("sec-websocket-protocol", "secret"),
		"upgrade":           opts("Upgrade", "secret"),
		"connection":        opts("Connection", "secret"),
		"length":            opts("Content-Length", "secret"),
		"line end":          opts("X", "secret\r\nY: z"),
		"name":              opts("X Y", "secret"),
		"host":              opts("Host", "secret secret"),
		"two hosts":         {Header: http.Header{"Host": {"a"}, "host": {"secret"}}},
		"subprotocol":       {Subprotocols: []string{"se cret"}},
		"subprotocol twice": {Subprotocols: []string{"secret", "secret"}},
	} {
		o.DialContext = func(context.Context, string, string) (net.Conn, error) {
			t.Errorf("%s: dialed", name)
			return nil, net.ErrClosed
		}
		if e := failure(t, "ws://127.0.0.1:1", o); e.Stage != handshake.StageRequest || e.Hint == "" || strings.Contains(e.Error(), "cret") {
			t.Errorf("%s: %v", name, e)
		}
	}
	for _, url := range []string{"", "ws://127.0.0.1/#x", "ftp://127.0.0.1", "ws://user:secret@127.0.0.1:secret/", "ws://127.0.0.1/?secret#"} {
		if e := failure(t, url, nil); e.Stage != handshake.StageRequest || e.Section != "RFC 6455 §3" || strings.Contains(e.Error(), "secret") {
			t.Errorf("%q: %v", url, e)
		}
	}
}

func TestDial_StageOfNetwork(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := ln.Addr().String()
	ln.Close()
	e := failure(t, "ws://"+free, nil)
	if _, ok := errors.AsType[*net.OpError](e); !ok || e.Stage != handshake.StageTCP || !errors.Is(e, syscall.ECONNREFUSED) || !strings.Contains(e.Hint, "port") {
		t.Errorf("nothing listens: %v", e)
	}
	notFound := &net.DNSError{Err: "no such host", Name: "x.invalid", IsNotFound: true}
	e = failure(t, "ws://x.invalid", &DialOptions{DialContext: func(_ context.Context, network, addr string) (net.Conn, error) {
		if network != "tcp" || addr != "x.invalid:80" {
			t.Errorf("asked to dial %s %s", network, addr)
		}
		return nil, &net.OpError{Op: "dial", Net: network, Err: notFound}
	}})
	if d, ok := errors.AsType[*net.DNSError](e); !ok || d != notFound || e.Stage != handshake.StageDNS || e.Hint == "" {
		t.Errorf("no such host: %v", e)
	}
	e = failure(t, "ws://x.invalid", &DialOptions{DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, nil }})
	if e.Stage != handshake.StageTCP {
		t.Errorf("neither a connection nor an error: %v", e)
	}
}

func TestDial_UnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(&recordingServer{})
	s.Listener.Close()
	s.Listener = ln
	s.Start()
	defer s.Close()
	c, err := dialed(t, "ws://server.example.com/x", &DialOptions{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Write(bounded.Context(t), Message{Text, []byte("x")}); err != nil {
		t.Fatal(err)
	}
	if m, err := c.Read(bounded.Context(t)); err != nil || string(m.Data) != "x" {
		t.Errorf("the echo is %v (%v)", m, err)
	}
}

func TestRFC6455_4_1_Status(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for _, tt := range []struct {
		answer string
		status int
		body   string
		hint   string
	}{
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", "path"},
		{"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n", 401, "", "credentials"},
		{"HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\ndenied", 403, "denied", "Origin"},
		{"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nnoo", 404, "noo", "path"},
		{"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n", 426, "", `proxy_set_header Connection "upgrade";`},
		{"HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 8\r\nContent-Length: 0\r\n\r\n", 426, "", "version 13"},
		{"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", 502, "", "behind"},
		{"HTTP/1.1 503 x\r\nRetry-After: 7\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbu\r\n2\r\nsy\r\n0\r\n\r\n", 503, "busy", "Retry-After"},
		{"HTTP/1.1 500 x\r\nContent-Length: 5000\r\n\r\n" + long, 500, long[:1024], "log"},
		{"HTTP/1.1 500 x\r\nContent-Length: 9223372036854775808\r\n\r\nhello", 500, "hello", "log"}, // more than fits into an int64
		{"HTTP/1.1 204 No Content\r\n\r\n", 204, "", "path"},
		{"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n", 400, "Client sent an HTTP request to an HTTPS server.\n", "wss://"},
		{"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", 302, "", "another URL"},
	} {
		addr := serveRaw(t, func(nc net.Conn, _ string) { nc.Write([]byte(tt.answer)) })
		e := failure(t, "ws://"+addr, nil)
		if e.Stage != handshake.StageStatus || e.Status != tt.status || string(e.Body) != tt.body || !strings.Contains(e.Hint, tt.hint) || e.Section == "" {
			t.Errorf("%d: %v, body %q", tt.status, e, e.Body)
		}
		if tt.status == 503 && e.Header.Get("Retry-After") != "7" {
			t.Errorf("Retry-After is %q", e.Header.Get("Retry-After"))
		}
	}
}

// Dial waits for the body of an error response for a limited time, which is shorter than the caller's limit.
func TestDial_SilentBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := failure(t, "ws://example.com", &DialOptions{DialContext: pipeTo(func(nc net.Conn) {
			nc.Write([]byte("HTTP/1.1 404 Not Found\r\n\r\nstart"))
			io.Copy(io.Discard, nc)
		})})
		if e.Status != 404 || string(e.Body) != "start" {
			t.Errorf("%v, body %q", e, e.Body)
		}
	})
}

// pipeTo returns a DialContext function whose connections call serve after the request's header has been read.
func pipeTo(serve func(net.Conn)) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			if _, err := http.ReadRequest(bufio.NewReader(theirs)); err == nil {
				serve(theirs)
			}
		}()
		return ours, nil
	}
}

func TestDial_Answers(t *testing.T) {
	for _, tt := range []struct {
		name, answer string
		stage        handshake.Stage
		hint         string
		is           error
	}{
		{"closed immediately", "", handshake.StageStatus, "wss://", io.ErrUnexpectedEOF},
		{"closed in the head", "HTTP/1.1 101 x\r\nUpg", handshake.StageStatus, "", io.ErrUnexpectedEOF},
		{"TLS", "\x15\x03\x01\x00\x02\x02\x28", handshake.StageStatus, "wss://", nil},
		{"too large", "HTTP/1.1 200 x\r\nX: " + strings.Repeat("x", 70_000), handshake.StageHeader, "", nil},
		{"no Upgrade", "HTTP/1.1 101 x\r\nConnection: Upgrade\r\n\r\n", handshake.StageHeader, "nginx", nil},
		{"no accept", "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", handshake.StageKey, "", nil},
	} {
		addr := serveRaw(t, func(nc net.Conn, _ string) { nc.Write([]byte(tt.answer)) })
		e := failure(t, "ws://"+addr, nil)
		if e.Stage != tt.stage || !strings.Contains(e.Hint, tt.hint) || tt.is != nil && !errors.Is(e, tt.is) {
			t.Errorf("%s: %v", tt.name, e)
		}
	}
}

func TestRFC6455_4_1_TLS(t *testing.T) {
	h := &recordingServer{}
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = discardLogger()
	s.EnableHTTP2 = true
	s.TLS = &tls.Config{NextProtos: []string{"h2", "http/1.1"}} // the client prefers HTTP/2
	s.StartTLS()
	defer s.Close()
	url := strings.Replace(s.URL, "https", "wss", 1)
	cfg := roots(s)
	cfg.NextProtos = []string{"h2", "http/1.1"}
	c, err := dialed(t, url, &DialOptions{TLS: cfg})
	if err != nil {
		t.Fatal(err)
	}
	if tc := c.Handshake().TLS; tc == nil || tc.NegotiatedProtocol != "http/1.1" || len(tc.VerifiedChains) == 0 {
		t.Errorf("the TLS state is %+v", tc)
	}
	if cfg.ServerName != "" || !slices.Equal(cfg.NextProtos, []string{"h2", "http/1.1"}) {
		t.Errorf("the caller's configuration was changed: %q %q", cfg.ServerName, cfg.NextProtos)
	}
	if c, err := dialed(t, url, &DialOptions{TLS: roots(s)}); err != nil || c.Handshake().TLS.NegotiatedProtocol != "http/1.1" {
		t.Errorf("by default ALPN is not http/1.1 (%v)", err)
	}

	e := failure(t, url, nil)
	if _, ok := errors.AsType[x509.UnknownAuthorityError](e); !ok || e.Stage != handshake.StageTLS || !strings.Contains(e.Hint, "RootCAs") {
		t.Errorf("unknown authority: %v", e)
	}
	e = failure(t, strings.Replace(url, "127.0.0.1", "localhost", 1), &DialOptions{TLS: roots(s), DialContext: dialAddr(s.Listener.Addr())})
	if _, ok := errors.AsType[x509.HostnameError](e); !ok || e.Stage != handshake.StageTLS || !strings.Contains(e.Hint, "ServerName") {
		t.Errorf("other name: %v", e)
	}
	if _, err := dialed(t, "wss://example.com/x", &DialOptions{TLS: roots(s), DialContext: dialAddr(s.Listener.Addr())}); err != nil {
		t.Errorf("the certificate was not verified for the URL's host: %v", err)
	} else if got := h.last().TLS.ServerName; got != "example.com" {
		t.Errorf("the server was asked for the name %q", got)
	}

	e = failure(t, strings.Replace(url, "wss", "ws", 1), nil)
	if e.Status != 400 || !strings.Contains(e.Hint, "wss://") {
		t.Errorf("no TLS on a TLS port: %v", e)
	}
	plain := httptest.NewServer(h)
	defer plain.Close()
	e = failure(t, strings.Replace(plain.URL, "http", "wss", 1), nil)
	if _, ok := errors.AsType[tls.RecordHeaderError](e); !ok || e.Stage != handshake.StageTLS || !strings.Contains(e.Hint, "ws://") {
		t.Errorf("TLS on a plain port: %v", e)
	}
}

func TestDial_TLSAlerts(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  func(*tls.Config)
		opts func(*tls.Config)
		hint string
	}{
		{"client certificate", func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }, nil, "client certificate"},
		{"client certificate, TLS 1.2", func(c *tls.Config) { c.ClientAuth, c.MaxVersion = tls.RequireAnyClientCert, tls.VersionTLS12 }, nil, "client certificate"},
		{"version", func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, "TLS version in common"},
		{"ALPN", func(c *tls.Config) { c.NextProtos = []string{"other"} }, nil, "HTTP/1.1"},
	} {
		s := httptest.NewUnstartedServer(&recordingServer{})
		s.Config.ErrorLog = discardLogger()
		s.TLS = &tls.Config{}
		tt.cfg(s.TLS)
		s.StartTLS()
		cfg := roots(s)
		if tt.opts != nil {
			tt.opts(cfg)
		}
		if e := failure(t, s.URL, &DialOptions{TLS: cfg}); e.Stage != handshake.StageTLS || !strings.Contains(e.Hint, tt.hint) {
			t.Errorf("%s: %v", tt.name, e)
		}
		s.Close()
	}
}

// dialAddr returns a DialContext function that always connects to addr.
func dialAddr(addr net.Addr) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, addr.Network(), addr.String())
	}
}

func TestDial_Cookies(t *testing.T) {
	h := &recordingServer{opts: AcceptOptions{Header: http.Header{"Set-Cookie": {"b=2"}}}}
	deny := true
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if deny {
			deny = false
			http.SetCookie(w, &http.Cookie{Name: "a", Value: "1"})
			w.WriteHeader(http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	}))
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	opts := &DialOptions{Jar: jar, Header: http.Header{"Cookie": {"own=0"}}}
	if e := failure(t, "ws://"+addr, opts); e.Status != 403 {
		t.Fatal(e)
	}
	for _, want := range []string{"own=0; a=1", "own=0; a=1; b=2"} {
		if _, err := dialed(t, "ws://"+addr, opts); err != nil {
			t.Fatal(err)
		}
		if got := h.last().Header["Cookie"]; !slices.Equal(got, []string{want}) {
			t.Errorf("the cookies are %q, want %q", got, want)
		}
	}
	if got := jar.Cookies(&url.URL{Scheme: "http", Host: addr}); len(got) != 2 || opts.Header.Get("Cookie") != "own=0" {
		t.Errorf("the jar has %v", got)
	}
}

// A context interrupts the handshake at any point, and the error wraps the context's error.
func TestDial_Cancel(t *testing.T) {
	silent := func(cancel func(), handle func(net.Conn)) func(context.Context, string, string) (net.Conn, error) {
		return func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() {
				defer theirs.Close()
				handle(theirs)
				cancel()
				io.Copy(io.Discard, theirs)
			}()
			return ours, nil
		}
	}
	readHead := func(nc net.Conn) { http.ReadRequest(bufio.NewReader(nc)) }
	for _, tt := range []struct {
		name  string
		url   string
		stage handshake.Stage
		proxy string
		dial  func(cancel func()) func(context.Context, string, string) (net.Conn, error)
	}{
		{"before", "ws://127.0.0.1:1", handshake.StageTCP, "", func(cancel func()) func(context.Context, string, string) (net.Conn, error) {
			cancel()
			return nil
		}},
		{"connecting", "ws://example.com", handshake.StageTCP, "", func(cancel func()) func(context.Context, string, string) (net.Conn, error) {
			return func(ctx context.Context, _, _ string) (net.Conn, error) {
				cancel()
				<-ctx.Done()
				return nil, errors.New("some error of its own")
			}
		}},
		{"sending", "ws://example.com", handshake.StageRequest, "", func(cancel func()) func(context.Context, string, string) (net.Conn, error) {
			return func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				t.Cleanup(func() { theirs.Close() })
				go cancel() // no goroutine is reading
				return ours, nil
			}
		}},
		{"TLS", "wss://example.com", handshake.StageTLS, "", func(cancel func()) func(context.Context, string, string) (net.Conn, error) {
			return silent(cancel, func(nc net.Conn) { nc.Read(make([]byte, 5)) })
		}},
		{"waiting", "ws://example.com", handshake.StageStatus, "", func(cancel func()) func(context.Context, string, string) (net.Conn, error) {
			return silent(cancel, readHead)
		}},
		{"in the head", "ws://example.com", handshake.StageStatus, "", func(cancel func()) func(context.Context, string, string) (net.Conn, error) {
			return silent(cancel, func(nc net.Conn) {
				readHead(nc)
				nc.Write([]byte("HTTP/1.1 101 Switching"))
			})
		}},
		{"proxy", "ws://example.com", handshake.StageProxy, "http://proxy.example.com", func(cancel func()) func(context.Context, string, string) (net.Conn, error) {
			return silent(cancel, readHead)
		}},
	} {
		cause := errors.New("the cause")
		ctx, cancel := context.WithCancelCause(t.Context())
		o := &DialOptions{DialContext: tt.dial(func() { cancel(cause) }), Proxy: noProxy}
		if tt.proxy != "" {
			o.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(tt.proxy) }
		}
		c, err := Dial(ctx, tt.url, o)
		e, ok := errors.AsType[*HandshakeError](err)
		if c != nil || !ok || e.Stage != tt.stage || !errors.Is(err, context.Canceled) || !errors.Is(err, cause) {
			t.Errorf("%s: %v", tt.name, err)
		}
		cancel(nil)
	}
}

// Every wait has a time limit, even if the caller sets none.
func TestDial_Timeout(t *testing.T) {
	for name, tt := range map[string]struct {
		option, deadline, want time.Duration
	}{
		"default":           {0, 0, 30 * time.Second},
		"option":            {5 * time.Second, 0, 5 * time.Second},
		"context":           {0, 2 * time.Minute, 2 * time.Minute},
		"context, later":    {time.Second, 2 * time.Minute, time.Second},
		"context, earlier":  {time.Minute, time.Second, time.Second},
		"negative is unset": {-1, 0, 30 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, start := t.Context(), time.Now()
			if tt.deadline > 0 {
				var cancel func()
				ctx, cancel = context.WithTimeout(ctx, tt.deadline)
				defer cancel()
			}
			_, err := Dial(ctx, "ws://example.com", &DialOptions{
				Proxy: noProxy, HandshakeTimeout: tt.option, DialContext: pipeTo(func(nc net.Conn) { io.Copy(io.Discard, nc) }),
			})
			e, ok := errors.AsType[*HandshakeError](err)
			if !ok || !errors.Is(err, context.DeadlineExceeded) || e.Stage != handshake.StageStatus || e.Hint == "" {
				t.Errorf("%s: %v", name, err)
			}
			if took := time.Since(start); took != tt.want {
				t.Errorf("%s: Dial took %v", name, took)
			}
		})
	}
}

// Error messages contain none of the caller's secrets, however the handshake fails.
func TestDial_NoSecrets(t *testing.T) {
	const secret = "hunter2"
	refuse := serveRaw(t, func(nc net.Conn, _ string) { nc.Write([]byte("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")) })
	away := serveRaw(t, func(nc net.Conn, _ string) {
		nc.Write([]byte("HTTP/1.1 302 Found\r\nLocation: ftp://u:" + secret + "@x/?token=" + secret + "\r\nContent-Length: 0\r\n\r\n"))
	})
	header := http.Header{"Authorization": {"Bearer " + secret}, "Cookie": {"session=" + secret}}
	for _, addr := range []string{refuse, away, "127.0.0.1:1", "127.0.0.1:" + secret, "x y"} {
		for _, scheme := range []string{"ws", "wss", "bad"} {
			opts := &DialOptions{Header: header, Subprotocols: []string{"v1", "bearer." + secret}}
			e := failure(t, scheme+"://user:"+secret+"@"+addr+"/"+secret+"?token="+secret, opts)
			if s := fmt.Sprint(e, e.Hint, e.Err); strings.Contains(s, secret) {
				t.Errorf("%s to %s: %s", scheme, addr, s)
			}
		}
	}
	if e := failure(t, "ws://127.0.0.1:1", &DialOptions{Proxy: func(*http.Request) (*url.URL, error) {
		return url.Parse("socks5://user:" + secret + "@127.0.0.1:1")
	}}); e.Stage != handshake.StageProxy || strings.Contains(e.Error(), secret) {
		t.Errorf("%v", e)
	}
}

// discardLogger returns a logger that discards everything, for servers whose clients fail deliberately.
func discardLogger() *log.Logger { return log.New(io.Discard, "", 0) }
