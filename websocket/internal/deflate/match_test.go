package deflate

import "testing"

// A match gives way to a longer one that begins a byte later only when it is shorter than goodMatch.
func TestFind_GoodMatch(t *testing.T) {
	const text = "0123456789abcdefGHIJKLMNOP"
	for n, taken := range map[int]seq{
		goodMatch - 1: {literals: 1, length: uint16(len(text) - 1)},
		goodMatch:     {length: goodMatch},
	} {
		e := newEncoder()
		history := text[:n] + "~~" + text[1:] + "~~"
		e.Reset(maxWindow, nil, []byte(history))
		for i := range len(history) - minMatch + 1 { // every position, where enter has only every second
			e.table[hash4(load32(e.buf[:], i))] = e.base + uint32(i)
		}
		e.end += copy(e.buf[e.end:], text)
		e.find()
		if got := e.seqs[0]; got.literals != taken.literals || got.length != taken.length {
			t.Errorf("of a match of %d bytes and a longer one behind it: %+v, want %+v", n, got, taken)
		}
	}
}

// The last position at which a match can begin is entered, for the messages that follow.
func TestFind_LastPosition(t *testing.T) {
	e := newEncoder()
	e.Reset(maxWindow, nil, []byte("abcde"))
	e.end += copy(e.buf[e.end:], "abcde")
	e.find()
	last := e.end - minMatch
	if got, want := e.table[hash4(load32(e.buf[:], last))], e.base+uint32(last); got != want || len(e.seqs) != 2 || e.seqs[0].length != 5 {
		t.Errorf("entered at %d, want %d; %+v", got, want, e.seqs)
	}
}
