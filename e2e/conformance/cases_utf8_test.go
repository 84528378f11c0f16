package conformance

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// The texts of the cases of family 6.
const (
	mixed    = "Hello-µ@ßöäüàá-UTF-8!!"
	greek    = "κ\u1f79σμε" // κόσμε as in Kuhn's test, where ό is the three-byte U+1F79
	tooLarge = "\xf4\x90\x80\x80"
	edited   = "edited"
)

// utf8Cases returns the cases of family 6: UTF-8 in text messages.
func utf8Cases() []testCase {
	middle := "middle frame payload"
	cases := []testCase{
		answered("6.1.1", "an empty text message", "§5.6", frames(text("")), textBack("")),
		answered("6.1.2", "three empty fragments", "§5.4", frames(begin(opText, ""), more(""), last("")), textBack("")),
		answered("6.1.3", "three fragments, the first and the last empty", "§5.4",
			frames(begin(opText, ""), more(middle), last("")), textBack(middle)),
		answered("6.2.1", "valid text in one frame", "§8.1", frames(text(mixed)), textBack(mixed)),
		answered("6.2.2", "valid text in two frames, cut between code points", "§8.1",
			frames(begin(opText, "Hello-µ@ßöä"), last("üàá-UTF-8!!")), textBack(mixed)),
		answered("6.2.3", "valid text, one byte per frame", "§8.1", spelled(mixed), textBack(mixed)),
		answered("6.2.4", "valid Greek text, one byte per frame", "§8.1", spelled(greek), textBack(greek)),
		rejected("6.3.1", "a surrogate in the middle, in one frame", "§8.1", 1007, text(greek+"\xed\xa0\x80"+edited)),
		rejected("6.3.2", "a surrogate in the middle, one byte per frame", "§8.1", 1007,
			spelled(greek+"\xed\xa0\x80"+edited)...),
	}
	cases = append(cases, failFastCases()...)
	for i, group := range utf8Groups() {
		for j, s := range group.strings {
			id := fmt.Sprintf("6.%d.%d", 5+i, j+1)
			title := fmt.Sprintf("%s: % x", group.name, abridged(s))
			if utf8.ValidString(s) {
				cases = append(cases, answered(id, "valid: "+title, "§8.1", frames(text(s)), textBack(s)))
			} else {
				cases = append(cases, rejected(id, "invalid: "+title, "§8.1", 1007, text(s)))
			}
		}
	}
	return append(cases, moreUTF8Cases()...)
}

func abridged(s string) string { return s[:min(len(s), 16)] }

// spelled returns a text message with one byte per frame.
func spelled(s string) []frame {
	list := []frame{begin(opText, s[:1])}
	for i := 1; i < len(s)-1; i++ {
		list = append(list, more(s[i:i+1]))
	}
	return append(list, last(s[len(s)-1:]))
}

// failFastCases returns cases that end at the first invalid byte, in the middle of a message: an implementation that validates only
// complete messages would never fail the connection. A pong shows that the valid text before that byte was accepted.
func failFastCases() []testCase {
	whole := greek + tooLarge + edited
	byFrames := func(id, title string, first, second string) testCase {
		return testCase{id: id, title: title, clause: "§8.1", script: func(p *peer) {
			p.send(begin(opText, first), ping("still there?"))
			p.want(pongBack("still there?"))
			p.send(more(second))
			p.failed(1007)
		}}
	}
	byPieces := func(id, title string, upTo, bad int) testCase {
		return testCase{id: id, title: title, clause: "§8.1", script: func(p *peer) {
			pieces := p.pieces(text(whole), upTo, bad)
			p.raw(0, pieces[0])
			p.raw(0, pieces[1])
			p.failed(1007)
		}}
	}
	n := len(greek)
	return []testCase{
		byFrames("6.4.1", "a code point above U+10FFFF: fails at its fragment", greek, tooLarge),
		byFrames("6.4.2", "a code point above U+10FFFF, split between fragments: fails at the first invalid byte", whole[:n+1], whole[n+1:n+2]),
		byPieces("6.4.3", "a code point above U+10FFFF within a frame: fails before the end of the frame", n, n+4),
		byPieces("6.4.4", "a code point above U+10FFFF within a frame: fails at the first invalid byte", n+1, n+2),
	}
}

