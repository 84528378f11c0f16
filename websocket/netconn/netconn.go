// Package netconn turns a WebSocket into a [net.Conn], for protocols that use a stream of bytes, such as SSH, TLS, yamux or the protocol of
// a database.
package netconn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/handfast/handfast/websocket"
)

// piece is the maximum size of one message, because peers limit the size of messages.
const piece = 32 << 10

const network = "websocket"

// grace is how long Close waits for a write whose Write was interrupted by a deadline.
const grace = time.Second

// New returns c as a stream of bytes, which are sent in messages of type t. The net.Conn owns c: other code must not read from
// it or write to it.
//
//   - Written data is sent in messages of at most 32 KiB; text is split between characters. The boundaries of received
//     messages are not visible, and empty messages are ignored.
//   - A message of the other type ends the connection with CodeUnsupportedData.
//   - A deadline only interrupts calls, as with any net.Conn: the connection can be used with a later deadline. If a
//
// deadline passes while a message of a Write is being sent, the bytes of that message count as written, and are sent later.
//   - Read returns io.EOF when the peer has closed with CodeNormal or CodeGoingAway, and otherwise a
//     [websocket.CloseError], so that an interrupted stream does not look complete.
//   - Close sends the written data, closes with CodeNormal and waits for the peer, at most for
//     ConnOptions.CloseTimeout. Waiting calls return [net.ErrClosed].
//   - The local address is not known: the network of LocalAddr is "websocket", and its string is empty.
//
// Errors are of type *[net.OpError]. A message that is longer than ConnOptions.MaxMessage ends the connection; other programs
// may send longer messages than New does. t is Binary unless the peer expects text: bytes that are not UTF-8 cannot be written
// as Text.
func New(c *websocket.Conn, t websocket.Type) net.Conn {
	return &conn{c: c, t: t, reading: newDeadline(), writing: newDeadline(), in: make(chan struct{}, 1), out: make(chan struct{}, 1)}
}

// conn is a WebSocket as a net.Conn.
type conn struct {
	c *websocket.Conn
	t websocket.Type

	reading, writing *deadline

	in   chan struct{} // holds one element during a Read: only that Read may use rest and read from the Conn
	rest []byte        // the unread part of the last message
	out  chan struct{} // holds one element during a Write, and while a write continues after its Write has returned
}

// address is the net.Addr of an unknown address.
type address struct{}

func (address) Network() string { return network }
func (address) String() string  { return "" }

func (n *conn) LocalAddr() net.Addr  { return address{} }
func (n *conn) RemoteAddr() net.Addr { return n.c.RemoteAddr() }

// failed wraps err in an error of this connection.
func (n *conn) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: network, Source: n.LocalAddr(), Addr: n.RemoteAddr(), Err: err}
}

func (n *conn) Read(p []byte) (int, error) {
	ctx := n.reading.context()
	if err := takeTurn(ctx, n.in); err != nil {
		return 0, n.failed("read", err)
	}
	defer func() { <-n.in }()
	for len(n.rest) == 0 && len(p) > 0 {
		copied := 0
		err := n.c.View(ctx, func(m websocket.Message) error {
			if m.Type != n.t {
				return &typeError{m.Type, n.t}
			}
			copied = copy(p, m.Data)
			n.rest = slices.Clone(m.Data[copied:])
			return nil
		})
		if err != nil {
			return 0, n.ended(ctx, err)
		}
		if copied > 0 {
			return copied, nil
		}
	}
	copied := copy(p, n.rest)
	if n.rest = n.rest[copied:]; len(n.rest) == 0 {
		n.rest = nil
	}
	return copied, nil
}

// ended converts the error of a Read that received no message.
func (n *conn) ended(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return n.failed("read", cause)
	}
	if wrong, ok := errors.AsType[*typeError](err); ok {
		n.c.Shut(websocket.CodeUnsupportedData, wrong.Error()) //nolint:errcheck // the typeError is returned
	} else if how, ok := errors.AsType[*websocket.CloseError](err); ok && how.ByPeer && (how.Code == websocket.CodeNormal || how.Code == websocket.CodeGoingAway) {
		return io.EOF // even if sending the reply to the close frame has failed
	}
	return n.failed("read", err)
}

// typeError reports a message of the wrong type for the stream.
type typeError struct{ got, want websocket.Type }

func (e *typeError) Error() string {
	return fmt.Sprintf("a %v message in a stream of %v messages", e.got, e.want)
}

func (n *conn) Write(p []byte) (sent int, err error) {
	ctx := n.writing.context()
	if err := takeTurn(ctx, n.out); err != nil {
		return 0, n.failed("write", err)
	}
	for sent < len(p) {
		next := first(p[sent:], n.t)
		wrote := n.write(slices.Clone(next)) // a copy, because the write may outlive this call
		select {
		case err := <-wrote:
			if err != nil {
				<-n.out
				if cause := context.Cause(ctx); cause != nil {
					err = cause
				}
				return sent, n.failed("write", err)
			}
		case <-ctx.Done():
			go func() { // ends when the message has been written, or the connection has ended
				<-wrote
				<-n.out
			}()
			return sent + len(next), n.failed("write", context.Cause(ctx))
		}
		sent += len(next)
	}
	<-n.out
	return sent, nil
}

// write sends a message on a separate goroutine, because a frame must be completed even if a deadline ends the Write. The returned channel
// receives the error.
func (n *conn) write(data []byte) <-chan error {
	wrote := make(chan error, 1)
	go func() {
		wrote <- n.c.Write(context.Background(), websocket.Message{Type: n.t, Data: data})
	}()
	return wrote
}

// first returns the part of p for the next message.
func first(p []byte, t websocket.Type) []byte {
	if len(p) <= piece {
		return p
	}
	end := piece
	for t == websocket.Text && end > piece-utf8.UTFMax && !utf8.RuneStart(p[end]) {
		end--
	}
	return p[:end]
}

// takeTurn waits for a turn, unless ctx ends first.
func takeTurn(ctx context.Context, turn chan struct{}) error {
	if ctx.Err() == nil {
		select {
		case turn <- struct{}{}:
			return nil
		case <-ctx.Done():
		}
	}
	return context.Cause(ctx)
}

func (n *conn) Close() error {
	if !n.reading.close() {
		return n.failed("close", net.ErrClosed)
	}
	n.writing.close()
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	takeTurn(ctx, n.out) //nolint:errcheck // if it fails, a write is still in progress, and the close frame follows it
	if err := n.c.Close(websocket.CodeNormal, ""); err != nil {
		return n.failed("close", err)
	}
	return nil
}

func (n *conn) SetDeadline(t time.Time) error {
	return errors.Join(n.SetReadDeadline(t), n.SetWriteDeadline(t))
}

func (n *conn) SetReadDeadline(t time.Time) error  { return n.set(n.reading, t) }
func (n *conn) SetWriteDeadline(t time.Time) error { return n.set(n.writing, t) }

func (n *conn) set(d *deadline, t time.Time) error {
	if !d.set(t) {
		return n.failed("set", net.ErrClosed)
	}
	return nil
}
