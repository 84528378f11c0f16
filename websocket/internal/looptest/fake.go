// Package looptest simulates the kernel of an event loop in tests.
package looptest

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket/loop"
)

// Fake is a kernel that a test controls. Each byte of its script determines the result of the next call. After the end of the
// script every call succeeds. A call for a closed descriptor fails the test.
type Fake struct {
	Script      []byte        // the remaining script
	Errs        bool          // the script can break connections
	Clock       time.Duration // the current time
	Queue       []*Conn       // connections that have not been accepted yet
	FailAccepts int           // number of accepts that fail because descriptors have run out
	Listening   loop.Events   // the events for which the listener is armed
	Quiet       bool          // Wait found no event, so only a deadline can end the wait
	Ticks       bool          // Wait advances the clock to the deadline if it finds no event

	t     testing.TB
	conns map[int]*Conn
	next  int      // the next descriptor number
	stale []uint64 // tokens of closed descriptors
}

// Conn is the client's end of a connection.
type Conn struct {
	In     []byte      // bytes that the server will read
	EOF    bool        // the server reads EOF after In
	Reset  bool        // the connection is broken
	Full   bool        // the server's send buffer is full
	Out    []byte      // bytes that the server has written
	Unsent int         // number of bytes of Out that are in the send buffer
	Half   bool        // the server has half-closed the connection
	Gone   bool        // the server has closed the descriptor
	Armed  loop.Events // the events for which the server has armed the descriptor
	token  uint64
}

// Listener is the descriptor of the only listener.
const Listener = 3

const listenBit = 1 << 63 // set in the token of a listener

// New returns a kernel controlled by script.
func New(t testing.TB, script []byte) *Fake {
	return &Fake{t: t, Script: script, conns: map[int]*Conn{}, next: 10, Clock: time.Hour}
}

// Client adds a pending connection of a client that has sent in.
func (k *Fake) Client(in string) *Conn {
	c := &Conn{In: []byte(in)}
	k.Queue = append(k.Queue, c)
	return c
}

// Open adds a connected client, and returns the server's descriptor.
func (k *Fake) Open(in string) (c *Conn, fd int) {
	c = &Conn{In: []byte(in)}
	fd = k.next
	k.next++
	k.conns[fd] = c
	return c, fd
}

// Play runs the loop until no more events happen unless the clock advances.
func (k *Fake) Play(ls *loop.Loops) {
	k.t.Helper()
	for range 100_000 {
		if !ls.Turn() {
			k.t.Fatal("the loop was lost")
		}
		if k.Quiet {
			return
		}
	}
	k.t.Fatal("the loop does not become idle")
}

// Pass advances the clock past the given number of deadlines.
func (k *Fake) Pass(ls *loop.Loops, deadlines int) {
	k.Ticks = true
	for range deadlines {
		ls.Turn()
	}
	k.Ticks = false
}

// nextByte returns the next byte of the script, or 0 after its end.
func (k *Fake) nextByte() byte {
	if len(k.Script) == 0 {
		return 0
	}
	b := k.Script[0]
	k.Script = k.Script[1:]
	return b
}

func (k *Fake) conn(fd int) *Conn {
	c := k.conns[fd]
	if c == nil || c.Gone {
		k.t.Fatalf("a call for descriptor %d, which is closed", fd)
	}
	return c
}

// Wait implements loop.Kernel.
func (k *Fake) Wait(events []loop.Event, timeout time.Duration) (int, error) {
	n := 0
	add := func(token uint64, r loop.Events) {
		if n < len(events) {
			events[n] = loop.Event{Token: token, Ready: r}
			n++
		}
	}
	k.Quiet = false
	if k.nextByte()%8 == 7 {
		return 0, nil // the wait is interrupted
	}
	idle := len(k.Queue) == 0 || k.Listening&loop.Readable == 0
	if len(k.Queue) > 0 && k.Listening&loop.Readable != 0 {
		add(listenBit, loop.Readable)
	}
	for fd := 10; fd < k.next; fd++ { // sorted, so that the test is reproducible
		c := k.conns[fd]
		if c.Gone {
			continue
		}
		var r loop.Events
		if c.Armed&loop.Readable != 0 && (len(c.In) > 0 || c.EOF || c.Reset || k.nextByte()%8 == 6) {
			r |= loop.Readable
		}
		if c.Armed&loop.Writable != 0 && (!c.Full || c.Reset) {
			idle = false
			if k.nextByte()%4 != 3 {
				r |= loop.Writable
			}
		}
		if c.Reset {
			r |= loop.Hangup
		}
		if r != 0 {
			if c.Armed&loop.Once != 0 {
				c.Armed = loop.Once
			}
			add(c.token, r)
		}
	}
	for _, token := range k.stale {
		add(token, loop.Readable|loop.Writable)
	}
	k.stale = nil
	if n == 0 && idle && timeout != 0 {
		k.Quiet = true
		if k.Ticks && timeout > 0 {
			k.Clock += timeout
		}
	}
	return n, nil
}

