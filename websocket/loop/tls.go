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

// Under is what a *tls.Conn has to run on so that a loop can take its socket:
//
//	conn := tls.Server(&loop.Under{Conn: socket}, config)
//
// Until then it is the Conn in it. It may be embedded, and must not be copied.
type Under struct {
	net.Conn
	cut bool         // the stream has ended below TLS
	at  recordCursor // where in it the next Read begins
}

// Read reads from the Conn.
func (u *Under) Read(p []byte) (int, error) {
	n, err := u.Conn.Read(p)
	u.at.pass(p[:n])
	if err == io.EOF { //nolint:errorlint // a socket returns it bare
		u.cut = true
	}
	return n, err
}

func (u *Under) under() *Under { return u }

// underneath returns the Under that conn runs on, nil when it runs on something else.
func underneath(conn *tls.Conn) *Under {
	if u, ok := conn.NetConn().(interface{ under() *Under }); ok {
		return u.under()
	}
	return nil
}

// ErrTruncated reports that a stream over TLS has ended without a close_notify, so that some of it may be missing (RFC 8446 §6.1). It
// is an io.ErrUnexpectedEOF.
var ErrTruncated = fmt.Errorf("TLS ended without close_notify: %w", io.ErrUnexpectedEOF)

// Truncated returns ErrTruncated in place of err where a read of conn has failed with err for that reason. Otherwise, and where conn does not
// run on an [Under], it returns err: crypto/tls itself takes an end between two records for io.EOF. The caller is the reader of conn.
func Truncated(conn *tls.Conn, err error) error {
	if err == nil || !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	if u := underneath(conn); u == nil || !u.cut {
		return err
	}
	return ErrTruncated
}

// recordRead is the size of one read below TLS: two of its largest records.
const recordRead = 32 << 10

var recordReads = sync.Pool{New: func() any { return new([recordRead]byte) }}

// TLS is the TLS of a descriptor, by crypto/tls: its Read fails for the moment when there is nothing, and goes on at the next call; what
// is written to it is queued. While it waits it has no buffer of its own; that of crypto/tls is as long as the longest record so far.
//
// A Handler calls Read from Serve as long as there is room for what it returns, when the FD is Readable and when More reports that there is
// something, and Flush at the end of each visit: a Read may have queued an answer, such as that to a key update (RFC 8446 §4.6.3).
//
// Only the holder calls Read and More. Write, CloseWrite, Flush and Drop want the FD's lock held where several goroutines write. Lock
// order: an FD's, then that of a TLS.
type TLS struct {
	conn  *tls.Conn
	under *Under
	fd    *FD

	// The holder's.
	in   *[recordRead]byte // what one read has brought and crypto/tls has not taken is in[r:w]; nil for nothing
	r, w int32
	dry  bool // the kernel has no more
	more bool // crypto/tls may have more, of which the kernel knows nothing

	mu  sync.Mutex
	out *records // to be sent; nil for none
}

// NewTLS returns the TLS of conn, behind its handshake, for a loop: the socket is what [Loops.Take] gets, and the TLS begins with On. The error
// is an errors.ErrUnsupported where conn does not run on an [Under]. Until On nothing has changed.
func NewTLS(conn *tls.Conn) (t *TLS, socket net.Conn, err error) {
	u := underneath(conn)
	if u == nil {
		return nil, nil, fmt.Errorf("loop: TLS over a %T: %w", conn.NetConn(), errors.ErrUnsupported)
	}
	return &TLS{conn: conn, under: u, more: true}, u.Conn, nil
}

// On has TLS run on f from now on, which has the place of its socket, or is about to get it.
func (t *TLS) On(f *FD) {
	t.fd = f
	t.under.Conn = (*underTLS)(t)
}

// ConnectionState returns what the handshake has agreed on.
func (t *TLS) ConnectionState() tls.ConnectionState { return t.conn.ConnectionState() }

// More reports whether a Read may return something of which the kernel knows nothing.
func (t *TLS) More() bool { return t.more }

// Read reads what was said under TLS, as many records as fit. It returns ErrAgain when that was all, perhaps with some bytes; io.EOF behind a
// close_notify, and ErrTruncated at the end of a stream without one.
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
	if _, notNow := errors.AsType[errNotNow](err); notNow {
		t.more, t.dry = false, false
		return n, ErrAgain
	}
	if n > 0 {
		t.more = true // the error comes again
		return n, nil
	}
	return n, Truncated(t.conn, err)
}

// Write queues p, as records. Flush sends them.
func (t *TLS) Write(p []byte) (int, error) { return t.conn.Write(p) }

// CloseWrite queues a close_notify. The end of the stream below is the caller's, once all is sent.
func (t *TLS) CloseWrite() error { return t.conn.CloseWrite() }

// Queued returns how many bytes of records wait to be sent.
func (t *TLS) Queued() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.out == nil {
		return 0
	}
	return len(t.out.b) - t.out.sent
}

