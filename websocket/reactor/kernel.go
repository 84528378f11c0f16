package reactor

import (
	"errors"
	"net"
	"time"
)

// kernel is all that a loop wants of the operating system. It is an interface so that tests can play it: with short
// reads, full buffers, interrupted calls, wake-ups without cause, resets.
//
// wait is called by one goroutine at a time. The other methods may be called at once from anywhere, but nothing is
// called for a descriptor that has been closed.
type kernel interface {
	// wait fills events and returns how many there are. It waits for timeout at most, for ever when that is negative, and
	// may return early without any.
	wait(events []event, timeout time.Duration) (int, error)
	// wake ends a wait that is under way, or else the next.
	wake()
	// arm says which events of fd are wanted from now on; token comes back with them. first is set in fd's first call.
	arm(fd int, token uint64, interest readiness, first bool) error

	// accept returns a connection that waits at a listener.
	accept(listener int) (fd int, err error)
	// read, write and writev do not wait: they return errAgain instead. read returns io.EOF at the end of the stream.
	read(fd int, p []byte) (int, error)
	write(fd int, p []byte) (int, error)
	writev(fd int, p [2][]byte) (int, error)
	// closeWrite tells the peer that nothing more will come.
	closeWrite(fd int)
	close(fd int)
	// peer returns the address of the other end, nil when it is not known any more.
	peer(fd int) net.Addr
	// local returns the address of this end.
	local(fd int) net.Addr

	// now is a clock that never goes back.
	now() time.Duration
	// release gives back what the kernel itself holds.
	release()
}

// errAgain says that a call would have to wait.
var errAgain = errors.New("reactor: not ready")

// errNoDescriptors is accept's when the process or the system has no descriptor left.
var errNoDescriptors = errors.New("reactor: out of descriptors")

// readiness is a set of events, wanted or come.
type readiness uint8

const (
	readable readiness = 1 << iota
	writable           // there is room to write
	hangup             // the connection is gone, or one direction of it; comes unasked
	once               // of those wanted: no event any more after the next, until armed again
)

// event is what a wait found.
type event struct {
	token uint64
	ready readiness
}
