package loop_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/handfast/handfast/websocket/loop"
)

// tunnel passes bytes between two descriptors of one loop in both directions, as a proxy does. It only stores the bytes that one end's
// socket has not accepted, and does not read from the other end until these bytes are written.
//
// The mutex guards the tunnel and its ends, because a slow Serve loses the loop, and the new driver may then serve the other end
// concurrently. Lock order: the tunnel's mutex, then the lock of an FD.
type tunnel struct {
	mu     sync.Mutex
	ends   [2]end
	onEnd  func(error) // called when both ends are closed; may be nil
	err    error
	closed int
}

// end is one of the two descriptors of a tunnel.
type end struct {
	fd        loop.FD
	t         *tunnel
	other     *end
	queue     []byte // bytes from the other end that this end's socket has not accepted yet
	gotEOF    bool   // EOF was read from this end
	gotHangup bool   // the connection has ended; the kernel would report this repeatedly while this end is not read
	done      bool   // the tunnel has ended
}

// newTunnel connects a and b on a loop.
func newTunnel(ls *loop.Loops, a, b net.Conn, onEnd func(error)) (*tunnel, error) {
	pa, pb, err := ls.TakeBoth(a, b)
	if err != nil {
		return nil, err
	}
	t := &tunnel{onEnd: onEnd}
	t.ends[0].t, t.ends[0].other = t, &t.ends[1]
	t.ends[1].t, t.ends[1].other = t, &t.ends[0]
	pa.Add(&t.ends[0].fd, &t.ends[0])
	pb.Add(&t.ends[1].fd, &t.ends[1])
	t.ends[0].wake()
	t.ends[1].wake()
	return t, nil
}

func (e *end) wake() {
	e.fd.Lock()
	defer e.fd.Unlock()
	e.fd.Wake()
}

// Begin implements [loop.Handler].
func (e *end) Begin(_ *loop.Driver, why loop.Events) bool { return why&loop.Held == 0 }

// Lost implements [loop.Handler].
func (e *end) Lost() {}

// Serve implements [loop.Handler].
func (e *end) Serve(d *loop.Driver, why loop.Events) {
	e.t.mu.Lock()
	defer e.t.mu.Unlock()
	e.gotHangup = e.gotHangup || why&loop.Hangup != 0
	if !e.done {
		err := e.flush()
		if err == nil {
			err = e.pump(d)
		}
		if err != nil || e.gotEOF && e.other.gotEOF && len(e.queue)+len(e.other.queue) == 0 {
			e.t.err = errors.Join(e.t.err, err)
			e.done, e.other.done = true, true
			e.other.wake() // wakes the other end, which closes itself: only a descriptor's holder may close it
		}
	}
	e.fd.Lock()
	defer e.fd.Unlock()
	if e.done {
		e.fd.Close()
		if e.t.closed++; e.t.closed == len(e.t.ends) && e.t.onEnd != nil {
			e.t.onEnd(e.t.err)
		}
		return
	}
	e.arm()
}

// arm waits for Writable if bytes are queued for e, and for Readable if none are queued for the other end. The caller holds the
// lock.
func (e *end) arm() {
	var want loop.Events
	if len(e.queue) > 0 {
		want |= loop.Writable
	}
	if !e.gotEOF && len(e.other.queue) == 0 {
		want |= loop.Readable
	} else if e.gotHangup {
		want |= loop.Once
	}
	e.fd.Arm(want) //nolint:errcheck // a hangup is reported even if Arm fails
}

// flush writes the queued bytes of e. When all bytes are written, it wakes the other end, which then reads again.
func (e *end) flush() error {
	if len(e.queue) == 0 {
		return nil
	}
	if err := e.write(e.queue); err != nil || len(e.queue) > 0 {
		return err
	}
	e.queue = nil
	if e.other.gotEOF {
		e.closeWrite()
	}
	e.other.wake()
	return nil
}

// write writes as much of p as e's socket accepts, and queues the rest.
func (e *end) write(p []byte) error {
	e.fd.Lock()
	defer e.fd.Unlock()
	n, err := e.fd.Write(p)
	if err = wouldBlock(err); err == nil {
		e.queue = append([]byte(nil), p[n:]...)
	}
	return err
}

func (e *end) closeWrite() {
	e.fd.Lock()
	defer e.fd.Unlock()
	e.fd.CloseWrite()
}

// pump reads from e and writes to the other end.
func (e *end) pump(d *loop.Driver) error {
	for !e.gotEOF && len(e.other.queue) == 0 {
		n, err := e.fd.Read(d.Buffer())
		if err == io.EOF { //nolint:errorlint // io.EOF is never wrapped
			e.gotEOF = true
			e.other.closeWrite()
			return nil
		}
		if err != nil {
			return wouldBlock(err)
		}
		if err := e.other.write(d.Buffer()[:n]); err != nil {
			return err
		}
		if len(e.other.queue) > 0 {
			e.other.wake() // so that the other end is armed for Writable
		}
	}
	return nil
}

// wouldBlock converts ErrAgain to nil.
func wouldBlock(err error) error {
	if err == loop.ErrAgain { //nolint:errorlint // loop.ErrAgain is never wrapped
		return nil
	}
	return err
}

// A proxy's tunnel copies a client's request and the server's response, until both have closed their side.
func ExampleLoops_TakeBoth() {
	loops, err := loop.New(loop.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	client, front := connected()
	back, server := connected()
	over := make(chan error, 1)
	if _, err := newTunnel(loops, front, back, func(err error) { over <- err }); err != nil {
		fmt.Println(err)
		return
	}

	io.WriteString(client, "question")
	client.CloseWrite()
	question, _ := io.ReadAll(server)
	fmt.Printf("the server has read %q\n", question)
	io.WriteString(server, "answer")
	server.CloseWrite()
	answer, _ := io.ReadAll(client)
	fmt.Printf("the client has read %q\n", answer)
	fmt.Println("over:", <-over)

	client.Close()
	server.Close()
	loops.Stop()
	loops.Wait()
	// Output:
	// the server has read "question"
	// the client has read "answer"
	// over: <nil>
}

// connected returns the two ends of a connection.
func connected() (near, far *net.TCPConn) {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		panic(err)
	}
	defer l.Close()
	if near, err = net.DialTCP("tcp", nil, l.Addr().(*net.TCPAddr)); err != nil {
		panic(err)
	}
	if far, err = l.AcceptTCP(); err != nil {
		panic(err)
	}
	return near, far
}
