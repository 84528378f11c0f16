package gateway

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/gateway/internal/registry"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/observe"
	"github.com/handfast/handfast/websocket"
)

func dial(t *testing.T, s *Server, opts *websocket.DialOptions) *websocket.Conn {
	t.Helper()
	c, err := websocket.Dial(bounded.Context(t), s.URLs()[0]+"/echo", opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow() })
	return c
}

func TestEcho(t *testing.T) {
	s, _ := start(t, Options{})
	c := dial(t, s, &websocket.DialOptions{Conn: websocket.ConnOptions{MaxMessage: (16 << 20)}})
	for _, m := range []websocket.Message{
		{Type: websocket.Text, Data: []byte("hello")},
		{Type: websocket.Text, Data: []byte{}},
		{Type: websocket.Binary, Data: []byte{0, 255, 128}},
		{Type: websocket.Text, Data: bytes.Repeat([]byte("\u20ac"), 100_000)}, // characters span the pieces
		{Type: websocket.Binary, Data: bytes.Repeat([]byte{7}, (16<<20)/8)},
	} {
		sent := make(chan error, 1)
		go func() { sent <- c.Write(bounded.Context(t), m) }()
		got, err := c.Read(bounded.Context(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := bounded.Receive(t, sent); err != nil {
			t.Fatal(err)
		}
		if got.Type != m.Type || !bytes.Equal(got.Data, m.Data) {
			t.Errorf("%s of %d bytes came back as %s of %d", m.Type, len(m.Data), got.Type, len(got.Data))
		}
	}
}

func TestEchoTooBig(t *testing.T) {
	s, _ := start(t, Options{})
	c := dial(t, s, &websocket.DialOptions{Conn: websocket.ConnOptions{MaxMessage: -1}})
	go func() {
		_ = c.Write(bounded.Context(t), websocket.Message{Type: websocket.Binary, Data: make([]byte, (16<<20)+1)})
	}()
	if _, err := c.Read(bounded.Context(t)); websocket.CloseCode(err) != websocket.CodeTooBig {
		t.Errorf("got %v", err)
	}
}

func TestDevTLS(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	cfg := plainConfig("localhost:0")
	cfg.Listen[0].TLS.Mode = config.TLSDev
	s, _ := start(t, Options{Config: cfg})
	if s.Dev() == nil || !strings.HasPrefix(s.URLs()[0], "https://localhost:") {
		t.Fatalf("URLs %q", s.URLs())
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.Dev().CA())
	c := dial(t, s, &websocket.DialOptions{TLS: &tls.Config{RootCAs: roots}})
	if err := c.Write(bounded.Context(t), websocket.Message{Type: websocket.Text, Data: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	if m, err := c.Read(bounded.Context(t)); err != nil || string(m.Data) != "x" || c.Handshake().TLS.Version != tls.VersionTLS13 {
		t.Errorf("got %q, %v", m.Data, err)
	}
	if err := c.Close(websocket.CodeNormal, ""); err != nil {
		t.Error(err)
	}
}

func TestOrigins(t *testing.T) {
	cfg := plainConfig("127.0.0.1:0")
	cfg.Endpoints[0].Origins.List = []config.Origin{"https://good.example"}
	s, _ := start(t, Options{Config: cfg})
	for _, tt := range []struct {
		origin string
		good   bool
	}{
		{"", true},
		{s.URLs()[0], true},
		{"https://good.example", true},
		{"http://good.example", false},
		{"https://evil.example", false},
		{"null", false},
	} {
		header := http.Header{}
		if tt.origin != "" {
			header.Set("Origin", tt.origin)
		}
		c, err := websocket.Dial(bounded.Context(t), s.URLs()[0]+"/echo", &websocket.DialOptions{Header: header})
		if err == nil {
			c.CloseNow()
		}
		var e *websocket.HandshakeError
		if (err == nil) != tt.good || (err != nil && (!errors.As(err, &e) || e.Status != http.StatusForbidden)) {
			t.Errorf("%q: %v", tt.origin, err)
		}
	}
}

func TestMaxConns(t *testing.T) {
	cfg := plainConfig("127.0.0.1:0")
	cfg.Limits.Connections = 1
	var log output
	s, _ := start(t, Options{Config: cfg, Log: slog.New(slog.NewTextHandler(&log, nil))})
	first := dial(t, s, nil)
	for range 2 {
		_, err := websocket.Dial(bounded.Context(t), s.URLs()[0]+"/echo", nil)
		var e *websocket.HandshakeError
		if !errors.As(err, &e) || e.Status != http.StatusServiceUnavailable || e.Header.Get("Retry-After") == "" {
			t.Fatalf("the second connection: %v", err)
		}
	}
	waitForLog(t, &log, observe.EventFull, "setting=limits.connections", "HANDFAST_LIMITS_CONNECTIONS")
	if n := strings.Count(log.String(), observe.EventFull); n != 1 {
		t.Errorf("logged %d times", n)
	}
	if err := first.Close(websocket.CodeNormal, ""); err != nil {
		t.Fatal(err)
	}
	for { // the slot is released when the handler has returned, a moment after the close
		c, err := websocket.Dial(bounded.Context(t), s.URLs()[0]+"/echo", nil)
		if err == nil {
			c.CloseNow()
			return
		}
	}
}

func TestRequests(t *testing.T) {
	s, _ := start(t, Options{})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, tt := range []struct {
		method, path string
		header       int // bytes of an added header
		status       int
		body         string
	}{
		{"GET", "/", 0, 200, "<title>handfast</title>"},
		{"GET", "/echo", 0, 426, "not a WebSocket request"},
		{"POST", "/", 0, 405, ""},
		{"GET", "/nothing", 0, 404, "404 Not Found\n\nThere is no endpoint and no page at this path.\nNext step: "},
		{"PUT", "/console/console.js", 0, 405, ""},
		{"GET", "/", 16 << 10, 200, ""},
		{"GET", "/", 64 << 10, 431, ""},
	} {
		req, err := http.NewRequestWithContext(t.Context(), tt.method, s.URLs()[0]+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Filler", strings.Repeat("x", tt.header))
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != tt.status || !strings.Contains(string(body), tt.body) {
			t.Errorf("%s %s: %d %q %v", tt.method, tt.path, resp.StatusCode, body, err)
		}
	}
}

func TestStopClosesWith1001(t *testing.T) {
	s, stop := start(t, Options{})
	conns := make([]*websocket.Conn, 20)
	for i := range conns {
		conns[i] = dial(t, s, nil)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	for _, c := range conns {
		_, err := c.Read(bounded.Context(t))
		var e *websocket.CloseError
		if !errors.As(err, &e) || e.Code != websocket.CodeGoingAway || !e.ByPeer || e.Err != nil || e.Reason == "" {
			t.Errorf("got %v", err)
		}
	}
	if err := bounded.Receive(t, stopped); err != nil {
		t.Error(err)
	}
	if _, err := websocket.Dial(bounded.Context(t), s.URLs()[0]+"/echo", nil); err == nil {
		t.Error("the server still accepts connections")
	}
}

// dialWithoutReader opens a WebSocket without the library, and never answers the server.
func dialWithoutReader(t *testing.T, s *Server) net.Conn {
	t.Helper()
	var d net.Dialer
	nc, err := d.DialContext(bounded.Context(t), "tcp", s.entrance.bound[0].ports[0].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_, err = io.WriteString(nc, "GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	head := make([]byte, len("HTTP/1.1 101"))
	if _, err := io.ReadFull(nc, head); err != nil || string(head) != "HTTP/1.1 101" {
		t.Fatalf("%q, %v", head, err)
	}
	return nc
}

func TestStopIsBounded(t *testing.T) {
	cfg := plainConfig("127.0.0.1:0")
	cfg.Drain.Timeout = config.Duration(50 * time.Millisecond)
	s, stop := start(t, Options{Config: cfg})
	nc := dialWithoutReader(t, s)
	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, err := io.Copy(io.Discard, nc); err != nil && !errors.Is(err, net.ErrClosed) && !strings.Contains(err.Error(), "reset") {
		t.Errorf("the connection was not cut: %v", err)
	}
}

func TestCloseCutsTheStopShort(t *testing.T) {
	cfg := plainConfig("127.0.0.1:0")
	cfg.Drain.Timeout = config.Duration(time.Hour)
	s, stop := start(t, Options{Config: cfg})
	nc := dialWithoutReader(t, s)
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	// The close frame follows the rest of the response header, because the drain has begun.
	var seen []byte
	buf := make([]byte, 256)
	for !bytes.Contains(seen, []byte(registry.Stopping)) {
		n, err := nc.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, buf[:n]...)
	}
	s.Close()
	if err := bounded.Receive(t, stopped); err != nil {
		t.Error(err)
	}
}

// A program that embeds the gateway without a configuration gets an error.
func TestOpenWithoutConfig(t *testing.T) {
	if s, err := Open(t.Context(), Options{}); s != nil || err == nil || !strings.Contains(err.Error(), "Options.Config is required") {
		t.Errorf("Open without a configuration: %v, %v", s, err)
	}
}
