package websocket

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/internal/transport"
)

// maxCopied is the maximum payload that is copied after its header, to send both in one write. Longer payloads are written without a
// copy, with writev.
const maxCopied = 16 << 10

// maxJoined is the maximum payload of a Write that joins the write after the current one.
const maxJoined = 4 << 10

// outbox is the writing half of a Conn: the data to be sent, and the state of its senders.
//
// There are two ways to send. If nothing is being written and nothing is queued, a message is passed to the stream immediately: by
// the caller of Write, which waits until all of it is written, or by the caller of Send, as far as the socket accepts it. Otherwise
// the message is queued, and the holder of the out turn writes the queue before giving up the turn.
//
// The Conn's mu guards all fields except progress. Only the holder of the out turn writes to the stream, without mu if the write may
// wait. Only the holder of the message turn begins a message, and it keeps the turn until the message's last frame.
type outbox struct {
	c *Conn

	message      turn // the right to send a message, with all its fragments
	out          turn // the right to write to the stream, one frame or the queue
	writeCtx     watch
	ctl          []byte    // control frames, which are sent before the next data frame
	rest         []byte    // the remainder of a write that the socket accepted in part: it is sent first
	joins        []*joined // the Writes whose frames the holder of out is about to write
	inFlight     int       // the number of bytes that writeAll is writing
	pending      sendQueue
	interruptErr error       // why the current write was interrupted: the write deadline is then longAgo; nil otherwise
	werr         error       // why writing is no longer possible
	writeBy      time.Time   // the write deadline, unless the write was interrupted: zero until the connection is closing
	progress     atomic.Bool // the peer has accepted a part of the current write since the last check of keepalive
	writing      bool        // the holder of out is in the stream's Write, or about to be
	allSent      bool        // the kernel has accepted all data that was to be sent before the end
	congested    bool        // the queue was more than half full, or rejected a message, and has not been empty since
}

// Write sends m as one frame, compressed if compression was negotiated, and returns when the kernel has accepted all of it. It does
// not modify or keep m.Data. Messages that are written during another write are sent together in the next one.
//
// If ctx is done while Write waits for its turn, nothing is sent and the connection stays open. If ctx is done while the frame is
// being sent, the connection is closed, since a part of a frame was sent.
func (c *Conn) Write(ctx context.Context, m Message) error {
	if c.compression == nil && len(m.Data) <= maxCopied && c.outbox.canTryWrite() {
		if err := m.check(); err != nil {
			return err
		}
		if done, err := c.outbox.writeThrough(ctx, m, true); done {
			return err
		}
	}
	return c.outbox.write(ctx, m, false)
}

func (o *outbox) write(ctx context.Context, m Message, plain bool) error {
	if err := m.check(); err != nil {
		return err
	}
	if o.c.compression != nil && !plain && len(m.Data) >= o.c.compression.threshold {
		return o.c.compression.write(ctx, m)
	}
	f := outgoing{t: m.Type, fin: true, p: m.Data}
	o.c.mu.Lock()
	if ctx.Err() == nil && !o.message.held && len(m.Data) <= maxJoined && o.out.held && len(o.out.queue) == 0 {
		return o.joinLocked(ctx, f)
	}
	if o.message.held || o.out.held { // this Write must wait: no other message may begin before it is queued
		if err := o.c.wait(ctx, &o.message); err != nil {
			o.c.mu.Unlock()
			return interrupted("write", ctx, err)
		}
		f.releaseTurn = true
	}
	return o.writeLocked(ctx, f)
}

// beginMessage takes the turn to send a message with all its fragments.
func (o *outbox) beginMessage(ctx context.Context) error {
	o.c.mu.Lock()
	defer o.c.mu.Unlock()
	if ctx.Err() != nil {
		return interrupted("write", ctx, errCtx)
	}
	if err := o.canWrite(); err != nil {
		return err
	}
	return interrupted("write", ctx, o.c.wait(ctx, &o.message))
}

func (o *outbox) endMessage() {
	o.c.mu.Lock()
	o.message.release()
	o.flush() // SendPrepared may have had to wait for the end of a fragmented message
	o.c.mu.Unlock()
}

// canWrite returns the reason why nothing can be written, or nil if writing is possible. The caller holds mu.
func (o *outbox) canWrite() error {
	switch {
	case o.c.closeErr != nil:
		return o.c.closeErr
	case o.c.closing != nil:
		return o.c.closing
	}
	return o.werr
}

// outgoing is a data frame to be sent.
type outgoing struct {
	t           Type
	compressed  bool
	fin         bool
	releaseTurn bool // the message turn is given up as soon as the frame is queued or written
	p           []byte
}

// writeFrame sends one data frame. The caller holds the message turn.
func (o *outbox) writeFrame(ctx context.Context, f outgoing) error {
	o.c.mu.Lock()
	return o.writeLocked(ctx, f)
}

