package loop

import (
	"errors"
	"net"
	"time"
)

// Kernel is the operating system as a loop uses it. It is an interface so that tests can simulate short reads, full buffers,
// interrupted calls, spurious wake-ups and resets.
//
// Wait is called by one goroutine at a time. The other methods are safe for concurrent use, but none is called for a descriptor
// that has been closed.
type Kernel interface {
	// Wait fills events and returns their number. It waits for at most timeout, or indefinitely if timeout is negative, and may return
	// early without any event.
	Wait(events []Event, timeout time.Duration) (int, error)
	// Wake terminates the current Wait, or the next one if no Wait is in progress.
	Wake()
	// Arm sets the events to report for fd, with the given token. first is set in the first call for fd.
	Arm(fd int, token uint64, want Events, first bool) error
	// Disarm removes fd, which stays open. It has no effect if Arm was not called for fd.
	Disarm(fd int)

	// Accept returns a pending connection of a listener.
	Accept(listener int) (fd int, err error)
	// Read, Write and Writev do not wait: they return ErrAgain if they would have to. Read returns io.EOF at the end of the stream.
	Read(fd int, p []byte) (int, error)
	Write(fd int, p []byte) (int, error)
	Writev(fd int, p [2][]byte) (int, error)
	// CloseWrite shuts down the writing side of the connection.
	CloseWrite(fd int)
	// Close closes fd.
	Close(fd int)
	// Peer returns the address of the other end, or nil if it is no longer known.
	Peer(fd int) net.Addr
	// Local returns the address of this end.
	Local(fd int) net.Addr
	// Unsent returns the number of bytes that the kernel has accepted and the peer has not acknowledged, or -1 if the number is unknown.
	Unsent(fd int) int

	// Now returns the time of a monotonic clock.
	Now() time.Duration
	// Release releases the kernel's own resources.
	Release()
}

// ErrAgain indicates that a call would have to wait.
var ErrAgain = errors.New("loop: not ready")

// ErrNoDescriptors is returned by a [Kernel]'s Accept when the process or the system lacks descriptors or memory.
var ErrNoDescriptors = errors.New("loop: out of descriptors")

// Events is a set of events: those that a descriptor waits for, or those for which its [Handler] is called.
type Events uint8

// The events.
const (
	Readable Events = 1 << iota
	Writable        // the send buffer has room
	Hangup          // the connection, or one direction of it, has ended; reported even if not requested with Arm
	Once            // in Arm: report no event after the next one until Arm is called again
	Due             // the time set with FD.After has passed
	Woken           // FD.Wake was called, or the descriptor is new
	Held            // in Begin: a Serve of this descriptor has lost the loop and is still running

	registered Events = 1 << 7 // in FD.armed: the descriptor is registered with the kernel
)

// Event is a result of a Kernel's Wait.
type Event struct {
	Token uint64 // the descriptor's token, as passed to Arm
	Ready Events // the events
}
