package conformance

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
)

const kib, mib = 1 << 10, 1 << 20

// sizeCases returns the cases of family 9: large messages, in many fragments, in many writes, and above the size limit.
func sizeCases() []testCase {
	var cases []testCase
	for i, n := range []int{64 * kib, 256 * kib, mib, 4 * mib, 8 * mib, 16 * mib} {
		cases = append(cases,
			large(fmt.Sprintf("9.1.%d", i+1), opText, n, 0, 0),
			large(fmt.Sprintf("9.2.%d", i+1), opBinary, n, 0, 0))
	}
	for i, fragment := range []int{64, 256, kib, 4 * kib, 16 * kib, 64 * kib, 256 * kib, mib, 4 * mib} {
		cases = append(cases,
			large(fmt.Sprintf("9.3.%d", i+1), opText, 4*mib, fragment, 0),
			large(fmt.Sprintf("9.4.%d", i+1), opBinary, 4*mib, fragment, 0))
	}
	for i, chop := range []int{64, 128, 256, 512, kib, 2 * kib} {
		cases = append(cases,
			large(fmt.Sprintf("9.5.%d", i+1), opText, mib, 0, chop),
			large(fmt.Sprintf("9.6.%d", i+1), opBinary, mib, 0, chop))
	}
	for i, n := range []int{0, 16, 64, 256, kib, 4 * kib} {
		cases = append(cases,
			roundTrips(fmt.Sprintf("9.7.%d", i+1), text(strings.Repeat("*", n))),
			roundTrips(fmt.Sprintf("9.8.%d", i+1), binaryOf(bytes.Repeat([]byte{0xfe}, n))))
	}
	return append(cases, limitCases()...)
}

// large returns a case with one message of n bytes. If fragment is not 0, it is the size of the fragments; if chop is not 0, it is the
// size of the writes.
func large(id string, op byte, n, fragment, chop int) testCase {
	name, pattern, calls := "text", patternText, byStream
	if op == opBinary {
		name, pattern, calls = "binary", patternBinary, bySend
	}
	title := fmt.Sprintf("a %s message of %s", name, size(n))
	if fragment > 0 {
		title += " in fragments of " + size(fragment)
	}
	if chop > 0 {
		title += " in writes of " + size(chop)
	}
	return testCase{id: id, title: title, clause: "§5.4", heavy: true, bulk: n > mib, app: app{calls: calls}, script: func(p *peer) {
		data := patterns()[pattern][:n]
		p.sendChopped(chop, fragmented(op, data, fragment)...)
		p.want(expectation{kinds: []kind{kindMessage}, op: op, data: data})
		p.close()
	}}
}

// patterns returns 16 MiB of each pattern. Cases send the beginning of this data.
var patterns = sync.OnceValue(func() map[string][]byte {
	all := map[string][]byte{}
	for _, pattern := range []string{patternText, patternBinary} {
		all[pattern] = bytes.Repeat([]byte(pattern), 16*mib/len(pattern)+1)
	}
	return all
})

const (
	patternText   = "BAsd7&jh23"
	patternBinary = "\x00\xfe\x23\xfa\xf0"
)

func size(n int) string {
	switch {
	case n >= mib:
		return fmt.Sprintf("%d MiB", n/mib)
	case n >= kib:
		return fmt.Sprintf("%d KiB", n/kib)
	}
	return fmt.Sprintf("%d bytes", n)
}

// fragmented returns a message in fragments of n bytes; 0 means a single frame.
func fragmented(op byte, data []byte, n int) []frame {
	if n == 0 {
		n = max(len(data), 1)
	}
	var list []frame
	for piece := range slices.Chunk(data, n) {
		list = append(list, frame{op: opCont, more: true, payload: piece})
	}
	if list == nil {
		list = []frame{{}}
	}
	list[0].op, list[len(list)-1].more = op, false
	return list
}

// roundTrips returns a case that sends a message a thousand times, and waits for each echo.
func roundTrips(id string, f frame) testCase {
	const n = 1000
	back := expectation{kinds: []kind{kindMessage}, op: f.op, data: f.payload}
	name := map[byte]string{opText: "text", opBinary: "binary"}[f.op]
	title := fmt.Sprintf("%d %s messages of %s, one after the other", n, name, size(len(f.payload)))
	return testCase{id: id, title: title, clause: "§5.6", heavy: true, script: func(p *peer) {
		for range n {
			p.send(f)
			p.want(back)
		}
		p.close()
	}}
}

