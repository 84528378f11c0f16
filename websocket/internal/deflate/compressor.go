package deflate

// keepBytes is the most that a Compressor keeps of what it sent, whatever the window: with 32 KiB for the receiving
// direction a connection stays under 40 KB. Eight times as much would cost every message 16 us to make it findable, and
// save 2 % of one of 1 KiB.
const keepBytes = 4 << 10

// Compressor is the sending direction of one connection. The zero value compresses every message by itself, with a
// window of 32 KiB. One goroutine at a time may use it, and one message at a time may be under way.
type Compressor struct {
	// Window is what the handshake agreed on. It is set before the first message and then left alone.
	Window Window
	// Codec compresses; nil is the codec of this package.
	Codec *Codec

	past history
}

func (c *Compressor) codec() *Codec {
	if c.Codec == nil {
		return own
	}
	return c.Codec
}

// begin takes an encoder from the pool, ready for a message.
func (c *Compressor) begin() Encoder {
	e := c.codec().encoder()
	older, newer := c.past.parts()
	e.Reset(c.Window.Size(), older, newer)
	return e
}

// Append compresses msg as one message and appends its payload to dst. The two must not overlap; msg is the caller's
// again on return. What it returns must be sent, and in this order, since the next message may refer to it.
func (c *Compressor) Append(dst, msg []byte) []byte {
	e := c.begin()
	dst = e.Encode(dst, msg, EndFlush)
	c.codec().encoders.Put(e)
	c.Note(msg)
	return dst
}

// AppendShared compresses msg so that it can be sent on every connection whose window has at least w.Bits, with context
// takeover or without. Any number of goroutines may call it. A connection with takeover on which it is sent must be told
// by Note or Forget.
func AppendShared(dst, msg []byte, w Window) []byte {
	c := Compressor{Window: Window{Bits: w.Bits}}
	return c.Append(dst, msg)
}

// Note tells c that msg is sent in a form that AppendShared made of it: the peer's window moves on by it, so it becomes
// context. Without takeover it does nothing.
func (c *Compressor) Note(msg []byte) {
	if c.Window.Takeover {
		c.past.add(msg, min(keepBytes, c.Window.Size()))
	}
}

// Forget drops the context and its memory. It is always right, since what a sender does not refer to need not be known
// to it: instead of Note where most messages are shared, and before a connection that goes to sleep for long.
func (c *Compressor) Forget() { c.past = history{} }
