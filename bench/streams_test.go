package bench_test

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket/frame"
)

const (
	sampleKey = "dGhlIHNhbXBsZSBub25jZQ==" // RFC 6455 §1.3
	request   = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: " + sampleKey + "\r\nSec-WebSocket-Version: 13\r\n\r\n"
)

// parsedRequest returns request as net/http passes it to a handler.
func parsedRequest(b testing.TB) *http.Request {
	b.Helper()
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader([]byte(request))))
	if err != nil {
		b.Fatal(err)
	}
	return r
}

// appendFrame appends a whole binary message in one frame, masked as a client's must be.
func appendFrame(dst, payload []byte, masked bool) []byte {
	h := frame.Header{Fin: true, Opcode: frame.Binary, Masked: masked, Length: int64(len(payload))}
	if masked {
		h.Key = [4]byte{0x37, 0xfa, 0x21, 0x3d}
	}
	dst = frame.Append(dst, h)
	dst = append(dst, payload...)
	if masked {
		frame.Mask(dst[len(dst)-len(payload):], h.Key)
	}
	return dst
}

// readFrames reads the frames of one message into buf, and returns its payload.
func readFrames(r *bufio.Reader, buf []byte) ([]byte, error) {
	buf = buf[:0]
	for {
		start, err := r.Peek(2)
		if err != nil {
			return buf, err
		}
		size := frame.Size(start[1])
		head, err := r.Peek(size)
		if err != nil {
			return buf, err
		}
		h, _, err := frame.Parse(head)
		if err != nil {
			return buf, err
		}
		if _, err := r.Discard(size); err != nil {
			return buf, err
		}
		var part []byte
		buf, part = grow(buf, int(h.Length))
		if _, err := io.ReadFull(r, part); err != nil {
			return buf, err
		}
		if h.Masked {
			frame.Mask(part, h.Key)
		}
		if h.Fin {
			return buf, nil
		}
	}
}

// grow extends buf by n bytes, and returns the extended buffer and the new bytes.
func grow(buf []byte, n int) (all, added []byte) {
	had := len(buf)
	if cap(buf)-had < n {
		buf = append(make([]byte, 0, had+n), buf...)
	}
	buf = buf[:had+n]
	return buf, buf[had:]
}

// A loop is a stream without a kernel: its reads return the same bytes repeatedly, its writes are discarded.
type loop struct {
	frames []byte
	off    int
	closed atomic.Bool
}

// newLoop returns a stream of masked messages with the given payload, repeated often enough to fill any buffer.
func newLoop(payload []byte) *loop {
	l := &loop{}
	for len(l.frames) < 1<<18 {
		l.frames = appendFrame(l.frames, payload, true)
	}
	return l
}

func (l *loop) Read(p []byte) (int, error) {
	if l.closed.Load() || len(l.frames) == 0 {
		return 0, io.EOF
	}
	n := copy(p, l.frames[l.off:])
	l.off = (l.off + n) % len(l.frames)
	return n, nil
}

func (l *loop) Write(p []byte) (int, error) {
	if l.closed.Load() {
		return 0, net.ErrClosed
	}
	return len(p), nil
}

func (l *loop) Close() error {
	l.closed.Store(true)
	return nil
}

var loopAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}

func (l *loop) LocalAddr() net.Addr              { return loopAddr }
func (l *loop) RemoteAddr() net.Addr             { return loopAddr }
func (l *loop) SetDeadline(time.Time) error      { return nil }
func (l *loop) SetReadDeadline(time.Time) error  { return nil }
func (l *loop) SetWriteDeadline(time.Time) error { return nil }

// A hijacker is the http.ResponseWriter of a server that has read a request from conn.
type hijacker struct {
	header http.Header
	conn   net.Conn
	rw     *bufio.ReadWriter
}

func newHijacker(conn net.Conn) *hijacker {
	return &hijacker{http.Header{}, conn, bufio.NewReadWriter(bufio.NewReader(conn), bufio.NewWriter(conn))}
}

func (h *hijacker) Header() http.Header         { return h.header }
func (h *hijacker) Write(p []byte) (int, error) { return h.rw.Write(p) }

// WriteHeader is for libraries that let net/http write the response: Hijack sends it.
func (h *hijacker) WriteHeader(status int) {
	fmt.Fprintf(h.rw, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	_ = h.header.Write(h.rw) // an error stays in h.rw, and Flush returns it
	_, _ = h.rw.WriteString("\r\n")
}

func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, h.rw, h.rw.Flush()
}

// tcpPair returns both ends of a connection over the loopback interface.
func tcpPair(b testing.TB) (server, client net.Conn) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		b.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		b.Fatal(err)
	}
	return server, client
}

func pipePair(testing.TB) (server, client net.Conn) { return net.Pipe() }

// readReply reads the response to request.
func readReply(r *bufio.Reader) error {
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return err
	}
	resp.Body.Close() // a 101 response has no body
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return errors.New("the server answers " + resp.Status)
	}
	return nil
}

// answer reads a client's opening handshake from r and writes the response to w.
func answer(r *bufio.Reader, w io.Writer) error {
	req, err := http.ReadRequest(r)
	if err != nil {
		return err
	}
	sum := sha1.Sum([]byte(req.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	_, err = io.WriteString(w, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Accept: "+base64.StdEncoding.EncodeToString(sum[:])+"\r\n\r\n")
	return err
}
