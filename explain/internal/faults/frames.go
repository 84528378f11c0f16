package faults

import (
	"encoding/binary"
	"io"
	"net"
	"strings"
	"time"
)

// The first bytes of frames: FIN and the opcode (RFC 6455 §5.2).
const (
	finText  = 0x81
	finClose = 0x88
	finPing  = 0x89
	finPong  = 0x8a
)

// frame writes one frame as a server sends it: without a mask. The payload has at most 125 bytes.
func (v *exchange) frame(first byte, payload string) {
	io.WriteString(v, string([]byte{first, byte(len(payload))})+payload) //nolint:errcheck // the client may have gone
}

// closing writes a close frame.
func (v *exchange) closing(code uint16, reason string) {
	v.frame(finClose, string(binary.BigEndian.AppendUint16(nil, code))+reason)
}

// next reads a client's frame and returns its first byte and its payload, unmasked, of at most 125 bytes.
func (v *exchange) next() (byte, string, error) {
	var head [6]byte // clients mask
	if _, err := io.ReadFull(v.in, head[:]); err != nil {
		return 0, "", err
	}
	n := head[1] & 0x7f
	if n > 125 || head[1] < 0x80 {
		return 0, "", io.ErrUnexpectedEOF
	}
	payload := make([]byte, n)
	if _, err := io.ReadFull(v.in, payload); err != nil {
		return 0, "", err
	}
	for i := range payload {
		payload[i] ^= head[2+i%4]
	}
	return head[0], string(payload), nil
}

// respond replies to the client's frames as a correct server does: to a ping with a pong, to a text with the same text, to a close
// with a close. It does not reply to frames that begin with one of the bytes in ignored.
func (v *exchange) respond(ignored string) {
	for {
		first, payload, err := v.next()
		if err != nil {
			return
		}
		if strings.IndexByte(ignored, first) >= 0 {
			continue
		}
		switch first {
		case finPing:
			v.frame(finPong, payload)
		case finText:
			v.frame(finText, payload)
		case finClose:
			v.frame(finClose, payload)
			return
		}
	}
}

// opened opens correctly and then calls handle.
func opened(handle func(*exchange)) func(*lab) (*Site, error) {
	return func(l *lab) (*Site, error) {
		return l.site(func(v *exchange) {
			v.upgrade("")
			handle(v)
		})
	}
}

// sends opens correctly, sends these bytes, and then behaves correctly.
func sends(b string) func(*lab) (*Site, error) {
	return opened(func(v *exchange) {
		io.WriteString(v, b) //nolint:errcheck // the client may have gone
		v.respond("")
	})
}

// ignoring opens correctly and does not reply to frames that begin with one of these bytes.
func ignoring(to string) func(*lab) (*Site, error) {
	return opened(func(v *exchange) { v.respond(to) })
}

// closes sends a close frame immediately.
func closes(code uint16, reason string) func(*lab) (*Site, error) {
	return opened(func(v *exchange) { v.closing(code, reason) })
}

// stops opens correctly, sends these bytes, and then only reads.
func stops(b string) func(*lab) (*Site, error) {
	return opened(func(v *exchange) {
		io.WriteString(v, b)      //nolint:errcheck // the client may have gone
		io.Copy(io.Discard, v.in) //nolint:errcheck // the end is what this waits for
	})
}

// closesAfterText sends a text and then closes normally.
var closesAfterText = opened(func(v *exchange) {
	v.frame(finText, "welcome")
	v.closing(1000, "bye")
})

// otherPong answers pings with a different payload.
var otherPong = opened(func(v *exchange) {
	for {
		switch first, payload, err := v.next(); {
		case err != nil:
			return
		case first == finPing:
			v.frame(finPong, "other")
		case first == finClose:
			v.frame(finClose, payload)
			return
		}
	}
})

// stopsAfterPing answers the first ping, and no frame after that, like a path on which the connection was forgotten.
func stopsAfterPing(l *lab) (*Site, error) {
	s, err := opened(func(v *exchange) {
		if first, payload, err := v.next(); err == nil && first == finPing {
			v.frame(finPong, payload)
		}
		io.Copy(io.Discard, v.in) //nolint:errcheck // the end is what this waits for
	})(l)
	if err == nil {
		s.Options.ProbeIdle, s.Options.StepTimeout = moment, moment
	}
	return s, err
}

// closesConnection ends the connection right after the handshake without a close frame.
var closesConnection = opened(func(*exchange) {})

// resetsConnection resets the connection right after the handshake.
var resetsConnection = opened(func(v *exchange) { abort(v.Conn) })

// abort resets c.
func abort(c net.Conn) {
	c.(*net.TCPConn).SetLinger(0) //nolint:errcheck // a close without a reset fails the test
	c.Close()
}

// endsOnClose reacts to a close frame by ending the connection.
var endsOnClose = opened(func(v *exchange) {
	for {
		switch first, payload, err := v.next(); {
		case err != nil || first == finClose:
			return
		case first == finPing:
			v.frame(finPong, payload)
		}
	}
})

// idleServer sends a close frame if it has received no data for a while.
var idleServer = opened(func(v *exchange) {
	for {
		v.SetReadDeadline(time.Now().Add(relayIdle))
		first, payload, err := v.next()
		if err != nil {
			v.SetReadDeadline(time.Now().Add(serverTimeout))
			v.closing(1001, "idle")
			return
		}
		switch first {
		case finPing:
			v.frame(finPong, payload)
		case finClose:
			v.frame(finClose, payload)
			return
		}
	}
})
