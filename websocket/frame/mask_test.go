package frame

import (
	"bytes"
	"fmt"
	"testing"
)

// naiveMask is RFC 6455 §5.3 implemented literally: j = i MOD 4, transformed-octet-i = original-octet-i XOR masking-key-octet-j.
func naiveMask(b []byte, key [4]byte) []byte {
	out := make([]byte, len(b))
	for i := range b {
		j := i % 4
		out[i] = b[i] ^ key[j]
	}
	return out
}

// rotateKey returns the key rotated by n bytes.
func rotateKey(key [4]byte, n int) [4]byte {
	return [4]byte{key[n%4], key[(n+1)%4], key[(n+2)%4], key[(n+3)%4]}
}

// pattern returns n bytes without repetition within a word or a block.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i/256)
	}
	return b
}

var testKeys = [][4]byte{{}, {0x37, 0xfa, 0x21, 0x3d}, {1, 2, 3, 4}, {0xff, 0xff, 0xff, 0xff}, {0, 0, 0, 0x80}}

// Payloads of every length up to several blocks, including those masked in assembly, are masked correctly at different
// alignments, and the surrounding bytes stay unchanged.
func TestRFC6455_5_3_Mask(t *testing.T) {
	const around = 16
	for _, key := range testKeys {
		for length := range 400 {
			plain := pattern(length)
			want, next := naiveMask(plain, key), rotateKey(key, length)
			for align := 0; align < 32; align += 3 {
				buf := bytes.Repeat([]byte{0xee}, around+align+length+around)
				b := buf[around+align:][:length:length]
				copy(b, plain)
				if got := Mask(b, key); got != next {
					t.Fatalf("%d bytes with %x: the key continues as %x, want %x", length, key, got, next)
				}
				if !bytes.Equal(b, want) {
					t.Fatalf("%d bytes at %d with %x: %x, want %x", length, align, key, b, want)
				}
				for i, c := range buf {
					if (i < around+align || i >= around+align+length) && c != 0xee {
						t.Fatalf("%d bytes at %d: byte %d outside them was changed", length, align, i)
					}
				}
				if Mask(b, key); !bytes.Equal(b, plain) {
					t.Fatalf("%d bytes at %d with %x: masking twice does not restore the bytes", length, align, key)
				}
			}
		}
	}
}

// A payload in several slices is masked like a single one, wherever it is split.
func TestRFC6455_5_3_MaskInPieces(t *testing.T) {
	key := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	for _, length := range []int{1, 4, 7, 8, 9, 63, 64, 65, 72, 150, 300} {
		plain := pattern(length)
		want := naiveMask(plain, key)
		for i := range length + 1 {
			for j := i; j <= length; j++ {
				b := bytes.Clone(plain)
				k := Mask(b[:i], key)
				k = Mask(b[i:j], k)
				k = Mask(b[j:], k)
				if !bytes.Equal(b, want) || k != rotateKey(key, length) {
					t.Fatalf("%d bytes cut at %d and %d: %x, %x; want %x", length, i, j, b, k, want)
				}
			}
		}
	}
}

// FuzzMask checks that Mask does what the RFC specifies, that applying it twice restores the payload, and that it does
// not matter how the payload is split.
func FuzzMask(f *testing.F) {
	f.Add([]byte("Hello"), []byte{0x37, 0xfa, 0x21, 0x3d}, uint16(2))
	f.Add(pattern(600), []byte{0x37, 0xfa, 0x21, 0x3d}, uint16(301))
	f.Fuzz(func(t *testing.T, plain, keyBytes []byte, cut uint16) {
		var key [4]byte
		copy(key[:], keyBytes)
		want := naiveMask(plain, key)
		whole := bytes.Clone(plain)
		next := Mask(whole, key)
		if !bytes.Equal(whole, want) || next != rotateKey(key, len(plain)) {
			t.Fatalf("%x with %x: %x and %x, want %x", plain, key, whole, next, want)
		}
		i := min(int(cut), len(plain))
		parts := bytes.Clone(plain)
		if k := Mask(parts[i:], Mask(parts[:i], key)); !bytes.Equal(parts, want) || k != next {
			t.Fatalf("%x with %x cut at %d: %x and %x, want %x", plain, key, i, parts, k, want)
		}
		if Mask(whole, key); !bytes.Equal(whole, plain) {
			t.Fatalf("%x with %x twice: %x", plain, key, whole)
		}
	})
}

func BenchmarkMask(b *testing.B) {
	for _, size := range []int{16, 64, 125, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			buf := pattern(size)
			key := [4]byte{0x37, 0xfa, 0x21, 0x3d}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				key = Mask(buf, key)
			}
		})
	}
}
