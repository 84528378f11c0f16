package deflate

import (
	"io"
	"sync"
)

// Codec is an implementation of DEFLATE, with its pools. The zero value is not a codec: both constructors are needed. A
// Codec is shared by all connections and must not be copied.
//
// This is the seam by which another implementation can stand in for our own. What RFC 7692 asks for around DEFLATE
// (the bytes cut off and put back, the context between messages, limits) is done once, above it.
type Codec struct {
	NewEncoder func() Encoder // called when the pool is empty
	NewDecoder func() Decoder

	encoders, decoders sync.Pool
}

// Flush says how much of what an [Encoder] was given must be in its output when Encode returns.
type Flush uint8

const (
	// NoFlush lets the encoder keep bytes back until it has a block's worth.
	NoFlush Flush = iota
	// SyncFlush ends the output with an empty stored block, 00 00 FF FF at its end, so that the peer can inflate all.
	SyncFlush
	// EndFlush is SyncFlush without these four bytes (RFC 7692 §7.2.1). Nothing is encoded between it and Reset.
	EndFlush
)

// Encoder turns messages into DEFLATE blocks, one message at a time. One goroutine uses it at a time.
type Encoder interface {
	// Reset begins a message. Matches reach back at most window bytes, and no further than the dictionary, which is
	// older followed by newer. Both are the caller's again when Reset returns.
	Reset(window int, older, newer []byte)

	// Encode appends what it has to dst. p is the caller's again when it returns.
	Encode(dst, p []byte, flush Flush) []byte
}

// Decoder inflates messages, one at a time. One goroutine uses it at a time.
type Decoder interface {
	// Reset begins a message, whose payload is src up to io.EOF. It is src that is incomplete, not what it yields: the
	// decoder supplies the four bytes that RFC 7692 §7.2.2 puts behind it, and accepts blocks with BFINAL set
	// (§7.2.3.4). older and newer are as for Encoder; a match beyond them or the window is corrupt.
	Reset(src io.Reader, window int, older, newer []byte)

	// Read returns io.EOF at the end of the message and ErrTruncated when there are bytes missing. An error of src is
	// returned unchanged; our own decoder can be asked again after it.
	Read(p []byte) (int, error)
}

// wholeDecoder is a Decoder that does a message that is in one slice better than by Read. The dictionary is borrowed
// during the call.
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
