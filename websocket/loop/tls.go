package loop

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Under is the connection on which to create a *tls.Conn, so that a loop can take its socket over:
//
//	conn := tls.Server(&loop.Under{Conn: socket}, config)
//
// Until the loop takes the socket over, an Under uses its Conn. An Under may be embedded, but must not be copied.
type Under struct {
	net.Conn
	mu     sync.Mutex   // held while a Read changes the following fields
	ended  bool         // the stream below TLS has ended
	cursor recordCursor // where in a record the next Read begins
}

// Read reads from the Conn.
func (u *Under) Read(p []byte) (int, error) {
	n, err := u.Conn.Read(p)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.cursor.advance(p[:n])
	if err == io.EOF { //nolint:errorlint // a socket returns io.EOF unwrapped
		u.ended = true
	}
	return n, err
}

func (u *Under) under() *Under { return u }

// underOf returns the Under of conn, or nil if conn is not based on one.
func underOf(conn *tls.Conn) *Under {
	if u, ok := conn.NetConn().(interface{ under() *Under }); ok {
		return u.under()
	}
	return nil
}

// ErrTruncated reports that a stream over TLS has ended without a close_notify, so that data may be missing (RFC 8446 §6.1). It
// wraps io.ErrUnexpectedEOF.
var ErrTruncated = fmt.Errorf("TLS ended without close_notify: %w", io.ErrUnexpectedEOF)

// Truncated returns ErrTruncated if a read of conn has returned err because the stream ended without a close_notify: crypto/tls itself
// reports such an end between two records as io.EOF. Otherwise, and if conn is not based on an [Under], it returns err. Only the reader of
// conn may call it.
func Truncated(conn *tls.Conn, err error) error {
	if err == nil || !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	if u := underOf(conn); u == nil || !u.ended {
		return err
	}
	return ErrTruncated
}

// recordRead is the size of one read below TLS: two records of the maximum size.
const recordRead = 32 << 10

var recordReads = sync.Pool{New: func() any { return new([recordRead]byte) }}

// TLS is the TLS layer of a descriptor, based on crypto/tls. Read returns ErrAgain if no data has arrived, and can then be called again.
// Written data is queued. An idle TLS holds no buffer of its own; crypto/tls holds a buffer as long as the longest record so far.
//
// A Handler with room for more data calls Read from Serve if the FD is Readable or More returns true. It calls Flush at the end of
// each visit, because Read may have queued a reply, such as to a key update (RFC 8446 §4.6.3).
//
// Only the holder calls Read and More. Write, CloseWrite, Flush and Drop require the FD's lock if several goroutines write. Lock order: the
// lock of an FD, then the lock of a TLS.
type TLS struct {
	conn  *tls.Conn
	under *Under
	fd    *FD

	// The following fields belong to the holder.
	in      *[recordRead]byte // in[r:w] contains the bytes that were read but not consumed by crypto/tls; nil if there are none
	r, w    int32
	drained bool // the kernel has no more data
	more    bool // crypto/tls may have more data, which the kernel does not report

	mu  sync.Mutex
	out *records // queued records; nil if there are none
}

// NewTLS returns the TLS layer of conn for a loop. The handshake of conn must be complete. socket must be passed to [Loops.Take],
// and On starts the TLS layer. If conn is not based on an [Under], NewTLS returns an error that wraps
// errors.ErrUnsupported. conn is unchanged until On.
func NewTLS(conn *tls.Conn) (t *TLS, socket net.Conn, err error) {
	u := underOf(conn)
	if u == nil {
		return nil, nil, fmt.Errorf("loop: TLS over a %T: %w", conn.NetConn(), errors.ErrUnsupported)
	}
	return &TLS{conn: conn, under: u, more: true}, u.Conn, nil
}

// On starts the TLS layer on f, which has been added at the place of the socket, or will be.
func (t *TLS) On(f *FD) {
	t.fd = f
	t.under.Conn = (*underTLS)(t)
}

