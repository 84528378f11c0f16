package cli

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// join copies between two connections until one of them ends.
func join(a, b net.Conn) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(a, b)
		a.Close()
	}()
	_, _ = io.Copy(b, a)
	b.Close()
	<-done
}

// socksProxy runs a SOCKS5 proxy (RFC 1928, RFC 1929) for one user, "u" with the password "hush", and returns its address.
func socksProxy(t *testing.T) (addr string, asked chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked = make(chan string, 8)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serveSocks(c, asked)
			c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		bounded.Receive(t, ended)
	})
	return l.Addr().String(), asked
}

func serveSocks(c net.Conn, asked chan<- string) {
	b := make([]byte, 512)
	read := func(n int) []byte {
		if _, err := io.ReadFull(c, b[:n]); err != nil {
			return make([]byte, n)
		}
		return b[:n]
	}
	methods := read(int(read(2)[1]))
	if !strings.Contains(string(methods), "\x02") {
		_, _ = c.Write([]byte{5, 0xff}) // no acceptable method
		return
	}
	_, _ = c.Write([]byte{5, 2})
	user := string(read(int(read(2)[1])))
	if password := string(read(int(read(1)[0]))); user != "u" || password != "hush" {
		_, _ = c.Write([]byte{1, 1})
		return
	}
	_, _ = c.Write([]byte{1, 0})
	host := ""
	switch read(4)[3] {
	case 1:
		host = net.IP(read(4)).String()
	case 3:
		host = string(read(int(read(1)[0])))
	}
	port := read(2)
	asked <- host
	to, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", fmt.Sprint(int(port[0])<<8|int(port[1]))))
	if err != nil {
		_, _ = c.Write([]byte{5, 5, 0, 1, 0, 0, 0, 0, 0, 0}) // connection refused
		return
	}
	_, _ = c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	join(c, to)
}

// dial connects through the proxy of --proxy, with its user and password, which are not printed.
func TestDialProxy(t *testing.T) {
	target := peer(t, echo)
	byHTTP := make(chan string, 8)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		byHTTP <- r.Method + " " + r.Header.Get("Proxy-Authorization")
		if r.Header.Get("Proxy-Authorization") == "" {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		to, err := net.Dial("tcp", r.Host)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
		join(c, to)
	}))
	t.Cleanup(proxy.Close)
	httpAddr := strings.TrimPrefix(proxy.URL, "http://")
	socksAddr, bySocks := socksProxy(t)
	file := filepath.Join(t.TempDir(), "proxy")
	if err := os.WriteFile(file, []byte("socks5://u:hush@"+socksAddr+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		proxy string
		by    chan string
		want  string // the address that the proxy has received
		fails string // a part of the error on standard error; "" means success
	}{
		{"http://u:hush@" + httpAddr, byHTTP, "CONNECT Basic " + base64.StdEncoding.EncodeToString([]byte("u:hush")), ""},
		{"http://" + httpAddr, byHTTP, "CONNECT ", "407"},
		{"socks5://u:hush@" + socksAddr, bySocks, "localhost", ""},
		{"socks5h://u:hush@" + socksAddr, bySocks, "localhost", ""},
		{"@" + file, bySocks, "localhost", ""},
		{"socks5://u:wrong@" + socksAddr, nil, "", "stage:     proxy"},
		{"socks5://" + socksAddr, nil, "", "stage:     proxy"},
		{"socks5://127.0.0.1:1", nil, "", "check the proxy of --proxy"},
		{"none", nil, "", ""},
	} {
		got := runWith(t, strings.NewReader("hello\n"), nil, "dial", "--proxy", tt.proxy, strings.Replace(target, "127.0.0.1", "localhost", 1))
		if tt.by != nil {
			if saw := bounded.Receive(t, tt.by); saw != tt.want {
				t.Errorf("%s: the proxy saw %q", tt.proxy, saw)
			}
		}
		if tt.fails == "" && (got.code != exitOK || got.stdout != "hello\n" || got.stderr != "") {
			t.Errorf("%s: exit %d, %q, %q", tt.proxy, got.code, got.stdout, got.stderr)
		}
		if tt.fails != "" && (got.code != exitFailed || !strings.Contains(got.stderr, tt.fails)) || strings.Contains(got.stderr, "hush") {
			t.Errorf("%s: exit %d, %q", tt.proxy, got.code, got.stderr)
		}
	}
}

