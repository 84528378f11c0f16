package deflate

import (
	"io"
	"sync"
)

// Codec is an implementation of DEFLATE, with its pools. The zero value is not usable: both constructors are required. A Codec is
// shared by all connections and must not be copied.
//
// Another implementation can be used in place of the one in this package. Compressor and Decompressor implement the context between
// messages and the limits for every Codec.
type Codec struct {
	NewEncoder func() Encoder // called when the pool is empty
	NewDecoder func() Decoder

	encoders, decoders sync.Pool
}

// Flush determines how much of the input of an [Encoder] must be part of its output when Encode returns.
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

// Encoder compresses messages to DEFLATE blocks, one message at a time. It is not safe for concurrent use.
type Encoder interface {
	// Reset begins a message. Matches refer back at most window bytes, and no further than the dictionary, which consists of older
	// followed by newer. The encoder does not retain either slice.
	Reset(window int, older, newer []byte)

	// Encode appends its output to dst. It does not retain p.
	Encode(dst, p []byte, flush Flush) []byte
}

// Decoder inflates messages, one at a time. It is not safe for concurrent use.
type Decoder interface {
	// Reset begins a message, whose payload is src up to io.EOF. src yields the payload as it was received: the decoder appends the
	// four bytes that RFC 7692 §7.2.2 requires, and accepts blocks with BFINAL set (§7.2.3.4). older and newer are as for Encoder.
	// A match beyond them or beyond the window is an error.
	Reset(src io.Reader, window int, older, newer []byte)

	// Read returns io.EOF at the end of the message, and ErrTruncated if bytes are missing. An error of src is returned unchanged.
	// The decoder of this package can continue after such an error.
	Read(p []byte) (int, error)
}

// wholeDecoder is a Decoder that can inflate a message from one slice, which is faster than Read. It does not retain the
// dictionary.
type wholeDecoder interface {
	appendWhole(dst, compressed []byte, limit int64, window int, older, newer []byte) ([]byte, error)
}

// defaultCodec is the implementation of this package.
var defaultCodec = &Codec{
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
