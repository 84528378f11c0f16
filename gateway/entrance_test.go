package gateway

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

const (
	balanced = `
listen:
	- {address: "127.0.0.1:0", hosts: any, tls: off, proxy_protocol: {from: [127.0.0.9]}}
endpoints:
	- {path: /open, target: echo, auth: [anonymous]}
`
	fromV1 = "PROXY TCP4 192.0.2.1 198.51.100.2 56286 443\r\n"
	fromV2 = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\xc6\x33\x64\x02\xdb\xde\x01\xbb"
	missed = "GET /missing HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)

// readStatus returns the status of the response on a connection, or 0 if there is none.
func readStatus(t *testing.T, nc net.Conn) int {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

// The client address in a PROXY header is recorded whether or not the client reaches a handler.
func TestProxyHeaders(t *testing.T) {
	r := run(t, parse(t, balanced))
	to := strings.TrimPrefix(r.URLs()[0], "http://")
	for _, tt := range []struct {
		name, from, text string
		status           int
		addr, via, stage string
		hint             string
	}{
		{"version 1", "127.0.0.9", fromV1 + missed, 404, "192.0.2.1", "127.0.0.9", "request", ""},
		{"version 2", "127.0.0.9", fromV2 + missed, 404, "192.0.2.7", "127.0.0.9", "request", ""},
		{"a health check", "127.0.0.9", "PROXY UNKNOWN\r\n" + missed, 404, "127.0.0.9", "", "request", ""},
		{"none needed", "127.0.0.8", missed, 404, "127.0.0.8", "", "request", ""},
		{"not trusted", "127.0.0.8", fromV1, 400, "127.0.0.8", "", "request", "explain"},
		{"malformed behind the header", "127.0.0.9", fromV1 + "nonsense\r\n\r\n", 400, "192.0.2.1", "127.0.0.9", "request", "explain"},
		{"missing", "127.0.0.9", missed, 0, "127.0.0.9", "", "proxy", "remove its address"},
		{"broken", "127.0.0.9", "PROXY TCP4 localhost 127.0.0.1 1 1\r\n", 0, "127.0.0.9", "", "proxy", "malformed PROXY header"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := len(r.rec.refused.List())
			nc := send(t, to, tt.from, tt.text)
			if got := readStatus(t, nc); got != tt.status {
				t.Errorf("status %d, want %d", got, tt.status)
			}
			bounded.Until(t, func() bool { return len(r.rec.refused.List()) > before })
			if got := r.rec.refused.List()[0]; got.Addr != tt.addr || got.Via != tt.via || got.Stage != tt.stage || got.Status != tt.status ||
				!strings.Contains(got.Hint, tt.hint) {
				t.Errorf("remembered %+v", got)
			}
		})
	}
}

// An address that opens too many connections is disconnected without a response; behind a balancer, that address is the one in the PROXY
// header.
func TestArrivals(t *testing.T) {
	r := run(t, parse(t, balanced+"limits: {handshakes_per_second: 0.001}\n"))
	to := strings.TrimPrefix(r.URLs()[0], "http://")
	for _, tt := range []struct{ from, header string }{{"127.0.0.9", fromV1}, {"127.0.0.8", ""}} {
		for i := range 2 * arrivals * burst(0) {
			got := readStatus(t, send(t, to, tt.from, tt.header+missed))
			if cut := i >= arrivals*burst(0); cut != (got == 0) {
				t.Fatalf("connection %d of %s: %d", i, tt.from, got)
			}
		}
	}
	if got := readStatus(t, send(t, to, "127.0.0.9", fromV2+missed)); got != 404 {
		t.Errorf("another client of the balancer: %d", got)
	}
	for _, got := range r.rec.refused.List() {
		if got.Stage != "request" {
			t.Errorf("remembered %+v", got)
		}
	}
}

// runTLS runs a server with TLS that expects a PROXY header from 127.0.0.9, and returns its address and the certificates to trust.
func runTLS(t *testing.T, targets map[string]newTarget, change func(*config.Config)) (r *running, to string, trust *tls.Config) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	cfg := parse(t, strings.Replace(balanced, "tls: off", "tls: dev", 1))
	if change != nil {
		change(cfg)
	}
	r = runTargets(t, cfg, targets)
	pool := x509.NewCertPool()
	pool.AddCert(r.Dev().CA())
	return r, strings.TrimPrefix(r.URLs()[0], "https://"), &tls.Config{RootCAs: pool, ServerName: "localhost"}
}

// The PROXY header precedes the TLS handshake.
func TestProxyHeaderBeforeTLS(t *testing.T) {
	r, to, trust := runTLS(t, nil, nil)
	nc := tls.Client(send(t, to, "127.0.0.9", fromV1), trust)
	if _, err := io.WriteString(nc, missed); err != nil {
		t.Fatal(err)
	}
	if got := readStatus(t, nc); got != 404 {
		t.Errorf("status %d", got)
	}
	bounded.Until(t, func() bool { return len(r.rec.refused.List()) == 1 })
	if got := r.rec.refused.List()[0]; got.Addr != "192.0.2.1" || got.Via != "127.0.0.9" {
		t.Errorf("remembered %+v", got)
	}
	// The TLS handshake is with the client behind the balancer.
	nc = tls.Client(send(t, to, "127.0.0.9", fromV2), &tls.Config{ServerName: "localhost"})
	if err := nc.HandshakeContext(bounded.Context(t)); err == nil {
		t.Error("the client trusts the certificate")
	}
	bounded.Until(t, func() bool { return len(r.rec.refused.List()) == 2 })
	if got := r.rec.refused.List()[0]; got.Addr != "192.0.2.7" || got.Via != "127.0.0.9" || got.Stage != "tls" {
		t.Errorf("remembered %+v", got)
	}
}

