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

// frame writes one frame without a mask, as servers must. The payload has at most 125 bytes.
func (v *exchange) frame(first byte, payload string) {
	io.WriteString(v, string([]byte{first, byte(len(payload))})+payload) //nolint:errcheck // the write fails only if the client has disconnected
}

// closing writes a close frame.
func (v *exchange) closing(code uint16, reason string) {
	v.frame(finClose, string(binary.BigEndian.AppendUint16(nil, code))+reason)
}

// next reads a frame from the client. It returns the first byte and the unmasked payload, which must not exceed 125 bytes.
func (v *exchange) next() (byte, string, error) {
	var head [6]byte // two bytes and the masking key
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

// respond replies to the client's frames as a correct server does: a pong to a ping, the same text to a text, a close to a close. It does
// not reply to frames that begin with one of the bytes in ignored.
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

// opened completes the opening handshake correctly and then calls handle.
func opened(handle func(*exchange)) func(*lab) (*Site, error) {
	return func(l *lab) (*Site, error) {
		return l.site(func(v *exchange) {
			v.upgrade("")
			handle(v)
		})
	}
}

// sends completes the opening handshake, sends the bytes of b, and then behaves correctly.
func sends(b string) func(*lab) (*Site, error) {
	return opened(func(v *exchange) {
		io.WriteString(v, b) //nolint:errcheck // the write fails only if the client has disconnected
		v.respond("")
	})
}

// ignoring completes the opening handshake and then ignores frames that begin with one of the bytes of to.
func ignoring(to string) func(*lab) (*Site, error) {
	return opened(func(v *exchange) { v.respond(to) })
}

// closes completes the opening handshake and sends a close frame immediately.
func closes(code uint16, reason string) func(*lab) (*Site, error) {
	return opened(func(v *exchange) { v.closing(code, reason) })
}

// stops completes the opening handshake, sends the bytes of b, and then only reads.
func stops(b string) func(*lab) (*Site, error) {
	return opened(func(v *exchange) {
		io.WriteString(v, b)      //nolint:errcheck // the write fails only if the client has disconnected
		io.Copy(io.Discard, v.in) //nolint:errcheck // Copy returns when the client has disconnected
	})
}

// closesAfterText sends a text and then closes normally.
var closesAfterText = opened(func(v *exchange) {
	v.frame(finText, "welcome")
	v.closing(1000, "bye")
})

// otherPong answers a ping with a pong that has a different payload.
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

// stopsAfterPing answers the first ping and no later frame, like a NAT device that has dropped the connection from its table.
func stopsAfterPing(l *lab) (*Site, error) {
	s, err := opened(func(v *exchange) {
		if first, payload, err := v.next(); err == nil && first == finPing {
			v.frame(finPong, payload)
		}
		io.Copy(io.Discard, v.in) //nolint:errcheck // Copy returns when the client has disconnected
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

func abort(c net.Conn) {
	c.(*net.TCPConn).SetLinger(0) //nolint:errcheck // if this fails, there is no reset, and the test fails
	c.Close()
}

// endsOnClose answers a close frame by closing the TCP connection.
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
