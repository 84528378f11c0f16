package conformance

import (
	"bytes"
	"fmt"
	"strings"
)

// closeCases returns the cases of family 7.
func closeCases() []testCase {
	cases := basicCloseCases()
	cases = append(cases, payloadCases()...)
	valid := []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999}
	for i, code := range valid {
		cases = append(cases, echoedCode(fmt.Sprintf("7.7.%d", i+1), code, ""))
	}
	for i, code := range []int{0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999} {
		cases = append(cases, refusedCode(fmt.Sprintf("7.9.%d", i+1), code))
	}
	cases = append(cases, refusedCode("7.13.1", 5000), refusedCode("7.13.2", 65535))
	cases = append(cases, afterCloseCases()...)
	cases = append(cases, hastyEndCases()...)
	return append(cases, ownCloseCases()...)
}

// echoedCode returns a case in which a close frame with a valid code is echoed unchanged.
func echoedCode(id string, code int, reason string) testCase {
	with := ""
	if reason != "" {
		with = " and a reason"
	}
	title := fmt.Sprintf("a close frame with code %d%s is answered with that code", code, with)
	return testCase{id: id, title: title, clause: "§5.5.1", script: func(p *peer) {
		p.send(closing(code, reason))
		p.want(closeFor(code, reason))
		p.end()
	}}
}

func refusedCode(id string, code int) testCase {
	return rejected(id, fmt.Sprintf("a close frame with code %d, which must not be sent", code), "§7.4", 1002,
		closing(code, ""))
}

// basicCloseCases returns the cases 7.1: data after a close frame is ignored.
func basicCloseCases() []testCase {
	ignored := func(id, title string, after frame) testCase {
		return testCase{id: id, title: title, clause: "§5.5.1", script: func(p *peer) {
			p.send(closing(1000, ""), after)
			p.want(closeWith(1000))
			p.endOrReset()
		}}
	}
	long := strings.Repeat("BAsd7&jh23", 256<<10/10)
	return []testCase{
		{id: "7.1.1", title: "a message, then a close frame", clause: "§7.1", script: func(p *peer) {
			p.send(text(hello), closing(1000, ""))
			p.want(textBack(hello), closeWith(1000))
			p.end()
		}},
		ignored("7.1.2", "a second close frame", closingWith("")),
		ignored("7.1.3", "a ping after the close frame gets no pong", ping("")),
		ignored("7.1.4", "a message after the close frame gets no echo", text(hello)),
		{id: "7.1.5", title: "a close frame in the middle of a message", clause: "§5.4", script: func(p *peer) {
			p.send(begin(opText, "fragment1"), closing(1000, ""), last("fragment2"))
			p.want(closeWith(1000))
			p.endOrReset()
		}},
		{id: "7.1.6", title: "a message of 256 KiB, a small message, a close frame, a ping: two echoes, then the close frame",
			clause: "§7.1", heavy: true, script: func(p *peer) {
				p.send(text(long), text(hello), closing(1000, ""), ping(""))
				p.want(textBack(long), textBack(hello), closeWith(1000))
				p.endOrReset()
			}},
	}
}

// payloadCases returns the cases 7.3 and 7.5, which test the payload of a close frame.
func payloadCases() []testCase {
	answeredClose := func(id, title string, f frame, codes ...int) testCase {
		return testCase{id: id, title: title, clause: "§5.5.1", script: func(p *peer) {
			p.send(f)
			p.want(closeWith(codes...))
			p.end()
		}}
	}
	return []testCase{
		answeredClose("7.3.1", "a close frame without a code", closingWith(""), noStatus, 1000),
		rejected("7.3.2", "a close frame of one byte", "§5.5.1", 1002, closingWith("a")),
		answeredClose("7.3.3", "a close frame with a code", closing(1000, ""), 1000),
		answeredClose("7.3.4", "a close frame with a reason", closing(1000, hello), 1000),
		answeredClose("7.3.5", "a close frame with the longest reason", closing(1000, strings.Repeat("*", 123)), 1000),
		rejected("7.3.6", "a close frame with a reason of 124 bytes", "§5.5", 1002, closing(1000, strings.Repeat("*", 124))),
		{id: "7.5.1", title: "a reason that is not UTF-8", clause: "§5.5.1", script: func(p *peer) {
			p.send(closing(1000, greek+"\xed\xa0\x80"+edited))
			p.failed(1002, 1007)
		}},
	}
}

