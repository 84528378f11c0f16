package websocket

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/internal/transport"
)

// ErrQueueFull is returned for messages that were dropped because the queue was full: by Send and SendPrepared, and by a Write
// that was queued behind them when QueueClose discarded the queue.
var ErrQueueFull = errors.New("websocket: the write queue is full: the peer reads too slowly")

// QueuePolicy is the behavior of Send and SendPrepared when the queue is full.
type QueuePolicy uint8

// The policies.
const (
	QueueClose      QueuePolicy = iota // close the connection with CodeTryAgainLater: no message is lost silently
	QueueBlock                         // wait for room, as long as keepalive finds the peer alive
	QueueDropOldest                    // drop the oldest messages to make room
	QueueDropNewest                    // drop the new message and return ErrQueueFull
)

// writeQueue holds the options of the queue.
type writeQueue struct {
	bytes int
	full  QueuePolicy
}

const defaultQueueBytes = 1 << 20

// entry is a frame that waits to be written: a message of SendPrepared, or a Write that joined the queue.
type entry struct {
	frame []byte  // of Send and SendPrepared: unmasked, and perhaps shared by connections; of a Write: masked if this end is a client
	head  int     // the length of frame's header
	early bool    // the frame precedes the queued pong: it was accepted before the ping was handled
	join  *joined // the Write that joined the queue; nil for Send and SendPrepared
}

// sendQueue holds the frames that wait to be written, and their memory. An empty queue holds no memory.
type sendQueue struct {
	queue     []entry
	entries   *[64]entry        // the pooled array in which queue began; nil if queue is empty
	queued    int               // the cost of the entries of Send and SendPrepared, in bytes
	smallBuf  *transport.Buffer // the memory of small frames of Send; nil if there are none
	drained   chan struct{}     // closed when an entry has left the queue; nil if no goroutine waits
	sends     int32             // the number of entries of Send and SendPrepared
	smallUsed uint16            // the number of used bytes of smallBuf
}

// entryCost is the cost of an entry in addition to its frame, with some room for growth.
const entryCost = 64

func (e entry) cost() int { return len(e.frame) + entryCost }

