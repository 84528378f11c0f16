package conformance

import (
	"fmt"
	"strings"
)

const notUTF8 = "\x00\xff\xfe\xfd\xfc\xfb\x00\xff"

// pingCases returns the cases of family 2: pings and pongs.
func pingCases() []testCase {
	full := strings.Repeat("\xfe", 125)
	var ten []frame
	var back []expectation
	for i := range 10 {
		s := fmt.Sprintf("payload-%d", i)
		ten, back = append(ten, ping(s)), append(back, pongBack(s))
	}
	cases := []testCase{
		answered("2.1", "a ping without payload", "§5.5.2", frames(ping("")), pongBack("")),
		answered("2.2", "a ping with text", "§5.5.2", frames(ping(hello)), pongBack(hello)),
		answered("2.3", "a ping with bytes that are not UTF-8", "§5.5.2", frames(ping(notUTF8)), pongBack(notUTF8)),
		answered("2.4", "a ping of 125 bytes", "§5.5.2", frames(ping(full)), pongBack(full)),
		rejected("2.5", "a ping of 126 bytes", "§5.5", 1002, ping(full+"\xfe")),
		{id: "2.6", title: "a ping of 125 bytes, in writes of one byte", clause: "§5.5.2", script: func(p *peer) {
			p.sendChopped(1, ping(full))
			p.want(pongBack(full))
			p.close()
		}},
		answered("2.7", "an unsolicited pong", "§5.5.3", frames(pong(""))),
		answered("2.8", "an unsolicited pong with payload", "§5.5.3", frames(pong("unsolicited"))),
		answered("2.9", "an unsolicited pong with payload, then a ping", "§5.5.3",
			frames(pong("unsolicited"), ping("asked")), pongBack("asked")),
		answered("2.10", "ten pings", "§5.5.2", ten, back...),
		{id: "2.11", title: "ten pings, in writes of one byte", clause: "§5.5.2", script: func(p *peer) {
			p.sendChopped(1, ten...)
			p.want(back...)
			p.close()
		}},
	}
	return append(cases,
		rejected("2.h.1", "a ping of 126 bytes, header only", "§5.5", 1002, ping(full+"\xfe").headerOnly()),
		rejected("2.h.2", "a pong of 126 bytes", "§5.5", 1002, pong(full+"\xfe")),
		rejected("2.h.3", "a pong of 126 bytes, header only", "§5.5", 1002, pong(full+"\xfe").headerOnly()),
		rejected("2.h.4", "a ping of 65536 bytes, header only", "§5.5", 1002, ping("").declaring(65536)),
		rejected("2.h.5", "a ping of 5 bytes, length encoded in 16 bits", "§5.2", 1002, ping("Hello").inForm(16)),
		rejected("2.h.6", "a ping of 5 bytes, length encoded in 64 bits", "§5.2", 1002, ping("Hello").inForm(64)),
		rejected("2.h.7", "a ping of 2^63 bytes", "§5.2", 1002, ping("").declaring(1<<63)),
		testCase{id: "2.h.8", title: "a ping between two messages, each sent after the previous answer", clause: "§5.5.2",
			script: func(p *peer) {
				p.send(text("one"))
				p.want(textBack("one"))
				p.send(ping("p"))
				p.want(pongBack("p"))
				p.send(text("two"))
				p.want(textBack("two"))
				p.close()
			}},
		answered("2.h.9", "every byte value in pings", "§5.5.2",
			frames(ping(string(allBytes()[:125])), ping(string(allBytes()[125:250])), ping(string(allBytes()[250:]))),
			pongBack(string(allBytes()[:125])), pongBack(string(allBytes()[125:250])), pongBack(string(allBytes()[250:]))),
	)
}

