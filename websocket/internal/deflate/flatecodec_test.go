package deflate

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
)

// stdCodec is compress/flate as a Codec. It proves that another implementation can be used, and is the reference for the
// benchmarks.
var stdCodec = &Codec{
	NewEncoder: func() Encoder {
		w, err := flate.NewWriter(io.Discard, flate.BestSpeed+1)
		if err != nil {
			panic(err)
		}
		return &stdEncoder{w: w}
	},
	NewDecoder: func() Decoder { return &stdDecoder{r: flate.NewReader(emptyReader{})} },
}

// stdEncoder respects the window, which compress/flate does not support, by compressing half a window at a time with the previous
// half as the dictionary. The dictionary is written, and the resulting output is discarded: with flate.NewWriterDict, Go 1.26
// includes a short dictionary in the output if the following data is stored.
type stdEncoder struct {
	half int
	past []byte
	w    *flate.Writer
}

func (e *stdEncoder) Reset(window int, older, newer []byte) {
	e.half = window / 2
	e.past = append(append(e.past[:0], older...), newer...)
}

func (e *stdEncoder) Encode(dst, p []byte, flush Flush) []byte {
	for len(p) > 0 {
		e.past = append(e.past[:0], lastBytes(e.past, e.half)...)
		var out bytes.Buffer
		e.w.Reset(&out)
		k := min(len(p), e.half)
		_, _ = e.w.Write(e.past) // a bytes.Buffer never fails
		_ = e.w.Flush()
		out.Reset()
		_, _ = e.w.Write(p[:k])
		_ = e.w.Flush()
		dst = append(dst, out.Bytes()...)
		e.past = append(e.past, p[:k]...)
		p = p[k:]
	}
	switch flush {
	case SyncFlush:
		dst = append(append(dst, 0), tail[:]...)
	case EndFlush:
		dst = append(dst, 0)
	}
	return dst
}

type stdDecoder struct{ r io.ReadCloser }

func (d *stdDecoder) Reset(src io.Reader, _ int, older, newer []byte) {
	final := append(bytes.Clone(tail[:]), 1, 0, 0, 0xFF, 0xFF)
	dict := append(bytes.Clone(older), newer...)
	if err := d.r.(flate.Resetter).Reset(io.MultiReader(src, bytes.NewReader(final)), dict); err != nil {
		panic(err)
	}
}

func (d *stdDecoder) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	if _, corrupt := errors.AsType[flate.CorruptInputError](err); corrupt {
		err = errSymbol
	}
	return n, err
}

// inflateStd inflates payloads that share a context, as one stream, with compress/flate. Its result is the reference for the other codecs.
func inflateStd(payloads ...[]byte) ([]byte, error) {
	var all []byte
	for _, p := range payloads {
		all = append(append(all, p...), tail[:]...)
	}
	all = append(all, 1, 0, 0, 0xFF, 0xFF)
	src := bytes.NewReader(all)
	b, err := io.ReadAll(flate.NewReader(src))
	if err == nil && src.Len() > 0 {
		err = errors.New("bytes after the end")
	}
	return b, err
}
