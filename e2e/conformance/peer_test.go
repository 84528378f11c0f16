package conformance

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"time"
)

// readTimeout is the time limit for every wait of a peer. It does not affect a correct result, because the tested side responds
// immediately. The tested side's own timeout is three minutes, so that its effect cannot be mistaken for a response.
const readTimeout = time.Minute

// cut is the way in which the peer distributes its bytes over writes, and whether it uses TLS.
type cut int

const (
	asWritten cut = iota // as the case specifies
	bytewise             // one byte per write
	joined               // one write between two waits; the first one includes the opening handshake
	overTLS              // as the case specifies, over TLS
)

func (c cut) String() string {
	return [...]string{"as written", "byte by byte", "joined", "over TLS"}[c]
}

// role is the role of the tested side.
type role int

const (
	testServer role = iota
	testClient
)

func (r role) String() string { return [...]string{"server", "client"}[r] }

// peer is the suite's end of a connection to the library. The first error is stored in err and turns all later calls into no-ops, so
// that a script need not check for errors.
type peer struct {
	conn   net.Conn
	in     reader
	role   role // the role of the tested side; the peer has the opposite role
	cut    cut
	zip    *compressor  // nil means that permessage-deflate was not negotiated
	out    []byte       // bytes that the next flush writes
	answer func() error // reads the response to the opening handshake; nil if the response has been read
	ended  bool         // the end of the TCP connection was read
	broken bool         // a write failed: nothing more is written, and the next read shows what the library did
	err    error
}

func newPeer(conn net.Conn, r role, c cut) *peer {
	p := &peer{conn: conn, role: r, cut: c}
	p.in = reader{br: bufio.NewReaderSize(conn, 64<<10), masked: r == testClient, keys: map[[4]byte]int{}}
	return p
}

func (p *peer) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, args...)
	}
}

// send writes frames in one write.
func (p *peer) send(frames ...frame) { p.sendChopped(0, frames...) }

// sendEach writes each frame with a separate write.
func (p *peer) sendEach(frames ...frame) {
	for _, f := range frames {
		p.send(f)
	}
}

// sendChopped writes frames with size bytes per write.
func (p *peer) sendChopped(size int, frames ...frame) {
	if p.err != nil {
		return
	}
	b, _ := outgoing.Get().(*[]byte)
	if b == nil {
		b = new([]byte)
	}
	n := 16
	for _, f := range frames {
		n += len(f.payload) + 16
	}
	*b = slices.Grow((*b)[:0], n)
	for _, f := range frames {
		*b = p.appendFrame(*b, f)
	}
	p.raw(size, *b)
	outgoing.Put(b)
}

// outgoing is a pool of the buffers in which peers build their frames: with the race detector, allocations are expensive.
var outgoing sync.Pool

func (p *peer) appendFrame(dst []byte, f frame) []byte {
	masked := p.role == testServer // §5.1: a client masks, a server does not
	return appendFrame(dst, f, masked != f.flip)
}

// pieces returns the bytes of f, split at offsets of the payload. The first piece includes the header.
func (p *peer) pieces(f frame, at ...int) [][]byte {
	b := p.appendFrame(nil, f)
	start := len(b) - len(f.payload)
	var pieces [][]byte
	from := 0
	for _, n := range at {
		pieces = append(pieces, b[from:start+n])
		from = start + n
	}
	return append(pieces, b[from:])
}

// raw writes b unchanged, with size bytes per write; 0 means a single write.
func (p *peer) raw(size int, b []byte) {
	switch p.cut {
	case joined:
		p.out = append(p.out, b...)
		return
	case bytewise:
		size = 1
	}
	p.write(size, b)
}

func (p *peer) write(size int, b []byte) {
	if size == 0 {
		size = len(b)
	}
	for len(b) > 0 && p.err == nil && !p.broken {
		p.conn.SetWriteDeadline(time.Now().Add(readTimeout))
		n, err := p.conn.Write(b[:min(size, len(b))])
		b = b[n:]
		if errors.Is(err, os.ErrDeadlineExceeded) {
			p.fail("%d bytes could not be written: the other side does not read", len(b))
		}
		p.broken = err != nil
	}
}

// next returns the next event.
func (p *peer) next() (event, bool) {
	p.flush()
	if p.answer != nil && p.err == nil {
		p.conn.SetReadDeadline(time.Now().Add(readTimeout))
		p.err, p.answer = p.answer(), nil
	}
	if p.err != nil {
		return event{}, false
	}
	p.conn.SetReadDeadline(time.Now().Add(readTimeout))
	e, err := p.in.next()
	if err != nil {
		p.err = err
	}
	p.ended = p.ended || e.kind == kindEnd || e.kind == kindReset
	return e, p.err == nil
}

// flush writes the bytes in p.out.
func (p *peer) flush() {
	if len(p.out) > 0 {
		p.write(0, p.out)
		p.out = nil
	}
}

// want waits for exactly these events, in this order.
func (p *peer) want(list ...expectation) {
	for _, x := range list {
		e, ok := p.next()
		switch {
		case !ok && errors.Is(p.err, os.ErrDeadlineExceeded):
			p.err = fmt.Errorf("nothing came, and not %v", x)
		case ok && !x.met(e):
			p.fail("%v came, and not %v", e, x)
		}
		if p.err != nil {
			return
		}
	}
}

// close begins and completes the closing handshake with code 1000.
func (p *peer) close() {
	p.send(closing(1000, ""))
	p.want(closeWith(1000))
	p.end()
}

// end waits for the orderly close of the TCP connection after both close frames. The server closes TCP first (RFC 6455 §7.1.1).
func (p *peer) end() {
	p.finish(kindEnd)
}

// endOrReset does the same as end, but also accepts a TCP reset, because the peer has sent bytes that the other side need not read.
func (p *peer) endOrReset() {
	p.finish(kindEnd, kindReset)
}

func (p *peer) finish(kinds ...kind) {
	p.flush()
	if p.role == testClient {
		p.halfClose()
	}
	p.want(expectation{kinds: kinds})
}

// halfClose closes the peer's direction of the TCP connection.
func (p *peer) halfClose() {
	p.flush()
	if half, ok := p.conn.(interface{ CloseWrite() error }); ok && p.err == nil {
		_ = half.CloseWrite() // an error means that the connection has already ended, which the next read shows
	}
}

// failed waits for the library to fail the connection with one of codes: a close frame, and then the close of the TCP connection.
//
// A server must close the TCP connection without receiving anything else from the peer: RFC 6455 §7.1.7 forbids it to process more
// data, "including a responding Close frame". A client may wait until the peer has sent a close frame and closed the TCP connection.
func (p *peer) failed(codes ...int) {
	p.want(closeWith(codes...))
	if p.role == testClient {
		p.send(closing(1000, ""))
	}
	p.endOrReset()
}
