package proxy

import (
	"crypto/tls"
	"net"
	"time"

	"github.com/handfast/handfast/websocket/loop"
)

// turns is the number of consecutive reads from one side while others wait for the loop.
const turns = 4

// asleep is the value of Tunnel.active until the loop's clock is read.
const asleep time.Duration = -1

// looped is a Tunnel on an event loop. While idle it has neither a goroutine nor a buffer.
//
// Lock order: mu, then the lock of an FD. Both ends are on one loop, but a slow Serve gives up the loop, and the other end may be
// served meanwhile.
type looped struct {
	Tunnel
	ends  [2]loopEnd
	timer time.Duration // when the timer of the client's end is due, 0 for never

	dialing *dialing // for a tunnel whose handshake was on the loop, until the tunnel begins
}

// loopEnd is the connection to one side. What the side's kernel does not accept is queued, and nothing is read from the other side
// meanwhile.
type loopEnd struct {
	fd    loop.FD
	l     *looped
	above *above // nil if there is neither TLS nor a queue
	s     side
	gone  bool // the descriptor is closed
	hung  bool // the kernel has reported that the connection is gone, and would do so repeatedly
	half  bool // the end of the stream has to follow the queue
}

// above is the layer between a tunnel and the kernel: TLS, which has a queue of its own, or the queue.
type above struct {
	sec   *loop.TLS // nil if there is none
	queue []byte
}

// sec returns the TLS, nil if there is none.
func (e *loopEnd) sec() *loop.TLS {
	if e.above == nil {
		return nil
	}
	return e.above.sec
}

// taken is a connection that a loop can take.
type taken struct {
	socket net.Conn
	sec    *loop.TLS // above the socket; nil if there is none
}

// takes returns the parts of nc that a loop can take, if nc is a socket, TLS on a [loop.Under], or a PROXY protocol client on one
// of these.
func takes(nc net.Conn) taken {
	below := socket(nc)
	conn, ok := below.(*tls.Conn)
	if !ok {
		return taken{socket: below}
	}
	sec, under, err := loop.NewTLS(conn)
	if err != nil {
		return taken{socket: nc}
	}
	return taken{under, sec}
}

// newLooped returns a tunnel that is not yet on a loop.
func newLooped() *looped {
	l := &looped{}
	for s := range l.ends {
		l.ends[s].l, l.ends[s].s = l, side(s)
	}
	return l
}

// place adds an end to its loop, with the TLS above it, nil if there is none.
func (l *looped) place(s side, p loop.Place, sec *loop.TLS) {
	e := &l.ends[s]
	if sec != nil {
		e.above = &above{sec: sec}
		sec.On(&e.fd)
	}
	p.Add(&e.fd, e)
}

// join processes the bytes that have already arrived from both ends. Both are on their loop. The caller holds mu.
func (l *looped) join(early, late []byte) {
	for s, b := range [...][]byte{client: early, upstream: late} {
		through, _ := l.arrived(side(s), b, 0)
		if err := l.ends[side(s).other()].enqueue(through); err != nil {
			l.refused(side(s).other(), err, 0)
		}
	}
	l.active = asleep
}

// launch begins a tunnel whose upstream has just responded on the loop. The loop need not visit the tunnel immediately, unless data
// is queued or TLS may have read ahead. The caller holds mu.
func (l *looped) launch() {
	if l.waits(client) || l.waits(upstream) || l.ends[client].sec() != nil {
		l.nudge()
		return
	}
	now := l.ends[upstream].fd.Now() // the time of the response
	l.start(now)
	l.settle(now)
	for s := range l.ends {
		e := &l.ends[s]
		e.fd.Lock()
		e.arm()
		e.fd.Unlock()
	}
}

// nudge implements driver.
func (l *looped) nudge() {
	if l.dialing == nil {
		l.ends[client].wake()
	}
	l.ends[upstream].wake()
}

// waits implements driver.
func (l *looped) waits(s side) bool { return l.ends[s].queued() }

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
		e.l.report()
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
	if l.active == asleep {
		l.start(now)
	}
	if why&loop.Due != 0 {
		l.timer = 0
	}
	if why&loop.Hangup != 0 {
		e.hung = true
	}
	if !l.over {
		e.flush(now)
		if why&(loop.Readable|loop.Hangup) != 0 || e.more() {
			e.pump(d, now)
		}
		l.settle(now)
	}
	e.fd.Lock()
	defer e.fd.Unlock()
	if !l.over {
		e.arm()
		return false
	}
	e.drop()
	e.fd.Close()
	e.gone = true
	return e.other().gone
}

// arm sets the events to wait for: room in the send buffer if something is queued, and bytes to read if the other side has room.
// The caller holds the lock.
func (e *loopEnd) arm() {
	var want loop.Events
	if e.queued() {
		want |= loop.Writable
	}
	if e.reads() {
		want |= loop.Readable
	} else if e.hung {
		want |= loop.Once
	}
	e.fd.Arm(want) //nolint:errcheck // a hangup comes all the same
}

// reads reports whether e has to be read from. Bytes that are discarded need no room at the other side.
func (e *loopEnd) reads() bool {
	return !e.l.quiet(e.s) && (!e.other().queued() || e.l.flows[e.s].ended || e.l.deaf[e.s.other()])
}

// more reports whether e may have bytes to read that the kernel does not know of.
func (e *loopEnd) more() bool {
	sec := e.sec()
	return sec != nil && sec.More()
}

