package deflate

import (
	"bytes"
	"compress/flate"
	"io"
	"math/rand/v2"
	"testing"
)

// FuzzRoundTrip checks that both the codec and compress/flate inflate the compressor's output for two messages to the original.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("Hello"), []byte("Hello"), uint8(15), true)
	f.Add([]byte("Hello"), []byte(""), uint8(8), false)
	f.Add(bytes.Repeat([]byte("abc"), 1000), make([]byte, 3000), uint8(9), true)
	r := source(1)
	for _, s := range samples {
		f.Add(s.make(r, 3000), s.make(r, 3000), uint8(8+r.IntN(8)), r.IntN(2) == 0)
	}
	f.Fuzz(func(t *testing.T, one, two []byte, bits uint8, takeover bool) {
		w := Window{Bits: MinBits + bits%8, Takeover: takeover}
		c, d := Compressor{Window: w}, Decompressor{Window: w}
		var payloads [][]byte
		for _, message := range [][]byte{one, two} {
			payload := c.Append(nil, message)
			got, err := d.Append(nil, payload, int64(len(message)))
			if err != nil || !bytes.Equal(got, message) {
				t.Fatalf("%v: %v", w, err)
			}
			payloads = append(payloads, payload)
		}
		all := append(bytes.Clone(one), two...)
		if got, err := inflateStd(payloads...); err != nil || !bytes.Equal(got, all) {
			t.Fatalf("%v: compress/flate: %v", w, err)
		}
	})
}

// FuzzInflate checks that invalid input does not make the inflater panic, exceed the limit or write out of bounds, that the result
// does not depend on how the input is split, and that it equals the result of compress/flate if that can inflate the input.
func FuzzInflate(f *testing.F) {
	for _, c := range conforming {
		for _, p := range c.payloads {
			f.Add(unhex(f, p), []byte("Hello"), uint16(100), uint64(1))
		}
	}
	r := source(2)
	for _, s := range samples {
		c := Compressor{Window: Window{Takeover: true}}
		message := s.make(r, 2000)
		f.Add(c.Append(nil, message), []byte{}, uint16(2000), uint64(2))
		f.Add(c.Append(nil, message), message, uint16(1999), uint64(3))
	}
	f.Fuzz(func(t *testing.T, payload, dict []byte, max uint16, seed uint64) {
		limit := int64(max)
		fresh := func() *Decompressor {
			d := &Decompressor{Window: Window{Takeover: true}}
			d.addContext(dict)
			return d
		}
		guard := make([]byte, 3, 40)
		got, err := fresh().Append(guard, payload, limit)
		if int64(len(got)-3) > limit || err != nil && len(got) != 3 {
			t.Fatalf("%d bytes for a limit of %d, %v", len(got)-3, limit, err)
		}
		r := rand.New(rand.NewPCG(seed, 0))
		streamed, streamErr := readAll(fresh().Reader(&flakyReader{r: r, b: payload, flaky: seed%2 == 0}, limit), r)
		if streamErr != err || err == nil && !bytes.Equal(streamed, got[3:]) || int64(len(streamed)) > limit {
			t.Fatalf("whole: %d bytes, %v; cut: %d bytes, %v", len(got)-3, err, len(streamed), streamErr)
		}
		want, ended := reference(payload, dict)
		if !ended || int64(len(want)) > limit {
			return
		}
		if err != nil || !bytes.Equal(got[3:], want) {
			t.Fatalf("compress/flate inflates it to %d bytes; ours are %d, %v", len(want), len(got)-3, err)
		}
	})
}

// reference inflates payload with compress/flate. It returns true if payload and tail end with a complete block. To check this, it appends
// two different empty final blocks, which must not change the result.
func reference(payload, dict []byte) ([]byte, bool) {
	var got [2][]byte
	for i, final := range []string{"\x01\x00\x00\xFF\xFF", "\x03\x00"} {
		src := bytes.NewReader(append(append(bytes.Clone(payload), tail[:]...), final...))
		var err error
		if got[i], err = io.ReadAll(flate.NewReaderDict(src, dict)); err != nil || src.Len() > 0 {
			return nil, false
		}
	}
	return got[0], bytes.Equal(got[0], got[1])
}