// limitCases returns cases with sizes up to the limit and above it. A header that announces too much must be rejected without the
// payload.
func limitCases() []testCase {
	thousand := strings.Repeat("x", 1000)
	limited := func(c testCase, n int64) testCase { c.app.limit = n; return c }
	cases := []testCase{
		limited(answered("9.h.1", "a message of exactly the size limit", "§10.4", frames(text(thousand)),
			textBack(thousand)), 1000),
		limited(rejected("9.h.2", "a message one byte above the size limit", "§10.4", 1009, text(thousand+"x")), 1000),
		limited(rejected("9.h.3", "a message one byte above the size limit, header only", "§10.4", 1009,
			text(thousand+"x").headerOnly()), 1000),
		limited(answered("9.h.4", "fragments that add up to exactly the size limit", "§10.4",
			frames(begin(opText, thousand[:600]), more(thousand[:399]), last("x")), textBack(thousand)), 1000),
		limited(rejected("9.h.5", "fragments that add up to one byte above the size limit, header only of the last", "§10.4", 1009,
			begin(opText, thousand[:600]), last(thousand[:401]).headerOnly()), 1000),
		limited(answered("9.h.6", "the size limit applies to each message, not to their sum", "§10.4",
			frames(text(thousand), text(thousand), binaryOf([]byte(thousand))),
			textBack(thousand), textBack(thousand), binaryBack([]byte(thousand))), 1000),
		limited(answered("9.h.7", "the size limit does not apply to a ping", "§10.4",
			frames(text("abc"), ping(thousand[:125])), textBack("abc"), pongBack(thousand[:125])), 3),
		rejected("9.h.8", "a header that declares 16 MiB and one byte, with a limit of 16 MiB", "§10.4", 1009,
			binaryOf(nil).declaring(16*mib+1)),
		rejected("9.h.9", "a header that declares 2^62 bytes", "§10.4", 1009, binaryOf(nil).declaring(1<<62)),
		rejected("9.h.10", "a header that declares 2^63-1 bytes, the maximum length", "§10.4", 1009,
			text("x").declaring(1<<63-1)),
		rejected("9.h.11", "a first fragment, then one of 2^63-1 bytes: the sum does not overflow", "§10.4", 1009,
			begin(opBinary, "abc"), last("").declaring(1<<63-1)),
		{id: "9.h.12", title: "2^62 bytes declared, without a size limit: the message fails at its first invalid byte",
			clause: "§10.4", app: app{limit: -1}, script: func(p *peer) {
				p.send(text("abc\xff").declaring(1 << 62))
				p.failed(1007)
			}},
		limited(testCase{id: "9.h.13", title: "a message above the size limit, with much of it in transit: the close frame is not lost",
			clause: "§7.1.1", script: func(p *peer) {
				p.send(binaryOf(make([]byte, 128*kib)))
				p.want(closeWith(1009))
				p.end()
			}}, 1000),
		limited(testCase{id: "9.h.14", title: "a valid message, then one above the size limit: the first is echoed", clause: "§10.4",
			script: func(p *peer) {
				p.send(text(thousand), text(thousand+"x").headerOnly())
				p.want(textBack(thousand))
				p.failed(1009)
			}}, 1000),
		{id: "9.h.15", title: "200,000 empty fragments of an unfinished message: too many fragments", clause: "§10.4", heavy: true,
			script: func(p *peer) {
				list := []frame{begin(opBinary, "")}
				for range 200_000 {
					list = append(list, more(""))
				}
				p.send(list...)
				p.failed(1008, 1009)
			}},
	}
	return cases
}

// manyCases returns the cases of family 10: fragmented messages, and many messages.
func manyCases() []testCase {
	long := bytes.Repeat([]byte("*"), 65536)
	return []testCase{
		{id: "10.1.1", title: "a text message of 65536 bytes in fragments of 1300 bytes", clause: "§5.4", heavy: true,
			script: func(p *peer) {
				p.send(fragmented(opText, long, 1300)...)
				p.want(textBack(string(long)))
				p.close()
			}},
		{id: "10.h.1", title: "500 messages sent without waiting are echoed in order", clause: "§5.4", heavy: true,
			script: func(p *peer) {
				var list []frame
				for i := range 500 {
					list = append(list, text(fmt.Sprint("message ", i)))
				}
				p.send(list...)
				for i := range 500 {
					p.want(textBack(fmt.Sprint("message ", i)))
				}
				p.close()
			}},
		{id: "10.h.2", title: "300 messages of random types and sizes, randomly fragmented and cut, with pings among them", clause: "§5.4",
			heavy: true, script: func(p *peer) {
				rnd := rand.New(rand.NewPCG(6455, 7692))
				for range 300 {
					p.randomMessage(rnd)
				}
				p.close()
			}},
		{id: "10.h.3", title: "500 messages in fragments of one byte, sent without waiting", clause: "§5.4", heavy: true,
			script: func(p *peer) {
				var list []frame
				for range 500 {
					list = append(list, spelled(greek)...)
				}
				p.sendChopped(1021, list...)
				for range 500 {
					p.want(textBack(greek))
				}
				p.close()
			}},
	}
}

// randomMessage sends one message, occasionally with a ping, and waits for the echo and the pong.
func (p *peer) randomMessage(rnd *rand.Rand) {
	const sentence = "κόσμε, the world. "
	op, n := byte(opText), rnd.IntN(1<<rnd.IntN(17)+1)
	data := []byte(strings.Repeat(sentence, n/len(sentence)))
	if rnd.IntN(2) == 0 {
		op, data = opBinary, make([]byte, n)
		for i := range data {
			data[i] = byte(rnd.Uint32())
		}
	}
	list := fragmented(op, data, 1+n/(1+rnd.IntN(10)))
	var wanted []expectation
	if rnd.IntN(3) == 0 {
		s := fmt.Sprint("ping ", n)
		list = slices.Insert(list, rnd.IntN(len(list)), ping(s))
		wanted = append(wanted, pongBack(s))
	}
	p.sendChopped(rnd.IntN(3)*(1+rnd.IntN(5000)), list...)
	p.want(append(wanted, expectation{kinds: []kind{kindMessage}, op: op, data: data})...)
}
