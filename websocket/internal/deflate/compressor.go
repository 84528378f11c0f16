package deflate

// takeoverBytes is the maximum context that a Compressor retains, whatever the window. Together with 32 KiB for the receiving direction, a
// connection uses less than 40 KB. A context of 32 KiB would take 16 µs per message to index, and save 2 % of a 1 KiB message.
const takeoverBytes = 4 << 10

// Compressor is the sending direction of one connection. The zero value compresses every message separately, with a window of 32
// KiB. It is not safe for concurrent use, and only one message may be in progress at a time.
type Compressor struct {
	// Window is the negotiated window. It must be set before the first message and not changed afterwards.
	Window Window
	// Codec compresses; nil means the codec of this package.
	Codec *Codec

	history history
}

func (c *Compressor) codec() *Codec {
	if c.Codec == nil {
		return defaultCodec
	}
	return c.Codec
}

// begin takes an encoder from the pool, ready for a message.
func (c *Compressor) begin() Encoder {
	e := c.codec().encoder()
	older, newer := c.history.parts()
	e.Reset(c.Window.Size(), older, newer)
	return e
}

// Append compresses msg as one message and appends its payload to dst. dst and msg must not overlap. Append does not retain msg. The
// results must be sent in the order of the calls, because a message may refer to the previous ones.
func (c *Compressor) Append(dst, msg []byte) []byte {
	e := c.begin()
	dst = e.Encode(dst, msg, EndFlush)
	c.codec().encoders.Put(e)
	c.Note(msg)
	return dst
}

// AppendShared compresses msg so that it can be sent on every connection whose window has at least w.Bits, with or without context
// takeover. It may be called concurrently. If the message is sent on a connection with takeover, Note or Forget of the connection's
// Compressor must be called.
func AppendShared(dst, msg []byte, w Window) []byte {
	c := Compressor{Window: Window{Bits: w.Bits}}
	return c.Append(dst, msg)
}

// Note records that a message compressed by AppendShared is sent: the peer's window advances, so msg becomes context. Without
// takeover Note has no effect.
func (c *Compressor) Note(msg []byte) {
	if c.Window.Takeover {
		c.history.add(msg, min(takeoverBytes, c.Window.Size()))
	}
}

// Forget drops the context and its memory. Dropping the context is always allowed, because a sender need not refer to earlier data. Use
// Forget instead of Note if most messages are shared, and before a connection becomes idle for a long time.
func (c *Compressor) Forget() { c.history = history{} }
