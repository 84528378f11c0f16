package websocket

import (
	"bufio"
	"bytes"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"
)

// scriptedConn is a connection on which a client's bytes arrive in pieces, followed by EOF. It records the bytes that the server
// writes.
type scriptedConn struct {
	in     []byte
	piece  int // 0 means that all bytes arrive in one piece
	mu     sync.Mutex
	out    bytes.Buffer
	closed chan struct{}
	wrote  chan struct{} // closed at the first write, unless nil
	once   sync.Once
	open   bool // EOF does not arrive: Read waits for Close
	local  net.TCPAddr
	remote net.TCPAddr
}

func newScriptedConn(in []byte, piece int) *scriptedConn {
	return &scriptedConn{in: in, piece: piece, closed: make(chan struct{}), remote: net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4711}}
}

func (s *scriptedConn) Read(p []byte) (int, error) {
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

func (s *scriptedConn) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.out.Write(p)
	if s.wrote != nil {
		close(s.wrote)
		s.wrote = nil
	}
	return n, err
}

// written returns the bytes that the server has written.
func (s *scriptedConn) written() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.String()
}

func (s *scriptedConn) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

func (s *scriptedConn) SetDeadline(time.Time) error      { return nil }
func (s *scriptedConn) SetReadDeadline(time.Time) error  { return nil }
func (s *scriptedConn) SetWriteDeadline(time.Time) error { return nil }
func (s *scriptedConn) LocalAddr() net.Addr              { return &s.local }
func (s *scriptedConn) RemoteAddr() net.Addr             { return &s.remote }

const browserHead = "GET /chat HTTP/1.1\r\nHost: server.example.com\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0\r\nAccept: */*\r\n" +
	"Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nSec-WebSocket-Version: 13\r\n" +
	"Origin: http://server.example.com\r\nSec-WebSocket-Protocol: chat, superchat\r\n" +
	"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nConnection: keep-alive, Upgrade\r\nCookie: a=b\r\n" +
	"Sec-Fetch-Dest: empty\r\nSec-Fetch-Mode: websocket\r\nSec-Fetch-Site: same-origin\r\n" +
	"Pragma: no-cache\r\nCache-Control: no-cache\r\nUpgrade: websocket\r\n\r\n"

// pipeListener is a listener in memory.
type pipeListener struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (p *pipeListener) Accept() (net.Conn, error) {
	select {
	case nc := <-p.conns:
		return nc, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipeListener) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

// dial returns the client's end of a new connection.
func (p *pipeListener) dial() net.Conn {
	near, far := net.Pipe()
	p.conns <- far
	return near
}

// dialRaw connects to addr. The connection is closed when the test ends.
func dialRaw(t *testing.T, addr string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(testTimeout))
	return nc
}

// readResponse reads the first response on nc.
func readResponse(t *testing.T, nc net.Conn) (*http.Response, *bufio.Reader) {
	t.Helper()
	br := bufio.NewReader(nc)
	r, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r, br
}

// logLines receives the lines that a logger writes.
type logLines chan string

func (l logLines) Write(p []byte) (int, error) {
	select {
	case l <- string(p):
	default: // there are more lines than the test expects
	}
	return len(p), nil
}

func (l logLines) logger() *log.Logger { return log.New(l, "", 0) }
