package websocket

import (
	"bytes"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// scripted is a connection on which a client's bytes come in pieces, and then its end. What the server writes is kept.
type scripted struct {
	in     []byte
	piece  int // 0: all at once
	out    bytes.Buffer
	closed chan struct{}
	wrote  chan struct{} // closed at the first write, unless nil
	once   sync.Once
	open   bool // the client's end does not come: Read waits for Close
	local  net.TCPAddr
	remote net.TCPAddr
}

func newScripted(in []byte, piece int) *scripted {
	return &scripted{in: in, piece: piece, closed: make(chan struct{}), remote: net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4711}}
}

func (s *scripted) Read(p []byte) (int, error) {
	if len(s.in) == 0 {
		if s.open {
			<-s.closed
			return 0, os.ErrClosed
		}
		return 0, io.EOF
	}
	n := len(s.in)
	if s.piece > 0 {
		n = min(n, s.piece)
	}
	n = copy(p, s.in[:n])
	s.in = s.in[n:]
	return n, nil
}

func (s *scripted) Write(p []byte) (int, error) {
	n, err := s.out.Write(p)
	if s.wrote != nil {
		close(s.wrote)
		s.wrote = nil
	}
	return n, err
}

func (s *scripted) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

func (s *scripted) SetDeadline(time.Time) error      { return nil }
func (s *scripted) SetReadDeadline(time.Time) error  { return nil }
func (s *scripted) SetWriteDeadline(time.Time) error { return nil }
func (s *scripted) LocalAddr() net.Addr              { return &s.local }
func (s *scripted) RemoteAddr() net.Addr             { return &s.remote }

const browserHead = "GET /chat HTTP/1.1\r\nHost: server.example.com\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0\r\nAccept: */*\r\n" +
	"Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nSec-WebSocket-Version: 13\r\n" +
	"Origin: http://server.example.com\r\nSec-WebSocket-Protocol: chat, superchat\r\n" +
	"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nConnection: keep-alive, Upgrade\r\nCookie: a=b\r\n" +
	"Sec-Fetch-Dest: empty\r\nSec-Fetch-Mode: websocket\r\nSec-Fetch-Site: same-origin\r\n" +
	"Pragma: no-cache\r\nCache-Control: no-cache\r\nUpgrade: websocket\r\n\r\n"

// An upgrade costs at most 8 allocations, from the accepted connection to the Handler with its Conn: here 6, with
// compression 7. A TCP connection adds two, for waiting without a buffer.
func TestService_Allocations(t *testing.T) {
	for compression, most := range map[*Compression]float64{nil: 6, {}: 7} {
		s := &Service{
			Accept:  AcceptOptions{Subprotocols: []string{"chat"}, Conn: ConnOptions{Compression: compression}},
			Handler: func(c *Conn) { c.CloseNow() },
		}
		s.mu.Lock()
		s.start()
		s.mu.Unlock()
		conns := make([]*scripted, 0, 101)
		for range cap(conns) {
			nc := newScripted([]byte(browserHead), 0)
			nc.out.Grow(512)
			conns = append(conns, nc)
		}
		got := testing.AllocsPerRun(len(conns)-1, func() {
			nc := conns[0]
			conns = conns[1:]
			s.slots <- struct{}{}
			s.open(nc, nil)
			<-nc.closed
		})
		if got--; got > most { // CloseNow's CloseError is not the upgrade's
			t.Errorf("compression %v: %v allocations, want %v", compression != nil, got, most)
		}
		s.Close()
	}
}
