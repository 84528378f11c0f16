package websocket

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/internal/transport"
)

// ErrQueueFull is returned for messages that were dropped, because the queue had no room: by Send and SendPrepared, and by a Write
// that had joined what waited when QueueClose gave it up.
var ErrQueueFull = errors.New("websocket: the write queue is full: the peer reads too slowly")

// QueuePolicy says what Send and SendPrepared do when the queue is full.
type QueuePolicy uint8

// The policies.
const (
	QueueClose      QueuePolicy = iota // close the connection with CodeTryAgainLater: nothing is lost in silence
	QueueBlock                         // wait for room, as long as keepalive finds the peer alive: it sets the pace
	QueueDropOldest                    // make room by dropping what has waited longest
	QueueDropNewest                    // drop the message at hand and return ErrQueueFull
)

// WriteQueue bounds what Send and SendPrepared have accepted and the kernel has not. The zero value is the safe default.
type WriteQueue struct {
	// Bytes is the bound, headers included, and 64 more for each message. 0 means 1 MiB. A message larger than that is
	// accepted into an empty queue. What is being written is not in the queue any more: one message, or some that are 32 KiB
	// together.
	Bytes int

	// Full says what happens when it is reached.
	Full QueuePolicy
}

const defaultQueueBytes = 1 << 20

// entry is one frame that waits to be written: a message that SendPrepared took, or a Write that joins in.
type entry struct {
	frame []byte // as a server sends it, shared by all connections that do; of a Write that joined, as this end sends it
	head  int    // its header's length
	join  *joined
}

// entryCost is what an entry takes in the queue beside its frame, some room to grow included.
const entryCost = 64

func (e entry) cost() int { return len(e.frame) + entryCost }

