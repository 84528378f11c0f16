package conformance

import (
	"fmt"
	"strings"
)

// How a case distributes its frames over writes.
const (
	oneWrite = iota
	eachFrame
	eachByte
)

var handedOver = [...]string{"", ", one write per frame", ", in writes of one byte"}

func (p *peer) sendAs(how int, all ...frame) {
	switch how {
	case eachFrame:
		p.sendEach(all...)
	case eachByte:
		p.sendChopped(1, all...)
	default:
		p.send(all...)
	}
}

// fragmentCases returns the cases of family 5: fragmented messages, and control frames between the fragments.
func fragmentCases() []testCase {
	cases := []testCase{
		rejected("5.1", "a ping in two fragments", "§5.5", 1002, ping("fragment1").unfinished(), last("fragment2")),
		rejected("5.2", "a pong in two fragments", "§5.5", 1002, pong("fragment1").unfinished(), last("fragment2")),
	}
	two := frames(begin(opText, "fragment1"), last("fragment2"))
	pinged := frames(begin(opText, "fragment1"), ping("between"), last("fragment2"))
	lone := frames(last("nothing to continue"), text(hello))
	loneUnfinished := frames(more("nothing to continue"), text(hello))
	for how := range 3 {
		cases = append(cases,
			testCase{id: fmt.Sprintf("5.%d", 3+how), title: "a text message in two fragments" + handedOver[how], clause: "§5.4",
				script: func(p *peer) {
					p.sendAs(how, two...)
					p.want(textBack("fragment1fragment2"))
					p.close()
				}},
			testCase{id: fmt.Sprintf("5.%d", 6+how), clause: "§5.4",
				title: "a text message in two fragments, with a ping between them" + handedOver[how],
				script: func(p *peer) {
					p.sendAs(how, pinged...)
					p.want(pongBack("between"), textBack("fragment1fragment2"))
					p.close()
				}},
			testCase{id: fmt.Sprintf("5.%d", 9+how), title: "a last fragment without a first one, then a message" + handedOver[how],
				clause: "§5.4", script: func(p *peer) {
					p.sendAs(how, lone...)
					p.failed(1002)
				}},
			testCase{id: fmt.Sprintf("5.%d", 12+how), title: "a middle fragment without a first one, then a message" + handedOver[how],
				clause: "§5.4", script: func(p *peer) {
					p.sendAs(how, loneUnfinished...)
					p.failed(1002)
				}})
	}
	cases = append(cases,
		testCase{id: "5.15", title: "a fragmented message, then a middle fragment without a first one, then a message", clause: "§5.4",
			script: func(p *peer) {
				p.send(begin(opText, "fragment1"), last("fragment2"), more("fragment3"), text("fragment4"))
				p.want(textBack("fragment1fragment2"))
				p.failed(1002)
			}},
		rejected("5.16", "twice: a middle fragment without a first one, then a fragmented message", "§5.4", 1002,
			more("a"), begin(opText, "b"), last("c"), more("a"), begin(opText, "b"), last("c")),
		rejected("5.17", "twice: a last fragment without a first one, then a fragmented message", "§5.4", 1002,
			last("a"), begin(opText, "b"), last("c"), last("a"), begin(opText, "b"), last("c")),
		rejected("5.18", "two fragments, both with the opcode for text", "§5.4", 1002, begin(opText, "a"), text("b")))
	for i, how := range []int{oneWrite, eachFrame} {
		cases = append(cases, testCase{id: fmt.Sprintf("5.%d", 19+i), clause: "§5.4",
			title: "five fragments with two pings in between, each ping answered before the echo" + handedOver[how],
			script: func(p *peer) {
				p.sendAs(how, begin(opText, "fragment1"), more("fragment2"), ping("pongme 1!"))
				p.want(pongBack("pongme 1!"))
				p.sendAs(how, more("fragment3"), more("fragment4"), ping("pongme 2!"), last("fragment5"))
				p.want(pongBack("pongme 2!"), textBack("fragment1fragment2fragment3fragment4fragment5"))
				p.close()
			}})
	}
	return append(cases, moreFragmentCases()...)
}

