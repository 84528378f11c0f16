package websocket

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/internal/transport"
	"github.com/handfast/handfast/websocket/protocol"
)

// Conn is a WebSocket connection. One goroutine at a time may read (Read, View, Messages, Reader and the io.Reader that it
// returned); every other method may be called concurrently by any number of goroutines.
//
// A context passed to a method interrupts only that call, except for a write that has started: once half a frame has been sent, the
// connection can no longer be used, so it is closed.
//
// A connection must be ended with Close or CloseNow, unless a call on it has returned a [CloseError].
//
// The inbox reads and the outbox writes. Conn adds the state that both need: the negotiated parameters, the end of the connection,
// and the liveness of the peer. mu guards that state, and the inbox and outbox except for the fields that a turn guards. mu is
// never held while waiting, nor during I/O, except for writes that do not wait.
type Conn struct {
	hs          *Handshake
	stream      transport.Stream
	opts        connSettings
	compression *compression     // nil unless permessage-deflate was negotiated
	m           protocol.Machine // the holder of read owns its reading half, and mu guards its writing half

	inbox  inbox
	outbox outbox

	mu        sync.Mutex
	closeErr  *CloseError // the final state; nil while the connection is open
	closing   *CloseError // the intended final state, after a close frame was made or has arrived, or a rule was broken
	peerClose *CloseError // with HalfClose: the peer's close frame, which may arrive before or after ours is sent
	pings     pings
	keepalive keepalive
	life      *life         // created on the first use
	member    *member       // removes the connection from its roster at the end; nil if another object does that, or without a roster
	done      chan struct{} // closed when the connection has ended; created on the first wait
}

// life is the context that is done when the connection ends.
type life struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
}

// connSettings holds ConnOptions with the defaults filled in.
type connSettings struct {
	limits       protocol.Limits
	pingInterval time.Duration
	closeTimeout time.Duration
	queue        writeQueue
}

const (
	defaultMaxMessage   = 1 << 20
	defaultPingInterval = 25 * time.Second
	defaultCloseTimeout = 5 * time.Second
)

func (o *ConnOptions) settings() connSettings {
	if o == nil {
		o = &ConnOptions{}
	}
	s := connSettings{
		limits:       protocol.Limits{MaxMessage: o.MaxMessage, Fragments: protocol.MaxFragments},
		pingInterval: o.PingInterval,
		closeTimeout: o.CloseTimeout,
		queue:        writeQueue{bytes: o.QueueBytes, full: o.QueueFull},
	}
	if s.queue.bytes <= 0 {
		s.queue.bytes = defaultQueueBytes
	}
	if s.limits.MaxMessage == 0 {
		s.limits.MaxMessage = defaultMaxMessage
	}
	if s.pingInterval == 0 {
		s.pingInterval = defaultPingInterval
	}
	if s.closeTimeout <= 0 {
		s.closeTimeout = defaultCloseTimeout
	}
	return s
}

// NewConn takes over rwc, on which the opening handshake has already been completed. hs is the result of that handshake, and the
// Conn's Handshake method returns it; it may be nil. If opts is nil, the defaults are used.
//
// hs.Extensions, in the form of the response's Sec-WebSocket-Extensions header, determines the compression. An extension that is
// not permessage-deflate or has invalid parameters is an error. If hs.Extensions negotiates compression, opts.Compression must not
// be nil, since the peer may send compressed messages; only its Threshold is used. After an error, the caller still owns rwc.
//
// The Conn closes rwc when it ends. If rwc has no SetReadDeadline and SetWriteDeadline, the Conn uses two goroutines for it, and
// rwc's Close must unblock its Read and Write.
func NewConn(rwc io.ReadWriteCloser, role protocol.Role, hs *Handshake, opts *ConnOptions) (*Conn, error) {
	if hs == nil {
		hs = &Handshake{}
	}
	agreed, err := parseNegotiated(hs.Extensions, opts)
	if err != nil {
		return nil, err
	}
	return newConn(rwc, role, opts, hs, agreed, nil), nil
}

// newConn is NewConn for known compression parameters, and with early bytes that were received from the peer, which the Conn then
// owns. agreed is nil without compression.
func newConn(rwc io.ReadWriteCloser, role protocol.Role, opts *ConnOptions, hs *Handshake, agreed *handshake.Deflate, early []byte) *Conn {
	c := new(Conn)
	c.init(rwc, role, opts, hs, agreed, early)
	return c
}

// init is newConn for a Conn that is part of a larger struct.
func (c *Conn) init(rwc io.ReadWriteCloser, role protocol.Role, opts *ConnOptions, hs *Handshake, agreed *handshake.Deflate, early []byte) {
	c.inbox.c, c.outbox.c = c, c
	c.hs = hs
	c.opts = opts.settings()
	c.inbox.unparsed = early
	c.stream.Init(rwc)
	c.m.Client = role == protocol.RoleClient
	c.inbox.halfClose = opts != nil && opts.HalfClose
	c.m.Limits = &c.opts.limits
	if agreed != nil {
		c.compress(*agreed, opts.Compression)
	}
	c.startKeepalive()
}

// Handshake returns the result of the opening handshake. It must not be modified.
func (c *Conn) Handshake() *Handshake { return c.hs.completed(&c.mu) }

// Context returns a context that is done when the connection has ended; its [context.Cause] is the [CloseError].
func (c *Conn) Context() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life == nil {
		c.life = new(life)
		c.life.ctx, c.life.cancel = context.WithCancelCause(context.Background())
		if c.closeErr != nil {
			c.life.cancel(c.closeErr)
		}
	}
	return c.life.ctx
}

// end ends the connection, unless it has already ended: every pending wait returns, and every later call returns the same
// CloseError. After a clean end, the stream is closed cleanly, too; otherwise it is closed immediately.
func (c *Conn) end(e *CloseError) *CloseError {
	c.mu.Lock()
	if c.closeErr != nil {
		defer c.mu.Unlock()
		return c.closeErr
	}
	c.closeErr = e
	c.keepalive.stop()
	c.inbox.readCtx.drop(&c.outbox.writeCtx)
	c.outbox.writeCtx.drop(&c.inbox.readCtx)
	if c.life != nil {
		c.life.cancel(e)
	}
	if c.done != nil {
		close(c.done)
	}
	m := c.member
	c.member = nil
	c.mu.Unlock()
	if e.Err == nil {
		c.stream.Close()
	} else {
		c.stream.Abort()
	}
	if m != nil {
		m.leave()
	}
	return e
}

// endedChan returns a channel that is closed when the connection has ended. The caller holds mu.
func (c *Conn) endedChan() <-chan struct{} {
	if c.done == nil {
		c.done = make(chan struct{})
		if c.closeErr != nil {
			close(c.done)
		}
	}
	return c.done
}

// ended returns the CloseError of the connection, or nil if it has not ended.
func (c *Conn) ended() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closeErr == nil {
		return nil // avoids a nil *CloseError in a non-nil error
	}
	return c.closeErr
}

// CloseNow ends the connection immediately, without a closing handshake. It returns nil, even if the connection has already
// ended.
func (c *Conn) CloseNow() error {
	c.end(&CloseError{Code: CodeAbnormal, Err: errClosedNow})
	return nil
}

var errClosedNow = errors.New("CloseNow was called")
