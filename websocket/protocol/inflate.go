package protocol

import (
	"bytes"
	"io"
	"iter"

	"github.com/handfast/handfast/websocket/internal/deflate"
)

// Inflater inflates the compressed messages of one peer (RFC 7692 §7.2.2), with the codec that package websocket uses. It is for drivers
// that examine messages without keeping all of their content. It is not safe for concurrent use.
type Inflater struct{ d deflate.Decompressor }

// NewInflater returns an Inflater for a negotiated window, whose bits are 8 to 15, or 0 for 15. With takeover, a message may refer to
// the content of earlier messages.
func NewInflater(windowBits uint8, takeover bool) *Inflater {
	return &Inflater{deflate.Decompressor{Window: deflate.Window{Bits: windowBits, Takeover: takeover}}}
}

// Parts returns the content of the message with this payload, part by part. A part is valid until the next one. The error of a payload
// that violates the format is the last element, and names the violated clause.
//
// With takeover, a message that is not inflated completely makes all later messages unreadable: Lost then returns true.
func (f *Inflater) Parts(payload []byte) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		r := f.d.Reader(bytes.NewReader(payload), -1)
		defer r.Close() //nolint:errcheck // always nil
		buf := make([]byte, 32<<10)
		for {
			n, err := r.Read(buf)
			if n > 0 && !yield(buf[:n], nil) || err == io.EOF {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
		}
	}
}

// Skip is called in place of Parts for a message whose content is not needed, or of which the payload was not kept.
func (f *Inflater) Skip() { f.d.Skip() }

// Lost reports whether no further message can be inflated.
func (f *Inflater) Lost() bool { return f.d.Lost() }
