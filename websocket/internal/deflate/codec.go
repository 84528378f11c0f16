package deflate

import (
	"io"
	"sync"
)

// Codec is an implementation of DEFLATE, with its pools. The zero value is not usable: both constructors are required. A Codec is
// shared by all connections and must not be copied.
//
// It lets another implementation replace the one of this package. What RFC 7692 requires around DEFLATE (the bytes removed and
// appended, the context between messages, limits) is done once, above it.
type Codec struct {
	NewEncoder func() Encoder // called when the pool is empty
	NewDecoder func() Decoder

	encoders, decoders sync.Pool
}

// Flush determines how much of the input of an [Encoder] must be in its output when Encode returns.
type Flush uint8

const (
	// NoFlush lets the encoder buffer input until it has a full block.
	NoFlush Flush = iota
	// SyncFlush ends the output with an empty stored block, whose last bytes are 00 00 FF FF, so that the peer can inflate
	// everything.
	SyncFlush
	// EndFlush is SyncFlush without these four bytes (RFC 7692 §7.2.1). The next call must be Reset.
	EndFlush
)

// Encoder turns messages into DEFLATE blocks, one message at a time. It is not safe for concurrent use.
type Encoder interface {
	// Reset begins a message. Matches reach back at most window bytes, and no further than the dictionary, which is older followed
	// by newer. The encoder does not keep either slice.
	Reset(window int, older, newer []byte)

	// Encode appends its output to dst. It does not keep p.
	Encode(dst, p []byte, flush Flush) []byte
}

// Decoder inflates messages, one at a time. It is not safe for concurrent use.
type Decoder interface {
	// Reset begins a message, whose payload is src up to io.EOF. src yields the payload as it was received: the decoder appends the
	// four bytes that RFC 7692 §7.2.2 requires, and accepts blocks with BFINAL set (§7.2.3.4). older and newer are as for Encoder;
	// a match beyond them or the window is an error.
	Reset(src io.Reader, window int, older, newer []byte)

	// Read returns io.EOF at the end of the message and ErrTruncated if bytes are missing. An error of src is returned unchanged;
	// the decoder of this package can continue after it.
	Read(p []byte) (int, error)
}

// wholeDecoder is a Decoder that inflates a message in one slice faster than with Read. It does not keep the dictionary.
type wholeDecoder interface {
	appendWhole(dst, compressed []byte, limit int64, window int, older, newer []byte) ([]byte, error)
}

// own is the implementation in this package.
var own = &Codec{
	NewEncoder: func() Encoder { return newEncoder() },
	NewDecoder: func() Decoder { return new(decoder) },
}

func (c *Codec) encoder() Encoder {
	if e, ok := c.encoders.Get().(Encoder); ok {
		return e
	}
	return c.NewEncoder()
}

func (c *Codec) decoder() Decoder {
	if d, ok := c.decoders.Get().(Decoder); ok {
		return d
	}
	return c.NewDecoder()
}