// SendPrepared queues the messages and returns without waiting for the peer, except under QueueBlock. If a plain socket accepts
// them immediately, the kernel has them when SendPrepared returns, after a single system call; otherwise they are sent later,
// together with other queued data. Messages of one call, and of consecutive calls, keep their order.
//
// An error, [ErrQueueFull] or a [CloseError], means that not all messages were queued. Under [QueueDropNewest], if an empty queue
// has room for all of ps, ErrQueueFull means that no message was queued.
func (c *Conn) SendPrepared(ps ...*Prepared) error {
	if err := unprepared(ps); err != nil {
		return err
	}
	for _, p := range ps {
		c.compression.prepare(p)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(ps) == 1 && c.outbox.writeSharedThrough(c.outbox.entryFor(ps[0])) {
		return nil
	}
	defer c.outbox.flush() // even if only some of ps were queued
	together, err := c.makeRoomForAll(ps)
	if err != nil {
		return err
	}
	for _, p := range ps {
		if err := c.outbox.canWrite(); err != nil {
			return err
		}
		e := c.outbox.entryFor(p)
		for !together && !c.outbox.pending.fits(e.cost(), c.opts.queue.bytes) {
			if err := c.outbox.makeRoom(e.cost()); err != nil {
				return err
			}
			e = c.outbox.entryFor(p) // while a fragmented message is open, p must be sent uncompressed, so choose its frame again
		}
		c.outbox.enqueue(e)
	}
	return nil
}

// makeRoomForAll makes room for all of ps under QueueDropNewest, and reports whether there is room. If even an empty queue has not
// enough room, the messages are accepted one by one. The caller holds mu.
func (c *Conn) makeRoomForAll(ps []*Prepared) (bool, error) {
	if c.opts.queue.full != QueueDropNewest {
		return false, nil
	}
	if err := c.outbox.canWrite(); err != nil {
		return false, err
	}
	n := 0
	for _, p := range ps {
		n += c.outbox.entryFor(p).cost()
	}
	if n > c.opts.queue.bytes {
		return false, nil
	}
	return true, c.outbox.makeRoom(n)
}

// enqueue appends e to the queue, which has room for it. The caller holds mu.
func (o *outbox) enqueue(e entry) {
	o.pending.addEntry(e)
	o.pending.queued += e.cost()
	o.pending.sends++
	if o.pending.queued > o.c.opts.queue.bytes/2 {
		o.congested = true
	}
	o.c.compression.sharedSent(e)
}

// entryPool holds the memory of queues: a connection with an empty queue holds none.
var entryPool = sync.Pool{New: func() any { return new([64]entry) }}

// addEntry appends e to the queue. The caller holds mu.
func (q *sendQueue) addEntry(e entry) {
	if q.entries == nil {
		q.entries = entryPool.Get().(*[64]entry)
		q.queue = q.entries[:0]
	}
	full := len(q.queue) == cap(q.queue)
	q.queue = append(q.queue, e)
	if full { // the entries were moved: the pool must not keep their frames alive
		clear(q.entries[:])
	}
}

// dropEntries discards the remaining queue, and returns its memory to the pool. The caller holds mu.
func (q *sendQueue) dropEntries() {
	clear(q.queue) // entries that were removed from the queue are already zero
	if q.entries != nil {
		entryPool.Put(q.entries)
	}
	q.entries, q.queue = nil, nil
	q.freeSmall()
}

// Send queues one message for this connection, as SendPrepared does. It copies m.Data. Unlike Write, it does not wait for the
// kernel, so that replies to messages that arrived together are sent together.
func (c *Conn) Send(m Message) error {
	if err := m.check(); err != nil {
		return err
	}
	if len(m.Data) > maxCopied || c.compression != nil && len(m.Data) >= c.compression.threshold {
		return sendCopy(c, m)
	}
	if c.outbox.canTryWrite() {
		if done, _ := c.outbox.writeThrough(context.Background(), m, false); done {
			return nil
		}
	}
	return c.outbox.sendQueued(m)
}

// sendCopy is Send for a message that is large or to be compressed. sendCopy and sendQueued are separate functions to keep Send's
// stack frame small: see write_through.go.
func sendCopy(c *Conn, m Message) error { return c.SendPrepared(newPrepared(m)) }

// sendQueued is Send for a small message that must be queued.
func (o *outbox) sendQueued(m Message) error {
	o.c.mu.Lock()
	defer o.c.mu.Unlock()
	if err := o.canWrite(); err != nil {
		return err
	}
	if err := o.makeRoom(len(m.Data) + frame.MaxHeader + entryCost); err != nil {
		return err
	}
	o.enqueue(o.pending.copyEntry(m))
	o.flush()
	return nil
}

// copyEntry frames a copy of m. Small copies share a borrowed buffer until the queue is empty. The caller holds mu.
func (q *sendQueue) copyEntry(m Message) entry {
	size := len(m.Data) + frame.MaxHeader
	var b []byte
	if len(m.Data) <= maxJoined && int(q.smallUsed)+size <= transport.BufferSize {
		if q.smallBuf == nil {
			q.smallBuf = transport.Borrow()
		}
		b = q.smallBuf[q.smallUsed:q.smallUsed]
		q.smallUsed += uint16(size)
	} else {
		b = make([]byte, 0, size)
	}
	b = frame.Append(b, frame.Header{Fin: true, Opcode: frame.Opcode(m.Type), Length: int64(len(m.Data))})
	return entry{frame: append(b, m.Data...), head: len(b)}
}

// entryFor returns the queue entry for p on this connection. The caller holds mu.
func (o *outbox) entryFor(p *Prepared) entry {
	fs := p.frames()
	e := entry{frame: fs.Plain(), head: fs.Head()}
	if z := o.c.compression; z != nil && len(e.frame)-e.head >= z.threshold && !(z.out.Window.Takeover && o.message.held) {
		// A message that is being compressed and sent in fragments refers to earlier data. While there is one, p is sent
		// uncompressed, which leaves the peer's window unchanged. Otherwise, p is sent compressed, and the connection's next
		// compressed message starts with an empty window.
		if f := fs.Compressed(z.bits); len(f) < len(e.frame) {
			e.frame, e.head = f, frame.Size(f[1])
		}
	}
	return e
}

// fits reports whether n more bytes fit into a queue with this limit.
func (q *sendQueue) fits(n, limit int) bool { return q.queued == 0 || q.queued+n <= limit }

// makeRoom applies the queue policy if n bytes do not fit. The caller holds mu, which makeRoom may release for a while.
func (o *outbox) makeRoom(n int) error {
	for !o.pending.fits(n, o.c.opts.queue.bytes) {
		before := o.pending.queued
		if o.flush(); o.pending.queued < before {
			continue // the socket has accepted a part of the queue
		}
		switch o.c.opts.queue.full {
		case QueueDropNewest:
			o.congested = true
			return ErrQueueFull
		case QueueDropOldest:
			if !o.pending.dropOldest() {
				return ErrQueueFull
			}
		case QueueBlock:
			if o.pending.drained == nil {
				o.pending.drained = make(chan struct{})
			}
			drained, done := o.pending.drained, o.c.endedChan()
			o.c.mu.Unlock()
			select {
			case <-drained:
			case <-done:
			}
			o.c.mu.Lock()
			if err := o.canWrite(); err != nil {
				return err
			}
		default:
			// RFC 6455 §7.4.1 has no code for a slow peer; the registry of §11.7 has 1013, "try again later". Queued messages are
			// discarded, so that the close frame does not wait for them.
			o.pending.dropQueue(ErrQueueFull)
			deadline := time.Now().Add(o.c.opts.closeTimeout)
			if e, err := o.c.beginClose(CodeTryAgainLater, reasonSlow, deadline); err == nil {
				go o.c.finishClose(deadline, e) // returns by the deadline
			}
			return ErrQueueFull
		}
	}
	return nil
}

func (q *sendQueue) dropOldest() bool {
	for i, e := range q.queue {
		if e.join == nil {
			q.remove(i, 1)
			return true
		}
	}
	return false
}

// remove removes n entries from the queue, starting with the i-th. The caller holds mu.
func (q *sendQueue) remove(i, n int) {
	for _, e := range q.queue[i : i+n] {
		if e.join == nil {
			q.queued -= e.cost()
			q.sends--
		}
	}
	if i == 0 && len(q.queue) > len(q.entries) { // the remaining entries of a long queue must not be moved for each message
		clear(q.queue[:n])
		q.queue = q.queue[n:]
	} else {
		q.queue = slices.Delete(q.queue, i, i+n)
	}
	if len(q.queue) == 0 {
		q.dropEntries()
	}
}

// dropQueue discards all queued frames. The caller holds mu.
func (q *sendQueue) dropQueue(err error) {
	for _, e := range q.queue {
		if e.join != nil {
			e.join.done <- err
		}
	}
	q.queued, q.sends = 0, 0
	q.dropEntries()
	q.notifyRoom()
}

// freeSmall frees the buffer of Send's messages, none of which are queued any more. The caller holds mu.
func (q *sendQueue) freeSmall() {
	if q.smallBuf != nil {
		transport.Return(q.smallBuf)
		q.smallBuf, q.smallUsed = nil, 0
	}
}

// notifyRoom wakes the Sends that wait for room. The caller holds mu.
func (q *sendQueue) notifyRoom() {
	if q.drained != nil {
		close(q.drained)
		q.drained = nil
	}
}

// moreToWrite reports whether the holder of the out turn has more to write. The caller holds mu.
func (o *outbox) moreToWrite() bool {
	return len(o.rest) > 0 || len(o.ctl) > 0 || len(o.pending.queue) > 0 && !o.c.m.MessageOpen()
}

// gather moves queued frames to dst, up to its capacity: first control frames, then the queue. If the first frame does not fit,
// gather leaves it to the caller; the remainder of a frame that is partly sent is returned in place of dst. The caller holds mu and
// the out turn.
func (o *outbox) gather(dst []byte) []byte {
	if len(o.rest) > cap(dst) { // rest is returned without a copy
		dst, o.rest = o.rest, nil
		return dst
	}
	if len(o.rest) > 0 {
		dst, o.rest = append(dst, o.rest...), nil
	}
	if o.c.m.MessageOpen() { // RFC 6455 §5.4: the fragments of one message are not interleaved with another's
		dst, o.ctl = append(dst, o.ctl...), nil
		return dst
	}
	closing := o.c.m.Closing()
	taken := 0
	if !closing { // a pong follows the messages accepted before its ping was handled, if they are in the same write
		for taken < len(o.pending.queue) && o.pending.queue[taken].early && len(dst)+len(o.pending.queue[taken].frame)+4+len(o.ctl) <= cap(dst) {
			dst = o.appendEntry(dst, o.pending.queue[taken])
			taken++
		}
		dst, o.ctl = append(dst, o.ctl...), nil
	}
	for _, e := range o.pending.queue[taken:] {
		if len(dst)+len(e.frame)+4 > cap(dst) {
			break
		}
		dst = o.appendEntry(dst, e)
		taken++
	}
	o.pending.dequeue(taken)
	if closing && len(o.pending.queue) == 0 { // RFC 6455 §5.5.1: no data after the close frame
		dst, o.ctl = append(dst, o.ctl...), nil
	}
	return dst
}

// appendEntry appends e's frame as this end sends it: masked if this end is a client (RFC 6455 §5.3).
func (o *outbox) appendEntry(dst []byte, e entry) []byte {
	if e.join != nil {
		o.joins = append(o.joins, e.join)
		return append(dst, e.frame...)
	}
	if !o.c.m.Client {
		return append(dst, e.frame...)
	}
	h, _, _ := frame.Parse(e.frame)
	h.Masked, h.Key = true, maskKey()
	dst = frame.Append(dst, h)
	start := len(dst)
	dst = append(dst, e.frame[e.head:]...)
	frame.Mask(dst[start:], h.Key)
	return dst
}

// markEarly marks the messages that were accepted before a pong is made, unless the queue is long: then the pong is sent first. The
// caller holds mu.
func (q *sendQueue) markEarly() {
	if len(q.queue) <= len(q.entries) {
		for i := range q.queue {
			q.queue[i].early = true
		}
	}
}

// dequeue removes the first n entries, which are being written. The caller holds mu.
func (q *sendQueue) dequeue(n int) {
	q.remove(0, n)
	if n > 0 {
		q.notifyRoom()
	}
}
