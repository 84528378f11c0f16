package proxy

import (
	"crypto/tls"
	"net"
	"time"

	"github.com/handfast/handfast/websocket/loop"
)

// maxReads is the number of consecutive reads from one side while others wait for the loop.
const maxReads = 4

// timeUnset is the value of Tunnel.active until the loop's clock is read.
const timeUnset time.Duration = -1

// loopTunnel is a Tunnel on an event loop. While idle it has neither a goroutine nor a buffer.
//
// Lock order: mu, then the lock of an FD. Both ends are on one loop, but a slow Serve gives up the loop, and the other end may be
// served meanwhile.
type loopTunnel struct {
	Tunnel
	ends  [2]loopEnd
	timer time.Duration // when the timer of the client's end is due, or 0 for never

	dialing *dialing // for a tunnel whose handshake was on the loop, until the tunnel begins
}

// loopEnd is the connection to one side. What the side's kernel does not accept is queued, and nothing is read from the other side
// meanwhile.
type loopEnd struct {
	fd            loop.FD
	l             *loopTunnel
	layer         *layer // nil if there is neither TLS nor a queue
	s             side
	closed        bool // the descriptor is closed
	hungUp        bool // the kernel has reported that the connection is gone, and would do so repeatedly
	closeWriteDue bool // the end of the stream has to follow the queue
}

// layer is the layer between a tunnel and the kernel: TLS, which has a queue of its own, or the queue.
type layer struct {
	tls   *loop.TLS // nil if there is none
	queue []byte
}

// tls returns the TLS, or nil if there is none.
func (e *loopEnd) tls() *loop.TLS {
	if e.layer == nil {
		return nil
	}
	return e.layer.tls
}

// loopParts is a connection that a loop can take.
type loopParts struct {
	socket net.Conn
	tls    *loop.TLS // above the socket; nil if there is none
}

// partsOf returns the parts of nc that a loop can take, if nc is a socket, TLS on a [loop.Under], or a PROXY protocol client on one
// of these.
func partsOf(nc net.Conn) loopParts {
	below := socket(nc)
	conn, ok := below.(*tls.Conn)
	if !ok {
		return loopParts{socket: below}
	}
	sec, under, err := loop.NewTLS(conn)
	if err != nil {
		return loopParts{socket: nc}
	}
	return loopParts{under, sec}
}

// newLoopTunnel returns a tunnel that is not yet on a loop.
func newLoopTunnel() *loopTunnel {
	l := &loopTunnel{}
	for s := range l.ends {
		l.ends[s].l, l.ends[s].s = l, side(s)
	}
	return l
}

// place adds an end to its loop, with the TLS above it, or nil if there is none.
func (l *loopTunnel) place(s side, p loop.Place, sec *loop.TLS) {
	e := &l.ends[s]
	if sec != nil {
		e.layer = &layer{tls: sec}
		sec.On(&e.fd)
	}
	p.Add(&e.fd, e)
}

// processBuffered processes the bytes that have already arrived from both ends. Both are on their loop. The caller holds mu.
func (l *loopTunnel) processBuffered(early, late []byte) {
	for s, b := range [...][]byte{client: early, upstream: late} {
		through, _ := l.receive(side(s), b, 0)
		if err := l.ends[side(s).other()].enqueue(through); err != nil {
			l.writeFailed(side(s).other(), err, 0)
		}
	}
	l.active = timeUnset
}

// beginTunnel begins a tunnel whose upstream has just responded on the loop. The loop need not visit the tunnel immediately, unless
// data is queued or TLS may have read ahead. The caller holds mu.
func (l *loopTunnel) beginTunnel() {
	if l.hasQueued(client) || l.hasQueued(upstream) || l.ends[client].tls() != nil {
		l.wake()
		return
	}
	now := l.ends[upstream].fd.Now() // the time of the response
	l.start(now)
	l.propagateEnds(now)
	for s := range l.ends {
		e := &l.ends[s]
		e.fd.Lock()
		e.arm()
		e.fd.Unlock()
	}
}

// wake implements driver.
func (l *loopTunnel) wake() {
	if l.dialing == nil {
		l.ends[client].wake()
	}
	l.ends[upstream].wake()
}

// hasQueued implements driver.
func (l *loopTunnel) hasQueued(s side) bool { return l.ends[s].queued() }

func (e *loopEnd) wake() {
	e.fd.Lock()
	defer e.fd.Unlock()
	e.fd.Wake()
}

