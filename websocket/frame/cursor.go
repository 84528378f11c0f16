package frame

// Cursor tracks the frame boundaries in a stream that other code copies unchanged, such as a tunnel. The zero value is at the beginning of
// a stream, between two frames. A Cursor stores an incomplete header, but no payload.
//
// [Cursor.Between] reports whether another frame can be inserted.
type Cursor struct {
	head  [MaxHeader]byte // the current header
	nhead uint8           // number of bytes in head
	bad   bool            // head is not a valid header: no later boundary is known
	left  int64           // remaining payload bytes of the current frame
	h     Header          // header of the current frame, or of the last frame
}

// Next consumes bytes of b up to the end of a header or of a payload, whichever comes first. n is the number of consumed bytes, which is 0
// only if b is empty. started reports whether these bytes complete a header, which Header then returns; if the Length of the header is 0,
// the frame is complete too. Call Next again with the rest.
//
// For a length that RFC 6455 §5.2 forbids, Next returns the error of [Parse]. The error is permanent, because the later boundaries are
// unknown.
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

// Pass consumes all of b. At a length that RFC 6455 §5.2 forbids, Pass stops and returns the error of [Cursor.Next].
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

// err returns the error of the invalid header. The Cursor keeps the bytes of the header in place of the error, which would take
// more memory.
func (c *Cursor) err() error {
	if !c.bad {
		return nil
	}
	_, _, err := Parse(c.head[:c.nhead])
	return err
}

// Boundary returns the number of bytes at the beginning of b that belong to the current frame: the boundary between two frames follows
// them. The number is 0 between frames, and len(b) if the frame does not end in b. Boundary does not advance the Cursor.
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

// Between reports whether the stream is between two frames, or at its beginning: the only places where a frame can be inserted.
// Control frames may also be inserted between the fragments of a message (RFC 6455 §5.4).
func (c *Cursor) Between() bool { return c.nhead == 0 && c.left == 0 }

// Header returns the last complete header: the header of the current frame or, between two frames, of the previous frame.
func (c *Cursor) Header() Header { return c.h }
