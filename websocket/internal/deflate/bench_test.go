package deflate

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"testing"
)

// The benchmarks in this file produced the figures about this package in docs/decisions. BenchmarkFlate measures
// compress/flate with the same input: at level 1 without context, and at level 2 with context, because level 1 ignores
// a dictionary for a short message.

func messages(n, size int) [][]byte {
	r := source(1)
	all := make([][]byte, n)
	for i := range all {
		all[i] = jsonText(r, size)
	}
	return all
}

func BenchmarkAppend(b *testing.B) {
	for _, takeover := range []bool{false, true} {
		for _, size := range []int{64, 256, 1024, 16384} {
			all := messages(512, size)
			b.Run(fmt.Sprintf("takeover=%v/%d", takeover, size), func(b *testing.B) {
				c := Compressor{Window: Window{Takeover: takeover}}
				var dst []byte
				in, out := 0, 0
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					dst = c.Append(dst[:0], all[i%len(all)])
					in += size
					out += len(dst)
				}
				b.ReportMetric(100*float64(out)/float64(in), "%")
			})
		}
	}
}

func BenchmarkFlate(b *testing.B) {
	for _, takeover := range []bool{false, true} {
		for _, size := range []int{64, 256, 1024, 16384} {
			all := messages(512, size)
			level, past := 1, []byte(nil)
			if takeover {
				level, past = 2, jsonText(source(2), takeoverBytes)
			}
			w, err := flate.NewWriter(io.Discard, level)
			if err != nil {
				b.Fatal(err)
			}
			b.Run(fmt.Sprintf("takeover=%v/%d", takeover, size), func(b *testing.B) {
				var dst bytes.Buffer
				in, out := 0, 0
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					w.Reset(&dst)
					_, _ = w.Write(past) // a bytes.Buffer never fails
					_ = w.Flush()
					dst.Reset()
					_, _ = w.Write(all[i%len(all)])
					_ = w.Flush()
					in += size
					out += dst.Len() - len(tail)
				}
				b.ReportMetric(100*float64(out)/float64(in), "%")
			})
		}
	}
}

func BenchmarkInflate(b *testing.B) {
	for _, takeover := range []bool{false, true} {
		for _, size := range []int{64, 256, 1024, 16384} {
			all := messages(512, size)
			var packed [][]byte
			c := Compressor{Window: Window{Takeover: takeover}}
			for _, m := range all {
				packed = append(packed, c.Append(nil, m))
			}
			b.Run(fmt.Sprintf("takeover=%v/%d", takeover, size), func(b *testing.B) {
				d := Decompressor{Window: Window{Takeover: takeover}}
				var dst []byte
				var err error
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if i%len(all) == 0 {
						d.history = history{buf: d.history.buf}
					}
					if dst, err = d.Append(dst[:0], packed[i%len(all)], -1); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