// explain uses the same proxies, and reports their rejections as findings.
func TestExplainSocksProxy(t *testing.T) {
	target := strings.Replace(peer(t, echo), "127.0.0.1", "localhost", 1)
	addr, asked := socksProxy(t)
	const opens = "✓ proxy ask the SOCKS5 proxy for a connection to localhost:"
	for proxy, want := range map[string]string{
		"socks5://u:hush@" + addr:  opens,
		"socks5h://u:hush@" + addr: opens,
		"socks5://u:wrong@" + addr: "proxy-refused",
		"socks5://" + addr:         "proxy-refused",
		"socks5://127.0.0.1:1":     "proxy-unreachable",
		"socks5://:hush@" + addr:   "a user of 1 to 255 bytes",
		"socks5://u:hush@" + strings.TrimPrefix(strings.TrimSuffix(target, "/"), "ws://"): "proxy-unreachable",
	} {
		got := runCommand(t, "explain", "--no-probes", "--no-cross-site", "--proxy", proxy, target)
		if opened := want == opens; opened != (got.code == exitOK) || !strings.Contains(unwrapped(got.stdout+got.stderr), want) ||
			strings.Contains(got.stdout+got.stderr, "hush") {
			t.Errorf("%s: exit %d, %q\n%s", proxy, got.code, got.stderr, got.stdout)
		} else if opened {
			if saw := bounded.Receive(t, asked); saw != "localhost" {
				t.Errorf("%s: the proxy saw %q", proxy, saw)
			}
		}
	}
	got := runCommand(t, "explain", "--proxy", "socks5://u:hush@"+addr, "ws://127.0.0.1:1/")
	if got.code != exitFailed || !strings.Contains(unwrapped(got.stdout), "the SOCKS5 proxy refused: connection refused") {
		t.Errorf("a server that is gone: exit %d\n%s", got.code, got.stdout)
	}
}

// unwrapped returns a text without the line breaks of the report.
func unwrapped(text string) string { return strings.Join(strings.Fields(text), " ") }

// publish and subscribe use the same proxies as dial, and check --proxy in the same way.
func TestChannelsProxy(t *testing.T) {
	url := strings.Replace(withServer(t), "127.0.0.1", "localhost", 1)
	socksAddr, bySocks := socksProxy(t)
	through := []string{"--proxy", "socks5://u:hush@" + socksAddr, "--url", url}
	if got := runCommand(t, append([]string{"publish", "chat", "hello"}, through...)...); got.code != exitOK || got.stderr != "" {
		t.Errorf("publish: %+v", got)
	}
	if saw := bounded.Receive(t, bySocks); saw != "localhost" {
		t.Errorf("the proxy saw %q", saw)
	}
	got := runCommand(t, append([]string{"subscribe", "--history", "1", "-n", "1", "chat"}, through...)...)
	if got.code != exitOK || got.stdout != "hello\n" {
		t.Errorf("subscribe: %+v", got)
	}
	if saw := bounded.Receive(t, bySocks); saw != "localhost" {
		t.Errorf("the proxy saw %q", saw)
	}
	for _, args := range [][]string{{"publish", "chat", "hello"}, {"subscribe", "chat"}} {
		got := runCommand(t, append(args, "--url", url, "--proxy", "socks5://u:hush@127.0.0.1:1")...)
		if got.code != exitFailed || !strings.Contains(got.stderr, "check the proxy of --proxy") || strings.Contains(got.stderr, "hush") {
			t.Errorf("%q: %+v", args, got)
		}
		got = runCommand(t, append(args, "--url", url, "--proxy", "ftp://u:hush@proxy")...)
		if got.code != exitUsage || !strings.Contains(got.stderr, "write --proxy http://host:port") || strings.Contains(got.stderr, "hush") {
			t.Errorf("%q: %+v", args, got)
		}
	}
}

// An error after a redirect names the address that failed, without its query.
func TestDialRedirect(t *testing.T) {
	state(t)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/from" {
			http.Redirect(w, r, "/to?token=hush", http.StatusFound)
			return
		}
		w.WriteHeader(http.StatusGone)
	}))
	t.Cleanup(s.Close)
	url := "ws" + strings.TrimPrefix(s.URL, "http")
	for _, command := range []string{"dial", "subscribe"} {
		args := []string{"dial", url + "/from"}
		if command == "subscribe" {
			args = []string{"subscribe", "--url", url + "/from", "x"}
		}
		got := runCommand(t, args...)
		if want := url + "/to, to which " + url + "/from redirects"; got.code != exitFailed || !strings.Contains(got.stderr, want) ||
			strings.Contains(got.stderr, "hush") {
			t.Errorf("%s: exit %d, %q", command, got.code, got.stderr)
		}
	}
}

// --timeout limits the handshake.
func TestDialTimeout(t *testing.T) {
	state(t)
	done := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-done }))
	t.Cleanup(s.Close)
	t.Cleanup(func() { close(done) })
	got := runCommand(t, "dial", "--timeout", "50ms", s.URL)
	if got.code != exitFailed || !strings.Contains(got.stderr, "longer than 50ms") {
		t.Errorf("exit %d, %q", got.code, got.stderr)
	}
}

