package websocket

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"
)

// Conn is a WebSocket connection. One goroutine at a time may read (Read, ReadAppend, Reader and the io.Reader it
// returned, Messages); every other method may be called at once from any number of goroutines.
//
// A connection must be ended with Close or CloseNow, unless a call on it has returned a [CloseError].
type Conn struct{ hs *Handshake }

var errStub = errors.New("websocket: not built yet")

// NewConn takes over rwc, on which the opening handshake has been done elsewhere.
func NewConn(rwc io.ReadWriteCloser, role Role, opts *ConnOptions) *Conn {
	return newConn(rwc, role, opts, nil, nil)
}

// newConn is NewConn with what the handshake agreed on, and bytes that the peer sent early: they become the Conn's.
func newConn(rwc io.ReadWriteCloser, role Role, opts *ConnOptions, hs *Handshake, early []byte) *Conn {
	return &Conn{hs: hs}
}

func (c *Conn) Read(ctx context.Context) (Message, error) { return Message{}, errStub }
func (c *Conn) ReadAppend(ctx context.Context, dst []byte) (Message, error) {
	return Message{}, errStub
}
func (c *Conn) Reader(ctx context.Context) (Type, io.Reader, error)        { return 0, nil, errStub }
func (c *Conn) Messages(ctx context.Context) iter.Seq2[Message, error]     { return nil }
func (c *Conn) Write(ctx context.Context, m Message) error                 { return errStub }
func (c *Conn) Writer(ctx context.Context, t Type) (io.WriteCloser, error) { return nil, errStub }
func (c *Conn) Ping(ctx context.Context) (time.Duration, error)            { return 0, errStub }
func (c *Conn) Close(code Code, reason string) error                       { return errStub }
func (c *Conn) CloseNow() error                                            { return errStub }
func (c *Conn) Context() context.Context                                   { return nil }
func (c *Conn) Handshake() *Handshake                                      { return c.hs }