// afterCloseCases returns additional cases, beyond Autobahn's, about codes, payloads, and data before and after a close frame.
func afterCloseCases() []testCase {
	var cases []testCase
	n := 0
	id := func() string { n++; return fmt.Sprintf("7.h.%d", n) }
	for _, code := range []int{1012, 1013, 1014} { // codes that were registered after RFC 6455
		cases = append(cases, echoedCode(id(), code, ""))
	}
	for _, code := range []int{1001, 3456, 4321} {
		cases = append(cases, echoedCode(id(), code, "a reason: κόσμε"))
	}
	for _, code := range []int{1, 255, 256, 998, 1015, 1017, 1999, 2001, 2500, 5001, 9999, 32768} {
		cases = append(cases, refusedCode(id(), code))
	}
	for _, f := range []struct {
		title string
		sent  []frame
		codes []int
	}{
		{"a close frame of one byte in the middle of a message", frames(begin(opText, "a"), closingWith("\x03")), []int{1002}},
		{"a close frame of 126 bytes, header only", frames(closingWith("").declaring(126)), []int{1002}},
		{"a reason that ends within a code point", frames(closing(1000, "abc\xce")), []int{1002, 1007}},
		{"a reason that is an overlong NUL", frames(closing(1000, "\xc0\x80")), []int{1002, 1007}},
		{"a code that must not be sent, with a reason", frames(closing(1006, "abnormal")), []int{1002}},
		{"a close frame without a code, length encoded in 16 bits", frames(closingWith("").inForm(16)), []int{1002}},
	} {
		cases = append(cases, testCase{id: id(), title: f.title, clause: "§5.5.1", script: func(p *peer) {
			p.send(f.sent...)
			p.failed(f.codes...)
		}})
	}
	return append(cases,
		testCase{id: id(), title: "random bytes after a close frame are ignored", clause: "§5.5.1",
			script: func(p *peer) {
				p.send(closing(1000, ""))
				p.raw(0, bytes.Repeat([]byte{0xff}, 1000))
				p.want(closeWith(1000))
				p.endOrReset()
			}},
		testCase{id: id(), title: "several violations are answered with one close frame", clause: "§7.1.7", script: func(p *peer) {
			p.send(text(hello).withRSV(2), text("\xff"), ping("").unfinished(), closing(1000, ""))
			p.failed(1002)
		}},
		testCase{id: id(), title: "a close frame with a reason of 123 bytes in three-byte code points", clause: "§5.5.1",
			script: func(p *peer) {
				p.send(closing(1000, strings.Repeat("€", 41)))
				p.want(closeWith(1000))
				p.end()
			}},
		testCase{id: id(), title: "a ping just before the close frame is answered", clause: "§5.5.2", script: func(p *peer) {
			p.send(ping("last"), closing(1001, ""))
			p.want(pongBack("last"), closeWith(1001))
			p.end()
		}},
	)
}