// writeLocked sends one data frame. The caller holds mu, which writeLocked releases. It also holds the message turn, unless no
// goroutine does.
func (o *outbox) writeLocked(ctx context.Context, f outgoing) error {
	var h frame.Header
	err := interrupted("write", ctx, o.c.wait(ctx, &o.out))
	mine := err == nil
	if mine {
		h, err = o.beginFrame(ctx, f)
	}
	if f.releaseTurn {
		o.message.release()
	}
	if err != nil {
		if mine {
			o.flushAndRelease()
		}
		o.c.mu.Unlock()
		return err
	}
	o.writing = true
	o.c.watch(ctx, &o.writeCtx, &o.c.inbox.readCtx)
	o.c.mu.Unlock()

	buf := transport.Borrow()
	var n int
	if b := frameIfFits(buf, h, f.p); b != nil {
		n, err = o.c.stream.Write(b, &o.progress) // not in a nested function, which would need a larger stack: see await
	} else {
		n, err = o.writeLarge(buf, h, f.p)
	}
	transport.Return(buf)
	return o.finishWrite(ctx, n, len(f.p), err)
}

// finishWrite completes the write of a frame with size bytes of payload, of which n bytes were written. The caller holds the out turn,
// which finishWrite gives up.
func (o *outbox) finishWrite(ctx context.Context, n, size int, err error) error {
	o.c.mu.Lock()
	o.writing = false
	if err != nil {
		switch {
		case o.c.closeErr != nil:
			o.werr = o.c.closeErr
		case transport.IsTimeout(err) && ctx.Err() != nil:
			o.werr = fmt.Errorf("%w: %d bytes of a frame with %d bytes of payload were sent, so the connection is closed",
				interrupted("write", ctx, errCtx), n, size)
		default:
			o.werr = fmt.Errorf("websocket: write: %w", err)
		}
		err = o.werr
		o.c.mu.Unlock()
		return o.writeFailed(err, nil)
	}
	o.clearInterrupt()
	o.flushAndRelease()
	o.c.mu.Unlock()
	return nil
}

// beginFrame assigns a frame its position in the stream. The caller holds mu.
func (o *outbox) beginFrame(ctx context.Context, f outgoing) (frame.Header, error) {
	if err := o.canWrite(); err != nil {
		return frame.Header{}, err
	}
	if ctx.Err() != nil {
		return frame.Header{}, interrupted("write", ctx, errCtx)
	}
	var key [4]byte
	if o.c.m.Client {
		key = maskKey()
	}
	return o.c.m.BeginFrame(f.t == Text, f.compressed, f.fin, len(f.p), key)
}

// frameIfFits frames p in buf if header and payload fit, and otherwise returns nil.
func frameIfFits(buf *transport.Buffer, h frame.Header, p []byte) []byte {
	if len(p) > maxCopied {
		return nil
	}
	b := frame.Append(buf[:0], h)
	start := len(b)
	b = append(b, p...)
	if h.Masked {
		frame.Mask(b[start:], h.Key)
	}
	return b
}

// writeLarge writes a frame that is too large for one buffer, and returns how many bytes of it were written.
func (o *outbox) writeLarge(buf *transport.Buffer, h frame.Header, p []byte) (int, error) {
	head := frame.Append(buf[:0], h)
	if !h.Masked {
		k := min(len(p), firstChunk)
		n, err := o.c.stream.WriteVec(head, p[:k])
		if err != nil || k == len(p) {
			return n, err
		}
		o.progress.Store(true)
		m, err := o.c.stream.Write(p[k:], &o.progress)
		return n + m, err
	}
	// A client masks chunks in the borrowed buffer, so that the caller's bytes are not modified (RFC 6455 §5.3).
	sent := 0
	chunk := head
	for {
		k := copy(buf[len(chunk):], p)
		h.Key = frame.Mask(buf[len(chunk):len(chunk)+k], h.Key)
		n, err := o.c.stream.Write(buf[:len(chunk)+k], &o.progress)
		sent += n
		p = p[k:]
		if err != nil || len(p) == 0 {
			return sent, err
		}
		chunk = nil
	}
}

// firstChunk is the number of bytes of a large frame that are written together with its header.
const firstChunk = 256 << 10

// joined is a Write that waits until its frame is written with others. Each joined has a new channel: a reused channel could not be
// used both in a testing/synctest bubble and outside of it.
type joined struct {
	buf  [maxJoined + frame.MaxHeader]byte
	done chan error // buffered for one value
}

var joiners = sync.Pool{New: func() any { return new(joined) }}

// joinLocked adds a frame to the next write, and waits until it is written. The caller holds mu, which joinLocked releases.
func (o *outbox) joinLocked(ctx context.Context, f outgoing) error {
	h, err := o.beginFrame(ctx, f)
	if err != nil {
		o.c.mu.Unlock()
		return err
	}
	j := joiners.Get().(*joined)
	j.done = make(chan error, 1)
	b := frame.Append(j.buf[:0], h)
	start := len(b)
	b = append(b, f.p...)
	if h.Masked {
		frame.Mask(b[start:], h.Key)
	}
	o.pending.addEntry(entry{frame: b, join: j})
	done := o.c.endedChan()
	o.c.mu.Unlock()
	select {
	case err = <-j.done:
		joiners.Put(j)
		return err
	case <-ctx.Done():
	case <-done:
		return o.c.ended() // j is not reused, because it may still be in the current write
	}
	return o.leaveJoined(ctx, j, done)
}

