// Package prepared implements messages that are framed once and sent on many connections, with either driver.
package prepared

import (
	"sync"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/internal/deflate"
)

// Frames is one message in the form in which a server sends it: framed once, and compressed once for each window size that a
// connection requires. Its methods may be called concurrently. Their results are shared and must not be modified.
type Frames struct {
	op        frame.Opcode
	plain     []byte
	headerLen int // the length of plain's header

	mu         sync.Mutex
	compressed *[deflate.MaxBits + 1][]byte // the frame with the compressed message, by window bits; nil until it is needed
}

// Made reports whether Init was called.
func (f *Frames) Made() bool { return f.plain != nil }

// Init frames a copy of payload.
func (f *Frames) Init(op frame.Opcode, payload []byte) {
	h := frame.Header{Fin: true, Opcode: op, Length: int64(len(payload))}
	plain := frame.Append(make([]byte, 0, frame.MaxHeader+len(payload)), h)
	f.op, f.headerLen = op, len(plain)
	f.plain = append(plain, payload...)
}

// Plain returns the frame without compression.
func (f *Frames) Plain() []byte { return f.plain }

// Head returns the length of the frame's header.
func (f *Frames) Head() int { return f.headerLen }

// Payload returns the message.
func (f *Frames) Payload() []byte { return f.plain[f.headerLen:] }

// Compressed returns the frame with the message compressed for a window of that many bits, or the plain frame if compression does
// not make it shorter.
func (f *Frames) Compressed(bits uint8) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.compressed == nil {
		f.compressed = new([deflate.MaxBits + 1][]byte)
	}
	if f.compressed[bits] == nil {
		body := deflate.AppendShared(nil, f.Payload(), deflate.Window{Bits: bits})
		h := frame.Header{Fin: true, RSV: frame.RSV1, Opcode: f.op, Length: int64(len(body))}
		b := append(frame.Append(make([]byte, 0, frame.MaxHeader+len(body)), h), body...)
		if len(b) >= len(f.plain) {
			b = f.plain
		}
		f.compressed[bits] = b
	}
	return f.compressed[bits]
}
