package loop

import (
	"errors"
	"time"
)

// pauseFor is how long a loop without descriptors waits until it tries to accept again.
const pauseFor = 100 * time.Millisecond

// listener is a listening descriptor, -1 when it is closed, and what takes its connections.
type listener struct {
	fd   int
	take func(Place) *FD
}

// listen has l accept from a listener, whose descriptor becomes l's. It returns the listener's number.
func (l *loop) listen(fd int, take func(Place) *FD) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.listeners)
	if err := l.k.Arm(fd, listenBit|uint64(n), Readable, true); err != nil {
		return 0, err
	}
	l.listeners = append(l.listeners, listener{fd, take})
	return n, nil
}

// deafen closes a listener.
func (l *loop) deafen(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at := &l.listeners[n]; at.fd >= 0 {
		l.k.Close(at.fd)
		*at = listener{fd: -1}
	}
}

// listenAgain arms the listeners after a pause, or with 0 makes the pause. The caller holds mu.
func (l *loop) listenAgain(want Events) {
	for i, at := range l.listeners {
		if at.fd >= 0 {
			l.k.Arm(at.fd, listenBit|uint64(i), want, false) //nolint:errcheck // it was armed before
		}
	}
}

// accept takes the connections that wait at a listener. It returns false when the loop was lost over one of them.
func (l *loop) accept(d *Driver, n int) bool {
	for range batchSize {
		l.mu.Lock()
		fd, err := -1, ErrAgain
		at := l.listeners[n]
		if at.fd >= 0 {
			fd, err = l.k.Accept(at.fd)
		}
		if errors.Is(err, ErrNoDescriptors) {
			l.listenAgain(0)
			l.resume = l.tick.Load() + ticks(pauseFor)
		}
		l.mu.Unlock()
		if err != nil {
			return true // what is wrong with a listener, if anything is, the next wait says again
		}
		to := l.ls.idlest(l)
		if !to.hold() {
			to = l
			to.hold() // it has not ended: its driver is here
		}
		f := at.take(Place{to, fd})
		to.release()
		switch {
		case f == nil:
			l.k.Close(fd)
		case to != l:
			f.mu.Lock()
			f.Wake() // its own driver looks at it
			f.mu.Unlock()
		case !d.visit(work{f: f, what: Readable}):
			return false
		}
	}
	return true
}
