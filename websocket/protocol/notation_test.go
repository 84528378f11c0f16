package protocol

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// This file implements the notation of frames and bytes in the transcripts. It does not use package frame, so that the tests detect
// errors in that package.

var opcodeNames = map[string]byte{"cont": 0, "text": 1, "binary": 2, "close": 8, "ping": 9, "pong": 10}

// nameOfOpcode returns the name of an opcode in the notation.
func nameOfOpcode(op byte) string {
	for name, o := range opcodeNames {
		if o == op {
			return name
		}
	}
	return fmt.Sprintf("opcode=%d", op)
}

// encodeFrame converts one frame in the notation to bytes:
//
//	OPCODE [fin] [rsv1] [rsv2] [rsv3] [masked[=KEY]] [len16|len64] [declares=N] [PAYLOAD...]
//
// OPCODE is cont, text, binary, close, ping, pong or opcode=N. KEY consists of 4 bytes in hex; the default is the key of RFC 6455
// §5.7. len16 and len64 force a longer length field. declares=N sets an announced length that differs from the length of the
// payload. A payload is a quoted Go string, x:HEX, or a number (a status code in 2 bytes). A suffix *N repeats it N times.
func encodeFrame(line string) ([]byte, error) {
	words, err := splitWords(line)
	if err != nil {
		return nil, err
	}
	if len(words) == 0 {
		return nil, fmt.Errorf("no opcode")
	}
	f := wireFrame{declaredLength: -1}
	if op, ok := opcodeNames[words[0]]; ok {
		f.b0 = op
	} else if n, err := strconv.ParseUint(strings.TrimPrefix(words[0], "opcode="), 10, 4); err == nil {
		f.b0 = byte(n)
	} else {
		return nil, fmt.Errorf("unknown opcode: %s", words[0])
	}
	for _, w := range words[1:] {
		if err := f.parseWord(w); err != nil {
			return nil, err
		}
	}
	return f.encode(), nil
}

// wireFrame is a frame in the form in which it is sent.
type wireFrame struct {
	b0             byte
	masked         bool
	key            [4]byte
	lenBytes       int   // 2 or 8 to force a longer length field; 0 means the shortest
	declaredLength int64 // the announced length; -1 means the length of the payload
	payload        []byte
}

// parseWord parses one word of the notation after the opcode.
func (f *wireFrame) parseWord(w string) error {
	flags := map[string]byte{"fin": 0x80, "rsv1": 0x40, "rsv2": 0x20, "rsv3": 0x10}
	name, value, _ := strings.Cut(w, "=")
	switch name {
	case "fin", "rsv1", "rsv2", "rsv3":
		f.b0 |= flags[name]
	case "masked":
		f.masked, f.key = true, testKey
		if value != "" {
			if n, err := hex.Decode(f.key[:], []byte(value)); err != nil || n != 4 {
				return fmt.Errorf("invalid key: %s", value)
			}
		}
	case "len16":
		f.lenBytes = 2
	case "len64":
		f.lenBytes = 8
	case "declares":
		n, err := strconv.ParseInt(value, 0, 64)
		f.declaredLength = n
		return err
	default:
		p, err := parseBytes(w)
		f.payload = append(f.payload, p...)
		return err
	}
	return nil
}

func (f *wireFrame) encode() []byte {
	length := uint64(len(f.payload))
	if f.declaredLength >= 0 {
		length = uint64(f.declaredLength)
	}
	var mask byte
	if f.masked {
		mask = 0x80
	}
	b := []byte{f.b0}
	switch {
	case f.lenBytes == 8 || length > 65535:
		b = binary.BigEndian.AppendUint64(append(b, mask|127), length)
	case f.lenBytes == 2 || length > 125:
		b = binary.BigEndian.AppendUint16(append(b, mask|126), uint16(length))
	default:
		b = append(b, mask|byte(length))
	}
	if !f.masked {
		return append(b, f.payload...)
	}
	b = append(b, f.key[:]...)
	for i, c := range f.payload {
		b = append(b, c^f.key[i%4])
	}
	return b
}

