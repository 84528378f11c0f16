package proxy

import (
	"net"
	"sync"
)

// bufferSize is the length of the buffers that goroutines read with.
const bufferSize = 64 << 10

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// reader reads from a connection. It waits without a buffer where the system tells when bytes are there, and otherwise with a
// small one after a read that was short.
type reader struct {
	nc    net.Conn
	ready *readiness // nil where the system does not tell
	small []byte
	buf   *[bufferSize]byte // borrowed; nil for none
	more  bool              // it is likely that more is there
}

func newReader(nc net.Conn) *reader {
	r := &reader{nc: nc, ready: newReadiness(nc)}
	if r.ready == nil {
		r.small = make([]byte, 512)
	}
	return r
}

// read returns what has arrived, which is valid until release, and the error behind it.
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
		b, enough = r.buf[:], 16<<10 // a TLS record
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
