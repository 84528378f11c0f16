package proxy

import (
	"encoding/binary"
	"time"
	"unicode/utf8"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/protocol"
)

// flow is one direction of a tunnel: bytes that pass unchanged, with pings inserted between frames, until a close frame is
// inserted. It does no I/O. It reads no payloads except those of close frames.
type flow struct {
	cursor   frame.Cursor
	end      *flowEnd // nil if there is no close frame yet
	bytes    int64    // number of bytes received
	frames   int64    // number of frames whose header was received
	inClose  bool     // in the middle of a close frame
	closed   bool     // a whole close frame has arrived: the source sends nothing more (RFC 6455 §5.5.1)
	unframed bool     // the bytes are not WebSocket frames, so that no frame boundary is known
	ended    bool     // nothing passes through any more

	isActivity bool          // the current frame is not a pong
	activity   bool          // bytes that count as activity have arrived since this was cleared
	pingDue    bool          // a ping is to be inserted
	probe      probeState    // state of the check whether the source is alive
	lastAlive  time.Duration // the source's last sign of life; while it is asked, the time of the question minus the ping interval
}

// flowEnd contains the close frames of a flow. It is allocated when needed, which for most flows is only at their end.
type flowEnd struct {
	frame   []byte // the close frame to insert; nil if there is none
	payload []byte // the payload of the close frame that is passing or has passed through
}

// ensureEnd returns f.close, and allocates it if it is nil.
func (f *flow) ensureEnd() *flowEnd {
	if f.end == nil {
		f.end = &flowEnd{}
	}
	return f.end
}

// closeRequested reports whether a close frame is to be inserted, or was inserted.
func (f *flow) closeRequested() bool { return f.end != nil && f.end.frame != nil }

// pass takes bytes of the source. It returns the part of them that is passed on, which is the beginning of b, and the bytes to
// insert after it.
func (f *flow) pass(b []byte) (through, inserted []byte) {
	f.bytes += int64(len(b))
	n := 0
	for at := 0; at < len(b); {
		if f.due() {
			inserted = f.insert()
		}
		used := f.step(b[at:])
		if f.unframed && f.closeRequested() {
			f.ended = true
		}
		if at += used; !f.ended {
			n = at
		}
	}
	if f.due() {
		inserted = f.insert()
	}
	return b[:n], inserted
}

// due reports whether insert has to be called.
func (f *flow) due() bool {
	return f.closeRequested() && !f.ended && (f.closed || f.unframed || f.cursor.Between())
}

// insert ends the flow, and returns its last frame. There is none after a close frame of the source (RFC 6455 §5.5.1), or if the
// frame boundary is not known.
func (f *flow) insert() []byte {
	f.ended = true
	if f.closed || f.unframed {
		return nil
	}
	return f.end.frame
}

// step advances to the next frame boundary or end of a header in b, and returns the number of bytes.
func (f *flow) step(b []byte) int {
	if f.closed || f.unframed {
		f.activity = true
		return len(b)
	}
	n, started, err := f.cursor.Next(b)
	switch {
	case err != nil:
		f.unframed, f.activity = true, true
		return len(b)
	case started:
		f.frames++
		h := f.cursor.Header()
		f.isActivity = h.Opcode != frame.Pong
		if f.inClose = isClose(h); f.inClose {
			f.ensureEnd().payload = make([]byte, 0, h.Length)
		}
	case f.inClose:
		f.end.payload = append(f.end.payload, b[:n]...)
	}
	if f.inClose && f.cursor.Between() {
		h := f.cursor.Header()
		if h.Masked {
			frame.Mask(f.end.payload, h.Key)
		}
		f.inClose, f.closed = false, true
	}
	f.activity = f.activity || f.isActivity
	f.isActivity = f.isActivity && !f.cursor.Between()
	return n
}

// isClose reports whether h is the header of a close frame that a peer may accept: RFC 6455 §5.5 forbids fragments and long
// payloads.
func isClose(h frame.Header) bool {
	return h.Opcode == frame.Close && h.Fin && h.RSV == 0 && h.Length <= frame.MaxControlPayload
}

// reason returns the code and reason of the source's close frame. The code is CodeNoStatus if they are missing or invalid.
func (f *flow) reason() (websocket.Code, string) {
	if f.end == nil || len(f.end.payload) < 2 {
		return websocket.CodeNoStatus, ""
	}
	code, reason := binary.BigEndian.Uint16(f.end.payload), f.end.payload[2:]
	if !protocol.CodeOnWire(code) || !utf8.Valid(reason) {
		return websocket.CodeNoStatus, ""
	}
	return websocket.Code(code), string(reason)
}
