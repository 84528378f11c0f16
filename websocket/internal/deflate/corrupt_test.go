package deflate

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

func TestInflate_Corrupt(t *testing.T) {
	tests := []struct {
		name    string
		bits    string // in the notation of packed
		payload string // or in hex
		want    error
	}{
		{name: "7.2.2 cut within a fixed block", payload: "f2 48 cd", want: ErrTruncated},
		{name: "7.2.2 no block to end it", payload: "f2 48 cd c9 c9 07", want: ErrTruncated},
		{name: "7.2.2 cut within stored bytes", payload: "00 09 00 f6 ff 48", want: ErrTruncated},
		{name: "7.2.2 bytes after the message", payload: "f2 48 cd c9 c9 07 00 00 00 ff ff 06", want: errBlockType},
		{name: "7.2.2 bytes after BFINAL", payload: "f3 48 cd c9 c9 07 00 07", want: errBlockType},
		{name: "3.2.3 reserved type", payload: "06", want: errBlockType},
		{name: "3.2.4 complement", payload: "00 05 00 fa fe 48 65 6c 6c 6f 00", want: errStored},
		{name: "3.2.5 nothing to match", bits: "0 10 0000001 00000", want: errDistance},
		{name: "3.2.6 length symbol 286", bits: "0 10 11000110", want: errSymbol},
		{name: "3.2.6 distance symbol 30", bits: "0 10 00110000 0000001 11110", want: errSymbol},
		{name: "3.2.7 too many literals", bits: "0 01 01111 00000 0000", want: errCodeCount},
		{name: "3.2.7 too many distances", bits: "0 01 00000 01111 0000", want: errCodeCount},
		{name: "3.2.7 code length code oversubscribed", bits: "0 01 00000 00000 0000 100 100 100 000", want: errCodeLengths},
		{name: "3.2.7 code length code incomplete", bits: "0 01 00000 00000 0000 010 010 000 000", want: errCodeLengths},
		{name: "3.2.7 repeat of nothing", bits: "0 01 00000 00000 0000 100 100 000 000 0 00", want: errRepeat},
		{name: "3.2.7 repeat past the end", bits: "0 01 00000 00000 0000 000 000 100 100 " +
			"1 1111111 1 1111111 1 1111111", want: errRepeat},
		{name: "3.2.7 no end of block", bits: "0 01 00000 00000 0000 000 000 100 100 " +
			"1 1111111 1 1011010 1 1100000", want: errNoEnd},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			payload := unhex(t, c.payload)
			if c.bits != "" {
				payload = append(packed(c.bits), make([]byte, 40)...)
			}
			for _, takeover := range []bool{false, true} {
				d := Decompressor{Window: Window{Takeover: takeover}}
				dst := []byte("kept")
				got, err := d.Append(dst, payload, 1000)
				if err != c.want || string(got) != "kept" {
					t.Errorf("Append: %q, %v; want %v", got, err, c.want)
				}
				if _, err := d.Append(nil, unhex(t, "00"), 1000); takeover != (err == errLost) {
					t.Errorf("Append after an error with takeover %v: %v", takeover, err)
				}
				d = Decompressor{Window: Window{Takeover: takeover}}
				r := d.Reader(bytes.NewReader(payload), 1000)
				if _, err := io.ReadAll(r); err != c.want {
					t.Errorf("Reader: %v; want %v", err, c.want)
				}
				if _, err := r.Read(make([]byte, 1)); err != c.want {
					t.Errorf("Reader again: %v; want %v", err, c.want)
				}
			}
			if ce, ok := errors.AsType[*CorruptError](c.want); !ok || ce.Section == "" || ce.Error() == "" {
				t.Errorf("%v names no clause", c.want)
			}
		})
	}
}

// packed converts bits in transmission order to bytes. It ignores spaces.
func packed(s string) []byte {
	var out []byte
	n := 0
	for _, c := range s {
		if c == ' ' {
			continue
		}
		if n%8 == 0 {
			out = append(out, 0)
		}
		out[n/8] |= byte(c-'0') << (n % 8)
		n++
	}
	return out
}

// A match that exceeds the negotiated window is detected at any position.
func TestRFC7692_7_1_2_WindowExceeded(t *testing.T) {
	for bits := uint8(MinBits); bits < MaxBits; bits++ {
		size := 1 << bits
		message := append(append([]byte("needle, needle"), fillBytes(size, func() byte { return 0 })...), "needle"...)
		wide := Compressor{Window: Window{Bits: bits + 1}}
		narrow := Compressor{Window: Window{Bits: bits}}
		for _, c := range []struct {
			payload []byte
			want    error
		}{{wide.Append(nil, message), errDistance}, {narrow.Append(nil, message), nil}} {
			d := Decompressor{Window: Window{Bits: bits}}
			if _, err := d.Append(nil, c.payload, -1); err != c.want {
				t.Errorf("%d bits: Append: %v, want %v", bits, err, c.want)
			}
			if _, err := io.ReadAll(d.Reader(bytes.NewReader(c.payload), -1)); err != c.want {
				t.Errorf("%d bits: Reader: %v, want %v", bits, err, c.want)
			}
		}
	}
}