// Wake implements loop.Kernel.
func (k *Fake) Wake() {}

// Disarm implements loop.Kernel.
func (k *Fake) Disarm(fd int) { k.conn(fd).Armed = 0 }

// Unsent implements loop.Kernel.
func (k *Fake) Unsent(fd int) int { return k.conn(fd).Unsent }

// Arm implements loop.Kernel.
func (k *Fake) Arm(fd int, token uint64, interest loop.Events, first bool) error {
	if fd == Listener {
		k.Listening = interest
		return nil
	}
	c := k.conn(fd)
	if first != (c.token == 0) {
		k.t.Fatalf("descriptor %d is armed with a wrong value of first: %v", fd, first)
	}
	c.token, c.Armed = token, interest
	return nil
}

// Accept implements loop.Kernel.
func (k *Fake) Accept(int) (int, error) {
	if k.FailAccepts > 0 {
		k.FailAccepts--
		return 0, loop.ErrNoDescriptors
	}
	if len(k.Queue) == 0 {
		return 0, loop.ErrAgain
	}
	fd := k.next
	k.next++
	k.conns[fd] = k.Queue[0]
	k.Queue = k.Queue[1:]
	return fd, nil
}

var errReset = errors.New("reset by the script")

// Read implements loop.Kernel.
func (k *Fake) Read(fd int, p []byte) (int, error) {
	c := k.conn(fd)
	r := k.nextByte()
	if k.Errs && r == 255 || c.Reset {
		c.Reset = true
		return 0, errReset
	}
	switch {
	case len(c.In) == 0 && c.EOF:
		return 0, io.EOF
	case len(c.In) == 0 || r%16 == 15:
		return 0, loop.ErrAgain
	}
	n := min(len(c.In), len(p))
	if r > 0 {
		n = min(n, int(r))
	}
	copy(p, c.In[:n])
	c.In = c.In[n:]
	return n, nil
}

// Write implements loop.Kernel.
func (k *Fake) Write(fd int, p []byte) (int, error) {
	c := k.conn(fd)
	r := k.nextByte()
	if k.Errs && r == 255 || c.Reset {
		c.Reset = true
		return 0, errReset
	}
	if c.Full || r%16 == 15 {
		return 0, loop.ErrAgain
	}
	n := len(p)
	if r > 0 {
		n = min(n, int(r))
	}
	c.Out = append(c.Out, p[:n]...)
	return n, nil
}

// Writev implements loop.Kernel.
func (k *Fake) Writev(fd int, p [2][]byte) (int, error) {
	return k.Write(fd, []byte(string(p[0])+string(p[1])))
}

// CloseWrite implements loop.Kernel.
func (k *Fake) CloseWrite(fd int) { k.conn(fd).Half = true }

// Close implements loop.Kernel.
func (k *Fake) Close(fd int) {
	if fd != Listener {
		c := k.conn(fd)
		c.Gone = true
		k.stale = append(k.stale, c.token)
	}
}

// Peer implements loop.Kernel.
func (k *Fake) Peer(int) net.Addr { return &net.TCPAddr{} }

// Local implements loop.Kernel.
func (k *Fake) Local(int) net.Addr { return &net.TCPAddr{} }

// Now implements loop.Kernel.
func (k *Fake) Now() time.Duration { return k.Clock }

// Release implements loop.Kernel.
func (k *Fake) Release() {}
