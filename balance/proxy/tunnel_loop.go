package proxy

import (
	"bytes"
	"io"
	"time"

	"github.com/handfast/handfast/websocket/loop"
)

// turns is how many reads of one side follow each other while others wait for the loop.
const turns = 4

// asleep is Tunnel.active before the loop's clock has been looked at.
const asleep time.Duration = -1

// looped is a Tunnel on an event loop. While it waits it has neither a goroutine nor a buffer.
//
// Its mu comes before the lock of an FD. Both ends are on one loop, but a Serve that is slow loses the loop, and the other end may
// be served meanwhile.
type looped struct {
	Tunnel
	ends  [2]loopEnd
	timer time.Duration // when the client's end is visited, 0 for never

	dialing *dialing // until the tunnel begins, for one whose handshake was on the loop; otherwise nil
}

// loopEnd is the connection to one side.
type loopEnd struct {
	fd    loop.FD
	l     *looped
	queue []byte // what the side's kernel has not taken; the other side is not read from meanwhile
	s     side
	gone  bool // it is closed
	hung  bool // the kernel has reported that the connection is gone, and would again and again
}

// newLooped returns a tunnel that is on no loop yet.
func newLooped() *looped {
	l := &looped{}
	for s := range l.ends {
		l.ends[s].l, l.ends[s].s = l, side(s)
	}
	return l
}

// place puts an end on its loop.
func (l *looped) place(s side, p loop.Place) { p.Add(&l.ends[s].fd, &l.ends[s]) }

// join gives the client's end its place, and both what has arrived. The upstream's end has its place. The caller holds mu.
func (l *looped) join(toClient loop.Place, early, late []byte) {
	l.place(client, toClient)
	through, _ := l.arrived(client, early, 0)
	l.ends[upstream].queue = bytes.Clone(through)
	through, _ = l.arrived(upstream, late, 0)
	l.ends[client].queue = bytes.Clone(through)
	l.active = asleep
}

// launch begins a tunnel whose upstream has just answered on the loop. Unless something is queued, the loop need not know before there
// is something to do. The caller holds mu.
func (l *looped) launch() {
	if len(l.ends[client].queue)+len(l.ends[upstream].queue) > 0 {
		l.nudge()
		return
	}
	now := l.ends[upstream].fd.Now() // which is of the answer
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
func (l *looped) waits(s side) bool { return len(l.ends[s].queue) > 0 }

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

// serve does what is due for e, and reports whether that was the last thing for the tunnel.
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
		if why&(loop.Readable|loop.Hangup) != 0 {
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
	e.queue = nil
	e.fd.Close()
	e.gone = true
	return e.other().gone
}

// arm waits for room where something is queued, and for bytes where the other side has room. The caller holds the lock.
func (e *loopEnd) arm() {
	var want loop.Events
	if len(e.queue) > 0 {
		want |= loop.Writable
	}
	if e.reads() {
		want |= loop.Readable
	} else if e.hung {
		want |= loop.Once
	}
	e.fd.Arm(want) //nolint:errcheck // a hangup comes all the same
}

// reads reports whether e is to be read from: what the other side is not going to get needs no room there.
func (e *loopEnd) reads() bool {
	return !e.l.quiet(e.s) && (len(e.other().queue) == 0 || e.l.flows[e.s].ended || e.l.deaf[e.s.other()])
}

// flush puts in the frame that is due, writes what is queued for e, and when that is gone has the other side read again.
func (e *loopEnd) flush(now time.Duration) {
	put := e.l.put(e.s, now)
	if len(e.queue) == 0 {
		e.write(put, now)
		return
	}
	e.queue = append(e.queue, put...)
	e.fd.Lock()
	n, err := e.fd.Write(e.queue)
	e.fd.Unlock()
	if e.queue = e.queue[n:]; unready(err) != nil {
		e.refused(err, now)
	} else if n > 0 {
		e.l.took(e.s, now)
	}
	if len(e.queue) == 0 {
		e.queue = nil
		e.other().wake()
	}
}

// write writes what e's kernel takes of p, and queues the rest.
func (e *loopEnd) write(p []byte, now time.Duration) {
	if len(p) == 0 || e.l.deaf[e.s] {
		return
	}
	n := 0
	if len(e.queue) == 0 {
		var err error
		e.fd.Lock()
		n, err = e.fd.Write(p)
		e.fd.Unlock()
		if unready(err) != nil {
			e.refused(err, now)
			return
		}
	}
	e.queue = append(e.queue, p[n:]...)
}

// refused notes that e takes nothing more.
func (e *loopEnd) refused(err error, now time.Duration) {
	e.queue = nil
	e.l.refused(e.s, err, now)
	e.other().wake() // what it says is discarded
}

// pump passes on what e says.
func (e *loopEnd) pump(d *loop.Driver, now time.Duration) {
	for range turns {
		if !e.reads() {
			return
		}
		n, err := e.fd.Read(d.Buffer())
		if err == loop.ErrAgain { //nolint:errorlint // it is never wrapped
			return
		}
		if err != nil {
			if e.l.ended(e.s, err, now); err != io.EOF { //nolint:errorlint // it is never wrapped
				e.queue, e.hung = nil, true
			}
			return
		}
		to := e.other()
		through, put := e.l.arrived(e.s, d.Buffer()[:n], now)
		to.write(through, now)
		to.write(put, now)
		if len(to.queue) > 0 {
			to.wake() // it waits for room
		}
		if n < len(d.Buffer()) {
			return
		}
	}
}

// settle passes on the ends of streams, ends the tunnel when it is time, and sets the timer.
func (l *looped) settle(now time.Duration) {
	queued := false
	for s := range l.ends {
		e := &l.ends[s]
		if len(e.queue) > 0 {
			queued = true
		} else if l.finish(side(s)) {
			e.fd.Lock()
			e.fd.CloseWrite()
			e.fd.Unlock()
		}
	}
	if l.finishedBoth() && !queued {
		l.over = true
	}
	if next := l.look(now); next != 0 && (l.timer == 0 || next < l.timer) {
		l.timer = next
		l.ends[client].fd.After(max(next-now, 1))
	}
	if l.over {
		l.nudge() // each end is closed by its holder
	}
}

// unready makes no error of a call that would have to wait.
func unready(err error) error {
	if err == loop.ErrAgain { //nolint:errorlint // it is never wrapped
		return nil
	}
	return err
}
