package proxy

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/protocol"
)

// flow is one direction of a tunnel: bytes that pass unchanged, until a close frame is put in behind the end of a frame. It does no
// I/O. Of payloads it looks at those of close frames only.
type flow struct {
	cursor frame.Cursor
	frame  []byte // the close frame to put in, nil for none
	said   []byte // the payload of the close frame that passes or has passed
	bytes  int64  // that have arrived
	frames int64  // whose header has arrived
	within bool   // a close frame is under way
	closed bool   // a whole close frame has arrived: the source sends nothing more (RFC 6455 §5.5.1)
	lost   bool   // the bytes are not WebSocket frames, so that no boundary is known
	ended  bool   // nothing passes any more
}

// pass takes bytes of the source. It returns those that go on, which are the beginning of b, and what is put in behind them.
func (f *flow) pass(b []byte) (through, put []byte) {
	f.bytes += int64(len(b))
	n := 0
	for at := 0; at < len(b); {
		if f.due() {
			put = f.insert()
		}
		used := f.step(b[at:])
		if f.lost && f.frame != nil {
			f.ended = true
		}
		if at += used; !f.ended {
			n = at
		}
	}
	if f.due() {
		put = f.insert()
	}
	return b[:n], put
}

// due reports whether insert is to be called.
func (f *flow) due() bool {
	return f.frame != nil && !f.ended && (f.closed || f.lost || f.cursor.Between())
}

// insert ends the flow, and returns the frame to send as its last. There is none behind a close frame of the source (RFC 6455
// §5.5.1), nor where no boundary is known.
func (f *flow) insert() []byte {
	f.ended = true
	if f.closed || f.lost {
		return nil
	}
	return f.frame
}

// step follows b to the next place where something begins, and returns how far that is.
func (f *flow) step(b []byte) int {
	if f.closed || f.lost {
		return len(b)
	}
	n, started, err := f.cursor.Next(b)
	switch {
	case err != nil:
		f.lost = true
		return len(b)
	case started:
		f.frames++
		h := f.cursor.Header()
		if f.within = isClose(h); f.within {
			f.said = make([]byte, 0, h.Length)
		}
	case f.within:
		f.said = append(f.said, b[:n]...)
	}
	if f.within && f.cursor.Between() {
		h := f.cursor.Header()
		if h.Masked {
			frame.Mask(f.said, h.Key)
		}
		f.within, f.closed = false, true
	}
	return n
}

// isClose reports whether h is of a close frame that a peer may take for one: RFC 6455 §5.5 forbids fragments and long payloads.
func isClose(h frame.Header) bool {
	return h.Opcode == frame.Close && h.Fin && h.RSV == 0 && h.Length <= frame.MaxControlPayload
}

// reason returns what the source's close frame says, CodeNoStatus when that is nothing that it may say.
func (f *flow) reason() (websocket.Code, string) {
	if len(f.said) < 2 {
		return websocket.CodeNoStatus, ""
	}
	code, reason := binary.BigEndian.Uint16(f.said), f.said[2:]
	if !protocol.CodeOnWire(code) || !utf8.Valid(reason) {
		return websocket.CodeNoStatus, ""
	}
	return websocket.Code(code), string(reason)
}
