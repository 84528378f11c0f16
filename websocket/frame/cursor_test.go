package frame

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

// someFrames returns a stream of whole frames of every length class, the lengths of the headers, and the offsets of the frames' ends.
func someFrames() (stream []byte, headers []Header, ends []int) {
	for _, h := range []Header{
		{Opcode: Text, Length: 3},
		{Fin: true, Opcode: Ping, Masked: true, Key: [4]byte{1, 2, 3, 4}},
		{Fin: true, Opcode: Continuation, Length: 126},
		{Fin: true, Opcode: Binary, Masked: true, Key: [4]byte{9, 9, 9, 9}, Length: 300},
		{Fin: true, Opcode: Binary, RSV: RSV1, Length: 1 << 16},
		{Fin: true, Opcode: Close, Length: 2},
	} {
		stream = append(Append(stream, h), strings.Repeat("\x88", int(h.Length))...) // a payload that looks like headers
		headers, ends = append(headers, h), append(ends, len(stream))
	}
	return stream, headers, ends
}

// offsets returns every offset of the stream except those deep within a long payload, which are all alike.
func offsets(ends []int) (cuts []int) {
	for cut := range ends[len(ends)-1] + 1 {
		if slices.ContainsFunc(ends, func(end int) bool { return end-20 <= cut && cut <= end+200 }) || cut < 20 {
			cuts = append(cuts, cut)
		}
	}
	return cuts
}

// Wherever the stream is split, Between returns true only at the ends of frames, and Boundary finds the next end.
func TestCursor_CutAtEveryOffset(t *testing.T) {
	stream, headers, ends := someFrames()
	next := func(at int) int { // the first boundary at or after at
		if at == 0 {
			return 0
		}
		return ends[slices.IndexFunc(ends, func(end int) bool { return end >= at })]
	}
	for _, cut := range offsets(ends) {
		var c Cursor
		if err := c.Pass(stream[:cut]); err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if want := cut == 0 || slices.Contains(ends, cut); c.Between() != want {
			t.Fatalf("cut at %d: between frames: %t", cut, c.Between())
		}
		was := c
		n, err := c.Boundary(stream[cut:])
		if cut+n != next(cut) || err != nil || c != was {
			t.Fatalf("cut at %d: the boundary is at %d, %v; want %d", cut, cut+n, err, next(cut))
		}
		if n, err := c.Boundary(stream[cut:max(cut, next(cut)-1)]); n != max(0, next(cut)-1-cut) || err != nil {
			t.Fatalf("cut at %d: %d bytes, %v before the boundary", cut, n, err)
		}
		if err := c.Pass(stream[cut:]); err != nil || !c.Between() || c.Header() != headers[len(headers)-1] {
			t.Fatalf("cut at %d: %v, %+v", cut, err, c)
		}
	}
}

func TestCursor_Next(t *testing.T) {
	stream, headers, ends := someFrames()
	for _, size := range []int{1, 2, 3, 5, 14, len(stream)} {
		var c Cursor
		var got []Header
		for at := 0; at < len(stream); {
			b := stream[at:min(at+size, len(stream))]
			n, started, err := c.Next(b)
			if n <= 0 || n > len(b) || err != nil {
				t.Fatalf("in pieces of %d: %d, %v at %d", size, n, err, at)
			}
			if at += n; started {
				got = append(got, c.Header())
			}
			if c.Between() != slices.Contains(ends, at) {
				t.Fatalf("in pieces of %d: between frames at %d: %t", size, at, c.Between())
			}
		}
		if !slices.Equal(got, headers) {
			t.Errorf("in pieces of %d: %+v", size, got)
		}
	}
}

// A frame inserted at a boundary leaves all others unchanged.
func TestCursor_Insert(t *testing.T) {
	stream, headers, ends := someFrames()
	goodbye := []byte{0x88, 0x02, 0x03, 0xe9}
	for _, cut := range offsets(ends) {
		var c Cursor
		if err := c.Pass(stream[:cut]); err != nil {
			t.Fatal(err)
		}
		n, err := c.Boundary(stream[cut:])
		if err != nil {
			t.Fatal(err)
		}
		out := slices.Concat(stream[:cut+n], goodbye, stream[cut+n:])
		for i := 0; len(out) > 0; i++ {
			h, size, err := Parse(out)
			if err != nil || size == 0 {
				t.Fatalf("cut at %d: frame %d: %v", cut, i, err)
			}
			if h.Opcode == Close && h.Length == 2 && bytes.HasPrefix(out, goodbye) {
				i--
			} else if h != headers[i] {
				t.Fatalf("cut at %d: frame %d is %+v", cut, i, h)
			}
			out = out[size+int(h.Length):]
		}
	}
}

func TestRFC6455_5_2_CursorStopsAtAnInvalidLength(t *testing.T) {
	for in, want := range map[string]error{
		"\x82\x7e\x00\x05hello": ErrLengthNotMinimal, "\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff": ErrLengthTopBit,
	} {
		for cut := range len(in) {
			var c Cursor
			err := c.Pass([]byte(in[:cut]))
			if err == nil {
				err = c.Pass([]byte(in[cut:]))
			}
			if !errors.Is(err, want) || c.Between() {
				t.Errorf("%q cut at %d: %v", in, cut, err)
			}
			if n, err := c.Boundary([]byte("\x81\x00")); n != 0 || !errors.Is(err, want) {
				t.Errorf("%q: %d, %v afterwards", in, n, err)
			}
		}
	}
}

func TestCursor_AllocatesNothing(t *testing.T) {
	stream, _, _ := someFrames()
	if n := testing.AllocsPerRun(100, func() {
		var c Cursor
		if c.Pass(stream[:7]) != nil || c.Pass(stream[7:]) != nil {
			t.Error("Pass returned an error")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzCursor checks that a Cursor finds the same boundaries as Parse on the whole input, however the input is split.
func FuzzCursor(f *testing.F) {
	stream, _, _ := someFrames()
	f.Add(stream[:600], byte(3))
	f.Add([]byte("\x82\x7e\x00\x05hello"), byte(0))
	f.Fuzz(func(t *testing.T, b []byte, size byte) {
		boundary := map[int]bool{0: true}
		for at := 0; ; {
			h, n, err := Parse(b[at:])
			if err != nil || n == 0 || h.Length > int64(len(b)-at-n) {
				break
			}
			at += n + int(h.Length)
			boundary[at] = true
		}
		var c Cursor
		for at := 0; at < len(b); {
			piece := b[at:min(at+int(size)+1, len(b))]
			n, _, err := c.Next(piece)
			if err != nil {
				break
			}
			if n <= 0 || n > len(piece) {
				t.Fatalf("%d of %d bytes", n, len(piece))
			}
			if at += n; c.Between() != boundary[at] {
				t.Fatalf("at %d of % x: between frames: %t", at, b, c.Between())
			}
		}
	})
}