// Every flag for a credential has the same effect as in explain, and --verbose does not print the value.
func TestDialCredentials(t *testing.T) {
	seen := make(chan *http.Request, 1)
	target := peer(t, func(ctx context.Context, c *websocket.Conn, r *http.Request) {
		seen <- r
		echo(ctx, c, r)
	})
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("hush-from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		want func(r *http.Request) string
		is   string
	}{
		{[]string{"--bearer", "hush-token"}, header("Authorization"), "Bearer hush-token"},
		{[]string{"--bearer", "@" + file}, header("Authorization"), "Bearer hush-from-file"},
		{[]string{"--bearer", "env:TOKEN"}, header("Authorization"), "Bearer hush-from-env"},
		{[]string{"--basic", "alice:hush-pass"}, header("Authorization"), "Basic YWxpY2U6aHVzaC1wYXNz"},
		{[]string{"--cookie", "sid=hush-cookie"}, header("Cookie"), "sid=hush-cookie"},
		{[]string{"--api-key", "hush-key"}, header("X-Api-Key"), "hush-key"},
		{[]string{"--api-key", "hush-key", "--api-key-header", "X-Mine"}, header("X-Mine"), "hush-key"},
		{[]string{"--token-subprotocol", "hush-sub", "--subprotocol", "second"}, header("Sec-Websocket-Protocol"),
			"second, base64url.bearer.authorization.k8s.io.aHVzaC1zdWI"},
		{[]string{"--ticket", "hush-ticket"}, query, "a=1&ticket=hush-ticket"},
		{[]string{"--query-token", "t=hush query"}, query, "a=1&t=hush+query"},
		{[]string{"-H", "X-Secret-Thing: hush-header"}, header("X-Secret-Thing"), "hush-header"},
	} {
		var stdout, stderr buffer
		args := append([]string{"dial", "--proxy", "none", "--verbose"}, tt.args...)
		code := Run(t.Context(), append(args, target+"?a=1"), System{
			Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Getenv: func(name string) string {
				return map[string]string{"TOKEN": "hush-from-env"}[name]
			},
		})
		if r := bounded.Receive(t, seen); tt.want(r) != tt.is {
			t.Errorf("%q: dial sent %q", tt.args, tt.want(r))
		}
		text := stderr.String()
		for _, secret := range []string{"hush", "YWxpY2U6aHVzaC1wYXNz", "aHVzaC1zdWI"} {
			if strings.Contains(text, secret) {
				t.Errorf("%q: %s is printed:\n%s", tt.args, secret, text)
			}
		}
		for _, want := range []string{"> GET /?a=1", "> Upgrade: websocket\n", "< HTTP/1.1 101 Switching Protocols\n", "< Sec-Websocket-Accept: ", "[redacted]"} {
			if !strings.Contains(text, want) {
				t.Errorf("%q: no %q in\n%s", tt.args, want, text)
			}
		}
		if code != exitOK || stdout.String() != "" {
			t.Errorf("%q: exit %d, %q", tt.args, code, stdout.String())
		}
	}
	got := runCommand(t, "dial", "-H", "Authorization: Basic x", "--bearer", "y", target)
	if got.code != exitUsage || !strings.Contains(got.stderr, "Authorization is given twice") {
		t.Errorf("exit %d, %q", got.code, got.stderr)
	}
}

// --verbose also shows the redirects of a handshake, and hides secrets of the server.
func TestDialVerboseRedirect(t *testing.T) {
	target := peer(t, echo)
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Set-Cookie", "sid=hush")
		w.Header().Set("X-Odd", "a\u202eb")
		http.Redirect(w, r, "http://u:hush@"+to.Host+"/?token=hush", http.StatusTemporaryRedirect)
	}))
	t.Cleanup(s.Close)
	got := runCommand(t, "dial", "-v", s.URL)
	if got.code != exitOK || strings.Contains(got.stderr, "hush") || strings.Contains(got.stderr, "\u202e") {
		t.Errorf("exit %d, %q", got.code, got.stderr)
	}
	for _, want := range []string{"< HTTP/1.1 307 Temporary Redirect\n", "< Location: http://[redacted]@" + to.Host + "/?token=[redacted]\n",
		"> GET /?token=[redacted] HTTP/1.1\n", "> Host: " + to.Host + "\n", "< HTTP/1.1 101 "} {
		if !strings.Contains(got.stderr, want) {
			t.Errorf("no %q in\n%s", want, got.stderr)
		}
	}
}
