//go:build linux

package load

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// conn is the state of one connection that follows the script. The methods in this file do no I/O.
type conn struct {
	c        *Config
	s        *script
	at       int       // index of the current step
	answers  int       // number of responses to the current step so far
	total    int64     // number of responses to all steps
	sent     time.Time // when the current step was sent
	payload  int64     // payload bytes of all responses, on the wire
	head     [10]byte  // the received part of a frame's header
	nhead    int
	left     int // payload bytes of the frame that are still missing
	inFrame  bool
	ping     bool // the frame is a ping
	zipped   bool // the message began with RSV1
	seen     int  // payload bytes of the message received so far
	inflated []byte
	zip      []byte

	// The following fields are for the code that does I/O.
	index int
	fd    int
	out   []byte // bytes that the kernel has not accepted yet
	polW  bool   // whether epoll waits for the socket to become writable
}

// inflateFirst is the number of responses of each connection that are inflated and compared. Inflating all responses would take more CPU
// time than the server.
const inflateFirst = 2

func (c *conn) step() *step { return &c.s.steps[c.at] }

// next advances to the next step, and returns the bytes to write.
func (c *conn) next() []byte {
	if c.total > 0 {
		if c.at++; c.at == len(c.s.steps) {
			c.at = c.s.loop
		}
	}
	c.answers = 0
	return c.step().out
}

// done reports whether all responses to the current step have arrived.
func (c *conn) done() bool { return c.answers >= len(c.step().want) }

// feed processes received bytes, and returns the number of responses that they complete.
func (c *conn) feed(b []byte) (int, error) {
	n := 0
	for len(b) > 0 {
		if c.c.Raw && !c.inFrame {
			c.left, c.inFrame = len(c.step().want[0]), true
		}
		if !c.inFrame {
			used, err := c.header(b)
			if err != nil {
				return n, err
			}
			if b = b[used:]; !c.inFrame {
				continue
			}
		}
		chunk := b[:min(c.left, len(b))]
		b, c.left = b[len(chunk):], c.left-len(chunk)
		if c.ping {
			c.inFrame = c.left > 0
			c.ping = c.inFrame
			continue
		}
		if err := c.chunk(chunk); err != nil {
			return n, err
		}
		if c.left > 0 {
			return n, nil
		}
		c.inFrame = false
		if c.c.Raw || c.head[0]&fin != 0 {
			if err := c.message(); err != nil {
				return n, err
			}
			n++
		}
	}
	return n, nil
}

// header processes the bytes of a frame header, and returns their number.
func (c *conn) header(b []byte) (int, error) {
	used := 0
	for used < len(b) {
		c.head[c.nhead] = b[used]
		c.nhead++
		used++
		size := 2
		if c.nhead >= 2 {
			size += [...]int{126: 2, 127: 8}[min(max(int(c.head[1]), 125), 127)]
		}
		if c.nhead < size {
			continue
		}
		c.nhead = 0
		switch n := int(c.head[1]); n {
		case 126:
			c.left = int(binary.BigEndian.Uint16(c.head[2:]))
		case 127:
			c.left = int(binary.BigEndian.Uint64(c.head[2:]))
		default:
			c.left = n
		}
		c.inFrame = true
		return used, c.frame()
	}
	return used, nil
}

// frame checks a header.
func (c *conn) frame() error {
	op := c.head[0] & 0xf
	switch {
	case c.head[1]&masked != 0:
		return errors.New("load: the server masks its frames")
	case op == opClose:
		return errors.New("load: the server closed the connection")
	case c.head[0] == fin|opPing && c.left <= 125: // RFC 6455 §5.5.2
		// While thousands of other connections are being opened, a server may send a ping. The load does not send a pong: no round
		// lasts long enough for a server to time out, and a pong would be work that the other servers do not have.
		c.ping = true
		return nil
	case op == opBinary && c.seen == 0:
		c.zipped = c.head[0]&rsv1 != 0
	case op == opContinuation && c.seen > 0:
	default:
		return fmt.Errorf("load: frame with opcode %d after %d bytes of a message", op, c.seen)
	}
	if c.zipped != (c.c.Compress != CompressNone) {
		return fmt.Errorf("load: answer compressed: %t", c.zipped)
	}
	return nil
}

// chunk compares both ends of a piece of a response with the expected bytes: comparing all of it would take too long.
func (c *conn) chunk(p []byte) error {
	start := c.seen
	c.seen += len(p)
	if c.zipped {
		if c.total < inflateFirst {
			c.zip = append(c.zip, p...)
		}
		return nil
	}
	want := c.want()
	if c.seen > len(want) {
		return fmt.Errorf("load: an answer of more than the %d bytes that were sent", len(want))
	}
	want = want[start:c.seen]
	k := min(len(p), 64)
	if !bytes.Equal(p[:k], want[:k]) || !bytes.Equal(p[len(p)-k:], want[len(p)-k:]) {
		return errors.New("load: an answer differs from what was sent")
	}
	return nil
}

// want returns the expected response. A broadcast has more responses than a step, but they are all the same.
func (c *conn) want() []byte { return c.step().want[min(c.answers, len(c.step().want)-1)] }

// message handles the end of a response.
func (c *conn) message() error {
	want := c.want()
	switch {
	case !c.zipped && c.seen != len(want):
		return fmt.Errorf("load: an answer of %d bytes to a message of %d", c.seen, len(want))
	case c.zipped && c.total < inflateFirst:
		if err := c.inflate(want); err != nil {
			return err
		}
	}
	c.payload += int64(c.seen)
	c.seen = 0
	c.answers++
	c.total++
	return nil
}

func (c *conn) inflate(want []byte) error {
	r := flate.NewReaderDict(io.MultiReader(bytes.NewReader(c.zip), bytes.NewReader([]byte(flushTail+"\x01\x00\x00\xff\xff"))), c.inflated)
	got, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("load: a compressed answer cannot be read: %w", err)
	}
	if !bytes.Equal(got, want) {
		return errors.New("load: a compressed answer differs from what was sent")
	}
	c.zip = c.zip[:0]
	if c.c.Compress == CompressTakeover {
		c.inflated = append(c.inflated, got...)
	}
	return nil
}
