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

// maxMessage is the maximum size of one message, because peers limit the size of messages.
const maxMessage = 32 << 10

const network = "websocket"

// closeGrace is how long Close waits for a write whose Write was interrupted by a deadline.
const closeGrace = time.Second

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
	return &conn{c: c, t: t, readDeadline: newDeadline(), writeDeadline: newDeadline(), readSem: make(chan struct{}, 1), writeSem: make(chan struct{}, 1)}
}

// conn is a WebSocket as a net.Conn.
type conn struct {
	c *websocket.Conn
	t websocket.Type

	readDeadline, writeDeadline *deadline

	readSem  chan struct{} // holds one element during a Read: only that Read may use rest and read from the Conn
	unread   []byte        // the unread part of the last message
	writeSem chan struct{} // holds one element during a Write, and while a write continues after its Write has returned
}

// address is the net.Addr of an unknown address.
type address struct{}

func (address) Network() string { return network }
func (address) String() string  { return "" }

func (n *conn) LocalAddr() net.Addr  { return address{} }
func (n *conn) RemoteAddr() net.Addr { return n.c.RemoteAddr() }

// opError wraps err in an error of this connection.
func (n *conn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: network, Source: n.LocalAddr(), Addr: n.RemoteAddr(), Err: err}
}

func (n *conn) Read(p []byte) (int, error) {
	ctx := n.readDeadline.context()
	if err := acquire(ctx, n.readSem); err != nil {
		return 0, n.opError("read", err)
	}
	defer func() { <-n.readSem }()
	for len(n.unread) == 0 && len(p) > 0 {
		copied := 0
		err := n.c.View(ctx, func(m websocket.Message) error {
			if m.Type != n.t {
				return &typeError{m.Type, n.t}
			}
			copied = copy(p, m.Data)
			n.unread = slices.Clone(m.Data[copied:])
			return nil
		})
		if err != nil {
			return 0, n.readError(ctx, err)
		}
		if copied > 0 {
			return copied, nil
		}
	}
	copied := copy(p, n.unread)
	if n.unread = n.unread[copied:]; len(n.unread) == 0 {
		n.unread = nil
	}
	return copied, nil
}

// readError converts the error of a Read that received no message.
func (n *conn) readError(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return n.opError("read", cause)
	}
	if wrong, ok := errors.AsType[*typeError](err); ok {
		n.c.Shut(websocket.CodeUnsupportedData, wrong.Error()) //nolint:errcheck // the caller returns the typeError instead
	} else if closeErr, ok := errors.AsType[*websocket.CloseError](err); ok && closeErr.ByPeer && (closeErr.Code == websocket.CodeNormal || closeErr.Code == websocket.CodeGoingAway) {
		return io.EOF // even if sending the reply to the close frame has failed
	}
	return n.opError("read", err)
}

// typeError reports a message of the wrong type for the stream.
type typeError struct{ got, want websocket.Type }

func (e *typeError) Error() string {
	return fmt.Sprintf("a %v message in a stream of %v messages", e.got, e.want)
}

func (n *conn) Write(p []byte) (sent int, err error) {
	ctx := n.writeDeadline.context()
	if err := acquire(ctx, n.writeSem); err != nil {
		return 0, n.opError("write", err)
	}
	for sent < len(p) {
		next := nextMessage(p[sent:], n.t)
		wrote := n.write(slices.Clone(next)) // a copy, because the write may outlive this call
		select {
		case err := <-wrote:
			if err != nil {
				<-n.writeSem
				if cause := context.Cause(ctx); cause != nil {
					err = cause
				}
				return sent, n.opError("write", err)
			}
		case <-ctx.Done():
			go func() { // ends when the message has been written, or the connection has ended
				<-wrote
				<-n.writeSem
			}()
			return sent + len(next), n.opError("write", context.Cause(ctx))
		}
		sent += len(next)
	}
	<-n.writeSem
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

// nextMessage returns the part of p for the next message.
func nextMessage(p []byte, t websocket.Type) []byte {
	if len(p) <= maxMessage {
		return p
	}
	end := maxMessage
	for t == websocket.Text && end > maxMessage-utf8.UTFMax && !utf8.RuneStart(p[end]) {
		end--
	}
	return p[:end]
}

// acquire takes sem, unless ctx ends first.
func acquire(ctx context.Context, sem chan struct{}) error {
	if ctx.Err() == nil {
		select {
		case sem <- struct{}{}:
			return nil
		case <-ctx.Done():
		}
	}
	return context.Cause(ctx)
}

func (n *conn) Close() error {
	if !n.readDeadline.close() {
		return n.opError("close", net.ErrClosed)
	}
	n.writeDeadline.close()
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	acquire(ctx, n.writeSem) //nolint:errcheck // if takeTurn fails, a write is still in progress, and the close frame follows that write
	if err := n.c.Close(websocket.CodeNormal, ""); err != nil {
		return n.opError("close", err)
	}
	return nil
}

func (n *conn) SetDeadline(t time.Time) error {
	return errors.Join(n.SetReadDeadline(t), n.SetWriteDeadline(t))
}

func (n *conn) SetReadDeadline(t time.Time) error  { return n.setDeadline(n.readDeadline, t) }
func (n *conn) SetWriteDeadline(t time.Time) error { return n.setDeadline(n.writeDeadline, t) }

func (n *conn) setDeadline(d *deadline, t time.Time) error {
	if !d.set(t) {
		return n.opError("set", net.ErrClosed)
	}
	return nil
}
