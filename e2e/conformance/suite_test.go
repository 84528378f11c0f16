package conformance

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/hex"
	"strings"
	"testing"
)

// These tests check the suite itself against RFC 6455: a peer that accepted everything would find no bugs.

// TestRFC6455_5_7_Examples compares the peer's output with the examples in the RFC.
func TestRFC6455_5_7_Examples(t *testing.T) {
	key := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	for _, c := range []struct {
		name   string
		f      frame
		masked bool
		want   string
	}{
		{"a text message", text("Hello"), false, "810548656c6c6f"},
		{"a masked text message", text("Hello").withKey(key), true, "818537fa213d7f9f4d5158"},
		{"a first fragment", begin(opText, "Hel"), false, "010348656c"},
		{"a last fragment", last("lo"), false, "80026c6f"},
		{"a ping", ping("Hello"), false, "890548656c6c6f"},
		{"a masked pong", pong("Hello").withKey(key), true, "8a8537fa213d7f9f4d5158"},
		{"256 bytes", binaryOf(nil).declaring(256), false, "827e0100"},
		{"64 KiB", binaryOf(nil).declaring(65536), false, "827f0000000000010000"},
	} {
		if got := hex.EncodeToString(appendFrame(nil, c.f, c.masked)); got != c.want {
			t.Errorf("%s is %s, want %s", c.name, got, c.want)
		}
	}
}

// TestPeerRefuses sends invalid input to the peer, which must reject each input.
func TestPeerRefuses(t *testing.T) {
	long := strings.Repeat("00", 126)
	for _, c := range []struct{ name, bytes, say string }{
		{"RSV1", "c10161", "reserved bit"},
		{"RSV3", "910161", "reserved bit"},
		{"a masked frame from a server", "818100000000" + "61", "masked=true"},
		{"a length in more bits than needed", "817e000161", "fewest"},
		{"a length in many more", "817f000000000000000161", "fewest"},
		{"a huge frame", "827f7000000000000000", "more than any case sends"},
		{"a reserved opcode", "8300", "reserved opcode"},
		{"a control frame in fragments", "0900", "fin=false"},
		{"a long control frame", "897e007e" + long, "126 bytes"},
		{"a continuation of nothing", "8000", "without a beginning"},
		{"a message in a message", "01016181" + "0162", "within a fragmented one"},
		{"text that is not UTF-8", "8101ff", "not UTF-8"},
		{"text that is not UTF-8 over two frames", "0101ce800161", "not UTF-8"},
		{"a close frame of one byte", "880103", "single byte"},
		{"the code 1005", "880203ed", "1005"},
		{"the code 1006", "880203ee", "1006"},
		{"the code 999", "880203e7", "999"},
		{"a reason that is not UTF-8", "880303e8ff", "not UTF-8"},
		{"a ping after the close frame", "880203e88900", "after its close frame"},
		{"a frame cut by the end of TCP", "810561", "payload"},
		{"a header cut by the end of TCP", "81", "in a header"},
	} {
		b, err := hex.DecodeString(c.bytes)
		if err != nil {
			t.Fatal(err)
		}
		r := reader{br: bufio.NewReader(bytes.NewReader(b))}
		for err = nil; err == nil; {
			var e event
			if e, err = r.next(); err == nil && e.kind == kindEnd {
				break
			}
		}
		if err == nil || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: the peer's error is %v, want %q in it", c.name, err, c.say)
		}
	}
}

// TestPeerReads sends a valid stream to the peer, and compares the resulting events.
func TestPeerReads(t *testing.T) {
	var b []byte
	for _, f := range frames(begin(opText, "κ\xe1"), ping("p"), more("\xbd"), last("\xb9"), binaryOf([]byte("\xff")),
		pong("q"), text(""), closing(1001, "bye")) {
		b = appendFrame(b, f, true)
	}
	r := reader{br: bufio.NewReader(bytes.NewReader(b)), masked: true, keys: map[[4]byte]int{}}
	for _, x := range []expectation{
		{kinds: []kind{kindPing}, data: []byte("p")}, textBack("κ\u1f79"), binaryBack([]byte("\xff")), pongBack("q"),
		textBack(""), closeFor(1001, "bye"), {kinds: []kind{kindEnd}},
	} {
		if e, err := r.next(); err != nil || !x.met(e) {
			t.Fatalf("got %v (error: %v), want %v", e, err, x)
		}
	}
}

// TestExpectationsAreExact compares events with expectations that they do not meet.
func TestExpectationsAreExact(t *testing.T) {
	hi := event{kind: kindMessage, op: opText, data: []byte("hi")}
	for _, c := range []struct {
		x expectation
		e event
	}{
		{textBack("ho"), hi},
		{binaryBack([]byte("hi")), hi},
		{pongBack("hi"), hi},
		{closeWith(1000), hi},
		{closeWith(1000), event{kind: kindClose, code: 1002}},
		{closeWith(1000), event{kind: kindClose, code: noStatus}},
		{closeFor(1000, "a"), event{kind: kindClose, code: 1000, data: []byte("b")}},
		{closeFor(1000, ""), event{kind: kindClose, code: 1000, data: []byte("b")}},
		{expectation{kinds: []kind{kindEnd}}, event{kind: kindReset}},
	} {
		if c.x.met(c.e) {
			t.Errorf("%v meets the expectation %v", c.e, c.x)
		}
	}
	if !closeWith(1002, 1007).met(event{kind: kindClose, code: 1007, data: []byte("why")}) {
		t.Error("a close frame with one of the codes does not meet the expectation")
	}
}

// TestRFC1951_InflateWithin checks the suite's own inflater, including the limit of its window, with the standard library's encoder.
func TestRFC1951_InflateWithin(t *testing.T) {
	for _, d := range payloads {
		for _, level := range []int{flate.NoCompression, flate.BestSpeed, flate.BestCompression, flate.HuffmanOnly} {
			var b bytes.Buffer
			w, err := flate.NewWriter(&b, level)
			if err != nil {
				t.Fatal(err)
			}
			data := d.data()[:100<<10]
			if _, err := w.Write(data); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			got, err := inflateWithin(b.Bytes(), nil, 1<<15)
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s at level %d: %d bytes, want %d, error: %v", d.name, level, len(got), len(data), err)
			}
		}
	}
	far := strings.Repeat("a match that lies 600 bytes back", 2)
	filler := make([]byte, 600)
	for i := range filler {
		filler[i] = byte(i * 7)
	}
	s := newCompressor(15, false)
	whole := append(s.compress([]byte(far+string(filler)+far)), tail+"\x01\x00\x00\xff\xff"...)
	if _, err := inflateWithin(whole, nil, 1024); err != nil {
		t.Errorf("a match within the window: %v", err)
	}
	if _, err := inflateWithin(whole, nil, 512); err == nil {
		t.Error("a match beyond the window is accepted")
	}
	if _, err := inflateWithin([]byte(exampleAgain+tail), []byte("Hello"), 512); err == nil {
		t.Error("a stream without a final block is accepted")
	}
	if got, err := inflateWithin([]byte(exampleAgain+tail+"\x01\x00\x00\xff\xff"), []byte("Hello"), 512); string(got) != "Hello" {
		t.Errorf("a match in the history is inflated to %q, error: %v", got, err)
	}
}