func (e *loopEnd) other() *loopEnd { return &e.l.ends[e.s.other()] }

// Begin implements [loop.Handler].
func (e *loopEnd) Begin(_ *loop.Driver, why loop.Events) bool { return why&loop.Held == 0 }

// Lost implements [loop.Handler].
func (e *loopEnd) Lost() {}

// Serve implements [loop.Handler].
func (e *loopEnd) Serve(d *loop.Driver, why loop.Events) {
	if e.serve(d, why) {
		e.l.reportEnd()
	}
}

// serve does the work that is due for e, and reports whether both ends are closed now.
func (e *loopEnd) serve(d *loop.Driver, why loop.Events) (last bool) {
	l := e.l
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dialing != nil {
		l.dialing.serve(e, d, why)
		return false
	}
	now := e.fd.Now()
	if l.active == timeUnset {
		l.start(now)
	}
	if why&loop.Due != 0 {
		l.timer = 0
	}
	if why&loop.Hangup != 0 {
		e.hungUp = true
	}
	if !l.terminated {
		e.flush(now)
		if why&(loop.Readable|loop.Hangup) != 0 || e.mayHaveMore() {
			e.pump(d, now)
		}
		l.propagateEnds(now)
	}
	e.fd.Lock()
	defer e.fd.Unlock()
	if !l.terminated {
		e.arm()
		return false
	}
	e.dropQueue()
	e.fd.Close()
	e.closed = true
	return e.other().closed
}

// arm sets the events to wait for: room in the send buffer if something is queued, and bytes to read if the other side has room.
// The caller holds the lock.
func (e *loopEnd) arm() {
	var want loop.Events
	if e.queued() {
		want |= loop.Writable
	}
	if e.wantsRead() {
		want |= loop.Readable
	} else if e.hungUp {
		want |= loop.Once
	}
	e.fd.Arm(want) //nolint:errcheck // a hangup is reported even if Arm fails
}

// wantsRead reports whether e has to be read from. Bytes that are discarded need no room at the other side.
func (e *loopEnd) wantsRead() bool {
	return !e.l.isDone(e.s) && (!e.other().queued() || e.l.flows[e.s].ended || e.l.writeEnded[e.s.other()])
}

// mayHaveMore reports whether e may have bytes to read that the kernel does not know of.
func (e *loopEnd) mayHaveMore() bool {
	sec := e.tls()
	return sec != nil && sec.More()
}

// queued reports whether bytes for e are queued.
func (e *loopEnd) queued() bool {
	return e.layer != nil && (len(e.layer.queue) > 0 || e.layer.tls != nil && e.layer.tls.Queued() > 0)
}

// enqueue appends p to the queue.
func (e *loopEnd) enqueue(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if sec := e.tls(); sec != nil {
		_, err := sec.Write(p)
		return err
	}
	if e.layer == nil {
		e.layer = &layer{}
	}
	e.layer.queue = append(e.layer.queue, p...)
	return nil
}

// dropQueue discards the queue.
func (e *loopEnd) dropQueue() {
	if sec := e.tls(); sec != nil {
		sec.Drop()
	} else {
		e.layer = nil
	}
}

// send writes as much of the queue as the kernel accepts, and returns the number of bytes.
func (e *loopEnd) send() (n int, err error) {
	e.fd.Lock()
	defer e.fd.Unlock()
	if sec := e.tls(); sec != nil {
		n, err = sec.Flush()
		return n, ignoreNotReady(err)
	}
	n, err = e.fd.Write(e.layer.queue)
	if e.layer.queue = e.layer.queue[n:]; len(e.layer.queue) == 0 {
		e.layer = nil
	}
	return n, ignoreNotReady(err)
}

// flush inserts the frame that is due and writes the queue of e. When the queue is empty, flush makes the other side read again.
func (e *loopEnd) flush(now time.Duration) {
	put := e.l.dueFrame(e.s, now)
	if !e.queued() {
		e.write(put, now)
		return
	}
	n, err := 0, e.enqueue(put)
	if err == nil {
		n, err = e.send()
	}
	if err != nil {
		e.writeFailed(err, now)
	} else if n > 0 {
		e.l.noteProgress(e.s, now)
	}
	if !e.queued() {
		e.other().wake()
	}
}