// ConnectionState returns the state of the connection after its handshake.
func (t *TLS) ConnectionState() tls.ConnectionState { return t.conn.ConnectionState() }

// More reports whether Read may return data that the kernel does not report.
func (t *TLS) More() bool { return t.more }

// Read reads as many decrypted records as fit. It returns ErrAgain, possibly with data, if there are no more records. It returns io.EOF
// after a close_notify, and ErrTruncated at the end of a stream without one.
func (t *TLS) Read(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var k int
		k, err = t.conn.Read(p[n:])
		n += k
	}
	if err == nil {
		t.more = true
		return n, nil
	}
	if _, wouldBlock := errors.AsType[errWouldBlock](err); wouldBlock {
		t.more, t.drained = false, false
		return n, ErrAgain
	}
	if n > 0 {
		t.more = true // the next call returns the error again
		return n, nil
	}
	return n, Truncated(t.conn, err)
}

// Write encrypts and queues p. Flush sends it.
func (t *TLS) Write(p []byte) (int, error) { return t.conn.Write(p) }

// CloseWrite queues a close_notify. The caller closes the descriptor when everything has been sent.
func (t *TLS) CloseWrite() error { return t.conn.CloseWrite() }

// Queued returns the number of bytes of records in the queue.
func (t *TLS) Queued() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.out == nil {
		return 0
	}
	return len(t.out.b) - t.out.sent
}

// Flush sends the queue, and returns the number of bytes that the kernel has accepted, with ErrAgain if the queue is not empty. After any
// other error the queue is empty.
func (t *TLS) Flush() (n int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.out == nil {
		return 0, nil
	}
	if rest := t.out.b[t.out.sent:]; len(rest) > 0 {
		n, err = t.fd.Write(rest)
		if err == nil && n < len(rest) {
			err = ErrAgain
		}
		t.out.sent += n
	}
	if err == ErrAgain {
		t.out = t.out.compact()
		return n, err
	}
	t.out.free()
	t.out = nil
	return n, err
}

// Drop discards the queue.
func (t *TLS) Drop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.out.free()
	t.out = nil
}

// errWouldBlock is a temporary error, after which crypto/tls keeps its state and can continue later.
type errWouldBlock struct{}

func (errWouldBlock) Error() string   { return "loop: nothing to read at the moment" }
func (errWouldBlock) Timeout() bool   { return true }
func (errWouldBlock) Temporary() bool { return true }

// underTLS implements net.Conn on a TLS: the connection that crypto/tls reads and writes.
type underTLS TLS

// Read implements net.Conn for crypto/tls.
func (t *underTLS) Read(p []byte) (int, error) {
	if t.in == nil {
		if t.drained {
			return 0, errWouldBlock{}
		}
		b := recordReads.Get().(*[recordRead]byte)
		n, err := t.fd.Read(b[:])
		t.drained = n < len(b)
		if err != nil {
			recordReads.Put(b)
			if err == ErrAgain { //nolint:errorlint // ErrAgain is never wrapped
				err = errWouldBlock{}
			}
			return 0, err
		}
		t.in, t.r, t.w = b, 0, int32(n)
	}
	n := t.under.cursor.inRecord(t.in[t.r:t.w]) // if Read returned more than one record, crypto/tls would grow the buffer that it retains
	n = copy(p, t.in[t.r:int(t.r)+n])
	if t.r += int32(n); t.r == t.w {
		recordReads.Put(t.in)
		t.in = nil
	}
	return n, nil
}

// maxQueued bounds the queue for a peer that does not read. If a Handler does not write in the meantime, the queue only reaches
// this size if the peer requests replies, such as by a sequence of key updates.
const maxQueued = 256 << 10

var errQueueFull = errors.New("loop: TLS: the peer does not read, but requires responses")