// SendPrepared queues the messages and returns without waiting for the peer, except under QueueBlock. On a plain socket that
// takes them at once they are with the kernel when SendPrepared returns, all in one system call; otherwise they go out with
// whatever else is sent by then. Messages of one call, and of calls one after the other, keep their order.
//
// An error means that nothing or not all was queued: ErrQueueFull, or a [CloseError].
func (c *Conn) SendPrepared(ps ...*Prepared) error {
	for _, p := range ps {
		c.compressFor(p)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(ps) == 1 && c.sendOne(ps[0]) {
		return nil
	}
	defer c.sendQueued() // also when not all of them found room
	for _, p := range ps {
		if err := c.canWrite(); err != nil {
			return err
		}
		e := c.entryFor(p)
		for !c.fits(e.cost()) {
			if err := c.makeRoom(e.cost()); err != nil {
				return err
			}
			e = c.entryFor(p) // a message may have been begun meanwhile, which changes what can go out compressed
		}
		c.enqueue(e)
	}
	return nil
}

// sendOne writes one message from where it lies when nothing waits and nobody writes, and reports whether the socket has
// taken all or a part of it. The caller holds mu.
func (c *Conn) sendOne(p *Prepared) bool {
	if !c.writesNow() || !c.takeIdleOut() {
		return false
	}
	e := c.entryFor(p)
	n, err := c.stream.TryWrite(e.frame)
	if n == 0 || err != nil { // whoever writes what is queued meets the error, too
		c.giveOut()
		return false
	}
	c.compressedShared(e)
	if n == len(e.frame) {
		c.giveOut()
		return true
	}
	c.rest = e.frame[n:] // nobody writes to it, and all connections share it
	go c.passOut()
	return true
}

// writesNow reports whether what is queued goes to the socket at once as far as that takes it. The caller holds mu.
func (c *Conn) writesNow() bool {
	return c.role == RoleServer && c.stream.WritesAtOnce() && !c.batch.Load()
}

// enqueue puts e, which there is room for, into the queue. The caller holds mu.
func (c *Conn) enqueue(e entry) {
	c.addEntry(e)
	c.queued += e.cost()
	c.sends++
	if c.queued > c.opts.queue.Bytes/2 {
		c.tight = true
	}
	c.compressedShared(e)
}

// compressedShared notes that the peer will see a compressed message that this connection's compressor does not know of,
// if e is one. The caller holds mu.
func (c *Conn) compressedShared(e entry) {
	if c.zip != nil && e.frame[0]&frame.RSV1 != 0 {
		c.zip.stale = true
	}
}

// entryPool holds the memory of queues: a connection whose queue is empty keeps none.
var entryPool = sync.Pool{New: func() any { return new([64]entry) }}

// addEntry appends e to the queue. The caller holds mu.
func (c *Conn) addEntry(e entry) {
	if c.entries == nil {
		c.entries = entryPool.Get().(*[64]entry)
		c.queue = c.entries[:0]
	}
	full := len(c.queue) == cap(c.queue)
	c.queue = append(c.queue, e)
	if full { // it lies elsewhere now: nothing is to hold on to the frames from the pool
		clear(c.entries[:])
	}
}

// dropEntries gives up what is left in the queue, and gives its memory back. The caller holds mu.
func (c *Conn) dropEntries() {
	clear(c.queue) // what was taken from it is zero already
	if c.entries != nil {
		entryPool.Put(c.entries)
	}
	c.entries, c.queue = nil, nil
	c.dropOwn()
}

// Send is SendPrepared for one message and this connection alone. m.Data is copied: it stays the caller's. It is Write for those
// who need not know when the kernel has the message: as the answers to messages that arrived together, queued one by one,
// go out together.
func (c *Conn) Send(m Message) error {
	if err := m.check(); err != nil {
		return err
	}
	if c.zip == nil && c.writesAtOnce(len(m.Data)) && c.queueNow(m) {
		return nil
	}
	return c.queueBehind(m)
}

// queueBehind is Send where something is to be written first.
//
//go:noinline
func (c *Conn) queueBehind(m Message) error {
	var p *Prepared
	if c.zip != nil && len(m.Data) >= c.zip.threshold {
		p = newPrepared(m)
		c.compressFor(p)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.canWrite(); err != nil {
		return err
	}
	if err := c.makeRoom(len(m.Data) + frame.MaxHeader + entryCost); err != nil {
		return err
	}
	if p != nil {
		c.enqueue(c.entryFor(p))
	} else {
		c.enqueue(c.ownEntry(m))
	}
	c.sendQueued()
	return nil
}

// ownEntry frames a copy of m, a small one in a borrowed buffer that all of them share until the queue is empty. The
// caller holds mu.
func (c *Conn) ownEntry(m Message) entry {
	size := len(m.Data) + frame.MaxHeader
	var b []byte
	if len(m.Data) <= joinable && int(c.ownUsed)+size <= transport.BufferSize {
		if c.own == nil {
			c.own = transport.Borrow()
		}
		b = c.own[c.ownUsed:c.ownUsed]
		c.ownUsed += uint16(size)
	} else {
		b = make([]byte, 0, size)
	}
	b = frame.Append(b, frame.Header{Fin: true, Opcode: frame.Opcode(m.Type), Length: int64(len(m.Data))})
	return entry{frame: append(b, m.Data...), head: len(b)}
}

// compressFor has p compressed, if this connection will want that, before a lock is held that others wait for.
func (c *Conn) compressFor(p *Prepared) {
	if f := p.frames(); c.zip != nil && len(f.Payload()) >= c.zip.threshold {
		f.Compressed(c.zip.bits)
	}
}

// entryFor picks the frame of p for this connection. The caller holds mu.
func (c *Conn) entryFor(p *Prepared) entry {
	fs := p.frames()
	e := entry{frame: fs.Plain(), head: fs.Head()}
	if z := c.zip; z != nil && len(e.frame)-e.head >= z.threshold && !(z.out.Window.Takeover && c.message.held) {
		// A message that is being compressed right now counts on what went before it: then this one goes plain, which
		// leaves the peer's window as it is. Otherwise the next to be compressed starts afresh.
		if f := fs.Compressed(z.bits); len(f) < len(e.frame) {
			e.frame, e.head = f, frame.Size(f[1])
		}
	}
	return e
}

func (c *Conn) fits(n int) bool { return c.queued == 0 || c.queued+n <= c.opts.queue.Bytes }

// makeRoom applies the policy when n bytes do not fit. The caller holds mu, which it may give up for a while.
func (c *Conn) makeRoom(n int) error {
	for !c.fits(n) {
		before := c.queued
		if c.sendQueued(); c.queued < before {
			continue // the socket has taken some of it
		}
		switch c.opts.queue.Full {
		case QueueDropNewest:
			c.tight = true
			return ErrQueueFull
		case QueueDropOldest:
			if !c.dropOldest() {
				return ErrQueueFull
			}
		case QueueBlock:
			if c.drained == nil {
				c.drained = make(chan struct{})
			}
			drained, done := c.drained, c.endedChan()
			c.mu.Unlock()
			select {
			case <-drained:
			case <-done:
			}
			c.mu.Lock()
			if err := c.canWrite(); err != nil {
				return err
			}
		default:
			// RFC 6455 §7.4.1 has no code for this; the registry of §11.7 has 1013, "try again later". What waits is given
			// up, so that the close frame does not wait behind it.
			c.dropQueue(ErrQueueFull)
			deadline := time.Now().Add(c.opts.closeTimeout)
			if e, err := c.beginClose(CodeTryAgainLater, reasonSlow, deadline); err == nil {
				go c.finishClose(deadline, e) // ends at the deadline
			}
			return ErrQueueFull
		}
	}
	return nil
}

func (c *Conn) dropOldest() bool {
	for i, e := range c.queue {
		if e.join == nil {
			c.remove(i, 1)
			return true
		}
	}
	return false
}

// remove takes n entries out of the queue, from the i-th on. The caller holds mu.
func (c *Conn) remove(i, n int) {
	for _, e := range c.queue[i : i+n] {
		if e.join == nil {
			c.queued -= e.cost()
			c.sends--
		}
	}
	if i == 0 && len(c.queue) > len(c.entries) { // a long queue is not to be moved for each message
		clear(c.queue[:n])
		c.queue = c.queue[n:]
	} else {
		c.queue = slices.Delete(c.queue, i, i+n)
	}
	if len(c.queue) == 0 {
		c.dropEntries()
	}
}

// dropQueue gives up all that waits. The caller holds mu.
func (c *Conn) dropQueue(err error) {
	for _, e := range c.queue {
		if e.join != nil {
			e.join.done <- err
		}
	}
	c.queued, c.sends = 0, 0
	c.dropEntries()
	c.leftQueue()
}

// dropOwn gives the buffer of Send's messages back: none is left. The caller holds mu.
func (c *Conn) dropOwn() {
	if c.own != nil {
		transport.Return(c.own)
		c.own, c.ownUsed = nil, 0
	}
}

// leftQueue wakes the Sends that wait for room. The caller holds mu.
func (c *Conn) leftQueue() {
	if c.drained != nil {
		close(c.drained)
		c.drained = nil
	}
}

// sendQueued starts to write what waits, unless somebody is writing. The caller holds mu.
func (c *Conn) sendQueued() {
	if len(c.queue) == 0 && len(c.ctl) == 0 || c.m.MessageOpen() && len(c.ctl) == 0 || c.werr != nil || !c.out.take() {
		return
	}
	if c.writesNow() && c.writeOne() {
		return
	}
	c.writeQueued()
}

// writeQueued writes what waits as far as the stream takes it at once, and leaves the rest to a goroutine. The caller
// holds mu and the out turn, and loses the turn.
func (c *Conn) writeQueued() {
	if !c.writesNow() {
		go c.passOut()
		return
	}
	batch := transport.Borrow()
	b := c.gather(batch[:0])
	n := 0
	if len(b) > 0 {
		n, _ = c.stream.TryWrite(b) // whoever writes the rest meets the error, too
	}
	if n < len(b) { // it goes first when the socket has room again
		c.rest = append(c.rest, b[n:]...)
	} else {
		tell(c.taken, nil)
		c.taken = nil
	}
	transport.Return(batch)
	if c.moreToWrite() {
		go c.passOut()
		return
	}
	c.giveOut()
}

// writeOne writes a queue of one frame from where it lies, and reports whether that is all there was to do. The caller
// holds mu and the out turn, and loses the turn then.
func (c *Conn) writeOne() bool {
	if len(c.queue) != 1 || c.queue[0].join != nil || len(c.ctl) > 0 || len(c.rest) > 0 || c.m.MessageOpen() {
		return false
	}
	f := c.queue[0].frame
	n, err := c.stream.TryWrite(f)
	if n == 0 || err != nil {
		return false
	}
	if f = f[n:]; len(f) > together { // no frame of c.own is that long
		c.rest = f
	} else {
		c.rest = append(c.rest, f...)
	}
	c.dequeue(1)
	if len(c.rest) > 0 {
		go c.passOut()
	} else {
		c.giveOut()
	}
	return true
}

// moreToWrite reports whether the holder of the out turn has more to do. The caller holds mu.
func (c *Conn) moreToWrite() bool {
	return len(c.rest) > 0 || len(c.ctl) > 0 || len(c.queue) > 0 && !c.m.MessageOpen()
}

// gather moves what waits to be written into dst, as far as its capacity goes: control frames, then the queue. A first
// frame that does not fit is left for the caller; the rest of one that has begun is returned instead of dst. The caller
// holds mu and the out turn.
func (c *Conn) gather(dst []byte) []byte {
	if len(c.rest) > cap(dst) { // from where it lies
		dst, c.rest = c.rest, nil
		return dst
	}
	if len(c.rest) > 0 {
		dst, c.rest = append(dst, c.rest...), nil
	}
	if c.m.MessageOpen() { // RFC 6455 §5.4: the fragments of one message are not interleaved with another's
		dst, c.ctl = append(dst, c.ctl...), nil
		return dst
	}
	closing := c.m.Closing()
	if !closing {
		dst, c.ctl = append(dst, c.ctl...), nil
	}
	taken := 0
	for _, e := range c.queue {
		if len(dst)+len(e.frame)+4 > cap(dst) {
			break
		}
		dst = c.appendEntry(dst, e)
		taken++
	}
	c.dequeue(taken)
	if closing && len(c.queue) == 0 { // RFC 6455 §5.5.1: no data behind the close frame
		dst, c.ctl = append(dst, c.ctl...), nil
	}
	return dst
}

// appendEntry appends e's frame as this end sends it: a client's is masked (RFC 6455 §5.3).
func (c *Conn) appendEntry(dst []byte, e entry) []byte {
	if e.join != nil {
		c.taken = append(c.taken, e.join)
		return append(dst, e.frame...)
	}
	if c.role == RoleServer {
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

// dequeue drops the first n entries, which are on their way. The caller holds mu.
func (c *Conn) dequeue(n int) {
	c.remove(0, n)
	if n > 0 {
		c.leftQueue()
	}
}