// write writes as much of p as e's kernel accepts, and queues the rest.
func (e *loopEnd) write(p []byte, now time.Duration) {
	if len(p) == 0 || e.l.writeEnded[e.s] {
		return
	}
	var err error
	switch waits := e.queued(); {
	case e.tls() != nil:
		if err = e.enqueue(p); err == nil && !waits {
			_, err = e.send()
		}
	case waits:
		err = e.enqueue(p)
	default:
		n := 0
		e.fd.Lock()
		n, err = e.fd.Write(p)
		e.fd.Unlock()
		if err = ignoreNotReady(err); err == nil {
			err = e.enqueue(p[n:])
		}
	}
	if err != nil {
		e.writeFailed(err, now)
	}
}

// writeFailed notes that e accepts nothing more.
func (e *loopEnd) writeFailed(err error, now time.Duration) {
	e.dropQueue()
	e.l.writeFailed(e.s, err, now)
	e.other().wake() // the other side is still read from, and its data is discarded
}

// read reads from e. With TLS it may return both bytes and an error.
func (e *loopEnd) read(d *loop.Driver) (b []byte, err error) {
	n := 0
	if sec := e.tls(); sec != nil {
		n, err = sec.Read(d.Buffer())
	} else {
		n, err = e.fd.Read(d.Buffer())
	}
	return d.Buffer()[:n], err
}

// pump reads from e and passes the bytes on.
func (e *loopEnd) pump(d *loop.Driver, now time.Duration) {
	if e.tls() != nil {
		defer e.reply(e.queued(), now)
	}
	for range maxReads {
		if !e.wantsRead() {
			return
		}
		b, err := e.read(d)
		if len(b) > 0 {
			to := e.other()
			through, put := e.l.receive(e.s, b, now)
			to.write(through, now)
			to.write(put, now)
			if to.queued() {
				to.wake() // the other side's loop then waits until there is room
			}
		}
		if ignoreNotReady(err) != nil {
			e.streamEnded(err, now)
			return
		}
		if err != nil || len(b) < len(d.Buffer()) && e.tls() == nil {
			return
		}
	}
	if e.mayHaveMore() {
		e.wake()
	}
}

// streamEnded notes that e has ended its stream with err.
func (e *loopEnd) streamEnded(err error, now time.Duration) {
	if e.l.streamEnded(e.s, err, now); !e.l.writeEnded[e.s] {
		return
	}
	e.hungUp = true
	if e.tls() != nil {
		e.send() //nolint:errcheck // send writes a TLS alert, which the peer need not receive
	}
	e.dropQueue()
}

// reply sends the data with which TLS replies on its own. waits is true if earlier data is still queued for lack of room.
func (e *loopEnd) reply(waits bool, now time.Duration) {
	if waits || !e.queued() {
		return
	}
	if _, err := e.send(); err != nil {
		e.writeFailed(err, now)
	}
}

// closeWrite ends the stream to e, whose queue is empty. TLS sends a close_notify first (RFC 8446 §6.1).
func (e *loopEnd) closeWrite() {
	e.closeWriteDue = true
	if sec := e.tls(); sec != nil && sec.CloseWrite() == nil {
		if _, err := e.send(); err != nil {
			e.dropQueue()
		}
	}
}

// propagateEnds passes on the ends of streams, ends the tunnel if it is finished, and sets the timer.
func (l *loopTunnel) propagateEnds(now time.Duration) {
	for s := range l.ends {
		if e := &l.ends[s]; !e.queued() && l.takeEOF(side(s)) {
			e.closeWrite()
		}
	}
	if l.bothDone() && !l.hasQueued(client) && !l.hasQueued(upstream) {
		l.terminated = true
	}
	for s := range l.ends {
		if e := &l.ends[s]; e.closeWriteDue && !e.queued() && !l.terminated { // otherwise closing the descriptor ends the stream
			e.closeWriteDue = false
			e.fd.Lock()
			e.fd.CloseWrite()
			e.fd.Unlock()
		}
	}
	if next := l.checkLimits(now); next != 0 && (l.timer == 0 || next < l.timer) {
		l.timer = next
		l.ends[client].fd.After(max(next-now, 1))
	}
	if l.terminated {
		l.wake() // each end is closed by the goroutine that serves it
	}
}

// ignoreNotReady returns nil for the error of a call that would have to wait.
func ignoreNotReady(err error) error {
	if err == loop.ErrAgain { //nolint:errorlint // loop.ErrAgain is never wrapped
		return nil
	}
	return err
}
