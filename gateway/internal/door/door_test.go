package door

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/internal/bounded"
)

// ask sends a request and returns what the house says.
func ask(t *testing.T, c net.Conn) string {
	t.Helper()
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return answer(t, c)
}

func answer(t *testing.T, c net.Conn) string {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// ended reports how a connection ended, when nothing came on it before.
func ended(c net.Conn) string {
	b, err := io.ReadAll(c)
	if err != nil && !strings.Contains(err.Error(), "reset") {
		return err.Error()
	}
	return string(b)
}

func TestPlain(t *testing.T) {
	h := build(t, 10, nil)
	c := h.connect(t, "127.0.0.7")
	for range 3 { // it is idle in between
		if got := ask(t, c); got != "127.0.0.7" {
			t.Fatalf("got %q", got)
		}
	}
}

// What net/http refuses by itself is told, too.
func TestBrokenRequest(t *testing.T) {
	h := build(t, 10, nil)
	for _, head := range []string{"GET / HTTP/1.1\r\nno colon\r\n\r\n", "nonsense\r\n\r\n"} {
		c := h.connect(t, "127.0.0.1")
		if _, err := io.WriteString(c, head); err != nil {
			t.Fatal(err)
		}
		if got := ended(c); !strings.Contains(got, "400") {
			t.Errorf("%q: %q", head, got)
		}
		if got := bounded.Receive(t, h.heard); got != "request: "+ErrHead.Error() {
			t.Errorf("told %q", got)
		}
	}
	ask(t, h.connect(t, "127.0.0.1"))
	h.connect(t, "127.0.0.1").Close()
	select {
	case got := <-h.heard:
		t.Errorf("told %q", got)
	default:
	}
}

const fromV1 = "PROXY TCP4 192.0.2.1 198.51.100.2 56286 443\r\n"

func TestProxyProtocol(t *testing.T) {
	h := build(t, 10, &Policy{Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.9/32")}})
	for _, tt := range []struct{ name, from, header, want string }{
		{"version 1", "127.0.0.9", fromV1, "192.0.2.1 via 127.0.0.9"},
		{"version 2", "127.0.0.9", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\xc6\x33\x64\x02\xdb\xde\x01\xbb",
			"192.0.2.7 via 127.0.0.9"},
		{"a health check", "127.0.0.9", "PROXY UNKNOWN\r\n", "127.0.0.9"},
		{"not trusted, without", "127.0.0.8", "", "127.0.0.8"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := h.connect(t, tt.from)
			if _, err := io.WriteString(c, tt.header); err != nil {
				t.Fatal(err)
			}
			if got := ask(t, c); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// Who is not trusted cannot pick an address: the header is an HTTP request to nobody.
func TestProxyProtocolNotTrusted(t *testing.T) {
	h := build(t, 10, &Policy{Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.9/32")}})
	c := h.connect(t, "127.0.0.8")
	if _, err := io.WriteString(c, fromV1); err != nil {
		t.Fatal(err)
	}
	// No request follows: what a server that closes has not read resets the connection, and its answer may be lost.
	if got, err := io.ReadAll(c); err != nil || !strings.Contains(string(got), "400") {
		t.Errorf("got %q, %v", got, err)
	}
}

// Who is trusted has to send it.
func TestProxyProtocolMissing(t *testing.T) {
	h := build(t, 10, &Policy{Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.9/32")}})
	c := h.connect(t, "127.0.0.9")
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if got := ended(c); got != "" {
		t.Errorf("got %q", got)
	}
	if got := bounded.Receive(t, h.heard); !strings.HasPrefix(got, "proxy: ") {
		t.Errorf("told %q", got)
	}
}

func TestTLS(t *testing.T) {
	server, client := settings(t)
	h := build(t, 10, &Policy{TLS: server, Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.9/32")}})
	for from, want := range map[string]string{"127.0.0.8": "127.0.0.8", "127.0.0.9": "192.0.2.1 via 127.0.0.9"} {
		c := h.connect(t, from)
		if from == "127.0.0.9" {
			if _, err := io.WriteString(c, fromV1); err != nil {
				t.Fatal(err)
			}
		}
		if got := ask(t, tls.Client(c, client)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestTLSFailures(t *testing.T) {
	server, client := settings(t)
	h := build(t, 10, &Policy{TLS: server})
	t.Run("HTTP", func(t *testing.T) {
		c := h.connect(t, "127.0.0.1")
		if got := ask(t, c); !strings.Contains(got, "This port speaks TLS") {
			t.Errorf("got %q", got)
		}
		if got := bounded.Receive(t, h.heard); !strings.Contains(got, "tls: ") {
			t.Errorf("told %q", got)
		}
	})
	t.Run("not trusted", func(t *testing.T) {
		c := h.connect(t, "127.0.0.1")
		if err := tls.Client(c, &tls.Config{ServerName: "localhost"}).HandshakeContext(bounded.Context(t)); err == nil {
			t.Error("trusted")
		}
		if got := bounded.Receive(t, h.heard); !strings.Contains(got, "tls: remote error") {
			t.Errorf("told %q", got)
		}
	})
	t.Run("RFC 8737 §3", func(t *testing.T) {
		config := client.Clone()
		config.NextProtos = []string{acmeALPN}
		c := tls.Client(h.connect(t, "127.0.0.1"), config)
		if err := c.HandshakeContext(bounded.Context(t)); err != nil {
			t.Fatal(err)
		}
		if got := ended(c); got != "" && got != "EOF" {
			t.Errorf("it goes on: %q", got)
		}
	})
	t.Run("silence", func(t *testing.T) { // is not told
		h.connect(t, "127.0.0.1").Close()
		c := h.connect(t, "127.0.0.1")
		_, _ = io.WriteString(c, "no TLS")
		c.(*net.TCPConn).CloseWrite()
		if got := bounded.Receive(t, h.heard); !strings.Contains(got, "does not look like a TLS handshake") {
			t.Errorf("told %q", got)
		}
	})
}

// The PROXY header and the TLS handshake have a bound together.
func TestTimeout(t *testing.T) {
	server, _ := settings(t)
	h := build(t, 10, &Policy{TLS: server, Timeout: 30 * time.Millisecond})
	c := h.connect(t, "127.0.0.1")
	if got := ended(c); got != "" {
		t.Errorf("got %q", got)
	}
	if got := bounded.Receive(t, h.heard); !strings.Contains(got, "timeout") {
		t.Errorf("told %q", got)
	}
}

func TestAdmit(t *testing.T) {
	h := build(t, 10, &Policy{
		Admit:   func(a netip.Addr) bool { return a.String() != "127.0.0.7" && a.String() != "192.0.2.1" },
		Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.9/32")},
	})
	if got := ended(h.connect(t, "127.0.0.7")); got != "" {
		t.Errorf("got %q", got)
	}
	c := h.connect(t, "127.0.0.9")
	if _, err := io.WriteString(c, fromV1); err != nil {
		t.Fatal(err)
	}
	if got := ended(c); got != "" {
		t.Errorf("behind a proxy: %q", got)
	}
	if got := ask(t, h.connect(t, "127.0.0.8")); got != "127.0.0.8" {
		t.Errorf("somebody else: %q", got)
	}
}

// A reload changes what happens to connections that come from then on.
func TestSetPolicy(t *testing.T) {
	server, client := settings(t)
	h := build(t, 10, nil)
	old := h.connect(t, "127.0.0.1")
	if got := ask(t, old); got != "127.0.0.1" {
		t.Fatal(got)
	}
	p := *h.Policy()
	p.TLS = server
	h.SetPolicy(&p)
	if got := ask(t, tls.Client(h.connect(t, "127.0.0.1"), client)); got != "127.0.0.1" {
		t.Errorf("got %q", got)
	}
	if got := ask(t, old); got != "127.0.0.1" {
		t.Errorf("the old connection: %q", got)
	}
}

// A listener that fails tells so.
func TestAcceptFails(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := New(l, &Policy{}, NewWaiting(func() int { return 0 }, nil, nil), &Peers{})
	l.Close()
	if _, err := d.Accept(); err == nil || !strings.Contains(fmt.Sprint(err), "closed") {
		t.Errorf("got %v", err)
	}
	d.Close()
	d.Wait()
}
