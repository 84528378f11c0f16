package websocket

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/internal/bounded"
)

// proxy is an HTTP proxy that only supports CONNECT and records the requests.
type proxy struct {
	mu       sync.Mutex
	requests []*http.Request
	to       string // the target of every tunnel
	user     string // the required "user:password"; "" means none
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.requests = append(p.requests, r)
	p.mu.Unlock()
	auth := http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}
	if user, pass, _ := auth.BasicAuth(); p.user != "" && user+":"+pass != p.user {
		w.Header().Set("Proxy-Authenticate", "Basic")
		http.Error(w, "who are you?", http.StatusProxyAuthRequired)
		return
	}
	if r.Method != http.MethodConnect {
		http.Error(w, "CONNECT only", http.StatusMethodNotAllowed)
		return
	}
	up, err := net.Dial("tcp", p.to)
	if err != nil {
		http.Error(w, "no way", http.StatusBadGateway)
		return
	}
	defer up.Close()
	nc, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer nc.Close()
	io.WriteString(nc, "HTTP/1.1 200 Connection established\r\n\r\n")
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(up, nc)
		up.Close()
	}()
	io.Copy(nc, up)
	nc.Close()
	<-done
}

func (p *proxy) last() *http.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests[len(p.requests)-1]
}

// proxyTo returns a Proxy option that always returns rawURL as the proxy.
func proxyTo(rawURL string) func(*http.Request) (*url.URL, error) {
	return func(*http.Request) (*url.URL, error) { return url.Parse(rawURL) }
}

// checkEcho sends a message to an echo server and checks the reply.
func checkEcho(t *testing.T, c *Conn) {
	t.Helper()
	if err := c.Write(bounded.Context(t), Message{Text, []byte("through")}); err != nil {
		t.Fatal(err)
	}
	if m, err := c.Read(bounded.Context(t)); err != nil || string(m.Data) != "through" {
		t.Errorf("the echo is %v (%v)", m, err)
	}
}

func TestRFC6455_4_1_Proxy(t *testing.T) {
	target := &recordingServer{}
	plain, secure := httptest.NewServer(target), httptest.NewTLSServer(target)
	defer plain.Close()
	defer secure.Close()
	p := &proxy{user: "us@er:hunter2"}
	http1, https1 := httptest.NewServer(p), httptest.NewTLSServer(p)
	defer http1.Close()
	defer https1.Close()
	trust := roots(secure)
	trust.RootCAs.AddCert(https1.Certificate())
	for _, via := range []*httptest.Server{http1, https1} {
		for _, tt := range []struct {
			url, connect string
			server       *httptest.Server
		}{
			{"ws://example.com/x", "example.com:80", plain},
			{"ws://example.com:81/x", "example.com:81", plain},
			{"wss://example.com/x", "example.com:443", secure},
			{"ws://[::1]:9/x", "[::1]:9", plain},
		} {
			p.to = tt.server.Listener.Addr().String()
			var asked *url.URL
			withUser := strings.Replace(via.URL, "://", "://us%40er:hunter2@", 1)
			c, err := dialed(t, tt.url, &DialOptions{
				TLS: trust,
				Proxy: func(r *http.Request) (*url.URL, error) {
					asked = r.URL
					return url.Parse(withUser)
				},
				Header: http.Header{"Authorization": {"for the server"}},
			})
			if err != nil {
				t.Errorf("%s through %s: %v", tt.url, via.URL, err)
				continue
			}
			checkEcho(t, c)
			if got := c.Handshake().TLS != nil; got != (tt.server == secure) {
				t.Errorf("%s through %s: with TLS to the server: %v", tt.url, via.URL, got)
			}
			r := p.last()
			if r.Method != "CONNECT" || r.RequestURI != tt.connect || r.Host != tt.connect {
				t.Errorf("%s: the proxy was asked %s %s, Host %s", tt.url, r.Method, r.RequestURI, r.Host)
			}
			if strings.Contains(r.Header.Get("Cookie")+r.Header.Get("Authorization"), "server") {
				t.Errorf("%s: the proxy got a header that is meant for the server: %v", tt.url, r.Header)
			}
			if got := target.last().Header["Proxy-Authorization"]; got != nil {
				t.Errorf("%s: the server got a header that is meant for the proxy: %v", tt.url, got)
			}
			if want := strings.Replace(tt.url, "ws", "http", 1); asked.String() != want {
				t.Errorf("the Proxy function was called for %s, want %s", asked, want)
			}
			c.CloseNow()
		}
	}
	if got := trust.ServerName; got != "" {
		t.Errorf("the caller's configuration was changed: %s", got)
	}
}

