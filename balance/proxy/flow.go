package proxy

import (
	"encoding/binary"
	"time"
	"unicode/utf8"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/protocol"
)

// flow is one direction of a tunnel: bytes that pass unchanged, with a ping put in between two frames where one is due, until a close frame is
// put in. It does no I/O. Of payloads it looks at those of close frames only.
type flow struct {
	cursor frame.Cursor
	close  *flowEnd // nil while no close frame is about
	bytes  int64    // that have arrived
	frames int64    // whose header has arrived
	within bool     // a close frame is under way
	closed bool     // a whole close frame has arrived: the source sends nothing more (RFC 6455 §5.5.1)
	lost   bool     // the bytes are not WebSocket frames, so that no boundary is known
	ended  bool     // nothing passes any more

	counts bool          // the frame under way is not a pong
	news   bool          // bytes that count have arrived since this was cleared
	ping   bool          // a ping is to be put in
	asked  asking        // of the source
	at     time.Duration // when the source was last known to be there, or a ping's time before it was asked
}

// flowEnd is the close frames of a flow. Most of the time there is none.
type flowEnd struct {
	frame []byte // to put in, nil for none
	said  []byte // the payload of the one that passes or has passed
}

// closes returns f.close, which it makes if there is none.
func (f *flow) closes() *flowEnd {
	if f.close == nil {
		f.close = &flowEnd{}
	}
	return f.close
}

// wanted reports whether a close frame is to be put in, or was.
func (f *flow) wanted() bool { return f.close != nil && f.close.frame != nil }

// pass takes bytes of the source. It returns those that go on, which are the beginning of b, and what is put in behind them.
func (f *flow) pass(b []byte) (through, put []byte) {
	f.bytes += int64(len(b))
	n := 0
	for at := 0; at < len(b); {
		if f.due() {
			put = f.insert()
		}
		used := f.step(b[at:])
		if f.lost && f.wanted() {
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
	return f.wanted() && !f.ended && (f.closed || f.lost || f.cursor.Between())
}

// insert ends the flow, and returns the frame to send as its last. There is none behind a close frame of the source (RFC 6455
// §5.5.1), nor where no boundary is known.
func (f *flow) insert() []byte {
	f.ended = true
	if f.closed || f.lost {
		return nil
	}
	return f.close.frame
}

// step follows b to the next place where something begins, and returns how far that is.
func (f *flow) step(b []byte) int {
	if f.closed || f.lost {
		f.news = true
		return len(b)
	}
	n, started, err := f.cursor.Next(b)
	switch {
	case err != nil:
		f.lost, f.news = true, true
		return len(b)
	case started:
		f.frames++
		h := f.cursor.Header()
		f.counts = h.Opcode != frame.Pong
		if f.within = isClose(h); f.within {
			f.closes().said = make([]byte, 0, h.Length)
		}
	case f.within:
		f.close.said = append(f.close.said, b[:n]...)
	}
	if f.within && f.cursor.Between() {
		h := f.cursor.Header()
		if h.Masked {
			frame.Mask(f.close.said, h.Key)
		}
		f.within, f.closed = false, true
	}
	f.news = f.news || f.counts
	f.counts = f.counts && !f.cursor.Between()
	return n
}

// isClose reports whether h is of a close frame that a peer may take for one: RFC 6455 §5.5 forbids fragments and long payloads.
func isClose(h frame.Header) bool {
	return h.Opcode == frame.Close && h.Fin && h.RSV == 0 && h.Length <= frame.MaxControlPayload
}

// reason returns what the source's close frame says, CodeNoStatus when that is nothing that it may say.
func (f *flow) reason() (websocket.Code, string) {
	if f.close == nil || len(f.close.said) < 2 {
		return websocket.CodeNoStatus, ""
	}
	code, reason := binary.BigEndian.Uint16(f.close.said), f.close.said[2:]
	if !protocol.CodeOnWire(code) || !utf8.Valid(reason) {
		return websocket.CodeNoStatus, ""
	}
	return websocket.Code(code), string(reason)
}
