package reactor

import "sync/atomic"

// driver is a goroutine that runs a loop, until the loop is taken from it: when a handler does not return, somebody takes
// the loop over with a driver of its own. The old one is left with the connection that it is busy with, the holder of
// it, and ends when that is served.
type driver struct {
	l *loop

	// state counts visits and says whether one is under way, or that the loop is lost. Whoever changes it from busy has
	// won: the driver itself to idle, or the one that takes over to lost.
	state atomic.Uint32
	seq   uint32               // state without its low bits
	cur   atomic.Pointer[Conn] // whom the visit is for

	// calm says that, for all that is known, no other message is going to be handled soon: what is sent to many need not
	// wait for company.
	calm  atomic.Bool
	final bool // the visit is the batch's last

	in   *buffer // what is read is parsed here
	cork *buffer // lent to the connection that is visited
	lost bool
}

// The low bits of driver.state. The others count.
const (
	busy     = 1
	lost     = 2
	oneVisit = 4
)

// drive runs l until it ends or is lost.
func (l *loop) drive() {
	d := newDriver(l)
	for d.turn() {
	}
	d.in.free()
	d.cork.free()
	if !d.lost {
		l.driver.Store(nil)
		l.k.release()
		if l.s.turning.Add(-1) == 0 {
			close(l.s.over)
		}
		l.s.running.Done()
	}
}

func newDriver(l *loop) *driver {
	d := &driver{l: l, in: borrow(readSize)}
	l.driver.Store(d)
	return d
}

// turn does the rest of a batch, and makes the next one. It returns false when there is nothing more for this driver.
func (d *driver) turn() bool {
	l := d.l
	if !d.work() {
		return false
	}
	// What the handlers of this batch wrote to other connections goes out now, all of it in one write for each.
	if l.takeTodo() && !d.work() {
		return false
	}
	ok, err := l.wait()
	if err != nil {
		l.s.fail(err)
	}
	return ok
}

// work does what is left of the batch.
func (d *driver) work() bool {
	l := d.l
	for l.at < len(l.batch) {
		w := l.batch[l.at]
		l.batch[l.at] = work{}
		l.at++
		d.final = l.at == len(l.batch)
		d.calms(true)
		if w.c == nil {
			if !l.accept(d, int(w.listener)) {
				return false
			}
		} else if !d.visit(w) {
			return false
		}
	}
	return true
}

// calms notes whether the message that is about to be handled is the last that has come in a visit.
func (d *driver) calms(last bool) {
	if last = last && d.final; d.calm.Load() != last {
		d.calm.Store(last)
	}
}

// visit serves one connection. It returns false when the loop was lost over it.
func (d *driver) visit(w work) bool {
	what := w.c.begin(d, w.what)
	if what == 0 {
		return true
	}
	w.c.serve(d, what)
	state := d.seq | busy
	if d.seq += oneVisit; d.state.CompareAndSwap(state, d.seq) {
		return true
	}
	w.c.letGo()
	d.lost = true
	return false
}

// engage makes d the holder of c. The caller holds c.mu, under which takeOver decides.
func (d *driver) engage(c *Conn) {
	d.cur.Store(c)
	d.state.Store(d.seq | busy)
	d.l.s.monitor.alert()
}

// takeOver gives l another driver, if d still is in the visit that state counts; when c is not nil, only if it is for c.
func (l *loop) takeOver(d *driver, c *Conn, state uint32) bool {
	cur := d.cur.Load()
	if state&busy == 0 || state&lost != 0 || cur == nil || c != nil && c != cur {
		return false
	}
	cur.mu.Lock()
	defer cur.mu.Unlock()
	if !d.state.CompareAndSwap(state, state|lost) {
		return false
	}
	// From here on cur belongs to its holder, and the kernel tells nobody when more arrives for it. What the handler has
	// written so far need not wait for it.
	cur.held, cur.corked = true, false
	cur.flush()
	cur.rearm()
	go l.drive()
	return true
}

// letGo gives a connection back to the loop after its holder has lost it.
func (c *Conn) letGo() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = false
	if c.phase != dead {
		c.rearm()
		c.loop.ask(c) // whatever was asked for in the meantime
	}
}
