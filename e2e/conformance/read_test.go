package conformance

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"syscall"
	"unicode/utf8"
)

// reader reads frames from the tested side, and rejects any violation of RFC 6455.
type reader struct {
	br         *bufio.Reader
	masked     bool          // true if the tested side is a client
	zip        *decompressor // nil means that permessage-deflate was not negotiated
	op         byte          // opcode of the incomplete message; 0 means that there is none
	compressed bool          // the incomplete message is compressed
	message    []byte
	sawClose   bool
	keys       map[[4]byte]int // number of occurrences of each masking key
}

// next returns the next event. An error says which rule was violated, or that nothing was received in time.
func (r *reader) next() (event, error) {
	for {
		h, err := r.header()
		switch {
		case errors.Is(err, io.EOF):
			return event{kind: kindEnd}, nil
		case errors.Is(err, syscall.ECONNRESET):
			return event{kind: kindReset}, nil
		case err != nil:
			return event{}, err
		}
		payload := make([]byte, h.length)
		if _, err := io.ReadFull(r.br, payload); err != nil {
			return event{}, fmt.Errorf("read %d bytes of payload: %w", h.length, err)
		}
		if r.masked {
			toggleMask(payload, h.key)
			r.keys[h.key]++
		}
		if e, ok, err := r.take(h, payload); ok || err != nil {
			return e, err
		}
	}
}

// header is the header of a received frame.
type header struct {
	fin        bool
	compressed bool // RSV1 is set: the message is compressed
	op         byte
	length     uint64
	key        [4]byte
}

// header reads the next header and checks it against RFC 6455 §5.
func (r *reader) header() (header, error) {
	var b [2]byte
	if _, err := io.ReadFull(r.br, b[:1]); err != nil {
		return header{}, err
	}
	if r.sawClose {
		return header{}, errors.New("it sent something after its close frame (§5.5.1)")
	}
	if _, err := io.ReadFull(r.br, b[1:]); err != nil {
		return header{}, fmt.Errorf("TCP ended in a header: %v", err)
	}
	h := header{fin: b[0]&0x80 != 0, op: b[0] & 0x0f}
	h.compressed = b[0]&0x70 == 0x40 && r.zip != nil && (h.op == opText || h.op == opBinary) // RFC 7692 §6
	if b[0]&0x70 != 0 && !h.compressed {
		return header{}, fmt.Errorf("it set a reserved bit: first octet %#x (§5.2)", b[0])
	}
	if masked := b[1]&0x80 != 0; masked != r.masked {
		return header{}, fmt.Errorf("a frame came with masked=%t (§5.1)", masked)
	}
	var err error
	if h.length, err = r.length(b[1] & 0x7f); err != nil {
		return header{}, err
	}
	if r.masked {
		if _, err := io.ReadFull(r.br, h.key[:]); err != nil {
			return header{}, fmt.Errorf("TCP ended in a header: %v", err)
		}
	}
	return h, r.checkHeader(h)
}

// length reads the extended length, if there is one. n is the value of the 7-bit length.
func (r *reader) length(n byte) (uint64, error) {
	if n <= 125 {
		return uint64(n), nil
	}
	field := make([]byte, 2)
	if n == 127 {
		field = make([]byte, 8)
	}
	if _, err := io.ReadFull(r.br, field); err != nil {
		return 0, fmt.Errorf("TCP ended in a header: %v", err)
	}
	length := uint64(0)
	if n == 126 {
		length = uint64(binary.BigEndian.Uint16(field))
	} else {
		length = binary.BigEndian.Uint64(field)
	}
	if shortestForm(length) != len(field)*8 {
		return 0, fmt.Errorf("a length of %d came in %d bits, not in the fewest (§5.2)", length, len(field)*8)
	}
	if length > 64<<20 {
		return 0, fmt.Errorf("a frame of %d bytes came: more than any case sends", length)
	}
	return length, nil
}

// checkHeader checks opcode, FIN and length for consistency with each other and with the previous frames.
func (r *reader) checkHeader(h header) error {
	switch h.op {
	case opText, opBinary:
		if r.op != 0 {
			return errors.New("a new message began within a fragmented one (§5.4)")
		}
	case opCont:
		if r.op == 0 {
			return errors.New("a continuation came without a beginning (§5.4)")
		}
	case opClose, opPing, opPong:
		if !h.fin || h.length > 125 {
			return fmt.Errorf("a control frame came with fin=%t and %d bytes (§5.5)", h.fin, h.length)
		}
	default:
		return fmt.Errorf("the reserved opcode %d came (§5.2)", h.op)
	}
	return nil
}

// take processes a frame, and returns the event that it completes, if any.
func (r *reader) take(h header, payload []byte) (e event, ok bool, err error) {
	switch h.op {
	case opPing:
		return event{kind: kindPing, data: payload}, true, nil
	case opPong:
		return event{kind: kindPong, data: payload}, true, nil
	case opClose:
		r.sawClose = true
		e, err := closeEvent(payload)
		return e, true, err
	case opCont:
		r.message = append(r.message, payload...)
	default:
		r.op, r.message, r.compressed = h.op, payload, h.compressed
	}
	if !h.fin {
		return event{}, false, nil
	}
	e = event{kind: kindMessage, op: r.op, data: r.message}
	r.op, r.message = 0, nil
	if r.compressed {
		if e.data, err = r.zip.inflate(e.data); err != nil {
			return e, true, err
		}
	}
	if e.op == opText && !utf8.Valid(e.data) {
		return e, true, errors.New("a text message came that is not UTF-8 (§5.6)")
	}
	return e, true, nil
}

// closeEvent parses the payload of a close frame (RFC 6455 §5.5.1, §7.4).
func closeEvent(payload []byte) (event, error) {
	if len(payload) == 0 {
		return event{kind: kindClose, code: noStatus}, nil
	}
	if len(payload) == 1 {
		return event{}, errors.New("a close frame with a single byte came (§5.5.1)")
	}
	e := event{kind: kindClose, code: int(binary.BigEndian.Uint16(payload)), data: payload[2:]}
	if !sendable(e.code) {
		return e, fmt.Errorf("a close frame came with the code %d (§7.4)", e.code)
	}
	if !utf8.Valid(e.data) {
		return e, errors.New("a close frame came with a reason that is not UTF-8 (§5.5.1)")
	}
	return e, nil
}

// sendable reports whether a close frame may contain code. Allowed are the registered codes, 3000 to 3999 for libraries, and 4000 to 4999
// for applications.
func sendable(code int) bool {
	switch {
	case code == 1004 || code == 1005 || code == 1006 || code == 1015:
		return false
	case code >= 1000 && code <= 1014:
		return true
	}
	return code >= 3000 && code <= 4999
}
