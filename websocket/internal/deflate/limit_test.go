package deflate

import (
	"bytes"
	"compress/flate"
	"io"
	"runtime"
	"testing"
)

// bomb returns a payload of 64 KiB that inflates to 64 MiB. It consists of matches of 258 bytes that take two bits each.
func bomb(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, 4)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(make([]byte, 4<<20)) // a bytes.Buffer never fails
	_ = w.Flush()
	payload := bytes.Repeat(out.Bytes(), 16)
	return payload[:len(payload)-len(tail)]
}

func TestLimit_Exact(t *testing.T) {
	for _, s := range samples {
		for _, size := range []int{1, 2, 300, 5000, 70000} {
			message := s.make(source(2), size)
			var c Compressor
			var d Decompressor
			payload := c.Append(nil, message)
			for _, spare := range []int{0, size / 2, size, 2 * size} { // spare capacity of dst
				got, err := d.Append(make([]byte, 0, spare), payload, int64(size))
				if err != nil || !bytes.Equal(got, message) {
					t.Errorf("%s: Append, %d of %d: %v", s.name, size, size, err)
				}
				got, err = d.Append(make([]byte, 0, spare), payload, int64(size-1))
				if err != ErrTooBig || len(got) != 0 {
					t.Errorf("%s: Append, %d of %d: %v", s.name, size, size-1, err)
				}
			}
			got, err := io.ReadAll(d.Reader(bytes.NewReader(payload), int64(size)))
			if err != nil || !bytes.Equal(got, message) {
				t.Errorf("%s: Reader, %d of %d: %v", s.name, size, size, err)
			}
			got, err = io.ReadAll(d.Reader(bytes.NewReader(payload), int64(size-1)))
			if err != ErrTooBig || !bytes.Equal(got, message[:size-1]) {
				t.Errorf("%s: Reader, %d of %d: %v", s.name, size, size-1, err)
			}
		}
	}
}

func TestLimit_Zero(t *testing.T) {
	var d Decompressor
	if _, err := d.Append(nil, []byte{0}, 0); err != nil {
		t.Errorf("an empty message: %v", err)
	}
	if _, err := d.Append(nil, unhex(t, "f2 48 cd c9 c9 07 00"), 0); err != ErrTooBig {
		t.Errorf("Hello: %v", err)
	}
}

// TestLimit_Bomb measures the cost of inflating a small payload that contains a huge message: the allocated memory, and the part of
// the payload that is read.
func TestLimit_Bomb(t *testing.T) {
	payload := bomb(t)
	if len(payload) > 66<<10 {
		t.Fatalf("64 MiB of zeros are %d bytes", len(payload))
	}
	const limit = 1 << 20
	var d Decompressor
	warm := func() { // fills the decoder's pool
		if _, err := d.Append(nil, []byte{0}, limit); err != nil {
			t.Fatal(err)
		}
	}
	warm()
	if got := allocated(func() {
		if _, err := d.Append(nil, payload, limit); err != ErrTooBig {
			t.Error(err)
		}
	}); got > 4*limit {
		t.Errorf("Append allocated %d bytes for a limit of %d", got, limit)
	}
	src := &countReader{r: bytes.NewReader(payload)}
	if got := allocated(func() {
		if n, err := io.Copy(io.Discard, d.Reader(src, limit)); n != limit || err != ErrTooBig {
			t.Error(n, err)
		}
	}); got > limit/4 {
		t.Errorf("Reader allocated %d bytes", got)
	}
	if src.n > len(payload)/16 {
		t.Errorf("Reader took %d of the payload's %d bytes for a 64th of the message", src.n, len(payload))
	}
	got, err := d.Append(nil, payload, -1)
	if err != nil || len(got) != 64<<20 {
		t.Errorf("without a limit: %d bytes, %v", len(got), err)
	}
}

type countReader struct {
	r io.Reader
	n int
}

func (c *countReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

// allocated returns the number of bytes that do allocates.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
