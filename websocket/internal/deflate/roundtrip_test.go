package deflate

import (
	"bytes"
	"fmt"
	"io"
	"testing"
)

var sizes = []int{0, 1, 2, 3, 4, 5, 16, 63, 64, 255, 256, 257, 258, 259, 1000, 4095, 4096, 4097, 32768, 32769, 70000}

// TestRoundTrip sends messages of every kind and size over connections with every window, through every codec. The inflater allows
// no match beyond the window, so this also checks the compressor.
func TestRoundTrip(t *testing.T) {
	for _, codec := range []struct {
		name  string
		codec *Codec
		sizes []int
	}{{"own", nil, sizes}, {"std", stdCodec, []int{0, 1, 64, 1000, 20000}}} {
		for bits := uint8(MinBits); bits <= MaxBits; bits++ {
			for _, takeover := range []bool{false, true} {
				for _, s := range samples {
					w := Window{Bits: bits, Takeover: takeover}
					t.Run(fmt.Sprintf("%s/%d/%v/%s", codec.name, bits, takeover, s.name), func(t *testing.T) {
						roundTrip(t, codec.codec, w, s, codec.sizes)
					})
				}
			}
		}
	}
}

func roundTrip(t *testing.T, codec *Codec, w Window, s sample, sizes []int) {
	r := source(uint64(w.Bits))
	c := Compressor{Window: w, Codec: codec}
	d := Decompressor{Window: w} // our inflater rejects matches beyond the window
	var payloads [][]byte
	var all []byte
	for _, i := range r.Perm(len(sizes)) {
		message := s.make(r, sizes[i])
		payload := c.Append([]byte{7}, message)[1:]
		got, err := d.Append([]byte{8}, payload, int64(len(message)))
		if err != nil || !bytes.Equal(got[1:], message) {
			t.Fatalf("%d bytes: %v", len(message), err)
		}
		if bound := len(message) + 5*(len(message)/blockSize+1) + 1; codec == nil && len(payload) > bound {
			t.Errorf("%d bytes became %d", len(message), len(payload))
		}
		if !w.Takeover {
			if got, err := inflateStd(payload); err != nil || !bytes.Equal(got, message) {
				t.Fatalf("%d bytes by compress/flate: %v", len(message), err)
			}
		}
		payloads = append(payloads, payload)
		all = append(all, message...)
	}
	if got, err := inflateStd(payloads...); err != nil || !bytes.Equal(got, all) {
		t.Fatalf("all by compress/flate: %v", err)
	}
}

// TestForeignDecoder inflates our payloads with another decoder, with Append and with Reader.
func TestForeignDecoder(t *testing.T) {
	for _, takeover := range []bool{false, true} {
		c := Compressor{Window: Window{Takeover: takeover}}
		d := Decompressor{Window: Window{Takeover: takeover}, Codec: stdCodec}
		r := source(3)
		for _, size := range sizes {
			message := jsonText(r, size)
			got, err := d.Append(nil, c.Append(nil, message), int64(size))
			if err != nil || !bytes.Equal(got, message) {
				t.Fatalf("Append of %d bytes: %v", size, err)
			}
			got, err = io.ReadAll(d.Reader(bytes.NewReader(c.Append(nil, message)), int64(size)))
			if err != nil || !bytes.Equal(got, message) {
				t.Fatalf("Reader of %d bytes: %v", size, err)
			}
		}
		if _, err := d.Append(nil, c.Append(nil, []byte("Hello")), 4); err != ErrTooBig {
			t.Errorf("limit: %v", err)
		}
		d.contextLost = false
		if _, err := d.Append(nil, []byte{6}, 4); err != errSymbol {
			t.Errorf("corrupt: %v", err)
		}
	}
}

// TestShared sends results of AppendShared between messages that use the context.
func TestShared(t *testing.T) {
	for _, tell := range []struct {
		name string
		tell func(c *Compressor, msg []byte)
	}{
		{"Note", func(c *Compressor, msg []byte) { c.Note(msg) }},
		{"Forget", func(c *Compressor, _ []byte) { c.Forget() }},
	} {
		t.Run(tell.name, func(t *testing.T) {
			w := Window{Bits: 10, Takeover: true}
			c, d := Compressor{Window: w}, Decompressor{Window: w}
			r := source(5)
			for i := range 50 {
				message := jsonText(r, r.IntN(3000))
				var payload []byte
				if i%3 == 1 {
					payload = AppendShared(nil, message, w)
					tell.tell(&c, message)
				} else {
					payload = c.Append(nil, message)
				}
				if got, err := d.Append(nil, payload, -1); err != nil || !bytes.Equal(got, message) {
					t.Fatalf("message %d: %v", i, err)
				}
			}
		})
	}
}

func TestWindow_Size(t *testing.T) {
	if got := (Window{}).Size(); got != 32768 {
		t.Errorf("zero window: %d", got)
	}
	if got := (Window{Bits: 9}).Size(); got != 512 {
		t.Errorf("9 bits: %d", got)
	}
	for _, bits := range []uint8{1, 7, 16} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%d bits: no panic", bits)
				}
			}()
			Window{Bits: bits}.Size()
		}()
	}
}

// TestHistory compares the ring buffer with a simple implementation.
func TestHistory(t *testing.T) {
	r := source(9)
	for _, limit := range []int{256, 1024, 4096} {
		var h history
		var want []byte
		for i := range 2000 {
			n := r.IntN(1 + r.IntN(1+limit*3/2))
			p := fillBytes(n, func() byte { return byte(r.Uint32()) })
			h.add(p, limit)
			want = append([]byte(nil), lastBytes(append(want, p...), limit)...)
			older, newer := h.parts()
			if got := append(bytes.Clone(older), newer...); !bytes.Equal(got, want) {
				t.Fatalf("limit %d, step %d: %d bytes, want %d", limit, i, len(got), len(want))
			}
			if len(h.buf) > limit || len(h.buf) >= 2*max(len(want), minHistory) {
				t.Fatalf("limit %d: %d bytes held for %d", limit, len(h.buf), len(want))
			}
		}
	}
}