// leaveJoined removes j from the queue, because ctx is done. If the frame is being written, the write continues as far as the stream
// accepts it now.
func (o *outbox) leaveJoined(ctx context.Context, j *joined, ended <-chan struct{}) error {
	o.c.mu.Lock()
	if i := slices.IndexFunc(o.pending.queue, func(e entry) bool { return e.join == j }); i >= 0 {
		o.pending.remove(i, 1)
		o.c.mu.Unlock()
		return interrupted("write", ctx, errCtx)
	}
	if len(j.done) == 0 && o.werr == nil {
		o.interruptWrite(fmt.Errorf("%w: a frame was partly written, so the connection is closed", interrupted("write", ctx, errCtx)))
	}
	o.c.mu.Unlock()
	select {
	case err := <-j.done:
		return err
	case <-ended:
		return o.c.ended()
	}
}

// flush makes sure that the queue is written, unless the holder of the out turn will do that. It starts a goroutine if necessary,
// so that no reader and no timer waits for a slow peer. The caller holds mu.
func (o *outbox) flush() {
	if o.out.tryAcquire() {
		o.flushAndRelease()
	}
}

// flushAndRelease gives up the out turn. The queue is written as far as the stream accepts it immediately, and the remainder by a
// goroutine: a Write whose own frame is written does not wait for others. The caller holds mu and the turn.
func (o *outbox) flushAndRelease() {
	switch more := o.moreToWrite() && o.werr == nil && o.c.closeErr == nil; {
	case !more:
		o.releaseOut()
		return
	case o.canTryWrite() && !o.c.inbox.batch.Load():
		buf := transport.Borrow()
		b := o.gather(buf[:0])
		n := 0
		if len(b) > 0 {
			n, _ = o.c.stream.TryWrite(b) // the next write returns the error, too
		}
		if n == len(b) {
			notifyJoined(o.joins, nil)
			o.joins = nil
		} else {
			o.rest = append(o.rest, b[n:]...) // the remainder is sent first when the socket has room again
		}
		transport.Return(buf)
		if !o.moreToWrite() {
			o.releaseOut()
			return
		}
	}
	go o.writeOut()
}

// writeOut writes the queue: control frames, sent messages, and Writes that joined, as many in each write as fit. Then it gives up
// the out turn, which its caller, a separate goroutine, holds.
func (o *outbox) writeOut() {
	if left, err := o.writeAll(); err != nil {
		o.writeFailed(err, left) //nolint:errcheck // every later call returns this error
	}
}

// writeAll writes the queue as writeOut does, until a write fails. Then it keeps the turn, and returns in left the Writes whose
// frames were not written.
func (o *outbox) writeAll() (left []*joined, err error) {
	buf := transport.Borrow()
	defer transport.Return(buf)
	o.c.mu.Lock()
	defer o.c.mu.Unlock()
	for o.moreToWrite() && o.werr == nil && o.c.closeErr == nil {
		b := o.gather(buf[:0])
		var large entry
		if len(b) == 0 { // the next frame does not fit into a buffer
			large = o.pending.queue[0]
			o.pending.dequeue(1)
		}
		joins := o.joins
		o.joins = nil
		o.inFlight = len(b) + len(large.frame)
		o.c.mu.Unlock()
		err := writeGathered(o, buf, b, large)
		if err == nil {
			notifyJoined(joins, nil)
		}
		o.c.mu.Lock()
		o.inFlight = 0
		if err != nil {
			o.werr = fmt.Errorf("websocket: write: %w", err)
			if o.interruptErr != nil && transport.IsTimeout(err) {
				o.werr = o.interruptErr
			}
			return joins, o.werr
		}
		o.clearInterrupt()
		if cap(joins) > 0 && o.joins == nil {
			clear(joins)
			o.joins = joins[:0]
		}
	}
	left, o.joins = o.joins, nil
	notifyJoined(left, o.canWrite())
	o.releaseOut()
	return nil, nil
}

// notifyJoined reports the result to Writes that joined.
func notifyJoined(joins []*joined, err error) {
	for _, j := range joins {
		j.done <- err
	}
}

func writeGathered(o *outbox, buf *transport.Buffer, b []byte, large entry) error {
	var err error
	switch {
	case len(b) > 0:
		_, err = o.c.stream.Write(b, &o.progress)
	case !o.c.m.Client:
		_, err = o.c.stream.Write(large.frame, &o.progress)
	default:
		h, _, _ := frame.Parse(large.frame)
		h.Masked, h.Key = true, maskKey()
		_, err = o.writeLarge(buf, h, large.frame[large.head:])
	}
	return err
}

// maskKey returns a masking key from an unpredictable source (RFC 6455 §5.3, §10.3).
func maskKey() (key [4]byte) {
	rand.Read(key[:])
	return key
}
