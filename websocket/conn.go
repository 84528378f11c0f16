package websocket

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/handfast/handfast/websocket/internal/transport"
	"github.com/handfast/handfast/websocket/protocol"
)

// Conn is a WebSocket connection. One goroutine at a time may read (Read, ReadAppend, View, Messages, Reader and the io.Reader
// that it returned); every other method may be called at once from any number of goroutines.
//
// A context given to a method interrupts that call and nothing else, but for a write that had begun: half a frame on
// the wire leaves nothing to go on with, so the connection is closed.
//
// A connection must be ended with Close or CloseNow, unless a call on it has returned a [CloseError].
type Conn struct {
	hs     *Handshake
	stream transport.Stream
	opts   connSettings
	zip    *compression     // nil unless permessage-deflate was agreed on
	m      protocol.Machine // its reading half belongs to the holder of read, its writing half to mu

	// What the holder of the read turn owns.
	win      []byte            // bytes that arrived and are not parsed yet
	buf      *transport.Buffer // where win lies; nil when it lies elsewhere
	cur      protocol.Event    // a piece of a message that nobody has taken yet
	partial  []byte            // a message of which an interrupted Read had this much
	pending  bool              // cur holds one
	halfRead bool              // partial holds one, perhaps of no bytes
	midway   bool              // a Reader's message is not read to its end
	viewing  bool              // a View reads a message that is not whole in the read buffer
	yields   bool              // it makes way when somebody else wants to read
	readSeq  uint64            // counts the reads begun, so that a Reader knows when it is stale
	controls controlRate

	batch atomic.Bool   // the application is busy with a message, and more lie in win behind it
	moved atomic.Bool   // the peer has taken a part of what is being written since keepalive last looked
	heard atomic.Bool   // bytes have arrived since keepalive last looked
	lent  atomic.Uint32 // who gives buf back

	// mu guards all that follows, and the Machine's writing half. It is never held while waiting, nor in I/O but for one
	// write that does not wait.
	mu       sync.Mutex
	read     turn // to read from the stream
	message  turn // to send a message, all its fragments
	out      turn // to write to the stream, one frame or what ctl holds
	role     Role
	tight    bool              // the queue has passed half of its bound, or refused a message, and was not empty since
	drains   bool              // Run's Receiver has a Drained
	drainDue bool              // and it is to be called
	running  bool              // the holder of read is the application
	userRead bool              // an application reads, or is in a View
	waiting  bool              // the holder of read is in the stream's Read, or about to be
	woken    bool              // and has been interrupted
	writing  bool              // the holder of out is in the stream's Write, or about to be
	ownUsed  uint16            // of own, in bytes
	readCtx  watch             // the context that interrupts reads
	writeCtx watch             // the context that interrupts the write under way
	ctl      []byte            // control frames that go out before the next data frame
	rest     []byte            // of a write that the socket took in part: it goes first
	queue    []entry           // frames that go out when the stream is free
	entries  *[64]entry        // its memory, while it is not empty
	queued   int               // what of it Send and SendPrepared put there costs, in bytes
	sends    int               // how many entries that is
	flying   int               // bytes that flush is writing
	own      *transport.Buffer // where small frames of Send lie; nil when none does
	taken    []*joined         // whose frames the holder of out is about to write
	cut      error             // why the write under way has been interrupted: the write deadline is longAgo; nil otherwise
	writeBy  time.Time         // the write deadline otherwise: zero until the connection closes
	drained  chan struct{}     // closed when something has left the queue; nil when nobody waits for that
	closeErr *CloseError
	closing  *CloseError // how it is about to end, once a close frame is made or has come, or a rule was broken
	werr     error       // why writing is no longer possible
	pings    pings
	alive    keepalive
	ctx      context.Context // made when first asked for
	cancel   context.CancelCauseFunc
	member   *member       // leaves its roster at the end; nil: the connection is in none, or leaves by other means
	done     chan struct{} // closed when the connection has ended; made when first waited for
}

// connSettings is ConnOptions with the defaults filled in.
type connSettings struct {
	limits       protocol.Limits
	pingInterval time.Duration
	closeTimeout time.Duration
	queue        WriteQueue
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
		queue:        o.WriteQueue,
	}
	if s.queue.Bytes <= 0 {
		s.queue.Bytes = defaultQueueBytes
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

// NewConn takes over rwc, on which the opening handshake has been done elsewhere. nil opts mean the defaults.
//
// The Conn closes rwc when it ends. An rwc without SetReadDeadline and SetWriteDeadline costs two goroutines, and its
// Close must unblock its Read and Write. The Handshake of such a Conn is empty.
func NewConn(rwc io.ReadWriteCloser, role Role, opts *ConnOptions) *Conn {
	return newConn(rwc, role, opts, &Handshake{}, nil)
}

// newConn is NewConn with what the handshake agreed on, and bytes that the peer sent early: they become the Conn's.
func newConn(rwc io.ReadWriteCloser, role Role, opts *ConnOptions, hs *Handshake, early []byte) *Conn {
	c := new(Conn)
	c.init(rwc, role, opts, hs, early)
	return c
}

// init is newConn for a Conn that lies in something larger.
func (c *Conn) init(rwc io.ReadWriteCloser, role Role, opts *ConnOptions, hs *Handshake, early []byte) {
	c.role = role
	c.hs = hs
	c.opts = opts.settings()
	c.win = early
	c.stream.Init(rwc)
	c.m.Client = role == RoleClient
	c.m.Limits = &c.opts.limits
	c.startKeepalive()
}

// Handshake returns what the opening handshake agreed on. It is not to be modified.
func (c *Conn) Handshake() *Handshake { return c.hs.whole(&c.mu) }

// Context returns a context that is done when the connection has ended; context.Cause of it is the [CloseError].
func (c *Conn) Context() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx == nil {
		c.ctx, c.cancel = context.WithCancelCause(context.Background())
		if c.closeErr != nil {
			c.cancel(c.closeErr)
		}
	}
	return c.ctx
}

// end ends the connection, if it has not ended yet: nothing waits on it any longer, and every call on it from here on
// returns how it ended. In good order the stream is closed so, too; otherwise at once.
func (c *Conn) end(e *CloseError) *CloseError {
	c.mu.Lock()
	if c.closeErr != nil {
		defer c.mu.Unlock()
		return c.closeErr
	}
	c.closeErr = e
	c.alive.stop()
	c.readCtx.drop(&c.writeCtx)
	c.writeCtx.drop(&c.readCtx)
	if c.cancel != nil {
		c.cancel(e)
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

// ended returns how the connection ended, nil while it has not.
func (c *Conn) ended() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.endedLocked()
}

func (c *Conn) endedLocked() error {
	if c.closeErr == nil {
		return nil // not a nil *CloseError in an error
	}
	return c.closeErr
}

// CloseNow ends the connection at once, without a closing handshake: the peer sees it break off. It returns nil, also
// when the connection had ended before.
func (c *Conn) CloseNow() error {
	c.end(&CloseError{Code: CodeAbnormal, Err: errClosedNow})
	return nil
}

var errClosedNow = errors.New("CloseNow was called")