// parseBytes converts "text", x:HEX or a status code, each optionally followed by *N, to bytes.
func parseBytes(w string) ([]byte, error) {
	times := 1
	if i := strings.LastIndexByte(w, '*'); i > 0 && i > strings.LastIndexByte(w, '"') {
		n, err := strconv.Atoi(w[i+1:])
		if err != nil {
			return nil, fmt.Errorf("invalid count: %s", w)
		}
		w, times = w[:i], n
	}
	var p []byte
	if strings.HasPrefix(w, `"`) {
		s, err := strconv.Unquote(w)
		if err != nil {
			return nil, fmt.Errorf("invalid string: %s", w)
		}
		p = []byte(s)
	} else if digits, ok := strings.CutPrefix(w, "x:"); ok {
		b, err := hex.DecodeString(digits)
		if err != nil {
			return nil, fmt.Errorf("invalid hex: %s", w)
		}
		p = b
	} else {
		code, err := strconv.ParseUint(w, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("neither a string, nor hex, nor a status code: %s", w)
		}
		p = binary.BigEndian.AppendUint16(nil, uint16(code))
	}
	return []byte(strings.Repeat(string(p), times)), nil
}

// splitWords splits at spaces outside quoted strings.
func splitWords(line string) ([]string, error) {
	var words []string
	for {
		line = strings.TrimLeft(line, " \t")
		if line == "" {
			return words, nil
		}
		quoted := ""
		if line[0] == '"' {
			q, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, fmt.Errorf("unterminated string: %s", line)
			}
			quoted = q
		}
		end := strings.IndexAny(line[len(quoted):], " \t")
		if end < 0 {
			return append(words, line), nil
		}
		words = append(words, line[:len(quoted)+end])
		line = line[len(quoted)+end:]
	}
}

// showBytes formats bytes in the notation: text as a string, other data as hex, and a repeated byte with a count.
func showBytes(p []byte) string {
	times := ""
	if len(p) > 16 && bytes.Count(p, p[:1]) == len(p) {
		times = fmt.Sprintf("*%d", len(p))
		p = p[:1]
	}
	if utf8.Valid(p) && !strings.ContainsFunc(string(p), func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return strconv.Quote(string(p)) + times
	}
	return "x:" + hex.EncodeToString(p) + times
}

// writeFrames formats a stream of complete frames, each in the notation and in hex.
func writeFrames(sb *strings.Builder, b []byte) {
	for len(b) > 0 {
		f, rest, err := nextFrame(b)
		if err != nil {
			fmt.Fprintf(sb, "the output is not a frame (%v): % x\n", err, b)
			return
		}
		wire := b[:len(b)-len(rest)]
		b = rest
		fmt.Fprintf(sb, "out %s", nameOfOpcode(f.b0&0x0f))
		for i, flag := range []string{"fin", "rsv1", "rsv2", "rsv3"} {
			if f.b0&(0x80>>i) != 0 {
				sb.WriteString(" " + flag)
			}
		}
		if f.masked {
			fmt.Fprintf(sb, " masked=%x", f.key)
		}
		p := f.payload
		if f.b0&0x0f == 8 && len(p) >= 2 {
			fmt.Fprintf(sb, " %d", binary.BigEndian.Uint16(p))
			p = p[2:]
		}
		if len(p) > 0 {
			sb.WriteString(" " + showBytes(p))
		}
		sb.WriteByte('\n')
		for len(wire) > 0 {
			n := min(len(wire), 32)
			fmt.Fprintf(sb, "    % x\n", wire[:n])
			wire = wire[n:]
		}
	}
}

// nextFrame decodes and unmasks the first frame in b.
func nextFrame(b []byte) (f wireFrame, rest []byte, err error) {
	cut := fmt.Errorf("incomplete")
	if len(b) < 2 {
		return f, nil, cut
	}
	f.b0, f.masked = b[0], b[1]&0x80 != 0
	length, used := uint64(b[1]&0x7f), 2
	switch length {
	case 126:
		f.lenBytes = 2
	case 127:
		f.lenBytes = 8
	}
	if f.lenBytes > 0 {
		if len(b) < used+f.lenBytes {
			return f, nil, cut
		}
		length = 0
		for _, c := range b[used : used+f.lenBytes] {
			length = length<<8 | uint64(c)
		}
		used += f.lenBytes
	}
	if f.masked {
		if len(b) < used+4 {
			return f, nil, cut
		}
		copy(f.key[:], b[used:])
		used += 4
	}
	if uint64(len(b)-used) < length {
		return f, nil, cut
	}
	f.payload = make([]byte, length)
	for i := range f.payload {
		f.payload[i] = b[used+i] ^ f.key[i%4]
	}
	return f, b[used+int(length):], nil
}
