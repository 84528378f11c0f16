package conformance

import (
	"crypto/subtle"
	"encoding/binary"
	"math/rand/v2"
	"slices"
)

// The opcodes (RFC 6455 §5.2).
const (
	opCont   = 0
	opText   = 1
	opBinary = 2
	opClose  = 8
	opPing   = 9
	opPong   = 10
)

// frame is one frame that the peer sends. Any part of the frame may be wrong on purpose.
type frame struct {
	op      byte
	more    bool     // FIN is not set
	rsv     byte     // the reserved bits as a number: 4 is RSV1, 2 RSV2, 1 RSV3
	payload []byte   // the unmasked payload
	declare uint64   // the length in the header; 0 means the length of the payload
	form    int      // bits of the length field: 7, 16 or 64; 0 means the shortest form
	flip    bool     // the frame is masked as by the wrong side: by a server, or not by a client
	key     *[4]byte // nil means a new key for each frame
}

func text(s string) frame     { return frame{op: opText, payload: []byte(s)} }
func binaryOf(b []byte) frame { return frame{op: opBinary, payload: b} }
func ping(s string) frame     { return frame{op: opPing, payload: []byte(s)} }
func pong(s string) frame     { return frame{op: opPong, payload: []byte(s)} }

// begin, more and last return the fragments of a message.
func begin(op byte, s string) frame { return frame{op: op, more: true, payload: []byte(s)} }
func more(s string) frame           { return frame{op: opCont, more: true, payload: []byte(s)} }
func last(s string) frame           { return frame{op: opCont, payload: []byte(s)} }

// closing returns a close frame with any code.
func closing(code int, reason string) frame {
	return frame{op: opClose, payload: append([]byte{byte(code >> 8), byte(code)}, reason...)}
}

// closingWith returns a close frame with any payload.
func closingWith(payload string) frame { return frame{op: opClose, payload: []byte(payload)} }

func (f frame) withRSV(bits byte) frame   { f.rsv = bits; return f }
func (f frame) unfinished() frame         { f.more = true; return f }
func (f frame) inForm(bits int) frame     { f.form = bits; return f }
func (f frame) maskedWrongly() frame      { f.flip = true; return f }
func (f frame) withKey(key [4]byte) frame { f.key = &key; return f }

// declaring returns f with a header that announces n bytes, of which only the payload is sent.
func (f frame) declaring(n uint64) frame { f.declare = n; return f }

// headerOnly returns f without a payload. The header announces the original length.
func (f frame) headerOnly() frame {
	f.declare, f.payload = uint64(len(f.payload)), nil
	return f
}

// appendFrame appends f in the format of RFC 6455 §5.2.
func appendFrame(dst []byte, f frame, masked bool) []byte {
	first := f.rsv<<4 | f.op
	if !f.more {
		first |= 0x80
	}
	var second byte
	if masked {
		second = 0x80
	}
	n := uint64(len(f.payload))
	if f.declare != 0 {
		n = f.declare
	}
	form := f.form
	if form == 0 {
		form = shortestForm(n)
	}
	switch form {
	case 7:
		dst = append(dst, first, second|byte(n))
	case 16:
		dst = append(dst, first, second|126)
		dst = binary.BigEndian.AppendUint16(dst, uint16(n))
	default:
		dst = append(dst, first, second|127)
		dst = binary.BigEndian.AppendUint64(dst, n)
	}
	if !masked {
		return append(dst, f.payload...)
	}
	key := f.key
	if key == nil {
		key = new([4]byte)
		binary.BigEndian.PutUint32(key[:], rand.Uint32())
	}
	dst = append(dst, key[:]...)
	at := len(dst)
	dst = append(dst, f.payload...)
	toggleMask(dst[at:], *key)
	return dst
}

// shortestForm returns the minimum number of bits for a length of n.
func shortestForm(n uint64) int {
	switch {
	case n <= 125:
		return 7
	case n <= 0xffff:
		return 16
	}
	return 64
}

// toggleMask masks or unmasks b: octet i of the payload is XORed with octet i modulo 4 of the key (RFC 6455 §5.3).
func toggleMask(b []byte, key [4]byte) {
	var room [1024]byte
	pattern := room[:min(len(room), len(b))]
	for i := range pattern {
		pattern[i] = key[i%4]
	}
	for piece := range slices.Chunk(b, len(room)) {
		subtle.XORBytes(piece, piece, pattern)
	}
}