// utf8Group is one group of strings in Markus Kuhn's stress test for decoders, in Autobahn's order.
type utf8Group struct {
	name    string
	strings []string
}

func utf8Groups() []utf8Group {
	unfinished := []string{"\xc0", "\xe0\x80", "\xf0\x80\x80", "\xf8\x80\x80\x80", "\xfc\x80\x80\x80\x80",
		"\xdf", "\xef\xbf", "\xf7\xbf\xbf", "\xfb\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf"}
	joinedUp := ""
	for _, s := range unfinished {
		joinedUp += s
	}
	prefixes := make([]string, len(greek))
	for i := range prefixes {
		prefixes[i] = greek[:i+1]
	}
	return []utf8Group{
		{"text", []string{"hello$world", "hello\u00a2world", "hello€world", "hello\U00024b62world", greek}},
		{"a prefix of the Greek text", prefixes},
		{"the first sequence of its length", []string{"\x00", "\u0080", "\u0800", "\U00010000"}},
		{"the first sequence of its length", []string{"\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80"}},
		{"the last sequence of its length", []string{"\x7f", "\u07ff", "\uffff", "\U0010ffff"}},
		{"the last sequence of its length", []string{"\xf7\xbf\xbf\xbf", "\xfb\xbf\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf\xbf"}},
		{"at the boundary of a range", []string{"\ud7ff", "\ue000", "\ufffd", "\U0010ffff", tooLarge}},
		{"continuation bytes", []string{"\x80", "\xbf", "\x80\xbf", "\x80\xbf\x80", "\x80\xbf\x80\xbf",
			"\x80\xbf\x80\xbf\x80", "\x80\xbf\x80\xbf\x80\xbf", between(0x80, 0xbe, "")}},
		{"lead bytes without continuation bytes", []string{between(0xc0, 0xde, " "), between(0xe0, 0xee, " "), between(0xf0, 0xf6, " "),
			between(0xf8, 0xfa, " "), between(0xfc, 0xfc, " ")}},
		{"a sequence without its last byte", unfinished},
		{"sequences without their last byte", []string{joinedUp}},
		{"bytes that never occur in UTF-8", []string{"\xfe", "\xff", "\xfe\xfe\xff\xff"}},
		{"an overlong slash", []string{"\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xf8\x80\x80\x80\xaf",
			"\xfc\x80\x80\x80\x80\xaf"}},
		{"the largest overlong sequence", []string{"\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xf8\x87\xbf\xbf\xbf",
			"\xfc\x83\xbf\xbf\xbf\xbf"}},
		{"an overlong NUL", []string{"\xc0\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80", "\xf8\x80\x80\x80\x80",
			"\xfc\x80\x80\x80\x80\x80"}},
		{"a surrogate", []string{"\xed\xa0\x80", "\xed\xad\xbf", "\xed\xae\x80", "\xed\xaf\xbf", "\xed\xb0\x80",
			"\xed\xbe\x80", "\xed\xbf\xbf"}},
		{"a pair of surrogates", []string{"\xed\xa0\x80\xed\xb0\x80", "\xed\xa0\x80\xed\xbf\xbf", "\xed\xad\xbf\xed\xb0\x80",
			"\xed\xad\xbf\xed\xbf\xbf", "\xed\xae\x80\xed\xb0\x80", "\xed\xae\x80\xed\xbf\xbf", "\xed\xaf\xbf\xed\xb0\x80",
			"\xed\xaf\xbf\xed\xbf\xbf"}},
		{"a noncharacter", noncharacters()},
		{"from the block Specials", []string{"\ufff9", "\ufffa", "\ufffb", "\ufffc", "\ufffd", "\ufffe", "\uffff"}},
	}
}

// between returns a string of the bytes from lo to hi, each followed by sep.
func between(lo, hi int, sep string) string {
	s := ""
	for b := lo; b <= hi; b++ {
		s += string([]byte{byte(b)}) + sep
	}
	return s
}

