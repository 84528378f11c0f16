package loop

import "errors"

// listener consists of a listening descriptor, -1 after it was closed, and the function that receives its connections.
type listener struct {
	fd       int
	onAccept func(Place) *FD
}

// listen makes l accept connections from a listener, whose descriptor l then owns. It returns the listener's number.
func (l *loop) listen(fd int, onAccept func(Place) *FD) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.listeners)
	if err := l.k.Arm(fd, listenBit|uint64(n), Readable, true); err != nil {
		return 0, err
	}
	l.listeners = append(l.listeners, listener{fd, onAccept})
	return n, nil
}

// closeListener closes a listener.
func (l *loop) closeListener(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at := &l.listeners[n]; at.fd >= 0 {
		l.k.Close(at.fd)
		*at = listener{fd: -1}
	}
}

// armListeners arms all listeners for want: 0 at the beginning of a pause, and Readable at its end. The caller holds mu.
func (l *loop) armListeners(want Events) {
	for i, at := range l.listeners {
		if at.fd >= 0 {
			l.k.Arm(at.fd, listenBit|uint64(i), want, false) //nolint:errcheck // arming the listener has succeeded before
		}
	}
}

// accept accepts the pending connections of a listener. It returns false if the loop was lost during one of the calls.
func (l *loop) accept(d *Driver, n int) bool {
	for range batchSize {
		l.mu.Lock()
		fd, err := -1, ErrAgain
		at := l.listeners[n]
		if at.fd >= 0 {
			fd, err = l.k.Accept(at.fd)
		}
		if errors.Is(err, ErrNoDescriptors) {
			l.armListeners(0)
			l.resumeAccept = l.tick.Load() + ticks(l.acceptBackoff.Next())
		}
		l.mu.Unlock()
		if err != nil {
			return true // the next wait reports a failure of the listener, if any
		}
		l.acceptBackoff.Reset()
		to := l.ls.leastLoaded(l)
		if !to.hold() {
			to = l
			to.hold() // succeeds: l has not ended, because its driver runs this function
		}
		f := at.onAccept(Place{to, fd})
		to.release()
		switch {
		case f == nil:
			l.k.Close(fd)
		case to != l:
			f.mu.Lock()
			f.Wake() // the driver of the chosen loop visits f
			f.mu.Unlock()
		case !d.visit(task{f: f, what: Readable}):
			return false
		}
	}
	return true
}