func TestDial_ProxyFailures(t *testing.T) {
	p := &proxy{user: "a:b"}
	s := httptest.NewServer(p)
	defer s.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.to = ln.Addr().String()
	ln.Close() // no server listens there
	answering := func(answer string) string {
		return "http://" + serveConnect(t, answer)
	}
	for _, tt := range []struct {
		name, proxy string
		status      int
		hint        string
	}{
		{"no credentials", s.URL, 407, "credentials"},
		{"server not reached", strings.Replace(s.URL, "://", "://a:b@", 1), 502, "could not reach"},
		{"nothing is listening", "http://" + p.to, 0, "port"},
		{"SOCKS", "socks5://127.0.0.1:1", 0, "DialContext"},
		{"TLS where there is none", strings.Replace(s.URL, "http", "https", 1), 0, "TLS"},
		{"403", answering("HTTP/1.1 403 x\r\nContent-Length: 0\r\n\r\n"), 403, "wss://"},
		{"404", answering("HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n"), 404, "CONNECT"},
		{"101", answering("HTTP/1.1 101 x\r\n\r\n"), 101, "CONNECT"},
		{"closed", answering(""), 0, ""},
		{"garbage", answering("garbage\r\n\r\n"), 0, ""},
		{"more than an answer", answering("HTTP/1.1 200 x\r\n\r\nHTTP/1.1 101 x\r\n"), 200, ""},
	} {
		e := failure(t, "ws://example.com/x", &DialOptions{Proxy: proxyTo(tt.proxy)})
		if e.Stage != handshake.StageProxy || e.Status != tt.status || !strings.Contains(e.Hint, tt.hint) {
			t.Errorf("%s: %v", tt.name, e)
		}
		if tt.status == 407 && (e.Header.Get("Proxy-Authenticate") != "Basic" || string(e.Body) != "who are you?\n") {
			t.Errorf("%s: %v, body %q", tt.name, e.Header, e.Body)
		}
	}
	mistake := errors.New("mistake")
	e := failure(t, "ws://example.com/x", &DialOptions{Proxy: func(*http.Request) (*url.URL, error) { return nil, mistake }})
	if e.Stage != handshake.StageProxy || !errors.Is(e, mistake) {
		t.Errorf("a Proxy function that fails: %v", e)
	}
}

// The environment is read once per process, so this test runs in a child process.
func TestDial_ProxyEnvironment(t *testing.T) {
	const child = "HANDFAST_TEST_DIAL"
	if target := os.Getenv(child); target != "" {
		_, err := Dial(bounded.Context(t), target, nil)
		fmt.Fprintln(os.Stderr, err)
		return
	}
	p := &proxy{user: "us@er:hunter2", to: "127.0.0.1:1"}
	s := httptest.NewServer(p)
	defer s.Close()
	good := strings.Replace(s.URL, "://", "://us%40er:hunter2@", 1)
	for _, tt := range []struct{ target, setting, connect, told string }{
		{"ws://example.com/x", "HTTP_PROXY=" + good, "example.com:80", "502"},
		{"wss://example.com/x", "HTTPS_PROXY=" + good, "example.com:443", "502"},
		{"ws://example.com/x", "HTTP_PROXY=http://user:hunter2@[::1", "", "(proxy)"},
	} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDial_ProxyEnvironment$")
		cmd.Env = []string{child + "=" + tt.target, tt.setting}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), tt.told) || strings.Contains(string(out), "hunter2") {
			t.Errorf("%s with %s: %v\n%s", tt.target, tt.setting, err, out)
		}
		if tt.connect != "" && p.last().RequestURI != tt.connect {
			t.Errorf("%s with %s: the proxy was asked for %s", tt.target, tt.setting, p.last().RequestURI)
		}
	}
}

// serveConnect is a proxy that sends the same response to every client.
func serveConnect(t *testing.T, answer string) string {
	return serveRaw(t, func(nc net.Conn, _ string) { io.WriteString(nc, answer) })
}

// A 2xx response that arrives in parts is accepted, and data that the server sends first through the tunnel is not lost.
func TestRFC9110_9_3_6_Connect(t *testing.T) {
	c, err := dialed(t, "ws://example.com/x", &DialOptions{
		Proxy: proxyTo("http://proxy.example.com:3128"),
		DialContext: func(_ context.Context, _, addr string) (net.Conn, error) {
			if addr != "proxy.example.com:3128" {
				t.Errorf("dialed %s", addr)
			}
			ours, theirs := net.Pipe()
			go func() {
				defer theirs.Close()
				br := bufio.NewReader(theirs)
				if _, err := http.ReadRequest(br); err != nil {
					return
				}
				for _, piece := range []string{"HTTP/1.1 100 x\r\n", "\r\nHTTP/1.0 299 fine", "\r\nVia: x\r\n\r", "\n"} {
					io.WriteString(theirs, piece)
				}
				r, err := http.ReadRequest(br)
				if err != nil {
					return
				}
				const answer = "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {{ACCEPT}}\r\n\r\n\x81\x02ok"
				theirs.Write(fillPlaceholders([]byte(answer), r.Header.Get("Sec-WebSocket-Key")))
				io.Copy(io.Discard, br)
			}()
			return ours, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if m, err := c.Read(bounded.Context(t)); err != nil || string(m.Data) != "ok" {
		t.Errorf("the first message is %v (%v)", m, err)
	}
}

// The caller's ServerName applies to the server, not to the proxy.
func TestDial_ProxyServerName(t *testing.T) {
	names := make(chan string, 1)
	s := httptest.NewUnstartedServer(&proxy{user: "x:y"})
	s.Config.ErrorLog = discardLogger()
	s.TLS = &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		names <- h.ServerName
		return nil, nil
	}}
	s.StartTLS()
	defer s.Close()
	cfg := roots(s)
	cfg.ServerName = "server.example.org"
	e := failure(t, "wss://127.0.0.1:9/", &DialOptions{TLS: cfg, Proxy: proxyTo("https://example.com:1"), DialContext: dialAddr(s.Listener.Addr())})
	if e.Status != 407 || e.Stage != handshake.StageProxy {
		t.Errorf("%v", e)
	}
	if got := bounded.Receive(t, names); got != "example.com" {
		t.Errorf("the proxy was asked for the name %q", got)
	}
}
