package websocket

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// sink is a connection that accepts all data and on which no data arrives.
type sink struct {
	net.Conn
	closed chan struct{}
}

func (s *sink) Read([]byte) (int, error) {
	<-s.closed
	return 0, io.EOF
}
func (s *sink) Write(b []byte) (int, error)      { return len(b), nil }
func (s *sink) SetDeadline(time.Time) error      { return nil }
func (s *sink) SetReadDeadline(time.Time) error  { return nil }
func (s *sink) SetWriteDeadline(time.Time) error { return nil }
func (s *sink) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (s *sink) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (s *sink) Close() error {
	select {
	case <-s.closed:
	default:
		close(s.closed)
	}
	return nil
}

// hijackWriter is a ResponseWriter whose Hijack always returns the same connection.
type hijackWriter struct {
	nc  *sink
	brw *bufio.ReadWriter
	h   http.Header
}

func (t *hijackWriter) Header() http.Header                          { return t.h }
func (t *hijackWriter) Write(b []byte) (int, error)                  { return len(b), nil }
func (t *hijackWriter) WriteHeader(int)                              {}
func (t *hijackWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) { return t.nc, t.brw, nil }
func browserRequest(tb testing.TB) *http.Request {
	head := "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nOrigin: http://server.example.com\r\n" +
		"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nSec-WebSocket-Protocol: chat, superchat\r\n" +
		"User-Agent: Mozilla/5.0\r\nAccept-Encoding: gzip, deflate\r\nCookie: a=b\r\nCache-Control: no-cache\r\n\r\n"
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// BenchmarkAccept measures Accept alone: it checks a browser's request and responds to it, and the Conn is discarded.
func BenchmarkAccept(b *testing.B) {
	r := browserRequest(b)
	opts := &AcceptOptions{Subprotocols: []string{"superchat", "chat"}}
	w := &hijackWriter{h: http.Header{}, brw: bufio.NewReadWriter(bufio.NewReader(nil), bufio.NewWriter(nil))}
	b.ReportAllocs()
	for b.Loop() {
		w.nc = &sink{closed: make(chan struct{})}
		c, err := Accept(w, r, opts)
		if err != nil {
			b.Fatal(err)
		}
		c.CloseNow()
	}
}

// BenchmarkDial measures a complete handshake on loopback: a new TCP connection, net/http's server with Accept, and Dial.
func BenchmarkDial(b *testing.B) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := Accept(w, r, nil); err == nil {
			c.CloseNow()
		}
	}))
	defer s.Close()
	opts := &DialOptions{Proxy: noProxy}
	b.ReportAllocs()
	for b.Loop() {
		c, err := Dial(context.Background(), s.URL, opts)
		if err != nil {
			b.Fatal(err)
		}
		c.CloseNow()
	}
}
