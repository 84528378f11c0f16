package protocol

import (
	"encoding/binary"
	"path/filepath"
	"slices"
	"testing"
	"unicode/utf8"
)

// oracle reads a complete stream as RFC 6455 describes it: one frame after another, with unsplit payloads and no state except the current
// message. It is slow and simple, and shares no code with the Machine. detail is the reason in the close frame for a violation. The caller
// takes it from the Machine, because only the clause and the code are checked.
func oracle(s session, detail string) outcome {
	o := reader{session: s, detail: detail, bytesAfterEnd: -1}
	for pos := 0; pos < len(s.stream) && o.bytesAfterEnd < 0; {
		pos = o.frame(pos)
	}
	o.answer()
	if len(o.partial) == 0 {
		o.openMessage = "" // nothing is reported about a message before its first payload byte or its end
	}
	o.inMessage = o.open && o.bytesAfterEnd < 0
	return o.outcome
}

// reader is the state of the oracle.
type reader struct {
	outcome
	session
	detail        string
	open          bool // a message has begun and not ended
	text          bool
	deflate       bool
	bytes         uint64 // number of bytes announced for the message
	frames        int
	replies       []timed
	bytesAfterEnd int // offset after the byte that ended the stream; -1 if the stream has not ended
}

// timed is a frame that we send after at bytes of the stream have been received.
type timed struct {
	at    int
	frame wireFrame
}

// frame reads the frame at pos and returns the offset of the next one.
func (r *reader) frame(pos int) int {
	b := r.stream[pos:]
	r.position = "inside a frame's header"
	if len(b) < 2 {
		return len(r.stream)
	}
	b0, op := b[0], b[0]&0x0f
	if section := r.checkHeader(b0, b[1]); section != "" {
		r.fail(pos+2, section, 1002)
		return pos
	}
	lengthBytes := map[byte]int{126: 2, 127: 8}[b[1]&0x7f]
	header := 2 + lengthBytes
	if len(b) < header {
		return len(r.stream)
	}
	length := uint64(b[1] & 0x7f)
	if lengthBytes > 0 {
		length = 0
		for _, c := range b[2:header] {
			length = length*256 + uint64(c)
		}
		least := map[int]uint64{2: 126, 8: 65536}[lengthBytes]
		if length < least || length >= 1<<63 {
			r.fail(pos+header, "RFC 6455 §5.2", 1002)
			return pos
		}
	}
	var key [4]byte
	if !r.client {
		if len(b) < header+4 {
			return len(r.stream)
		}
		copy(key[:], b[header:])
		header += 4
	}
	whole := uint64(len(b)-header) >= length
	payload := b[header:]
	if whole {
		payload = payload[:length]
	}
	plain := make([]byte, len(payload))
	for i := range payload {
		plain[i] = payload[i] ^ key[i%4]
	}
	r.position = ""
	start := pos + header
	if op >= 8 {
		r.control(op, plain, whole, start+len(plain))
	} else {
		r.dataFrame(b0, length, plain, whole, start)
	}
	if r.bytesAfterEnd < 0 && !whole {
		r.position = "inside a " + map[byte]string{0: "continuation", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}[op] + " frame"
		if op < 8 {
			r.left = int64(length) - int64(len(plain))
		}
	} else if r.bytesAfterEnd < 0 && r.open {
		r.position = "between the fragments of a message"
	}
	return start + len(plain)
}

// checkHeader checks the first two bytes of a frame, and returns the section that they violate, or "".
func (r *reader) checkHeader(b0, b1 byte) string {
	fin, rsv1, rsv23, op := b0&0x80 != 0, b0&0x40 != 0, b0&0x30 != 0, b0&0x0f
	data, known := op == 1 || op == 2, op <= 2 || op >= 8 && op <= 10
	masked, control := b1&0x80 != 0, op >= 8
	switch {
	case rsv23, rsv1 && !r.compressed:
		return "RFC 6455 §5.2"
	case rsv1 && !data:
		return "RFC 7692 §6.1"
	case !known:
		return "RFC 6455 §5.2"
	case masked == r.client:
		return "RFC 6455 §5.1"
	case control && (!fin || b1&0x7f > 125):
		return "RFC 6455 §5.5"
	case op == 0 && !r.open, data && r.open:
		return "RFC 6455 §5.4"
	}
	return ""
}

// control handles a control frame whose payload ends at the offset end.
func (r *reader) control(op byte, p []byte, whole bool, end int) {
	if !whole {
		return
	}
	switch op {
	case 9:
		r.events = append(r.events, "ping "+showBytes(p))
		r.answers(end, 10, p)
	case 10:
		r.events = append(r.events, "pong "+showBytes(p))
	case 8:
		r.close(p, end)
	}
}

func (r *reader) close(p []byte, end int) {
	if len(p) == 0 {
		r.events = append(r.events, `close 1005 ""`)
		r.answers(end, 8, nil)
		r.bytesAfterEnd = end
		return
	}
	if len(p) == 1 {
		r.fail(end, "RFC 6455 §5.5.1", 1002)
		return
	}
	code := binary.BigEndian.Uint16(p)
	sendable := code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006 || code >= 3000 && code <= 4999
	if !sendable {
		r.fail(end, "RFC 6455 §7.4", 1002)
		return
	}
	if !utf8.Valid(p[2:]) {
		r.fail(end, "RFC 6455 §8.1", 1007)
		return
	}
	r.events = append(r.events, "close "+decimal(code)+" "+showBytes(p[2:]))
	r.answers(end, 8, p)
	r.bytesAfterEnd = end
}

func decimal(n uint16) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return decimal(n/10) + string(rune('0'+n%10))
}