// noncharacters returns the last two code points of each plane. They are noncharacters, which are valid in UTF-8.
func noncharacters() []string {
	var list []string
	for plane := range rune(17) {
		list = append(list, string(plane<<16|0xfffe), string(plane<<16|0xffff))
	}
	return list
}

// moreUTF8Cases returns additional cases, beyond Autobahn's.
func moreUTF8Cases() []testCase {
	cases := []testCase{
		answered("6.h.1", "the Greek text in one frame, sent in three pieces", "§8.1", nil),
		rejected("6.h.2", "a message that ends within a code point", "§8.1", 1007, begin(opText, "a"), last("\xce")),
		rejected("6.h.3", "an empty last fragment after an incomplete code point", "§8.1", 1007, begin(opText, "\xce"), last("")),
		answered("6.h.4", "a ping between the bytes of a code point", "§8.1",
			frames(begin(opText, "\xe1"), ping("p"), more("\xbd"), ping("q"), last("\xb9")),
			pongBack("p"), pongBack("q"), textBack("\u1f79")),
		answered("6.h.5", "a binary message that is not UTF-8", "§5.6", frames(binaryOf([]byte(notUTF8))),
			binaryBack([]byte(notUTF8))),
		answered("6.h.6", "a fragmented binary message that is not UTF-8", "§5.6",
			frames(begin(opBinary, notUTF8), last(notUTF8)), binaryBack([]byte(notUTF8+notUTF8))),
		answered("6.h.7", "a byte order mark is kept", "§5.6", frames(text("\ufeffabc")), textBack("\ufeffabc")),
		{id: "6.h.8", title: "a valid message, then an invalid one: the first is echoed", clause: "§8.1", script: func(p *peer) {
			p.send(text(mixed), text("\xff"))
			p.want(textBack(mixed))
			p.failed(1007)
		}},
		rejected("6.h.9", "a last fragment with a continuation byte, after complete code points", "§8.1", 1007,
			begin(opText, greek), more(""), last("\x80")),
		rejected("6.h.10", "an incomplete last fragment whose first byte is invalid", "§8.1", 1007,
			begin(opText, "\xce"), last("\xce").declaring(100)),
		answered("6.h.11", "a long text of four-byte code points, in fragments of seven bytes", "§8.1",
			sevens(strings.Repeat("\U0001f91d", 70)), textBack(strings.Repeat("\U0001f91d", 70))),
	}
	cases[0].script = func(p *peer) {
		for _, piece := range p.pieces(text(greek+greek+edited), len(greek)+1, len(greek)+4) {
			p.raw(0, piece)
		}
		p.want(textBack(greek + greek + edited))
		p.close()
	}
	n := len(cases)
	seen := map[string]bool{}
	for _, group := range utf8Groups() {
		for _, s := range group.strings {
			bad := firstBad(s)
			if bad < 0 || seen[s[:bad+1]] {
				continue // no invalid byte, or the same bytes as in an earlier case
			}
			seen[s[:bad+1]] = true
			n++
			cases = append(cases, rejected(fmt.Sprintf("6.h.%d", n),
				fmt.Sprintf("fails at the last of these bytes, in an unfinished message: % x", s[:bad+1]), "§8.1", 1007,
				text("ok "+s[:bad+1]).declaring(uint64(bad)+100)))
		}
	}
	return cases
}

// sevens returns a text message with seven bytes per frame.
func sevens(s string) []frame {
	list := []frame{begin(opText, s[:7])}
	for s = s[7:]; len(s) > 7; s = s[7:] {
		list = append(list, more(s[:7]))
	}
	return append(list, last(s))
}

// firstBad returns the index of the byte that makes s invalid, or -1 if s is a prefix of valid text.
func firstBad(s string) int {
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r != utf8.RuneError || size > 1 {
			i += size
			continue
		}
		for n := 1; i+n <= len(s); n++ {
			// FullRune returns true for invalid bytes, and false for an incomplete rune.
			if utf8.FullRuneInString(s[i : i+n]) {
				return i + n - 1
			}
		}
		return -1
	}
	return -1
}