// queued reports whether bytes for e are queued.
func (e *loopEnd) queued() bool {
	return e.above != nil && (len(e.above.queue) > 0 || e.above.sec != nil && e.above.sec.Queued() > 0)
}

// enqueue appends p to the queue.
func (e *loopEnd) enqueue(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if sec := e.sec(); sec != nil {
		_, err := sec.Write(p)
		return err
	}
	if e.above == nil {
		e.above = &above{}
	}
	e.above.queue = append(e.above.queue, p...)
	return nil
}

// drop discards the queue.
func (e *loopEnd) drop() {
	if sec := e.sec(); sec != nil {
		sec.Drop()
	} else {
		e.above = nil
	}
}

// send writes as much of the queue as the kernel accepts, and returns the number of bytes.
func (e *loopEnd) send() (n int, err error) {
	e.fd.Lock()
	defer e.fd.Unlock()
	if sec := e.sec(); sec != nil {
		n, err = sec.Flush()
		return n, unready(err)
	}
	n, err = e.fd.Write(e.above.queue)
	if e.above.queue = e.above.queue[n:]; len(e.above.queue) == 0 {
		e.above = nil
	}
	return n, unready(err)
}

// flush inserts the frame that is due and writes the queue of e. When the queue is empty, flush makes the other side read again.
func (e *loopEnd) flush(now time.Duration) {
	put := e.l.put(e.s, now)
	if !e.queued() {
		e.write(put, now)
		return
	}
	n, err := 0, e.enqueue(put)
	if err == nil {
		n, err = e.send()
	}
	if err != nil {
		e.refused(err, now)
	} else if n > 0 {
		e.l.took(e.s, now)
	}
	if !e.queued() {
		e.other().wake()
	}
}

// write writes as much of p as e's kernel accepts, and queues the rest.
func (e *loopEnd) write(p []byte, now time.Duration) {
	if len(p) == 0 || e.l.deaf[e.s] {
		return
	}
	var err error
	switch waits := e.queued(); {
	case e.sec() != nil:
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
		if err = unready(err); err == nil {
			err = e.enqueue(p[n:])
		}
	}
	if err != nil {
		e.refused(err, now)
	}
}

// refused notes that e accepts nothing more.
func (e *loopEnd) refused(err error, now time.Duration) {
	e.drop()
	e.l.refused(e.s, err, now)
	e.other().wake() // the other side is still read from, and its data is discarded
}

// read reads from e. With TLS it may return both bytes and an error.
func (e *loopEnd) read(d *loop.Driver) (b []byte, err error) {
	n := 0
	if sec := e.sec(); sec != nil {
		n, err = sec.Read(d.Buffer())
	} else {
		n, err = e.fd.Read(d.Buffer())
	}
	return d.Buffer()[:n], err
}

// pump reads from e and passes the bytes on.
func (e *loopEnd) pump(d *loop.Driver, now time.Duration) {
	if e.sec() != nil {
		defer e.reply(e.queued(), now)
	}
	for range turns {
		if !e.reads() {
			return
		}
		b, err := e.read(d)
		if len(b) > 0 {
			to := e.other()
			through, put := e.l.arrived(e.s, b, now)
			to.write(through, now)
			to.write(put, now)
			if to.queued() {
				to.wake() // the other side's loop then waits until there is room
			}
		}
		if unready(err) != nil {
			e.ended(err, now)
			return
		}
		if err != nil || len(b) < len(d.Buffer()) && e.sec() == nil {
			return
		}
	}
	if e.more() {
		e.wake()
	}
}

// ended notes that e has ended its stream with err.
func (e *loopEnd) ended(err error, now time.Duration) {
	if e.l.ended(e.s, err, now); !e.l.deaf[e.s] {
		return
	}
	e.hung = true
	if e.sec() != nil {
		e.send() //nolint:errcheck // an alert, which the side may not take
	}
	e.drop()
}

// reply sends the data with which TLS replies on its own. waits is true if earlier data is still queued for lack of room.
func (e *loopEnd) reply(waits bool, now time.Duration) {
	if waits || !e.queued() {
		return
	}
	if _, err := e.send(); err != nil {
		e.refused(err, now)
	}
}

// closeWrite ends the stream to e, whose queue is empty. TLS sends a close_notify first (RFC 8446 §6.1).
func (e *loopEnd) closeWrite() {
	e.half = true
	if sec := e.sec(); sec != nil && sec.CloseWrite() == nil {
		if _, err := e.send(); err != nil {
			e.drop()
		}
	}
}

// settle passes on the ends of streams, ends the tunnel if it is finished, and sets the timer.
func (l *looped) settle(now time.Duration) {
	for s := range l.ends {
		if e := &l.ends[s]; !e.queued() && l.finish(side(s)) {
			e.closeWrite()
		}
	}
	if l.finishedBoth() && !l.waits(client) && !l.waits(upstream) {
		l.over = true
	}
	for s := range l.ends {
		if e := &l.ends[s]; e.half && !e.queued() && !l.over { // otherwise closing the descriptor ends the stream
			e.half = false
			e.fd.Lock()
			e.fd.CloseWrite()
			e.fd.Unlock()
		}
	}
	if next := l.look(now); next != 0 && (l.timer == 0 || next < l.timer) {
		l.timer = next
		l.ends[client].fd.After(max(next-now, 1))
	}
	if l.over {
		l.nudge() // each end is closed by the goroutine that serves it
	}
}

// unready returns nil for the error of a call that would have to wait.
func unready(err error) error {
	if err == loop.ErrAgain { //nolint:errorlint // it is never wrapped
		return nil
	}
	return err
}