// reservedCases returns the cases of family 3: reserved bits without a negotiated extension.
func reservedCases() []testCase {
	// afterHello returns a case that sends a valid message, an invalid frame, and a ping that must not be answered.
	afterHello := func(id, title string, chop int, each bool, bad frame) testCase {
		return testCase{id: id, title: title, clause: "§5.2", script: func(p *peer) {
			all := frames(text(hello), bad, ping(""))
			if each {
				p.sendEach(all...)
			} else {
				p.sendChopped(chop, all...)
			}
			p.want(textBack(hello))
			p.failed(1002)
		}}
	}
	cases := []testCase{
		rejected("3.1", "a text message with RSV 1", "§5.2", 1002, text(hello).withRSV(1)),
		afterHello("3.2", "a valid message, one with RSV 2, a ping", 0, false, text(hello).withRSV(2)),
		afterHello("3.3", "a valid message, one with RSV 3, a ping, one write per frame", 0, true, text(hello).withRSV(3)),
		afterHello("3.4", "a valid message, one with RSV 4, a ping, in writes of one byte", 1, false, text(hello).withRSV(4)),
		rejected("3.5", "a binary message with RSV 5", "§5.2", 1002, binaryOf([]byte(notUTF8)).withRSV(5)),
		rejected("3.6", "a ping with RSV 6", "§5.2", 1002, ping(hello).withRSV(6)),
		rejected("3.7", "a close frame with RSV 7", "§5.2", 1002, closingWith("").withRSV(7)),
	}
	kinds := []struct {
		name   string
		before []frame
		f      frame
	}{
		{"a text message", nil, text(hello)},
		{"a binary message", nil, binaryOf([]byte(hello))},
		{"a continuation", frames(begin(opText, "x")), last(hello)},
		{"a ping", nil, ping(hello)},
		{"a pong", nil, pong(hello)},
		{"a close frame", nil, closing(1000, "bye")},
	}
	n := 0
	for _, k := range kinds {
		for _, bits := range []byte{4, 2, 1} {
			n++
			cases = append(cases, rejected(fmt.Sprintf("3.h.%d", n),
				fmt.Sprintf("%s with RSV %d, header only", k.name, bits), "§5.2", 1002,
				append(k.before, k.f.withRSV(bits).headerOnly())...))
		}
	}
	return append(cases,
		rejected("3.h.19", "the first fragment with RSV 4", "§5.2", 1002, begin(opText, "a").withRSV(4)),
		rejected("3.h.20", "an empty text message with RSV 4", "§5.2", 1002, text("").withRSV(4)))
}

// opcodeCases returns the cases of family 4: reserved opcodes.
func opcodeCases() []testCase {
	odd := func(op byte, s string) frame { return frame{op: op, payload: []byte(s)} }
	afterHello := func(id, title string, chop int, bad frame) testCase {
		return testCase{id: id, title: title, clause: "§5.2", script: func(p *peer) {
			p.sendChopped(chop, text(hello), bad, ping(""))
			p.want(textBack(hello))
			p.failed(1002)
		}}
	}
	cases := []testCase{
		rejected("4.1.1", "opcode 3", "§5.2", 1002, odd(3, "")),
		rejected("4.1.2", "opcode 4 with payload", "§5.2", 1002, odd(4, "reserved")),
		afterHello("4.1.3", "a message, opcode 5, a ping", 0, odd(5, "")),
		afterHello("4.1.4", "a message, opcode 6 with payload, a ping", 0, odd(6, hello)),
		afterHello("4.1.5", "a message, opcode 7 with payload, a ping, in writes of one byte", 1, odd(7, hello)),
		rejected("4.2.1", "opcode 11", "§5.2", 1002, odd(11, "")),
		rejected("4.2.2", "opcode 12 with payload", "§5.2", 1002, odd(12, "reserved")),
		afterHello("4.2.3", "a message, opcode 13, a ping", 0, odd(13, "")),
		afterHello("4.2.4", "a message, opcode 14 with payload, a ping", 0, odd(14, hello)),
		afterHello("4.2.5", "a message, opcode 15 with payload, a ping, in writes of one byte", 1, odd(15, hello)),
	}
	n := 0
	add := func(format string, op byte, sent ...frame) {
		n++
		cases = append(cases, rejected(fmt.Sprintf("4.h.%d", n), fmt.Sprintf(format, op), "§5.2", 1002, sent...))
	}
	for _, op := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		add("opcode %d, header only", op, odd(op, hello).headerOnly())
	}
	for _, op := range []byte{3, 11} {
		add("opcode %d without FIN", op, odd(op, "").unfinished())
		add("opcode %d between the fragments of a message", op, begin(opText, "a"), odd(op, ""), last("b"))
		add("opcode %d with more bytes than a control frame may have", op, odd(op, strings.Repeat("x", 200)))
	}
	return cases
}
