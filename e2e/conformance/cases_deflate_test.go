package conformance

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
)

// plainOffer is the offer of Autobahn's client. Autobahn's cases append the parameters that they request.
const plainOffer = "permessage-deflate; client_no_context_takeover; client_max_window_bits"

var (
	plainExtension = &extension{offer: plainOffer, answer: "permessage-deflate"}

	// takeoverExtension allows context takeover on both sides: the offer does not include client_no_context_takeover.
	takeoverExtension = &extension{offer: "permessage-deflate", answer: "permessage-deflate"}
)

// payload is a kind of data. Messages are slices of the data.
type payload struct {
	name string
	op   byte
	data func() []byte
}

// payloads correspond to Autobahn's: JSON, a bitmap, prose, HTML, and data that is already compressed.
var payloads = []payload{
	{"JSON", opText, sync.OnceValue(func() []byte {
		return phrases(`{"id":%d,"name":"user %d","tags":["a","b"],"at":"2012-06-%02d","on":true},`+"\n", 3)
	})},
	{"a bitmap", opBinary, sync.OnceValue(bitmap)},
	{"prose", opBinary, sync.OnceValue(func() []byte {
		return phrases("Und %d mal, mein Freund, für %d Stunden grübelte er über dem Buch und wußte %d nicht.\n", 3)
	})},
	{"HTML", opText, sync.OnceValue(func() []byte {
		return phrases("<tr class=\"row\"><td>%d</td><td><a href=\"/item/%d\">item</a></td><td>%d</td></tr>\n", 3)
	})},
	{"incompressible data", opBinary, sync.OnceValue(func() []byte {
		b := make([]byte, 256*kib)
		rnd := rand.NewChaCha8([32]byte{7, 6, 9, 2})
		_, _ = rnd.Read(b) // never fails
		return b
	})},
}

// phrases repeats a format with changing numbers.
func phrases(format string, numbers int) []byte {
	rnd := rand.New(rand.NewPCG(1, uint64(len(format))))
	var b bytes.Buffer
	for b.Len() < 256*kib {
		args := make([]any, numbers)
		for i := range args {
			args[i] = rnd.IntN(1 << rnd.IntN(16))
		}
		fmt.Fprintf(&b, format, args...)
	}
	return b.Bytes()[:256*kib]
}

// bitmap returns a grayscale image with gradients and some noise.
func bitmap() []byte {
	rnd := rand.New(rand.NewPCG(5, 12))
	b := make([]byte, 256*kib)
	for i := range b {
		x, y := i%512, i/512
		b[i] = byte((x*x+y*y)>>11) + byte(rnd.IntN(2))
	}
	return b
}

// slice returns the data of message i, which has n bytes.
func (d payload) slice(i, n int) []byte {
	all := d.data()
	at := i * 7919 % (len(all) - n + 1)
	return all[at : at+n]
}

// deflateSizes lists the message and fragment sizes in each group of families 12 and 13.
var deflateSizes = [][2]int{
	{16, 0}, {64, 0}, {256, 0}, {kib, 0}, {4 * kib, 0}, {8 * kib, 0}, {16 * kib, 0}, {32 * kib, 0}, {64 * kib, 0},
	{128 * kib, 0}, {8 * kib, 256}, {16 * kib, 256}, {32 * kib, 256}, {64 * kib, 256}, {128 * kib, 256},
	{128 * kib, kib}, {128 * kib, 4 * kib}, {128 * kib, 32 * kib},
}

// deflateGroup returns the eighteen cases for one payload and one extension.
func deflateGroup(id string, d payload, ext *extension) []testCase {
	var cases []testCase
	for i, s := range deflateSizes {
		n, fragment := s[0], s[1]
		times := min(max(32*kib/n, 1), 200) // Autobahn sends 1000 messages of each size, which takes minutes
		if fragment == 0 {
			times = max(times, 2)
		}
		title := fmt.Sprintf("compressed messages of %s, %s", size(n), d.name)
		if fragment > 0 {
			title += ", in fragments of " + size(fragment)
		}
		title += fmt.Sprintf(", count: %d", times)
		cases = append(cases, testCase{id: fmt.Sprintf("%s.%d", id, i+1), title: title, clause: "RFC 7692 §7.2", ext: ext,
			heavy: true, bulk: n > 16*kib, app: app{calls: calls(i % 4)}, script: func(p *peer) {
				for i := range times {
					data := d.slice(i, n)
					p.send(p.compressedFrames(d.op, data, fragment)...)
					p.want(expectation{kinds: []kind{kindMessage}, op: d.op, data: data})
				}
				if d.op == opText && n >= 256 && p.err == nil && p.in.zip.messages == 0 {
					p.fail("no echo came compressed")
				}
				p.close()
			}})
	}
	return cases
}