// Flush sends what is queued, and returns how many bytes the kernel has taken of it, with ErrAgain when that was not all. After any other error nothing
// is queued.
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
		t.out = t.out.tight()
		return n, err
	}
	t.out.free()
	t.out = nil
	return n, err
}

// Drop gives up what is queued.
func (t *TLS) Drop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.out.free()
	t.out = nil
}

// errNotNow tells crypto/tls to come back: it keeps its place after an error that is temporary.
type errNotNow struct{}

func (errNotNow) Error() string   { return "loop: nothing to read at the moment" }
func (errNotNow) Timeout() bool   { return true }
func (errNotNow) Temporary() bool { return true }

// underTLS is a TLS as what crypto/tls runs on.
type underTLS TLS

// Read implements net.Conn for crypto/tls.
func (t *underTLS) Read(p []byte) (int, error) {
	if t.in == nil {
		if t.dry {
			return 0, errNotNow{}
		}
		b := recordReads.Get().(*[recordRead]byte)
		n, err := t.fd.Read(b[:])
		t.dry = n < len(b)
		if err != nil {
			recordReads.Put(b)
			if err == ErrAgain { //nolint:errorlint // it is never wrapped
				err = errNotNow{}
			}
			return 0, err
		}
		t.in, t.r, t.w = b, 0, int32(n)
	}
	n := t.under.at.within(t.in[t.r:t.w]) // what crypto/tls has of further records grows the buffer that it keeps
	n = copy(p, t.in[t.r:int(t.r)+n])
	if t.r += int32(n); t.r == t.w {
		recordReads.Put(t.in)
		t.in = nil
	}
	return n, nil
}

// maxUnsent bounds what is queued for a peer that takes nothing. A Handler that does not write meanwhile gets there only when the peer asks
// for answers, one key update after the other.
const maxUnsent = 256 << 10

var errUnsent = errors.New("loop: TLS: the peer takes nothing, and wants answers")

// Write implements net.Conn for crypto/tls.
func (t *underTLS) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.out == nil {
		t.out = recordPool.Get().(*records)
	}
	if len(t.out.b)-t.out.sent > maxUnsent {
		return 0, errUnsent
	}
	t.out.b = append(t.out.b, p...)
	return len(p), nil
}

// Close implements net.Conn. The descriptor is the Handler's to close.
func (t *underTLS) Close() error { return nil }

// LocalAddr implements net.Conn.
func (t *underTLS) LocalAddr() net.Addr {
	t.fd.Lock()
	defer t.fd.Unlock()
	return orUnknown(t.fd.Local())
}

// RemoteAddr implements net.Conn.
func (t *underTLS) RemoteAddr() net.Addr {
	t.fd.Lock()
	defer t.fd.Unlock()
	return orUnknown(t.fd.Peer())
}

func orUnknown(a net.Addr) net.Addr {
	if a == nil {
		return &net.TCPAddr{}
	}
	return a
}

// SetDeadline implements net.Conn. The loop keeps the deadlines, and nothing here waits.
func (t *underTLS) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn.
func (t *underTLS) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn.
func (t *underTLS) SetWriteDeadline(time.Time) error { return nil }

// recordCursor follows the boundaries of records in a stream (RFC 8446 §5.1). The zero value is at its beginning.
type recordCursor struct {
	kind  streamKind
	nhead uint8   // bytes of a header that have passed
	tail  [2]byte // the length in it
	left  uint16  // bytes of a record, behind its header, that have not passed
}

type streamKind uint8

const (
	unknown streamKind = iota // nothing has passed
	ofTLS
	ofOther
)

// handshakeRecord is the type of the first record.
const handshakeRecord = 22

const recordHeader = 5

// pass takes bytes that pass by.
func (c *recordCursor) pass(b []byte) {
	if c.kind == unknown && len(b) > 0 {
		if c.kind = ofOther; b[0] == handshakeRecord {
			c.kind = ofTLS
		}
	}
	if c.kind != ofTLS {
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

// within returns how many bytes of b, which come next, belong to one record. At most a header is counted whose length is not known before.
func (c *recordCursor) within(b []byte) int {
	if c.kind != ofTLS {
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

// records is a queue of records, of which some are sent.
type records struct {
	b    []byte
	sent int
}

// The sizes of buffers that are pooled: the larger ones have held as much as a Handler writes between two calls of Flush.
const (
	minRecords = 2 << 10
	maxRecords = 160 << 10
)

var recordPool = sync.Pool{New: func() any { return &records{b: make([]byte, 0, minRecords)} }}

// free gives r back; nil means none.
func (r *records) free() {
	if r != nil && cap(r.b) >= minRecords && cap(r.b) <= maxRecords {
		r.b, r.sent = r.b[:0], 0
		recordPool.Put(r)
	}
}

// tight returns what is left of r, in no more memory than that takes twice.
func (r *records) tight() *records {
	rest := r.b[r.sent:]
	if len(rest) > cap(r.b)/2 {
		return r
	}
	left := &records{b: append([]byte(nil), rest...)}
	r.free()
	return left
}
