package deflate

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

// flakyReader yields its bytes in pieces of random size, and sometimes fails between two pieces, like a read whose context was canceled.
type flakyReader struct {
	r     *rand.Rand
	b     []byte
	flaky bool
	fails int
}

var errFlaky = errors.New("not now")

func (c *flakyReader) Read(p []byte) (int, error) {
	if c.flaky && c.r.IntN(2) == 0 {
		c.fails++
		return 0, errFlaky
	}
	if len(c.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.b[:1+c.r.IntN(min(len(c.b), 1+c.r.IntN(600)))])
	c.b = c.b[n:]
	if c.flaky && c.r.IntN(3) == 0 {
		c.fails++
		return n, errFlaky
	}
	return n, nil
}

// readAll reads up to EOF, in pieces of random size, and continues after errFlaky.
func readAll(r io.Reader, rnd *rand.Rand) ([]byte, error) {
	var out []byte
	buf := make([]byte, 5000)
	for {
		n, err := r.Read(buf[:1+rnd.IntN(len(buf))])
		out = append(out, buf[:n]...)
		switch err {
		case nil, errFlaky:
		case io.EOF:
			return out, nil
		default:
			return out, err
		}
	}
}

// TestReader_Cuts checks that the content does not depend on how the payload is split, or on errors between two pieces.
func TestReader_Cuts(t *testing.T) {
	readers := []struct {
		name string
		wrap func(b []byte, r *rand.Rand) io.Reader
	}{
		{"whole", func(b []byte, _ *rand.Rand) io.Reader { return bytes.NewReader(b) }},
		{"one byte", func(b []byte, _ *rand.Rand) io.Reader { return iotest.OneByteReader(bytes.NewReader(b)) }},
		{"error with data", func(b []byte, _ *rand.Rand) io.Reader { return iotest.DataErrReader(bytes.NewReader(b)) }},
		{"random", func(b []byte, r *rand.Rand) io.Reader { return &flakyReader{r: r, b: b} }},
		{"flaky", func(b []byte, r *rand.Rand) io.Reader { return &flakyReader{r: r, b: b, flaky: true} }},
	}
	for _, reader := range readers {
		for _, w := range []Window{{}, {Takeover: true}, {Bits: 9, Takeover: true}} {
			t.Run(fmt.Sprintf("%s/%v", reader.name, w), func(t *testing.T) {
				r := source(11)
				c, d := Compressor{Window: w}, Decompressor{Window: w}
				for _, s := range samples {
					for _, size := range []int{0, 1, 700, 33000, 70000} {
						message := s.make(r, size)
						payload := c.Append(nil, message)
						got, err := readAll(d.Reader(reader.wrap(payload, r), int64(size)), r)
						if err != nil || !bytes.Equal(got, message) {
							t.Fatalf("%s, %d bytes: %v", s.name, size, err)
						}
					}
				}
			})
		}
	}
}

