package websocket

import (
	"sync"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/internal/deflate"
)

// Prepared is a message made ready to be sent on many connections: framed once, and compressed once for each window size
// that a connection agreed on. It may be sent any number of times, from any number of goroutines.
type Prepared struct {
	kind  Type
	plain []byte // the frame as a server sends it
	head  int    // the length of its header

	mu     sync.Mutex
	zipped [deflate.MaxBits + 1][]byte // by window bits: the frame with the message compressed; nil until one needs it
}

// Prepare makes m ready for Send. m.Data is copied: it stays the caller's.
func Prepare(m Message) (*Prepared, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	return newPrepared(m), nil
}

func newPrepared(m Message) *Prepared {
	h := frame.Header{Fin: true, Opcode: frame.Opcode(m.Type), Length: int64(len(m.Data))}
	plain := frame.Append(make([]byte, 0, frame.MaxHeader+len(m.Data)), h)
	return &Prepared{kind: m.Type, plain: append(plain, m.Data...), head: len(plain)}
}

// payload returns the message.
func (p *Prepared) payload() []byte { return p.plain[p.head:] }

// compressed returns the frame with the message compressed for a window of so many bits, and the plain one when that is
// not shorter.
func (p *Prepared) compressed(bits uint8) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.zipped[bits] == nil {
		body := deflate.AppendShared(nil, p.payload(), deflate.Window{Bits: bits})
		h := frame.Header{Fin: true, RSV: frame.RSV1, Opcode: frame.Opcode(p.kind), Length: int64(len(body))}
		f := append(frame.Append(make([]byte, 0, frame.MaxHeader+len(body)), h), body...)
		if len(f) >= len(p.plain) {
			f = p.plain
		}
		p.zipped[bits] = f
	}
	return p.zipped[bits]
}
