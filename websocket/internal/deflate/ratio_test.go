package deflate

import (
	"bytes"
	"compress/flate"
	"math"
	"sync"
	"testing"
)

// TestRatio compares the sizes of our payloads with those of compress/flate, at level 6, which is slow, and level 1, which is fast. Context
// must save at least a quarter of a small message.
func TestRatio(t *testing.T) {
	for _, size := range []int{256, 1024, 4096, 16384} {
		all := messages(max(20, 60000/size), size)
		in, std1, std6 := 0, 0, 0
		for _, m := range all {
			in += len(m)
			std1 += flateSize(t, m, 1)
			std6 += flateSize(t, m, 6)
		}
		var alone Compressor
		taken := Compressor{Window: Window{Takeover: true}}
		none, context := 0, 0
		for _, m := range all {
			none += len(alone.Append(nil, m))
			context += len(taken.Append(nil, m))
		}
		percent := func(n int) float64 { return 100 * float64(n) / float64(in) }
		t.Logf("%5d bytes: %.1f %%, with context %.1f %%; compress/flate level 1 %.1f %%, level 6 %.1f %%",
			size, percent(none), percent(context), percent(std1), percent(std6))
		if none > std1 {
			t.Errorf("%d bytes: %d in all, compress/flate at level 1 has %d", size, none, std1)
		}
		if size <= 1024 && context > none*3/4 {
			t.Errorf("%d bytes: %d in all with context, %d without", size, context, none)
		}
	}
}

func flateSize(t *testing.T, message []byte, level int) int {
	t.Helper()
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, level)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(message) // a bytes.Buffer never fails
	_ = w.Flush()
	return out.Len() - len(tail)
}

// TestEncoder_Positions makes the encoder's positions restart, between messages and within a message.
func TestEncoder_Positions(t *testing.T) {
	r := source(17)
	for _, before := range []uint32{0, 1, 1000, 100_000, 300_000} {
		e := newEncoder()
		e.base = math.MaxUint32/2 - before
		w := Window{Takeover: true}
		c := Compressor{Window: w, Codec: &Codec{NewEncoder: func() Encoder { return e }}}
		d := Decompressor{Window: w}
		for range 3 {
			message := jsonText(r, 100_000)
			if got, err := d.Append(nil, c.Append(nil, message), -1); err != nil || !bytes.Equal(got, message) {
				t.Fatalf("%d before the restart: %v", before, err)
			}
			if got, err := d.Append(nil, writeCut(t, &c, message, r), -1); err != nil || !bytes.Equal(got, message) {
				t.Fatalf("%d before the restart: %v", before, err)
			}
		}
		if e.base > math.MaxUint32/2 {
			t.Errorf("%d before the restart: at %d", before, e.base)
		}
	}
}

// TestShared_Concurrent checks that connections can be used concurrently, because they share only the pools.
func TestShared_Concurrent(t *testing.T) {
	message := jsonText(source(8), 5000)
	want := AppendShared(nil, message, Window{Bits: 11})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			c, d := Compressor{Window: Window{Takeover: true}}, Decompressor{Window: Window{Takeover: true}}
			for range 20 {
				if got := AppendShared(nil, message, Window{Bits: 11}); !bytes.Equal(got, want) {
					t.Error("AppendShared returned another goroutine's message")
				}
				if got, err := d.Append(nil, c.Append(nil, message), -1); err != nil || !bytes.Equal(got, message) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