// exchange returns a script that sends compressed messages, waits for each echo, and closes.
func (d payload) exchange(times, n int) func(p *peer) {
	return func(p *peer) {
		for i := range times {
			data := d.slice(i, n)
			p.send(p.compressedFrames(d.op, data, 0)...)
			p.want(expectation{kinds: []kind{kindMessage}, op: d.op, data: data})
		}
		p.close()
	}
}

// deflateCases returns the cases of family 12: payloads of every kind, with the plain offer.
func deflateCases() []testCase {
	var cases []testCase
	for i, d := range payloads {
		cases = append(cases, deflateGroup(fmt.Sprintf("12.%d", i+1), d, plainExtension)...)
	}
	return append(cases, moreDeflateCases()...)
}

// parameterCases returns the cases of family 13: the parameters that each side requests from the other.
func parameterCases() []testCase {
	const noServer, noClient = "; server_no_context_takeover", "; client_no_context_takeover"
	const server9, server15 = "; server_max_window_bits=9", "; server_max_window_bits=15"
	const client9, client15 = "; client_max_window_bits=9", "; client_max_window_bits=15"
	const bits = "client_max_window_bits"
	var cases []testCase
	for i, ext := range []extension{
		{plainOffer, "permessage-deflate", ""},
		{plainOffer + noServer, "permessage-deflate" + noClient, ""},
		{plainOffer + server9, "permessage-deflate" + client9, bits},
		{plainOffer + server15, "permessage-deflate" + client15, bits},
		{plainOffer + noServer + server9, "permessage-deflate" + noClient + client9, bits},
		{plainOffer + noServer + server15, "permessage-deflate" + noClient + client15, bits},
		{plainOffer + noServer + server9 + ", " + plainOffer + noServer + ", " + plainOffer,
			"permessage-deflate" + noClient + client9 + noServer + server9, bits},
	} {
		cases = append(cases, deflateGroup(fmt.Sprintf("13.%d", i+1), payloads[0], &ext)...)
	}
	for bits := 9; bits <= 15; bits++ {
		params := fmt.Sprintf("permessage-deflate; client_max_window_bits=%d; server_max_window_bits=%[1]d", bits)
		for _, d := range payloads[:3] {
			cases = append(cases, testCase{id: fmt.Sprintf("13.h.%d", len(cases)-125), clause: "RFC 7692 §7.1.2", heavy: true,
				title:  fmt.Sprintf("windows of %d bits, shared by 12 messages of 4 KiB, %s", bits, d.name),
				ext:    &extension{params, params, "client_max_window_bits"},
				script: d.exchange(12, 4*kib)})
		}
	}
	return cases
}

// compressedFrame returns a text frame with RSV1 set, whose payload is the compressed bytes s.
func compressedFrame(s string) frame { return text(s).withRSV(4) }

// Compressed forms of "Hello" from RFC 7692 §7.2.3.
const (
	exampleOne    = "\xf2\x48\xcd\xc9\xc9\x07\x00"
	exampleAgain  = "\xf2\x00\x11\x00\x00" // the same message after exampleOne, with context takeover
	exampleStored = "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"
	exampleFinal  = "\xf3\x48\xcd\xc9\xc9\x07\x00\x00"
	exampleBlocks = "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"
)

