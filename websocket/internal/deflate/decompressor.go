package deflate

import (
	"bytes"
	"io"
	"slices"
)

// Decompressor is the receiving direction of one connection. The zero value inflates every message separately, with a window of 32
// KiB. It is not safe for concurrent use, and only one message may be in progress at a time.
type Decompressor struct {
	// Window is the negotiated window. It must be set before the first message and not changed afterwards.
	Window Window
	// Codec inflates; nil means the codec of this package.
	Codec *Codec

	history     history
	contextLost bool // a message was not inflated completely, and later messages may refer to it
}

func (d *Decompressor) codec() *Codec {
	if d.Codec == nil {
		return defaultCodec
	}
	return d.Codec
}

// Skip loses the context, if there is any, because a message is not inflated.
func (d *Decompressor) Skip() { d.contextLost = d.Window.Takeover }

// Lost reports whether the context is lost, so that no further message can be inflated.
func (d *Decompressor) Lost() bool { return d.contextLost }

// Append inflates the payload of one message and appends the result to dst. dst and compressed must not overlap. Append does not retain
// compressed, and may write to dst up to its capacity. It returns ErrTooBig if the message is longer than limit bytes. In that case Append
// has allocated at most twice limit bytes, and inflated at most limit bytes. A negative limit means no limit, and 0 permits only an empty
// message.
//
// A payload that cannot be inflated causes a *CorruptError. After any error dst is returned with its original length, and the
// connection must be failed.
func (d *Decompressor) Append(dst, compressed []byte, limit int64) ([]byte, error) {
	if d.contextLost {
		return dst, errLost
	}
	older, newer := d.history.parts()
	dec := d.codec().decoder()
	var out []byte
	var err error
	if w, ok := dec.(wholeDecoder); ok {
		out, err = w.appendWhole(dst, compressed, limit, d.Window.Size(), older, newer)
	} else {
		out, err = appendByRead(dec, dst, compressed, limit, d.Window.Size(), older, newer)
	}
	d.codec().decoders.Put(dec)
	if err != nil {
		d.contextLost = d.Window.Takeover
		return dst, err
	}
	d.addContext(out[len(dst):])
	return out, nil
}

// addContext adds p, which was inflated, to the context.
func (d *Decompressor) addContext(p []byte) {
	if d.Window.Takeover {
		d.history.add(p, d.Window.Size())
	}
}

// appendByRead is like appendWhole, for any decoder.
func appendByRead(dec Decoder, dst, compressed []byte, limit int64, window int, older, newer []byte) ([]byte, error) {
	dec.Reset(bytes.NewReader(compressed), window, older, newer)
	defer release(dec)
	base := len(dst)
	for {
		if limit >= 0 && int64(len(dst)-base) > limit {
			return dst, ErrTooBig
		}
		dst = slices.Grow(dst, 1)
		n, err := dec.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if err == io.EOF && (limit < 0 || int64(len(dst)-base) <= limit) {
			return dst, nil
		}
		if err != nil && err != io.EOF {
			return dst, err
		}
	}
}

// release makes dec drop its source.
func release(dec Decoder) { dec.Reset(emptyReader{}, 1<<MinBits, nil, nil) }

type emptyReader struct{}

func (emptyReader) Read([]byte) (int, error) { return 0, io.EOF }
