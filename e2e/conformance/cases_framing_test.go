package conformance

import (
	"bytes"
	"fmt"
	"strings"
)

// answered returns a case in which every frame is valid: the peer sends the frames, waits for the wanted events, and closes.
func answered(id, title, clause string, sent []frame, wanted ...expectation) testCase {
	return testCase{id: id, title: title, clause: clause, script: func(p *peer) {
		p.send(sent...)
		p.want(wanted...)
		p.close()
	}}
}

// rejected returns a case in which one of the frames, often the last one, makes the tested side fail the connection with code.
func rejected(id, title, clause string, code int, sent ...frame) testCase {
	return testCase{id: id, title: title, clause: clause, script: func(p *peer) {
		p.send(sent...)
		p.failed(code)
	}}
}

func (c testCase) onlyFor(r role) testCase { c.only = []role{r}; return c }

func frames(f ...frame) []frame { return f }

const hello = "Hello, world!"

// framingCases returns the cases of family 1: text and binary messages with every encoding of the length.
func framingCases() []testCase {
	var cases []testCase
	for i, n := range []int{0, 125, 126, 127, 128, 65535, 65536, 65536} {
		chop, how := 0, ""
		if i == 7 {
			chop, how = 997, ", in writes of 997 bytes"
		}
		s, b := strings.Repeat("*", n), bytes.Repeat([]byte{0xfe}, n)
		cases = append(cases,
			testCase{id: fmt.Sprintf("1.1.%d", i+1), title: fmt.Sprintf("a text message of %d bytes%s", n, how), clause: "§5.6",
				script: func(p *peer) {
					p.sendChopped(chop, text(s))
					p.want(textBack(s))
					p.close()
				}, heavy: n > 1000},
			testCase{id: fmt.Sprintf("1.2.%d", i+1), title: fmt.Sprintf("a binary message of %d bytes%s", n, how), clause: "§5.6",
				script: func(p *peer) {
					p.sendChopped(chop, binaryOf(b))
					p.want(binaryBack(b))
					p.close()
				}, heavy: n > 1000})
	}
	cases = append(cases, lengthCases()...)
	return append(cases, maskCases()...)
}

// lengthCases covers the lengths that a header can encode, and the invalid encodings.
func lengthCases() []testCase {
	return []testCase{
		{id: "1.h.1", title: "binary messages of 0 to 300 bytes, one after the other", clause: "§5.2", script: func(p *peer) {
			for n := range 301 {
				b := bytes.Repeat([]byte{byte(n)}, n)
				p.send(binaryOf(b))
				p.want(binaryBack(b))
			}
			p.close()
		}},
		{id: "1.h.2", title: "binary messages of 65530 to 65540 bytes, one after the other", clause: "§5.2", heavy: true,
			script: func(p *peer) {
				for n := 65530; n <= 65540; n++ {
					b := bytes.Repeat([]byte{byte(n)}, n)
					p.send(binaryOf(b))
					p.want(binaryBack(b))
				}
				p.close()
			}},
		rejected("1.h.3", "a length of 0 encoded in 16 bits", "§5.2", 1002, text("").inForm(16)),
		rejected("1.h.4", "a length of 5 encoded in 16 bits", "§5.2", 1002, text("Hello").inForm(16)),
		rejected("1.h.5", "a length of 125 encoded in 16 bits", "§5.2", 1002, binaryOf(make([]byte, 125)).inForm(16)),
		rejected("1.h.6", "a length of 0 encoded in 64 bits", "§5.2", 1002, text("").inForm(64)),
		rejected("1.h.7", "a length of 5 encoded in 64 bits", "§5.2", 1002, text("Hello").inForm(64)),
		rejected("1.h.8", "a length of 126 encoded in 64 bits", "§5.2", 1002, binaryOf(make([]byte, 126)).inForm(64)),
		rejected("1.h.9", "a length of 65535 encoded in 64 bits, header only", "§5.2", 1002,
			binaryOf(nil).declaring(65535).inForm(64)),
		rejected("1.h.10", "a length of 2^63, the most significant bit", "§5.2", 1002, binaryOf(nil).declaring(1<<63)),
		rejected("1.h.11", "a length of 2^64-1", "§5.2", 1002, text(hello).declaring(1<<64-1)),
		rejected("1.h.12", "a length of 2^63+5, whose low bits are the payload's length", "§5.2", 1002,
			text("Hello").declaring(1<<63+5)),
		rejected("1.h.13", "a continuation whose length has the most significant bit set", "§5.2", 1002,
			begin(opText, "Hello"), last("").declaring(1<<63)),
	}
}

// maskCases returns cases about masking: a client masks every frame, and a server masks no frame.
func maskCases() []testCase {
	wrong := []struct {
		name   string
		frames []frame
	}{
		{"text frame", frames(text(hello).maskedWrongly())},
		{"empty text frame", frames(text("").maskedWrongly())},
		{"binary frame", frames(binaryOf([]byte(hello)).maskedWrongly())},
		{"continuation, after a valid first fragment", frames(begin(opText, "a"), last("b").maskedWrongly())},
		{"ping", frames(ping("x").maskedWrongly())},
		{"pong", frames(pong("x").maskedWrongly())},
		{"close frame", frames(closing(1000, "").maskedWrongly())},
		{"text frame, header only", frames(text(hello).headerOnly().maskedWrongly())},
	}
	var cases []testCase
	for i, w := range wrong {
		cases = append(cases, rejected(fmt.Sprintf("1.h.%d", i+14),
			w.name+", unmasked from a client or masked from a server", "§5.1", 1002, w.frames...))
	}
	return append(cases,
		testCase{id: "1.h.22", title: "a valid message, then a wrongly masked one: the first is echoed", clause: "§5.1",
			script: func(p *peer) {
				p.send(text(hello), text(hello).maskedWrongly())
				p.want(textBack(hello))
				p.failed(1002)
			}},
		answered("1.h.23", "a masking key of zeros", "§5.3", frames(text(hello).withKey([4]byte{})), textBack(hello)).
			onlyFor(testServer),
		answered("1.h.24", "every byte value under a masking key of four different bytes", "§5.3",
			frames(binaryOf(allBytes()).withKey([4]byte{0x01, 0x80, 0xff, 0x7e})), binaryBack(allBytes())).onlyFor(testServer),
		testCase{id: "1.h.25", title: "a client takes a new masking key for each frame", clause: "§5.3", only: []role{testClient},
			script: func(p *peer) {
				const n = 64
				for range n {
					p.send(text(hello))
					p.want(textBack(hello))
				}
				// The keys are random, so a few may be equal, but three repetitions among 64 keys are practically impossible.
				if got := len(p.in.keys); got < n-2 {
					p.fail("%d messages have only %d different masking keys", n, got)
				}
				p.close()
			}},
		answered("1.h.26", "alternating text and binary messages keep their types", "§5.6",
			frames(text("a"), binaryOf([]byte("b")), text("c"), binaryOf([]byte("d"))),
			textBack("a"), binaryBack([]byte("b")), textBack("c"), binaryBack([]byte("d"))),
	)
}

func allBytes() []byte {
	b := make([]byte, 256)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}
