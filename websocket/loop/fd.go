package loop

import (
	"net"
	"os"
	"sync"
	"time"
)

// Handler handles one descriptor. At any time only one goroutine, the descriptor's holder, is in Begin (without [Held]), in Serve,
// or between the two.
type Handler interface {
	// Begin is called for new events, with the FD locked, and reports whether Serve must be called. With Held in why, the holder is
	// in a Serve that has lost the loop: then only writing is permitted, and the result of Begin is ignored. Begin must not block.
	Begin(d *Driver, why Events) bool

	// Serve handles the events, without the lock. Its last action is a call of Arm, Close or Detach. Serve may block: then another
	// goroutine takes the loop over, and the descriptor is not visited until Serve returns. If Serve calls runtime.Goexit, it is called
	// again, without events, before its goroutine ends.
	Serve(d *Driver, why Events)

	// Lost is called, with the FD locked, if a running Serve has lost the loop.
	Lost()
}

// FD is a descriptor on a loop. It must be embedded in its handler, and must not be copied after [Place.Add].
//
// The methods Arm, Wake, Close, Detach, CloseWrite, Peer and Local require the FD's lock, as do Write and Writev if several
// goroutines write. Only the holder (see [Handler]) calls Read, Arm for Readable, Close and Detach. The other methods are safe for
// concurrent use. Lock order: while holding an FD's lock, only that FD's holder may lock another FD, which must belong to the same
// tunnel.
type FD struct {
	loop  *loop
	h     Handler
	mu    sync.Mutex
	fd    int32
	slot  uint32 // index of f's slot in the loop
	birth uint32 // distinguishes f from the previous owner of the slot

	// The position of f in the wheel, guarded by the loop's mu.
	due, prev, next uint32

	armed  Events // the events for which the kernel is armed
	want   Events // the events that the handler has requested
	held   bool   // the holder has lost the loop
	woken  bool   // f is in the loop's list of descriptors to visit
	closed bool
}

// Lock locks f.
func (f *FD) Lock() { f.mu.Lock() }

// Unlock unlocks f.
func (f *FD) Unlock() { f.mu.Unlock() }

// Arm sets the events that f waits for, Readable and Writable. With Once, no event follows the next one, not even Hangup, until other
// events are armed. A Handler that does not want to read yet arms Once after a Hangup, because the Hangup would otherwise be repeated. The
// caller holds the lock.
func (f *FD) Arm(want Events) error {
	f.want = want
	if f.closed {
		return nil
	}
	if f.held { // a descriptor that is armed for no event would still report a hangup, repeatedly
		want = want&Writable | Once
	}
	if want|registered == f.armed && !f.held {
		return nil
	}
	first := f.armed == 0
	f.armed = want | registered
	return f.loop.k.Arm(int(f.fd), f.token(), want, first)
}

// Armed returns the events that f waits for. The caller holds the lock.
func (f *FD) Armed() Events { return f.want }

// Wake schedules a visit of f. The caller holds the lock.
func (f *FD) Wake() {
	if !f.woken && !f.closed {
		f.woken = true
		f.loop.requestVisit(f)
	}
}

// Busy reports whether f, or another descriptor of its loop, will be visited again before the loop waits. If so, a handler may delay its
// data, to write it together with the data of the next visit. The caller holds the lock.
func (f *FD) Busy() bool { return f.woken || f.loop.hasTodo.Load() }

// Calm reports whether the loop is doing the last piece of work that has arrived, as far as the loop knows. See [Driver.Last].
func (f *FD) Calm() bool {
	d := f.loop.driver.Load()
	return d != nil && d.calm.Load()
}

// After schedules a visit of f with Due after d, and replaces the previously scheduled time.
func (f *FD) After(d time.Duration) {
	l := f.loop
	l.mu.Lock()
	if l.slots[f.slot] == f { // f is still on the loop
		l.schedule(f, uint32(l.k.Now()/tick)+ticks(d))
	}
	l.mu.Unlock()
}

// Left returns the time until the visit that After has scheduled, or 0 if there is none.
func (f *FD) Left() time.Duration {
	l := f.loop
	l.mu.Lock()
	defer l.mu.Unlock()
	if f.due == 0 {
		return 0
	}
	return max(0, time.Duration(f.due)*tick-l.k.Now())
}

// Cancel cancels the visit that After has scheduled.
func (f *FD) Cancel() {
	f.loop.mu.Lock()
	f.loop.unschedule(f)
	f.loop.mu.Unlock()
}

// Now returns the loop's time at its last wait, in steps of 16 ms.
func (f *FD) Now() time.Duration { return time.Duration(f.loop.tick.Load()) * tick }