// Write implements net.Conn for crypto/tls.
func (t *underTLS) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.out == nil {
		t.out = recordPool.Get().(*records)
	}
	if len(t.out.b)-t.out.sent > maxQueued {
		return 0, errQueueFull
	}
	t.out.b = append(t.out.b, p...)
	return len(p), nil
}

// Close implements net.Conn. The Handler closes the descriptor.
func (t *underTLS) Close() error { return nil }

// LocalAddr implements net.Conn.
func (t *underTLS) LocalAddr() net.Addr {
	t.fd.Lock()
	defer t.fd.Unlock()
	return orEmptyAddr(t.fd.Local())
}

// RemoteAddr implements net.Conn.
func (t *underTLS) RemoteAddr() net.Addr {
	t.fd.Lock()
	defer t.fd.Unlock()
	return orEmptyAddr(t.fd.Peer())
}

func orEmptyAddr(a net.Addr) net.Addr {
	if a == nil {
		return &net.TCPAddr{}
	}
	return a
}

// SetDeadline implements net.Conn. It has no effect: the loop enforces the deadlines, and no call here waits.
func (t *underTLS) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn.
func (t *underTLS) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn.
func (t *underTLS) SetWriteDeadline(time.Time) error { return nil }

// recordCursor tracks the boundaries of records in a stream (RFC 8446 §5.1). The zero value is at the beginning of the stream.
type recordCursor struct {
	kind  streamKind
	nhead uint8   // number of header bytes that have been read
	tail  [2]byte // the length field of the header
	left  uint16  // remaining bytes of a record, after its header
}

type streamKind uint8

const (
	streamUnknown streamKind = iota // nothing has been read
	streamTLS
	streamOther
)

// handshakeRecord is the type of the first record.
const handshakeRecord = 22

const recordHeader = 5

// advance advances over bytes.
func (c *recordCursor) advance(b []byte) {
	if c.kind == streamUnknown && len(b) > 0 {
		if c.kind = streamOther; b[0] == handshakeRecord {
			c.kind = streamTLS
		}
	}
	if c.kind != streamTLS {
		return
	}
	for len(b) > 0 {
		if c.left > 0 {
			n := min(len(b), int(c.left))
			c.left -= uint16(n)
			b = b[n:]
			continue
		}
		if c.nhead >= 3 {
			c.tail[c.nhead-3] = b[0]
		}
		b = b[1:]
		if c.nhead++; c.nhead == recordHeader {
			c.nhead, c.left = 0, uint16(c.tail[0])<<8|uint16(c.tail[1])
		}
	}
}

// inRecord returns how many of the next bytes b belong to one record. If the record's length is not known yet, only the bytes of the header
// count.
func (c *recordCursor) inRecord(b []byte) int {
	if c.kind != streamTLS {
		return len(b)
	}
	n := int(c.left)
	if n == 0 {
		n = recordHeader - int(c.nhead)
		if c.nhead == 0 && len(b) >= recordHeader {
			n += int(b[3])<<8 | int(b[4])
		}
	}
	return min(n, len(b))
}

// records is a queue of records, some of which have been sent.
type records struct {
	b    []byte
	sent int
}

// The sizes of pooled buffers. A large buffer holds as much as a Handler writes between two calls of Flush.
const (
	minRecords = 2 << 10
	maxRecords = 160 << 10
)

var recordPool = sync.Pool{New: func() any { return &records{b: make([]byte, 0, minRecords)} }}

// free returns r to its pool. r may be nil.
func (r *records) free() {
	if r != nil && cap(r.b) >= minRecords && cap(r.b) <= maxRecords {
		r.b, r.sent = r.b[:0], 0
		recordPool.Put(r)
	}
}

// compact returns a copy of the unsent part of r that uses at most twice the required memory.
func (r *records) compact() *records {
	rest := r.b[r.sent:]
	if len(rest) > cap(r.b)/2 {
		return r
	}
	left := &records{b: append([]byte(nil), rest...)}
	r.free()
	return left
}
