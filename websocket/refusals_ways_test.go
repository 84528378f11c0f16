package websocket

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/handfast/handfast/websocket/internal/bounded"
)

// wayToServe is a server, and how a client reaches it.
type wayToServe struct {
	name      string
	addr      string
	proxied   bool   // a proxy sends proxyHeader first
	tls       bool   // the client speaks TLS
	page      string // a request for a page, which precedes the tested one on the same connection; "" means none
	pipelined bool   // the client does not wait for the page
	undecided bool   // the server does not ask the application about a request
}

const (
	proxyHeader = "PROXY TCP4 192.0.2.1 198.51.100.2 56286 443\r\n"
	pageRequest = "GET /page HTTP/1.1\r\nHost: server.example.com\r\n\r\n"
	pageText    = "a page"
)

// reply sends a request and returns the whole response without the Date field.
func (w *wayToServe) reply(t *testing.T, request string) string {
	t.Helper()
	nc := dialRaw(t, w.addr)
	if w.proxied {
		if _, err := io.WriteString(nc, proxyHeader); err != nil {
			t.Fatal(err)
		}
	}
	if w.tls {
		nc = tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
	}
	br := bufio.NewReader(nc)
	if w.pipelined {
		request = w.page + request
	} else if w.page != "" {
		go io.WriteString(nc, w.page)
		readPage(t, br)
	}
	go io.WriteString(nc, request) // the server may respond before it has read the whole request
	if w.pipelined {
		readPage(t, br)
	}
	b, err := io.ReadAll(br) // with TLS, an error unless the server sends close_notify (RFC 9112 §9.8)
	if err != nil {
		t.Fatalf("%s: %v after %q", w.name, err, b)
	}
	return withoutDate(string(b))
}

// replyTo sends a request and returns the whole response without the Date field.
func replyTo(t *testing.T, addr, request string) string {
	t.Helper()
	w := wayToServe{name: addr, addr: addr}
	return w.reply(t, request)
}

func readPage(t *testing.T, br *bufio.Reader) {
	t.Helper()
	r, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r.Body); err != nil || string(b) != pageText || r.Close {
		t.Fatalf("the page is %q, %v", b, err)
	}
}

// withPage serves a page beside h.
func withPage(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/page" {
			io.WriteString(w, pageText)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// startServers starts servers for all ways to serve WebSocket connections, with the same rules. The first one is the model.
func startServers(t *testing.T, decide func(*http.Request) error) (ways []wayToServe) {
	accepting := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := Accept(w, r, &AcceptOptions{Check: decide}); err == nil {
			c.CloseNow()
		}
	})
	admit := func(r *http.Request) (*Admission, error) { return nil, decide(r) }
	for _, kind := range []struct {
		name      string
		handler   func(Hooks) http.Handler
		undecided bool
	}{
		{"Accept", func(Hooks) http.Handler { return accepting }, false},
		{"Endpoint", func(h Hooks) http.Handler { return &Endpoint{Hooks: h, Admit: admit, Serve: func(*Conn) {}} }, false},
		{"Endpoint with Open", func(h Hooks) http.Handler { return &Endpoint{Hooks: h, Admit: admit, Open: openEcho} }, false},
		{"Endpoint without Admit", func(h Hooks) http.Handler { return &Endpoint{Hooks: h, Serve: func(*Conn) {}} }, true},
		{"Endpoint with Open, without Admit", func(h Hooks) http.Handler { return &Endpoint{Hooks: h, Open: openEcho} }, true},
	} {
		for _, withTLS := range []bool{false, true} {
			suffix := ""
			if withTLS {
				suffix = ", TLS"
			}
			direct := Hooks{Refused: refusedFrom(t, "127.0.0.1")}
			own := func(h http.Handler) string { return serveRefusing(t, &Server{Hooks: direct}, h, withTLS) }
			base := wayToServe{tls: withTLS, undecided: kind.undecided}
			add := func(name string, w wayToServe) {
				w.name = kind.name + name + suffix
				ways = append(ways, w)
			}
			standard, onServer, proxied := base, base, base
			standard.addr = serveRefusing(t, nil, withPage(kind.handler(direct)), withTLS)
			onServer.addr = own(kind.handler(direct))
			add(" on http.Server", standard)
			add(" on Server", onServer)
			behind := Hooks{Refused: refusedFrom(t, "192.0.2.1")}
			proxied.addr = serveRefusing(t, &Server{Hooks: behind, Preface: readProxyHeader}, kind.handler(behind), withTLS)
			proxied.proxied = true
			add(" behind a proxy", proxied)
			later := base
			later.addr, later.page = own(withPage(kind.handler(direct))), pageRequest
			add(" on Server, after a page", later)
			later.pipelined = true
			add(" on Server, with a page", later)
		}
	}
	return ways
}

// refusedFrom returns a Refused hook that checks the client's address.
func refusedFrom(t *testing.T, host string) func(context.Context, string, *http.Request, *HandshakeError) {
	return func(_ context.Context, remote string, _ *http.Request, err *HandshakeError) {
		if got, _, _ := net.SplitHostPort(remote); got != host || err.Err == nil {
			t.Errorf("Refused was called with the address %q, want %s; %#v", remote, host, err)
		}
	}
}

var errNotProxied = errors.New("the connection does not begin with the header of the proxy")

func readProxyHeader(_ context.Context, nc net.Conn) (net.Addr, error) {
	b := make([]byte, len(proxyHeader))
	if _, err := io.ReadFull(nc, b); err != nil {
		return nil, err
	}
	if string(b) != proxyHeader {
		return nil, errNotProxied
	}
	return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 56286}, nil
}

// serveRefusing runs h on s, or on an http.Server if s is nil, until the test ends.
func serveRefusing(t *testing.T, s *Server, h http.Handler, withTLS bool) (addr string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	hs := &http.Server{Handler: h, MaxHeaderBytes: 20 << 10, ReadHeaderTimeout: testTimeout}
	if withTLS {
		hs.TLSConfig = &tls.Config{Certificates: []tls.Certificate{testCertificate(t)}}
	}
	serveTLS := func(serve func(net.Listener) error, serveTLS func(net.Listener, string, string) error) func(net.Listener) error {
		if withTLS {
			return func(l net.Listener) error { return serveTLS(l, "", "") }
		}
		return serve
	}
	if s != nil {
		s.HTTP = hs
		return serveOn(t, s, ln, serveTLS(s.Serve, s.ServeTLS))
	}
	done := make(chan error, 1)
	go func() { done <- serveTLS(hs.Serve, hs.ServeTLS)(ln) }()
	t.Cleanup(func() {
		hs.Close()
		bounded.Receive(t, done)
	})
	return ln.Addr().String()
}