// TestReader_Prompt checks that all data that can be inflated is returned before the source is read again.
func TestReader_Prompt(t *testing.T) {
	var c Compressor
	var payload []byte
	w := c.NewWriter(func(p []byte, _ bool) error { payload = append(payload, p...); return nil })
	_, _ = w.Write([]byte("first"))
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	var d Decompressor
	r := d.Reader(io.MultiReader(bytes.NewReader(payload), iotest.ErrReader(errFlaky)), -1)
	buf := make([]byte, 100)
	if n, err := r.Read(buf); err != nil || string(buf[:n]) != "first" {
		t.Errorf("%q, %v", buf[:n], err)
	}
	if n, err := r.Read(buf); n != 0 || err != errFlaky {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := r.Read(nil); n != 0 || err != nil {
		t.Errorf("empty read: %d, %v", n, err)
	}
}

func TestReader_NoProgress(t *testing.T) {
	var d Decompressor
	if _, err := d.Reader(stuckReader{}, -1).Read(make([]byte, 1)); err != io.ErrNoProgress {
		t.Error(err)
	}
}

type stuckReader struct{}

func (stuckReader) Read([]byte) (int, error) { return 0, nil }

// TestReader_Close checks that abandoning a message loses the context, if there is any.
func TestReader_Close(t *testing.T) {
	for _, takeover := range []bool{false, true} {
		var c Compressor
		d := Decompressor{Window: Window{Takeover: takeover}}
		payload := c.Append(nil, jsonText(source(1), 1000))
		r := d.Reader(bytes.NewReader(payload), -1)
		if _, err := r.Read(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
		if _, err := r.Read(make([]byte, 10)); err != errClosed {
			t.Error(err)
		}
		want := error(nil)
		if takeover {
			want = errLost
		}
		if _, err := d.Append(nil, payload, -1); err != want {
			t.Errorf("takeover %v: %v", takeover, err)
		}
		if _, err := io.ReadAll(d.Reader(bytes.NewReader(payload), -1)); err != want {
			t.Errorf("takeover %v: %v", takeover, err)
		}
	}
}

// TestWriter compresses messages written in pieces, with flushes in between, and inflates the fragments.
func TestWriter(t *testing.T) {
	for _, codec := range []*Codec{nil, stdCodec} {
		for _, w := range []Window{{}, {Takeover: true}, {Bits: 8, Takeover: true}, {Bits: 12}} {
			r := source(13)
			c, d := Compressor{Window: w, Codec: codec}, Decompressor{Window: w}
			for _, s := range samples {
				for _, size := range []int{0, 1, 5000, 80000} {
					message := s.make(r, size)
					payload := writeCut(t, &c, message, r)
					got, err := d.Append(nil, payload, int64(size))
					if err != nil || !bytes.Equal(got, message) {
						t.Fatalf("%v, %s, %d bytes: %v", w, s.name, size, err)
					}
				}
			}
		}
	}
}

func writeCut(t *testing.T, c *Compressor, message []byte, r *rand.Rand) []byte {
	t.Helper()
	var payload []byte
	ends := 0
	w := c.NewWriter(func(p []byte, last bool) error {
		if len(p) == 0 || ends > 0 {
			t.Errorf("%d bytes after %d ends", len(p), ends)
		}
		if last {
			ends++
		}
		payload = append(payload, p...)
		clear(p) // the slice is only valid during the call
		return nil
	})
	for rest := message; len(rest) > 0; {
		k := min(len(rest), 1+r.IntN(40000))
		if n, err := w.Write(rest[:k]); n != k || err != nil {
			t.Fatal(n, err)
		}
		rest = rest[k:]
		if r.IntN(3) > 0 {
			continue
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		var d Decompressor
		if got, err := d.Append(nil, append(bytes.Clone(payload), 0), -1); !c.Window.Takeover &&
			(err != nil || !bytes.Equal(got, message[:len(message)-len(rest)])) {
			t.Fatalf("after Flush: %d of %d bytes, %v", len(got), len(message)-len(rest), err)
		}
	}
	for range 2 {
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Write(message); err != errWriterClosed && len(message) > 0 {
		t.Errorf("Write after Close: %v", err)
	}
	if err := w.Flush(); err != errWriterClosed {
		t.Errorf("Flush after Close: %v", err)
	}
	if ends != 1 {
		t.Errorf("%d ends", ends)
	}
	return payload
}

// TestWriter_EmitFails checks that the first error is retained, and that the encoder is returned to the pool once.
func TestWriter_EmitFails(t *testing.T) {
	broken := errors.New("broken pipe")
	for _, begin := range []struct {
		name string
		do   func(w *Writer) error
	}{
		{"Write", func(w *Writer) error { _, err := w.Write(samples[1].make(source(1), 100000)); return err }},
		{"Flush", (*Writer).Flush},
		{"Close", (*Writer).Close},
	} {
		calls := 0
		var c Compressor
		w := c.NewWriter(func([]byte, bool) error { calls++; return broken })
		if err := begin.do(w); err != broken {
			t.Errorf("%s: %v", begin.name, err)
		}
		_, err := w.Write([]byte{1})
		if again, end := w.Flush(), w.Close(); err != broken || again != broken || end != broken || calls != 1 {
			t.Errorf("%s: later %v, %v, %v; %d calls", begin.name, err, again, end, calls)
		}
	}
}