// Block announces that the calling Serve is going to block: the loop continues immediately on another goroutine. Outside of Serve
// it has no effect.
func (f *FD) Block() {
	if d := f.loop.driver.Load(); d != nil {
		f.loop.takeOver(d, f, d.state.Load())
	}
}

// Read reads without waiting. It returns ErrAgain if nothing has arrived, and io.EOF at the end of the stream. Only the holder
// calls it.
func (f *FD) Read(p []byte) (int, error) { return f.loop.k.Read(int(f.fd), p) }

// Write writes as much as the kernel accepts, and returns ErrAgain if it accepts nothing.
func (f *FD) Write(p []byte) (int, error) { return f.loop.k.Write(int(f.fd), p) }

// Writev is like Write for two slices, in one system call.
func (f *FD) Writev(p [2][]byte) (int, error) { return f.loop.k.Writev(int(f.fd), p) }

// CloseWrite shuts down the writing side of the connection. The caller holds the lock.
func (f *FD) CloseWrite() { f.loop.k.CloseWrite(int(f.fd)) }

// Close closes the descriptor. f leaves the loop when Serve returns. The caller is the holder, and holds the lock.
func (f *FD) Close() {
	if !f.closed {
		f.closed = true
		f.loop.k.Close(int(f.fd))
	}
}

// Detach removes f from the loop and returns its connection as a net.Conn with a separate descriptor. The caller is the holder, and
// holds the lock.
func (f *FD) Detach() (net.Conn, error) {
	f.closed = true
	f.loop.k.Disarm(int(f.fd))
	file := os.NewFile(uintptr(f.fd), "")
	defer file.Close()
	return net.FileConn(file)
}

// Closed reports whether f was closed or detached. The caller holds the lock.
func (f *FD) Closed() bool { return f.closed }

// Peer returns the address of the other end, or nil if it is unknown. The caller holds the lock.
func (f *FD) Peer() net.Addr {
	if f.closed {
		return nil
	}
	return f.loop.k.Peer(int(f.fd))
}

// Local returns the address of this end, or nil if it is unknown. The caller holds the lock.
func (f *FD) Local() net.Addr {
	if f.closed {
		return nil
	}
	return f.loop.k.Local(int(f.fd))
}

// Unsent returns the number of bytes that the kernel has accepted and the peer has not acknowledged, or -1 if the number is unknown. The
// caller holds the lock.
func (f *FD) Unsent() int {
	if f.closed {
		return -1
	}
	return f.loop.k.Unsent(int(f.fd))
}

// token identifies f in the kernel's events.
func (f *FD) token() uint64 { return uint64(f.birth)<<32 | uint64(f.slot) }

// visit does the work w. It returns false if d has lost the loop in the meantime.
func (d *Driver) visit(w task) bool {
	f, what := w.f, w.what
	f.mu.Lock()
	if what&Woken != 0 {
		f.woken = false
		if f.armed == 0 {
			what |= Readable // f is new, and the peer may have sent data already
		}
	}
	switch {
	case f.closed:
	case f.held:
		f.h.Begin(d, what|Held)
	case f.h.Begin(d, what):
		d.beginVisit(f)
		f.mu.Unlock()
		return d.serve(f, what)
	}
	f.mu.Unlock()
	return true
}

// serve calls Serve, and finishes the visit.
func (d *Driver) serve(f *FD, what Events) bool {
	returned := false
	defer func() {
		if !returned {
			d.serveExited(f, recover())
		}
	}()
	f.h.Serve(d, what)
	returned = true
	return d.endVisit(f)
}

// serveExited handles a Serve that terminates this goroutine, by runtime.Goexit or a panic.
func (d *Driver) serveExited(f *FD, panicked any) {
	if panicked != nil {
		panic(panicked) // a panic of the Handler: the loop does not continue after it
	}
	defer func() {
		if d.endVisit(f) {
			go d.l.drive() // the new goroutine drives the loop in place of this one
		}
	}()
	if !f.closed {
		f.h.Serve(d, 0)
	}
}

// endVisit finishes the visit of f, and reports whether d still has the loop.
func (d *Driver) endVisit(f *FD) bool {
	if f.closed { // only the holder closes f
		f.loop.remove(f)
	}
	state := d.seq | busy
	if d.seq += oneVisit; d.state.CompareAndSwap(state, d.seq) {
		return true
	}
	f.returnToLoop()
	d.lost = true
	return false
}

// returnToLoop returns f to the loop after its holder has lost the loop.
func (f *FD) returnToLoop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held = false
	if !f.closed {
		f.Arm(f.want) //nolint:errcheck // arming f has succeeded before
		f.Wake()      // for events scheduled in the meantime
	}
}
