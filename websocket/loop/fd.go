package loop

import (
	"net"
	"os"
	"sync"
	"time"
)

// Handler is what is done for one descriptor. One goroutine at a time, the descriptor's holder, is in Begin (without
// [Held]), Serve, or between the two.
type Handler interface {
	// Begin is called when there is something to do, with the FD locked, and reports whether Serve is to be called. With
	// Held in why, the holder is in a Serve that has lost the loop: then only writing is possible, and what Begin returns
	// is ignored. Begin must not block.
	Begin(d *Driver, why Events) bool

	// Serve does it, without the lock. It ends with a call of Arm, Close or Detach. It may block: then the loop is taken
	// from its goroutine, and its descriptor is not visited until it returns. When it has called runtime.Goexit, it is called once
	// more, without a reason, before its goroutine ends.
	Serve(d *Driver, why Events)

	// Lost is called, with the FD locked, when a Serve that is under way has lost the loop.
	Lost()
}

// FD is a descriptor on a loop. It is embedded in what handles it, and must not be copied after [Place.Add].
//
// The methods Arm, Wake, Close, Detach, CloseWrite, Peer and Local, and Write and Writev where several goroutines write, want
// the FD's lock held; only the holder (see [Handler]) calls Read, Arm for Readable, Close and Detach. The others are safe
// for concurrent use. Lock order: an FD's, then another FD's only if the first is the holder's own and the second belongs to
// the same tunnel.
type FD struct {
	loop  *loop
	h     Handler
	mu    sync.Mutex
	fd    int32
	slot  uint32 // its place in the loop
	birth uint32 // tells it from the one that had the place before

	// The loop's mu guards its place in the wheel.
	due, prev, next uint32

	armed  Events // what the kernel knows
	want   Events // what the handler wants
	held   bool   // its holder has lost the loop
	woken  bool   // it is in the loop's list of those that want to be visited
	closed bool
}

// Lock locks f.
func (f *FD) Lock() { f.mu.Lock() }

// Unlock unlocks f.
func (f *FD) Unlock() { f.mu.Unlock() }

// Arm says which events f waits for from now on, of Readable and Writable. With Once there is no event after the next, not even Hangup,
// until another set is armed: a Handler that is not going to read yet arms it when it has seen Hangup, which otherwise comes again
// and again. The caller holds the lock.
func (f *FD) Arm(want Events) error {
	f.want = want
	if f.closed {
		return nil
	}
	if f.held { // a hangup comes without being asked for, and would come again and again
		want = want&Writable | Once
	}
	if want|known == f.armed && !f.held {
		return nil
	}
	first := f.armed == 0
	f.armed = want | known
	return f.loop.k.Arm(int(f.fd), f.token(), want, first)
}

// Armed returns what f waits for. The caller holds the lock.
func (f *FD) Armed() Events { return f.want }

// Wake has f visited soon. The caller holds the lock.
func (f *FD) Wake() {
	if !f.woken && !f.closed {
		f.woken = true
		f.loop.ask(f)
	}
}

// Busy reports whether f, or another descriptor of its loop, is going to be visited again before the loop waits: what is
// written now may get company. The caller holds the lock.
func (f *FD) Busy() bool { return f.woken || f.loop.asks.Load() }

// Calm reports that the loop, for all that is known, is doing the last piece of work that has arrived. See [Driver.Last].
func (f *FD) Calm() bool {
	d := f.loop.driver.Load()
	return d != nil && d.calm.Load()
}

// After has f visited with Due in d, in place of the time that was set before.
func (f *FD) After(d time.Duration) {
	l := f.loop
	l.mu.Lock()
	if l.slots[f.slot] == f { // it has not left
		l.schedule(f, uint32(l.k.Now()/tick)+ticks(d))
	}
	l.mu.Unlock()
}

// Left returns how long it is until what was set with After is due, 0 when nothing was.
func (f *FD) Left() time.Duration {
	l := f.loop
	l.mu.Lock()
	defer l.mu.Unlock()
	if f.due == 0 {
		return 0
	}
	return max(0, time.Duration(f.due)*tick-l.k.Now())
}

// Cancel takes back what was set with After.
func (f *FD) Cancel() {
	f.loop.mu.Lock()
	f.loop.unschedule(f)
	f.loop.mu.Unlock()
}

// Now returns the loop's time when it last waited, in steps of 16 ms.
func (f *FD) Now() time.Duration { return time.Duration(f.loop.tick.Load()) * tick }

