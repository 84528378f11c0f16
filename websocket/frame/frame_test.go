package frame

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// lengths are payload lengths on both sides of each change of the encoding.
var lengths = []int64{0, 1, 2, 124, 125, 126, 127, 128, 255, 256, 65534, 65535, 65536, 65537, 1<<31 - 1, 1 << 31, 1 << 32,
	1 << 60, math.MaxInt64 - 1, math.MaxInt64}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Parse and Append agree on the headers of the examples in RFC 6455 §5.7, and on headers with unusual values of each field.
func TestRFC6455_5_2_Headers(t *testing.T) {
	key := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	for _, tt := range []struct {
		wire string
		want Header
	}{
		{"81 05", Header{Fin: true, Opcode: Text, Length: 5}},
		{"81 85 37fa213d", Header{Fin: true, Opcode: Text, Masked: true, Key: key, Length: 5}},
		{"01 03", Header{Opcode: Text, Length: 3}},
		{"80 02", Header{Fin: true, Opcode: Continuation, Length: 2}},
		{"89 05", Header{Fin: true, Opcode: Ping, Length: 5}},
		{"8a 85 37fa213d", Header{Fin: true, Opcode: Pong, Masked: true, Key: key, Length: 5}},
		{"82 7e 0100", Header{Fin: true, Opcode: Binary, Length: 256}},
		{"82 7f 0000000000010000", Header{Fin: true, Opcode: Binary, Length: 65536}},
		{"88 00", Header{Fin: true, Opcode: Close}},
		{"c1 00", Header{Fin: true, RSV: RSV1, Opcode: Text}},
		{"20 00", Header{RSV: RSV2, Opcode: Continuation}},
		{"90 00", Header{Fin: true, RSV: RSV3, Opcode: Continuation}},
		{"7f 00", Header{RSV: RSV1 | RSV2 | RSV3, Opcode: 15}},
		{"82 fe ffff 00000000", Header{Fin: true, Opcode: Binary, Masked: true, Length: 65535}},
		{"82 ff 7fffffffffffffff 37fa213d", Header{Fin: true, Opcode: Binary, Masked: true, Key: key, Length: math.MaxInt64}},
	} {
		wire := unhex(t, tt.wire)
		h, n, err := Parse(append(wire, 0xee, 0xee))
		if h != tt.want || n != len(wire) || err != nil {
			t.Errorf("Parse(%s) = %+v, %d, %v; want %+v", tt.wire, h, n, err, tt.want)
		}
		if got := Append([]byte{0xdd}, tt.want); !bytes.Equal(got[1:], wire) || got[0] != 0xdd {
			t.Errorf("Append(%+v) = %x, want dd%x", tt.want, got, wire)
		}
	}
}

// Parse restores every header that Append has encoded. Parse needs all bytes of the header, and none after the header.
func TestRoundTrip(t *testing.T) {
	for _, length := range lengths {
		for _, masked := range []bool{false, true} {
			h := Header{Length: length, Masked: masked}
			if masked {
				h.Key = [4]byte{0xff, 0, 0x80, 1}
			}
			for b0 := range 256 {
				h.Fin, h.RSV, h.Opcode = b0&0x80 != 0, uint8(b0&0x70), Opcode(b0&0x0f)
				b := Append(nil, h)
				if b[0] != byte(b0) {
					t.Fatalf("the first byte of %+v is %#x", h, b[0])
				}
				if len(b) > MaxHeader || Size(b[1]) != len(b) {
					t.Fatalf("%+v takes %d bytes, Size returns %d", h, len(b), Size(b[1]))
				}
				got, n, err := Parse(slices.Clip(b))
				if got != h || n != len(b) || err != nil {
					t.Fatalf("%+v was parsed as %+v, %d, %v", h, got, n, err)
				}
				for cut := range b {
					if _, n, err := Parse(b[:cut:cut]); n != 0 || err != nil {
						t.Fatalf("the first %d bytes of %x: %d, %v", cut, b, n, err)
					}
				}
			}
		}
	}
}

// §5.2: "in all cases, the minimal number of bytes MUST be used to encode the length".
func TestRFC6455_5_2_AppendIsMinimal(t *testing.T) {
	for _, length := range lengths {
		want := 2
		switch {
		case length > 65535:
			want = 10
		case length > 125:
			want = 4
		}
		if got := Append(nil, Header{Length: length}); len(got) != want {
			t.Errorf("a length of %d: %x", length, got)
		}
		if got := Append(nil, Header{Length: length, Masked: true}); len(got) != want+4 {
			t.Errorf("a length of %d, masked: %x", length, got)
		}
	}
}

