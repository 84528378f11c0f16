package loop

import "sync/atomic"

// Driver is a goroutine that runs a loop until another one replaces it: if a Serve does not return, another Driver takes the loop over. The
// old Driver remains the holder of the descriptor that it is serving, and ends when Serve returns. Only the Begin and Serve that received a
// Driver may use its methods and Value, and only while they run.
type Driver struct {
	// Value is for use by the handlers: the handler of the descriptor that is being visited may use it until its Serve returns.
	Value any

	l *loop

	// state counts visits, and records whether a visit is in progress or the loop is lost. The first goroutine that changes it from
	// busy owns the loop: the driver itself changes it to idle, and the goroutine that takes over changes it to lost.
	state atomic.Uint32
	seq   uint32             // state without the status bits
	cur   atomic.Pointer[FD] // the descriptor being visited

	// calm means that, as far as the loop knows, no other work is about to follow.
	calm  atomic.Bool
	final bool // the current visit is the last of the batch
	lost  bool

	in []byte
}

// The status bits of Driver.state. The other bits are a counter.
const (
	busy     = 1
	lost     = 2
	oneVisit = 4
)

// Buffer returns the 64 KiB buffer for reads from all descriptors of the loop.
func (d *Driver) Buffer() []byte { return d.in }

// Last records whether the next piece of work is the last of the visit, for [FD.Calm].
func (d *Driver) Last(last bool) {
	if last = last && d.final; d.calm.Load() != last {
		d.calm.Store(last)
	}
}

// drive runs l until it ends or is lost.
func (l *loop) drive() {
	d := newDriver(l)
	for d.turn() {
	}
	buffers.Put((*[bufferSize]byte)(d.in))
	if !d.lost {
		l.driver.Store(nil)
		l.k.Release()
		if l.ls.active.Add(-1) == 0 {
			close(l.ls.finished)
		}
		l.ls.running.Done()
	}
}

func newDriver(l *loop) *Driver {
	d := &Driver{l: l, in: buffers.Get().(*[bufferSize]byte)[:]}
	l.driver.Store(d)
	return d
}

// turn does the rest of a batch, and collects the next one. It returns false if this driver is finished.
func (d *Driver) turn() bool {
	l := d.l
	if !d.runBatch() {
		return false
	}
	// Messages that the handlers of this batch wrote to other descriptors are sent now, in one write for each descriptor.
	if l.takeTodo() && !d.runBatch() {
		return false
	}
	ok, err := l.wait()
	if err != nil {
		l.ls.fail(err)
	}
	return ok
}

// runBatch does the rest of the batch.
func (d *Driver) runBatch() bool {
	l := d.l
	for l.done < len(l.batch) {
		w := l.batch[l.done]
		l.batch[l.done] = task{}
		l.done++
		d.final = l.done == len(l.batch)
		d.Last(true)
		if w.f == nil {
			if !l.accept(d, int(w.listener)) {
				return false
			}
		} else if !d.visit(w) {
			return false
		}
	}
	return true
}

// beginVisit makes d the holder of f. The caller holds f's lock, under which takeOver decides.
func (d *Driver) beginVisit(f *FD) {
	d.cur.Store(f)
	d.state.Store(d.seq | busy)
	d.l.ls.monitor.wake()
}

// takeOver assigns another driver to l if d is still in the visit that state counts, and, unless f is nil, only if that visit is
// for f.
func (l *loop) takeOver(d *Driver, f *FD, state uint32) bool {
	cur := d.cur.Load()
	if state&busy == 0 || state&lost != 0 || cur == nil || f != nil && f != cur {
		return false
	}
	cur.mu.Lock()
	defer cur.mu.Unlock()
	if !d.state.CompareAndSwap(state, state|lost) {
		return false
	}
	// From here on the holder owns cur, and the kernel does not report further data for it.
	cur.held = true
	if !cur.closed {
		cur.h.Lost()
		cur.Arm(cur.want) //nolint:errcheck // if Arm fails, the holder arms the descriptor again when it is done
	}
	go l.drive()
	return true
}