// Block says that the Serve which calls it is going to wait: the loop goes on immediately without it, on another goroutine. It
// does nothing in any other place.
func (f *FD) Block() {
	if d := f.loop.driver.Load(); d != nil {
		f.loop.takeOver(d, f, d.state.Load())
	}
}

// Read reads without waiting: it returns ErrAgain instead, and io.EOF at the end of the stream. Only the holder calls it.
func (f *FD) Read(p []byte) (int, error) { return f.loop.k.Read(int(f.fd), p) }

// Write writes what the kernel takes, and returns ErrAgain when that is nothing.
func (f *FD) Write(p []byte) (int, error) { return f.loop.k.Write(int(f.fd), p) }

// Writev is Write of two pieces in one system call.
func (f *FD) Writev(p [2][]byte) (int, error) { return f.loop.k.Writev(int(f.fd), p) }

// CloseWrite tells the peer that nothing more will come. The caller holds the lock.
func (f *FD) CloseWrite() { f.loop.k.CloseWrite(int(f.fd)) }

// Close closes the descriptor; when Serve returns, f leaves the loop. The caller is the holder, and holds the lock.
func (f *FD) Close() {
	if !f.closed {
		f.closed = true
		f.loop.k.Close(int(f.fd))
	}
}

// Detach takes f off the loop and returns its connection as a net.Conn, on a descriptor of its own. The caller is the
// holder, and holds the lock.
func (f *FD) Detach() (net.Conn, error) {
	f.closed = true
	f.loop.k.Disarm(int(f.fd))
	file := os.NewFile(uintptr(f.fd), "")
	defer file.Close()
	return net.FileConn(file)
}

// Closed reports whether f was closed or detached. The caller holds the lock.
func (f *FD) Closed() bool { return f.closed }

// Peer returns the address of the other end, nil when it is not known. The caller holds the lock.
func (f *FD) Peer() net.Addr {
	if f.closed {
		return nil
	}
	return f.loop.k.Peer(int(f.fd))
}

// Local returns the address of this end, nil when it is not known. The caller holds the lock.
func (f *FD) Local() net.Addr {
	if f.closed {
		return nil
	}
	return f.loop.k.Local(int(f.fd))
}

// Unsent returns how many bytes the kernel has that the peer has not acknowledged, -1 when that is not known. The caller
// holds the lock.
func (f *FD) Unsent() int {
	if f.closed {
		return -1
	}
	return f.loop.k.Unsent(int(f.fd))
}

// token is what the kernel gives back with f's events.
func (f *FD) token() uint64 { return uint64(f.birth)<<32 | uint64(f.slot) }

// visit does w. It returns false when d has lost the loop over it.
func (d *Driver) visit(w work) bool {
	f, what := w.f, w.what
	f.mu.Lock()
	if what&Woken != 0 {
		f.woken = false
		if f.armed == 0 {
			what |= Readable // it is new, and may have sent something
		}
	}
	switch {
	case f.closed:
	case f.held:
		f.h.Begin(d, what|Held)
	case f.h.Begin(d, what):
		d.engage(f)
		f.mu.Unlock()
		return d.serve(f, what)
	}
	f.mu.Unlock()
	return true
}

// serve calls Serve, and ends the visit.
func (d *Driver) serve(f *FD, what Events) bool {
	returned := false
	defer func() {
		if !returned {
			d.exits(f, recover())
		}
	}()
	f.h.Serve(d, what)
	returned = true
	return d.served(f)
}

// exits follows a Serve that ends this goroutine, by runtime.Goexit or a panic.
func (d *Driver) exits(f *FD, panicked any) {
	if panicked != nil {
		panic(panicked) // of the Handler: it is not for the loop to go on
	}
	defer func() {
		if d.served(f) {
			go d.l.drive() // in place of this goroutine
		}
	}()
	if !f.closed {
		f.h.Serve(d, 0)
	}
}

// served ends the visit of f, and reports whether d still has the loop.
func (d *Driver) served(f *FD) bool {
	if f.closed { // only the holder closes it
		f.loop.remove(f)
	}
	state := d.seq | busy
	if d.seq += oneVisit; d.state.CompareAndSwap(state, d.seq) {
		return true
	}
	f.letGo()
	d.lost = true
	return false
}

// letGo gives f back to the loop after its holder has lost it.
func (f *FD) letGo() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held = false
	if !f.closed {
		f.Arm(f.want) //nolint:errcheck // it was armed before
		f.Wake()      // whatever was asked for in the meantime
	}
}
