package reactor

import (
	"errors"
	"time"
)

// pauseFor is how long a loop without descriptors waits until it tries to accept again.
const pauseFor = 100 * time.Millisecond

// listen has l accept from a listener, whose descriptor becomes l's.
func (l *loop) listen(fd int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.k.arm(fd, listenBit|uint64(len(l.listeners)), readable, true); err != nil {
		return err
	}
	l.listeners = append(l.listeners, fd)
	return nil
}

// deafen closes all listeners.
func (l *loop) deafen() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, fd := range l.listeners {
		if fd >= 0 {
			l.k.close(fd)
			l.listeners[i] = -1
		}
	}
}

// listenAgain arms the listeners after a pause, or with 0 makes the pause. The caller holds mu.
func (l *loop) listenAgain(interest readiness) {
	for i, fd := range l.listeners {
		if fd >= 0 {
			l.k.arm(fd, listenBit|uint64(i), interest, false) //nolint:errcheck // it was armed before
		}
	}
}

// accept takes the connections that wait at a listener. It returns false when the loop was lost over one of them.
func (l *loop) accept(d *driver, listener int) bool {
	for range batchSize {
		l.mu.Lock()
		fd, err := -1, errAgain
		if at := l.listeners[listener]; at >= 0 {
			fd, err = l.k.accept(at)
		}
		if errors.Is(err, errNoDescriptors) {
			l.listenAgain(0)
			l.resume = l.tick.Load() + ticks(pauseFor)
		}
		l.mu.Unlock()
		if err != nil {
			return true // what is wrong with a listener, if anything is, the next wait says again
		}
		to := l.s.idlest(l)
		c := l.s.enter(to, &Conn{fd: int32(fd)})
		if to != l {
			c.mu.Lock()
			to.ask(c) // its own driver looks at it
			c.mu.Unlock()
		} else if !d.visit(work{c: c, what: chore(readable)}) {
			return false
		}
	}
	return true
}