// The PROXY header and the TLS handshake share a time limit.
func TestTLSTimeout(t *testing.T) {
	r, to, _ := runTLS(t, nil, func(c *config.Config) { c.HTTP.TLSTimeout = config.Duration(50 * time.Millisecond) })
	for from, stage := range map[string]string{"127.0.0.9": "proxy", "127.0.0.8": "tls"} {
		before := len(r.rec.refused.List())
		if got := readStatus(t, send(t, to, from, "PROX")); got != 0 {
			t.Errorf("status %d", got)
		}
		bounded.Until(t, func() bool { return len(r.rec.refused.List()) > before })
		if got := r.rec.refused.List()[0]; got.Stage != stage || !strings.Contains(got.Hint, "too slow") {
			t.Errorf("remembered %+v", got)
		}
	}
}

// proxyHeaderOptions returns options for a client that connects from a loopback address, and sends a header first.
func proxyHeaderOptions(addr, header string) *websocket.DialOptions {
	opts := withLocalAddr(addr, nil)
	dial := opts.DialContext
	opts.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err == nil {
			_, err = io.WriteString(c, header)
		}
		return c, err
	}
	return opts
}

// echoReceiver is a Receiver that echoes messages.
type echoReceiver struct{ to websocket.Sender }

func (a echoReceiver) Message(m websocket.Message) error { return a.to.Send(m) }
func (a echoReceiver) Closed(*websocket.CloseError)      {}

// A TLS connection of a target with events is served by the event loop on systems that have one: no goroutine waits for it.
func TestEventsOverTLS(t *testing.T) {
	senders := make(chan websocket.Sender, 1)
	events := &fakeTarget{open: func(context.Context, *Request) (*Opened, error) {
		return &Opened{Open: func(s websocket.Sender) websocket.Receiver {
			senders <- s.(*eventClient).Sender // the gateway wraps the Sender to count messages
			return echoReceiver{s}
		}}, nil
	}}
	r, to, trust := runTLS(t, sameTarget(events), nil)
	for from, header := range map[string]string{"127.0.0.9": fromV1, "127.0.0.8": ""} {
		opts := proxyHeaderOptions(from, header)
		opts.TLS = trust
		c, err := websocket.Dial(bounded.Context(t), "wss://"+to+"/open", opts)
		if err != nil {
			t.Fatal(err)
		}
		s := bounded.Receive(t, senders)
		if onLoop := strings.HasSuffix(fmt.Sprintf("%T", s), ".eventConn"); onLoop != (runtime.GOOS == "linux") {
			t.Errorf("served by a %T", s)
		}
		wantEcho(t, c)
		want := "127.0.0.8"
		if header != "" {
			want = "192.0.2.1"
		}
		if got := r.addrs(t, 1); got[0] != want {
			t.Errorf("addresses %v, want %s", got, want)
		}
		if err := c.Close(websocket.CodeNormal, ""); err != nil {
			t.Error(err)
		}
		bounded.Until(t, func() bool { return r.conns.Len() == 0 })
	}
}

// A client that starts a TLS handshake on a port without TLS is recorded with a hint.
func TestTLSOnPlain(t *testing.T) {
	r := run(t, plainConfig("127.0.0.1:0"))
	d := tls.Dialer{Config: &tls.Config{ServerName: "localhost"}}
	if nc, err := d.DialContext(bounded.Context(t), "tcp", strings.TrimPrefix(r.URLs()[0], "http://")); err == nil {
		nc.Close()
		t.Fatal("a TLS handshake succeeded on a port without TLS")
	}
	bounded.Until(t, func() bool { return len(r.rec.refused.List()) > 0 })
	if got := r.rec.refused.List()[0]; got.Stage != "request" || got.Status != 400 || !strings.Contains(got.Hint, "ws://") {
		t.Errorf("remembered %+v", got)
	}
}

// A client that speaks HTTP on a TLS port gets a response, which is recorded.
func TestPlainOnTLS(t *testing.T) {
	r, to, _ := runTLS(t, nil, nil)
	for _, method := range []string{"GET", "HEAD", "POST"} {
		before := len(r.rec.refused.List())
		nc := send(t, to, "127.0.0.8", method+" / HTTP/1.1\r\nHost: localhost\r\n\r\n")
		b, err := io.ReadAll(nc)
		if err != nil || !bytes.HasPrefix(b, []byte("HTTP/1.1 400 Bad Request\r\n")) || bytes.Contains(b, []byte("This port speaks TLS")) == (method == "HEAD") {
			t.Errorf("%s: %q, %v", method, b, err)
		}
		bounded.Until(t, func() bool { return len(r.rec.refused.List()) > before })
		if got := r.rec.refused.List()[0]; got.Stage != "tls" || got.Status != 400 {
			t.Errorf("%s: remembered %+v", method, got)
		}
	}
}
