package frame

// Cursor follows the boundaries of frames in a stream whose bytes pass by, such as through a tunnel that copies them
// unchanged. The zero value is at the beginning of a stream, between two frames. It keeps no payload and changes nothing;
// all that it remembers is a header that was cut.
//
// It serves to find the places where a frame of one's own can be put in between: see [Cursor.Between].
type Cursor struct {
	head  [MaxHeader]byte // the header under way
	nhead uint8           // bytes of it that have passed
	bad   bool            // they are not a header: no boundary is known behind them
	left  int64           // payload bytes of the frame under way that have not passed
	h     Header          // of the frame under way, or the last one
}

// Next takes bytes of b up to the end of a frame's header, or of its payload, whichever comes first, and returns how many
// that are: 0 only for an empty b. Started means that they complete a header, which Header then returns; when its
// Length is 0, the frame is complete with it. Call it again with the rest.
//
// The error is that of [Parse], for a length that RFC 6455 §5.2 forbids. It is final: behind it no boundary can be known.
func (c *Cursor) Next(b []byte) (n int, started bool, err error) {
	if c.bad {
		return 0, false, c.err()
	}
	if c.left > 0 {
		n = int(min(int64(len(b)), c.left))
		c.left -= int64(n)
		return n, false, nil
	}
	was := int(c.nhead)
	held := was + copy(c.head[was:], b)
	h, size, err := Parse(c.head[:held])
	switch {
	case err != nil:
		c.bad, c.nhead = true, uint8(held)
		return 0, false, err
	case size == 0:
		c.nhead = uint8(held)
		return held - was, false, nil
	}
	c.h, c.left, c.nhead = h, h.Length, 0
	return size - was, true, nil
}

// Pass takes all of b, and stops counting at a length that RFC 6455 §5.2 forbids, with the error of [Cursor.Next].
func (c *Cursor) Pass(b []byte) error {
	for len(b) > 0 {
		n, _, err := c.Next(b)
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return c.err()
}

// err returns the error of the header that is not valid. Its bytes are kept in place of the error, which takes more memory.
func (c *Cursor) err() error {
	if !c.bad {
		return nil
	}
	_, _, err := Parse(c.head[:c.nhead])
	return err
}

// Boundary returns how many bytes at the beginning of b belong to the frame under way: behind them lies the boundary
// between two frames. It is 0 between frames, and len(b) when the frame does not end in b. The Cursor stays where it is.
func (c *Cursor) Boundary(b []byte) (int, error) {
	ahead, n := *c, 0
	for !ahead.Between() && n < len(b) {
		used, _, err := ahead.Next(b[n:])
		if err != nil {
			return n, err
		}
		n += used
	}
	return n, ahead.err()
}

// Between reports whether the bytes that have passed end where a frame does, or none has passed: the only places where a
// frame can be put in. Of control frames any may be, even between the fragments of a message (RFC 6455 §5.4).
func (c *Cursor) Between() bool { return c.nhead == 0 && c.left == 0 }

// Header returns the header of the frame under way once it is complete, and of the last frame between two.
func (c *Cursor) Header() Header { return c.h }