// dataFrame handles a data frame, or the received part p of its payload. p begins at the offset start.
func (r *reader) dataFrame(b0 byte, length uint64, p []byte, whole bool, start int) {
	fin := b0&0x80 != 0
	if op := b0 & 0x0f; op != 0 {
		r.open, r.text, r.deflate = true, op == 1, b0&0x40 != 0
		r.bytes, r.frames, r.partial = 0, 0, nil
		r.openMessage = kindOfMessage(r.text, r.deflate)
	}
	r.bytes += length
	r.frames++
	if l := r.limits; l != nil {
		most := uint64(l.MaxMessage)
		if r.deflate {
			most += most/8 + 1024
		}
		if l.MaxMessage > 0 && r.bytes > most {
			r.fail(start, "RFC 6455 §10.4", 1009)
			return
		}
		if l.Fragments > 0 && r.frames > l.Fragments {
			r.fail(start, "RFC 6455 §10.4", 1008)
			return
		}
	}
	before := len(r.partial)
	r.partial = append(r.partial, p...)
	ends := fin && whole
	if r.text && !r.deflate {
		if bad := invalidUTF8Offset(r.partial); bad >= 0 {
			r.partial = r.partial[:bad]
			r.fail(start+bad-before+1, "RFC 6455 §8.1", 1007)
			return
		}
		if ends && !utf8.Valid(r.partial) {
			r.fail(start+len(p), "RFC 6455 §8.1", 1007)
			return
		}
	}
	if ends {
		r.events = append(r.events, "message "+r.openMessage+" "+showBytes(r.partial))
		r.open, r.openMessage, r.partial = false, "", nil
	}
}

// invalidUTF8Offset returns the offset of the first byte of p at which p can no longer become valid UTF-8, or -1 if there is none.
func invalidUTF8Offset(p []byte) int {
	for i := 0; i < len(p); {
		if c, size := utf8.DecodeRune(p[i:]); c != utf8.RuneError || size > 1 {
			i += size
			continue
		}
		for n := 1; i+n <= len(p); n++ {
			if !prefixOfUTF8(p[i:i+n], 4-n) {
				return i + n - 1
			}
		}
		return -1
	}
	return -1
}

// prefixOfUTF8 reports whether p can become valid UTF-8 by appending at most more bytes. Every incomplete character can be continued with
// one of the three bytes tried here.
func prefixOfUTF8(p []byte, more int) bool {
	if utf8.Valid(p) {
		return true
	}
	if more <= 0 {
		return false
	}
	for _, c := range []byte{0x80, 0x90, 0xa0} {
		if prefixOfUTF8(append(slices.Clip(p), c), more-1) {
			return true
		}
	}
	return false
}

func (r *reader) fail(at int, section string, code uint16) {
	r.violation = &Violation{Section: section, Code: code, Detail: r.detail}
	r.reply(at, 8, append(binary.BigEndian.AppendUint16(nil, code), r.detail...))
	r.bytesAfterEnd, r.position = at, ""
}

func (r *reader) reply(at int, op byte, payload []byte) {
	r.replies = append(r.replies, timed{at, r.localCloseSent(op, payload)})
}

// answers is like reply, for frames that are left to the driver if Relay is set.
func (r *reader) answers(at int, op byte, payload []byte) {
	if !r.relay {
		r.reply(at, op, payload)
	}
}

func (r *reader) localCloseSent(op byte, payload []byte) wireFrame {
	return wireFrame{b0: 0x80 | op, masked: r.client, key: testKey, declaredLength: -1, payload: payload}
}

// answer orders the frames that we send: the replies in the order of the stream, with our own close frame among them, and only one
// close frame in total.
func (r *reader) answer() {
	all := r.replies
	for _, c := range r.sends {
		var p []byte
		if c.code != 1005 {
			p = append(binary.BigEndian.AppendUint16(nil, c.code), c.reason...)
		}
		i := 0
		for i < len(all) && all[i].at <= c.at {
			i++
		}
		all = append(all[:i:i], append([]timed{{c.at, r.localCloseSent(8, p)}}, all[i:]...)...)
	}
	closed := false
	for _, f := range all {
		if closes := f.frame.b0&0x0f == 8; !closes || !closed {
			r.out = append(r.out, f.frame.encode()...)
			closed = closed || closes
		}
	}
}

// checkOracle drives a session with the given cuts and compares its outcome with the oracle's.
func checkOracle(t testing.TB, s session, cuts ...int) {
	t.Helper()
	got := drive(t, s, cuts...)
	detail := ""
	if got.violation != nil {
		detail = got.violation.Detail
	}
	want := oracle(s, detail)
	if a, b := got.text(), want.text(); a != b || got.inMessage != want.inMessage {
		t.Fatalf("% x\nthe Machine:\n%sin a message: %v\nthe oracle:\n%sin a message: %v",
			s.stream, a, got.inMessage, b, want.inMessage)
	}
	if n := len(got.partial); n > len(want.partial) || string(want.partial[:n]) != string(got.partial) {
		t.Fatalf("% x\ndata of the unfinished message: the Machine reported %q, the oracle %q", s.stream, got.partial, want.partial)
	}
}

// TestOracle compares the oracle and the Machine for the transcripts, whose correct results are known.
func TestOracle(t *testing.T) {
	eachTranscript(t, func(c *transcript) {
		checkOracle(t, c.session)
	})
}

// eachTranscript calls f for every case of every transcript.
func eachTranscript(t testing.TB, f func(*transcript)) {
	t.Helper()
	files, err := filepath.Glob(transcripts + "/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, path := range files {
		all, _ := readTranscripts(t, path)
		for _, c := range all {
			f(c)
		}
	}
}
