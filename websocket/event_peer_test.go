//go:build linux

package websocket

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket/frame"
)

// evPeer is a client that reads and writes raw bytes.
type evPeer struct {
	testing.TB
	net.Conn
}

// evConnect opens a TCP connection to addr.
func evConnect(t testing.TB, addr string) *evPeer {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	nc.SetDeadline(time.Now().Add(evTimeout))
	t.Cleanup(func() { nc.Close() })
	return &evPeer{t, nc}
}

// evUpgraded opens a WebSocket connection.
func evUpgraded(t testing.TB, addr string) *evPeer {
	t.Helper()
	p := evConnect(t, addr)
	p.send(evRequest + "\r\n")
	if head := p.head(); !strings.HasPrefix(head, "HTTP/1.1 101 ") {
		t.Fatalf("the answer is %q", head)
	}
	return p
}

func (p *evPeer) send(parts ...string) {
	p.Helper()
	if _, err := io.WriteString(p.Conn, strings.Join(parts, "")); err != nil {
		p.Fatalf("the peer cannot write: %v", err)
	}
}

// head reads up to and including an empty line.
func (p *evPeer) head() string {
	p.Helper()
	var b []byte
	for !bytes.HasSuffix(b, []byte("\r\n\r\n")) {
		b = append(b, p.take(1)...)
	}
	return string(b)
}

func (p *evPeer) take(n int) []byte {
	p.Helper()
	b := make([]byte, n)
	if got, err := io.ReadFull(p.Conn, b); err != nil {
		p.Fatalf("the peer cannot read: %v after %d of %d bytes", err, got, n)
	}
	return b
}

// next reads one frame.
func (p *evPeer) next() (frame.Header, string) {
	p.Helper()
	b := p.take(2)
	b = append(b, p.take(frame.Size(b[1])-2)...)
	h, n, err := frame.Parse(b)
	if n != len(b) {
		p.Fatalf("a bad header % x: %v", b, err)
	}
	return h, string(p.take(int(h.Length)))
}

func (p *evPeer) expect(op frame.Opcode, payload string) {
	p.Helper()
	if h, got := p.next(); h.Opcode != op || got != payload || !h.Fin || h.Masked {
		p.Errorf("got %+v %q, want %v %q", h, got, op, payload)
	}
}

// expectEOF checks that the server has closed its side with a FIN, and closes the client's side, for which the server waits.
func (p *evPeer) expectEOF() {
	p.Helper()
	if b, err := io.ReadAll(p.Conn); err != nil || len(b) > 0 {
		p.Errorf("the stream ends with %q, %v", b, err)
	}
	p.Conn.Close()
}
