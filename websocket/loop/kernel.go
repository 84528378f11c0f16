package loop

import (
	"errors"
	"net"
	"time"
)

// Kernel is all that a loop wants of the operating system. It is an interface so that tests can play it: with short
// reads, full buffers, interrupted calls, wake-ups without cause, resets.
//
// Wait is called by one goroutine at a time. The other methods are safe for concurrent use, but nothing is called for a
// descriptor that has been closed.
type Kernel interface {
	// Wait fills events and returns how many there are. It waits for timeout at most, forever when that is negative, and
	// may return early without any.
	Wait(events []Event, timeout time.Duration) (int, error)
	// Wake ends a Wait that is under way, or else the next.
	Wake()
	// Arm says which events of fd are wanted from now on; token returns with them. first is set in fd's first call.
	Arm(fd int, token uint64, want Events, first bool) error
	// Disarm has the kernel forget fd, which stays open and need not have been armed.
	Disarm(fd int)

	// Accept returns a connection that waits at a listener.
	Accept(listener int) (fd int, err error)
	// Read, Write and Writev do not wait: they return ErrAgain instead. Read returns io.EOF at the end of the stream.
	Read(fd int, p []byte) (int, error)
	Write(fd int, p []byte) (int, error)
	Writev(fd int, p [2][]byte) (int, error)
	// CloseWrite tells the peer that nothing more will come.
	CloseWrite(fd int)
	// Close closes fd.
	Close(fd int)
	// Peer returns the address of the other end, nil when it is not known any more.
	Peer(fd int) net.Addr
	// Local returns the address of this end.
	Local(fd int) net.Addr
	// Unsent returns how many bytes the kernel has that the peer has not acknowledged, -1 when it does not know.
	Unsent(fd int) int

	// Now is a clock that never goes back.
	Now() time.Duration
	// Release gives back what the kernel itself holds.
	Release()
}

// ErrAgain indicates that a call would have to wait.
var ErrAgain = errors.New("loop: not ready")

// ErrNoDescriptors is returned by a [Kernel]'s Accept when the process or the system has no descriptor left.
var ErrNoDescriptors = errors.New("loop: out of descriptors")

// Events is a set of events: what a descriptor waits for, and why its [Handler] is called.
type Events uint8

// The events.
const (
	Readable Events = 1 << iota
	Writable        // there is room to write
	Hangup          // the connection is gone, or one direction of it; comes without being asked for
	Once            // to arm: no event after the next, until another set is armed
	Due             // the time set with FD.After has come
	Woken           // FD.Wake was called, or the descriptor is new
	Held            // for Begin: a Serve of this descriptor has lost the loop and is still under way

	known Events = 1 << 7 // in FD.armed: the kernel has heard of the descriptor
)

// Event is what a Kernel's Wait found.
type Event struct {
	Token uint64 // of the descriptor, as Arm was given it
	Ready Events // what it is ready for
}