func moreFragmentCases() []testCase {
	var bytesOf []frame
	for i, c := range []byte("a binary message, one byte a fragment") {
		f := more(string(c))
		if i == 0 {
			f = begin(opBinary, string(c))
		}
		bytesOf = append(bytesOf, f)
	}
	bytesOf = append(bytesOf, last(""))
	empty := []frame{begin(opText, "")}
	for range 100 {
		empty = append(empty, more(""))
	}
	empty = append(empty, last("end"))
	return []testCase{
		rejected("5.h.1", "a ping without FIN, header only", "§5.5", 1002, ping("abc").unfinished().headerOnly()),
		rejected("5.h.2", "a close frame without FIN", "§5.5", 1002, closing(1000, "").unfinished()),
		rejected("5.h.3", "a ping without FIN between fragments", "§5.5", 1002, begin(opText, "a"), ping("b").unfinished()),
		rejected("5.h.4", "a last fragment without a first one, header only", "§5.4", 1002, last("abc").headerOnly()),
		rejected("5.h.5", "an empty last fragment without a first one", "§5.4", 1002, last("")),
		rejected("5.h.6", "a binary frame within a text message", "§5.4", 1002, begin(opText, "a"), binaryOf([]byte("b"))),
		rejected("5.h.7", "a text frame within a binary message, header only", "§5.4", 1002,
			begin(opBinary, "a"), text("b").headerOnly()),
		rejected("5.h.8", "the first fragment twice", "§5.4", 1002, begin(opBinary, "a"), begin(opBinary, "a")),
		{id: "5.h.9", title: "a last fragment after the end of a message", clause: "§5.4", script: func(p *peer) {
			p.send(text(hello), last("more"))
			p.want(textBack(hello))
			p.failed(1002)
		}},
		{id: "5.h.10", title: "a ping after each of 20 fragments, each answered before the next fragment is sent", clause: "§5.5.2",
			script: func(p *peer) {
				p.send(begin(opBinary, "x"))
				for i := range 20 {
					s := fmt.Sprint("ping ", i)
					p.send(ping(s))
					p.want(pongBack(s))
					p.send(more("x"))
				}
				p.send(last("x"))
				p.want(binaryBack([]byte(strings.Repeat("x", 22))))
				p.close()
			}},
		answered("5.h.11", "a pong between fragments", "§5.4", frames(begin(opText, "a"), pong("unsolicited"), last("b")),
			textBack("ab")),
		answered("5.h.12", "a binary message in fragments of one byte", "§5.4", bytesOf,
			binaryBack([]byte("a binary message, one byte a fragment"))),
		answered("5.h.13", "a hundred empty fragments", "§5.4", empty, textBack("end")),
		answered("5.h.14", "a first fragment and an empty last one", "§5.4", frames(begin(opText, "all"), last("")),
			textBack("all")),
		answered("5.h.15", "two fragmented messages of different types, one after the other", "§5.4",
			frames(begin(opText, "a"), last("b"), begin(opBinary, "c"), last("d"), text("e")),
			textBack("ab"), binaryBack([]byte("cd")), textBack("e")),
		{id: "5.h.16", title: "a ping is answered although the next frame is incomplete", clause: "§5.4",
			script: func(p *peer) {
				// The first piece of the last frame follows the ping, so that the tested side answers in the middle of a frame.
				pieces := p.pieces(last("bcdefg"), 3)
				p.send(begin(opText, "a"), ping("now"))
				p.raw(0, pieces[0])
				p.want(pongBack("now"))
				p.raw(0, pieces[1])
				p.want(textBack("abcdefg"))
				p.close()
			}},
	}
}