// hastyEndCases returns cases in which TCP ends without a closing handshake, or before all data has been read.
func hastyEndCases() []testCase {
	// gone returns a case in which the peer closes its direction of TCP after sending data. The tested side must send no close frame.
	gone := func(id, title string, sent func(p *peer)) testCase {
		return testCase{id: id, title: title, clause: "§7.1.5", script: func(p *peer) {
			sent(p)
			p.halfClose()
			p.want(expectation{kinds: []kind{kindEnd}})
		}}
	}
	return []testCase{
		gone("7.h.29", "TCP ends without a close frame", func(*peer) {}),
		gone("7.h.30", "TCP ends within a header", func(p *peer) { p.raw(0, []byte{0x82}) }),
		gone("7.h.31", "TCP ends within a payload", func(p *peer) { p.send(text(hello).declaring(1000)) }),
		gone("7.h.32", "TCP ends between fragments", func(p *peer) { p.send(begin(opText, hello)) }),
		{id: "7.h.33", title: "a violation, followed by bytes that are not read: the close frame is not lost to a TCP reset",
			clause: "§7.1.1", script: func(p *peer) {
				p.send(text(hello).withRSV(1))
				p.raw(0, make([]byte, 64<<10))
				p.want(closeWith(1002))
				p.end()
			}},
		{id: "7.h.34", title: "a close frame followed by 64 KiB of random bytes is answered", clause: "§5.5.1",
			script: func(p *peer) {
				p.send(closing(1000, ""))
				p.raw(0, make([]byte, 64<<10))
				p.want(closeWith(1000))
				p.endOrReset()
			}},
	}
}

// ownCloseCases returns cases in which the tested side begins the closing handshake when it receives the first message.
func ownCloseCases() []testCase {
	closes := func(id, title string, code int, reason string, script func(p *peer)) testCase {
		return testCase{id: id, title: title, clause: "§7.1.2", app: app{closeCode: code, reason: reason}, script: script}
	}
	plain := func(id, title string, code int, reason string) testCase {
		return closes(id, title, code, reason, func(p *peer) {
			p.send(text("go"))
			p.want(closeFor(code, reason))
			p.send(closing(code, ""))
			p.end()
		})
	}
	cases := []testCase{
		plain("7.2.h.1", "the tested side closes, and the peer answers", 1000, ""),
		plain("7.2.h.2", "the tested side closes with the longest reason", 1000, strings.Repeat("*", 123)),
		closes("7.2.h.3", "the tested side closes, and the peer answers with another code", 1001, "", func(p *peer) {
			p.send(text("go"))
			p.want(closeFor(1001, ""))
			p.send(closing(4000, "mine"))
			p.end()
		}),
		closes("7.2.h.4", "the tested side closes, and the peer answers without a code", 1000, "bye", func(p *peer) {
			p.send(text("go"))
			p.want(closeFor(1000, "bye"))
			p.send(closingWith(""))
			p.end()
		}),
		closes("7.2.h.5", "the tested side closes, and the peer sends messages before it answers", 1000, "", func(p *peer) {
			p.send(text("go"))
			p.want(closeFor(1000, ""))
			p.sendEach(text("still"), binaryOf([]byte("underway")), begin(opText, "and "), last("more"), closing(1000, ""))
			p.end()
		}),
		closes("7.2.h.6", "the tested side closes during a message of the peer, which the peer finishes before it answers", 1000, "",
			func(p *peer) {
				p.send(text("go"), begin(opText, "a"))
				p.want(closeFor(1000, ""))
				p.send(last("b"), closing(1000, ""))
				p.end()
			}),
		closes("7.2.h.7", "the tested side closes, and TCP ends without an answer", 1000, "", func(p *peer) {
			p.send(text("go"))
			p.want(closeFor(1000, ""))
			p.halfClose()
			p.want(expectation{kinds: []kind{kindEnd}})
		}),
		closes("7.2.h.8", "both sides close at the same time: one close frame each", 4001, "", func(p *peer) {
			p.send(text("go"), closing(4002, ""))
			p.want(closeWith(4001, 4002))
			p.endOrReset()
		}),
	}
	for i, code := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014,
		3000, 3999, 4000, 4999} {
		cases = append(cases, plain(fmt.Sprintf("7.8.h.%d", i+1), fmt.Sprintf("the tested side closes with %d", code), code, "because"))
	}
	return cases
}
