package proxy

import (
	"net"
	"sync"
)

// bufferSize is the length of the buffers that goroutines read with.
const bufferSize = 64 << 10

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// reader reads from a connection. It waits without a buffer if the system reports when bytes are available, and otherwise with a
// small buffer after a short read.
type reader struct {
	nc    net.Conn
	ready *readiness // nil if the system does not report when bytes are available
	small []byte
	buf   *[bufferSize]byte // a borrowed buffer; nil if there is none
	more  bool              // more bytes are probably available
}

func newReader(nc net.Conn) *reader {
	r := &reader{nc: nc, ready: newReadiness(nc)}
	if r.ready == nil {
		r.small = make([]byte, 512)
	}
	return r
}

// read returns the received bytes, which are valid until release, and the error that follows them.
func (r *reader) read() (b []byte, err error) {
	if r.ready != nil {
		var n int
		if r.buf, n, err = r.ready.read(); n == 0 {
			return nil, err
		}
		return r.buf[:n], err
	}
	if r.buf == nil && r.more {
		r.buf = buffers.Get().(*[bufferSize]byte)
	}
	b, enough := r.small, len(r.small)
	if r.buf != nil {
		b, enough = r.buf[:], 16<<10 // the size of a TLS record
	}
	n, err := r.nc.Read(b)
	r.more = n >= enough
	return b[:n], err
}

// release gives the buffer back.
func (r *reader) release() {
	if r.buf != nil {
		buffers.Put(r.buf)
		r.buf = nil
	}
}