func TestRFC6455_5_2_RejectedLengths(t *testing.T) {
	for _, tt := range []struct {
		name, wire string
		want       error
	}{
		{"0 in 16 bits", "82 7e 0000", ErrLengthNotMinimal},
		{"124 in 16 bits, the example", "82 7e 007c", ErrLengthNotMinimal},
		{"125 in 16 bits", "82 7e 007d", ErrLengthNotMinimal},
		{"126 in 16 bits", "82 7e 007e", nil},
		{"0 in 64 bits", "82 7f 0000000000000000", ErrLengthNotMinimal},
		{"125 in 64 bits", "82 7f 000000000000007d", ErrLengthNotMinimal},
		{"126 in 64 bits", "82 7f 000000000000007e", ErrLengthNotMinimal},
		{"65535 in 64 bits", "82 7f 000000000000ffff", ErrLengthNotMinimal},
		{"65536 in 64 bits", "82 7f 0000000000010000", nil},
		{"2^63-1", "82 7f 7fffffffffffffff", nil},
		{"2^63", "82 7f 8000000000000000", ErrLengthTopBit},
		{"2^64-1", "82 7f ffffffffffffffff", ErrLengthTopBit},
	} {
		t.Run(tt.name, func(t *testing.T) {
			plain := unhex(t, tt.wire)
			masked := bytes.Clone(plain)
			masked[1] |= 0x80
			// The length is checked as soon as its bytes are available, without waiting for the masking key.
			for _, b := range [][]byte{plain, masked, append(bytes.Clone(masked), 1, 2, 3, 4)} {
				if _, n, err := Parse(b); !errors.Is(err, tt.want) || err != nil && n != 0 {
					t.Errorf("Parse(%x) = %d, %v; want %v", b, n, err, tt.want)
				}
				for cut := range plain {
					if _, n, err := Parse(b[:cut:cut]); n != 0 || err != nil {
						t.Errorf("the first %d bytes of %x: %d, %v", cut, b, n, err)
					}
				}
			}
		})
	}
}

func TestAppendPanicsOnANegativeLength(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("Append did not panic")
		}
	}()
	Append(nil, Header{Length: -1})
}

// Append ignores invalid bits of Opcode and RSV: they do not change neighbouring fields.
func TestAppendIgnoresInvalidBits(t *testing.T) {
	if got := Append(nil, Header{RSV: 0xff, Opcode: 0xff, Key: [4]byte{1, 2, 3, 4}}); !bytes.Equal(got, []byte{0x7f, 0}) {
		t.Errorf("got %x", got)
	}
	if got := Append(nil, Header{RSV: 0xff}); !bytes.Equal(got, []byte{0x70, 0}) {
		t.Errorf("RSV alone: got %x", got)
	}
}

func TestRFC6455_5_2_Opcodes(t *testing.T) {
	names := map[Opcode]string{0: "continuation", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}
	for op := range Opcode(16) {
		name, known := names[op]
		if !known {
			name = "reserved"
		}
		if op.String() != name || op.Reserved() == known || op.Control() != (op >= 8) {
			t.Errorf("opcode %d: %s, reserved %v, control %v", op, op, op.Reserved(), op.Control())
		}
	}
}

// FuzzFrameParse checks that Append reproduces every header that Parse accepts, that Parse accepts or rejects an incomplete header once
// enough bytes follow, and that Parse reads nothing after the header.
func FuzzFrameParse(f *testing.F) {
	f.Add([]byte("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := Parse(slices.Clip(b))
		switch {
		case err != nil:
			if n != 0 || !errors.Is(err, ErrLengthTopBit) && !errors.Is(err, ErrLengthNotMinimal) {
				t.Fatalf("%x: %d, %v", b, n, err)
			}
		case n == 0:
			if len(b) >= MaxHeader || len(b) >= 2 && len(b) >= Size(b[1]) {
				t.Fatalf("%x is a complete header, but Parse waits for more bytes", b)
			}
			// With zeros appended, b is either accepted or has an invalid length: Parse waits for nothing else.
			if _, n, err := Parse(append(bytes.Clone(b), make([]byte, MaxHeader)...)); n == 0 && err == nil {
				t.Fatalf("Parse waits for more bytes even after %x and zeros", b)
			}
		default:
			if n != Size(b[1]) || n > len(b) || h.Length < 0 {
				t.Fatalf("%x: %+v, %d", b, h, n)
			}
			if again := Append(nil, h); !bytes.Equal(again, b[:n]) {
				t.Fatalf("%x was parsed as %+v, which is encoded as %x", b[:n], h, again)
			}
			if h2, n2, err := Parse(b[:n:n]); h2 != h || n2 != n || err != nil {
				t.Fatalf("%x without the bytes after it: %+v, %d, %v", b[:n], h2, n2, err)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for _, length := range []int64{5, 300, 1 << 20} {
		wire := Append(nil, Header{Fin: true, Opcode: Binary, Masked: true, Key: [4]byte{1, 2, 3, 4}, Length: length})
		b.Run(fmt.Sprintf("length=%d", length), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if h, _, err := Parse(wire); err != nil || h.Length != length {
					b.Fatal(h, err)
				}
			}
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	h := Header{Fin: true, Opcode: Binary, Masked: true, Key: [4]byte{1, 2, 3, 4}, Length: 300}
	buf := make([]byte, 0, MaxHeader)
	b.ReportAllocs()
	for b.Loop() {
		if len(Append(buf, h)) != 8 {
			b.Fatal("not 8 bytes")
		}
	}
}