func moreDeflateCases() []testCase {
	again := textBack("Hello")
	n := 0
	var cases []testCase
	add := func(c testCase, clause string) {
		n++
		c.id, c.clause, c.ext = fmt.Sprintf("12.h.%d", n), clause, takeoverExtension
		cases = append(cases, c)
	}
	good := func(title string, sent []frame, wanted ...expectation) {
		add(answered("", title, "", sent, wanted...), "RFC 7692 §7.2.3")
	}
	good("an empty compressed message", frames(compressedFrame("\x00")), textBack(""))
	good("an uncompressed message", frames(text(hello)), textBack(hello))
	good("the example of one block", frames(compressedFrame(exampleOne)), again)
	good("the example of one block, in two fragments", frames(begin(opText, exampleOne[:3]).withRSV(4), last(exampleOne[3:])), again)
	good("the example of a shared window", frames(compressedFrame(exampleOne), compressedFrame(exampleAgain)), again, again)
	good("the example of a shared window, with an uncompressed message in between",
		frames(compressedFrame(exampleOne), text("xyz"), compressedFrame(exampleAgain)), again, textBack("xyz"), again)
	good("the example of a block without compression", frames(compressedFrame(exampleStored)), again)
	good("the example of a final block, and a message after it",
		frames(compressedFrame(exampleFinal), compressedFrame(exampleOne)), again, again)
	good("the example of two blocks", frames(compressedFrame(exampleBlocks)), again)
	good("a ping between the fragments of a compressed message",
		frames(begin(opText, exampleOne[:3]).withRSV(4), ping("p"), last(exampleOne[3:])), pongBack("p"), again)
	good("an empty first fragment", frames(begin(opText, "").withRSV(4), last(exampleOne)), again)
	good("a compressed message in fragments of one byte", spelledCompressed(exampleOne), again)

	bad := func(title string, clause string, codes []int, sent ...frame) {
		add(testCase{title: title, script: func(p *peer) {
			p.send(sent...)
			p.failed(codes...)
		}}, clause)
	}
	protocol, data := []int{1002}, []int{1002, 1007}
	const bitClause = "RFC 7692 §6.1"
	bad("RSV1 on a continuation", bitClause, protocol, begin(opText, exampleOne[:3]).withRSV(4), last(exampleOne[3:]).withRSV(4))
	bad("RSV1 on a ping", bitClause, protocol, ping("x").withRSV(4))
	bad("RSV1 on a pong", bitClause, protocol, pong("x").withRSV(4))
	bad("RSV1 on a close frame", bitClause, protocol, closing(1000, "").withRSV(4))
	bad("RSV2", "§5.2", protocol, text(hello).withRSV(2))
	bad("RSV3", "§5.2", protocol, text(hello).withRSV(1))
	bad("RSV1 and RSV2", "§5.2", protocol, text(exampleOne).withRSV(6))
	bad("a block of an undefined type", "RFC 7692 §7.2.2", data, compressedFrame("\x06\x00"))
	bad("a reference to data before the beginning", "RFC 7692 §7.2.2", data, compressedFrame(exampleAgain))
	bad("a message that ends within a block", "RFC 7692 §7.2.2", data, compressedFrame("\x00\xff\x00\x00\xff\x48"))
	bad("compressed text that is not UTF-8", "§8.1", []int{1007}, compressedFrame("\x00\x03\x00\xfc\xffab\xff\x00"))
	bad("compressed text that ends within a code point", "§8.1", []int{1007}, compressedFrame("\x00\x02\x00\xfd\xffa\xce\x00"))
	hopeless := begin(opText, "\x00\x03\x00\xfc\xffab\xff\x00\x00\x00\xff\xff").withRSV(4)
	add(testCase{title: "compressed text with an invalid byte, in an unfinished message",
		script: func(p *peer) {
			p.send(hopeless)
			p.failed(1007)
		},
		late: func(p *peer) {
			p.send(hopeless, ping("still there?"))
			p.want(pongBack("still there?"))
			p.send(last("\x00"))
			p.failed(1007)
		}}, "§8.1")
	for _, c := range inflatedCases() {
		add(c, c.clause)
	}
	for _, d := range payloads {
		add(testCase{title: "100 messages of 3 KiB that may refer to earlier messages, " + d.name, heavy: true,
			script: d.exchange(100, 3*kib)}, "RFC 7692 §7.1.1")
	}
	return cases
}

func spelledCompressed(s string) []frame {
	list := spelled(s)
	list[0].rsv = 4
	return list
}

// inflatedCases returns cases about the size limit, which applies to the inflated size of a message, not to the size on the wire.
func inflatedCases() []testCase {
	long := strings.Repeat("0123456789", 100)
	bomb := func(title string, inflated int, limit int64) testCase {
		zeros := sync.OnceValue(func() []byte {
			s := newCompressor(15, false)
			defer s.done()
			return s.compress(make([]byte, inflated))
		})
		return testCase{title: title, clause: "§10.4", app: app{limit: limit}, heavy: true, script: func(p *peer) {
			p.send(binaryOf(zeros()).withRSV(4))
			p.failed(1009)
		}}
	}
	return []testCase{
		{title: "a message that inflates to exactly the size limit", clause: "§10.4", app: app{limit: 1000},
			script: func(p *peer) {
				p.send(p.compressedFrames(opText, []byte(long), 0)...)
				p.want(textBack(long))
				p.close()
			}},
		{title: "a message that inflates to one byte above the size limit", clause: "§10.4", app: app{limit: 1000}, script: func(p *peer) {
			p.send(p.compressedFrames(opText, []byte(long+"x"), 0)...)
			p.failed(1009)
		}},
		bomb("1 MiB of zeros in a few bytes, with a limit of 2000 bytes", mib, 2000),
		bomb("64 MiB of zeros in 64 KiB, with a limit of 1 MiB", 64*mib, mib),
		{title: "a message of many blocks: fixed, dynamic and stored", clause: "RFC 7692 §7.2.1", heavy: true,
			script: func(p *peer) {
				data := bytes.Join([][]byte{payloads[0].slice(1, 5000), payloads[4].slice(1, 5000), payloads[1].slice(1, 5000),
					[]byte("ab")}, nil)
				for n := 1; n < len(data); n *= 3 {
					p.send(p.compressedFrames(opBinary, data[:n], 100)...)
					p.want(binaryBack(data[:n]))
				}
				p.close()
			}},
	}
}
