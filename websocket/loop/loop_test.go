package loop_test

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/internal/looptest"
	"github.com/handfast/handfast/websocket/loop"
)

// echo echoes the bytes that it reads.
type echo struct {
	fd      loop.FD
	buf     []byte // bytes that the socket has not accepted yet
	eof     bool
	due     int
	serve   func(d *loop.Driver, why loop.Events) // called first in Serve; may be nil
	lost    int
	closed  chan error // receives the final error; may be nil
	blocked bool
}

func (e *echo) Begin(_ *loop.Driver, why loop.Events) bool { return why&loop.Held == 0 }

func (e *echo) Lost() { e.lost++ }

func (e *echo) lostTimes() int {
	e.fd.Lock()
	defer e.fd.Unlock()
	return e.lost
}

func (e *echo) Serve(d *loop.Driver, why loop.Events) {
	if e.serve != nil {
		e.serve(d, why)
	}
	if why&loop.Due != 0 {
		e.due++
	}
	err := e.pump(d)
	e.fd.Lock()
	defer e.fd.Unlock()
	switch {
	case err != nil || e.eof && len(e.buf) == 0:
		e.fd.Close()
		if e.closed != nil {
			e.closed <- err
		}
	case len(e.buf) > 0:
		e.fd.Arm(loop.Writable) //nolint:errcheck // if this fails, the test fails, too
	default:
		e.fd.Arm(loop.Readable) //nolint:errcheck // if this fails, the test fails, too
	}
}

func (e *echo) pump(d *loop.Driver) error {
	for {
		for len(e.buf) > 0 {
			n, err := e.fd.Write(e.buf)
			if err != nil {
				return ignore(err)
			}
			e.buf = e.buf[n:]
		}
		if e.eof {
			return nil
		}
		n, err := e.fd.Read(d.Buffer())
		if err == io.EOF { //nolint:errorlint // io.EOF is never wrapped
			e.eof = true
			return nil
		}
		if err != nil {
			return ignore(err)
		}
		e.buf = append(e.buf, d.Buffer()[:n]...)
	}
}

func ignore(err error) error {
	if err == loop.ErrAgain { //nolint:errorlint // loop.ErrAgain is never wrapped
		return nil
	}
	return err
}

// stage returns a loop on a fake kernel whose connections echo.
func stage(t testing.TB, script []byte) (*looptest.Fake, *loop.Loops, *[]*echo) {
	t.Helper()
	k := looptest.New(t, script)
	ls := loop.Manual(k)
	all := new([]*echo)
	_, err := ls.ListenOn(looptest.Listener, func(p loop.Place) *loop.FD {
		e := new(echo)
		*all = append(*all, e)
		p.Add(&e.fd, e)
		return &e.fd
	})
	if err != nil {
		t.Fatal(err)
	}
	return k, ls, all
}

func TestDifficultKernel(t *testing.T) {
	text := strings.Repeat("0123456789", 100)
	for name, script := range map[string]string{
		"easy":                   "",
		"one byte at a time":     strings.Repeat("\x01", 5000),
		"not ready":              strings.Repeat("\x0f", 100) + strings.Repeat("\x02", 3000),
		"interrupted waits":      strings.Repeat("\x07", 500),
		"wake-ups without cause": strings.Repeat("\x06", 100) + strings.Repeat("\x0e", 300),
	} {
		t.Run(name, func(t *testing.T) {
			k, ls, _ := stage(t, []byte(script))
			c := k.Client(text)
			k.Play(ls)
			if string(c.Out) != text || ls.Len() != 1 {
				t.Errorf("%d bytes were echoed, %d connections", len(c.Out), ls.Len())
			}
			c.EOF = true
			k.Play(ls)
			if !c.Gone || ls.Len() != 0 {
				t.Errorf("closed: %v, %d connections", c.Gone, ls.Len())
			}
		})
	}
}

// An event of a closed descriptor is not delivered to the descriptor that has reused its slot.
func TestSlotsAreReused(t *testing.T) {
	k, ls, all := stage(t, nil)
	for i := range 5 {
		c := k.Client("x")
		c.EOF = true
		k.Play(ls)
		if !c.Gone || string(c.Out) != "x" || len(*all) != i+1 {
			t.Fatalf("connection %d: %+v", i, c)
		}
	}
}

func TestTimers(t *testing.T) {
	k, ls, all := stage(t, nil)
	k.Client("")
	k.Play(ls)
	e := (*all)[0]
	e.fd.After(time.Hour)
	e.fd.After(time.Second)
	begun := k.Clock
	k.Pass(ls, 1)
	k.Play(ls)
	if d := k.Clock - begun; e.due != 1 || d < time.Second || d > time.Second+32*time.Millisecond {
		t.Errorf("%d times after %v", e.due, d)
	}
	e.fd.After(time.Second)
	e.fd.Cancel()
	k.Pass(ls, 3)
	if e.due != 1 {
		t.Error("a timer that was cancelled has fired")
	}
}

// Each further failure doubles the pause; a connection makes it short again.
func TestNoDescriptorsPausesAccepting(t *testing.T) {
	k, ls, all := stage(t, nil)
	const precision = 16 * time.Millisecond // a pause lasts until the next tick of the loop's clock
	for round := range 2 {
		k.FailAccepts = 6
		k.Client("x")
		for pause := 5 * time.Millisecond; k.FailAccepts > 0; pause *= 2 {
			begun := k.Clock
			k.Play(ls)
			if len(*all) != round {
				t.Fatal("a connection without a descriptor")
			}
			k.Pass(ls, 1)
			if d := k.Clock - begun; d < pause || d > pause+2*precision {
				t.Errorf("a pause of %v, want %v", d, pause)
			}
		}
		k.Play(ls)
		if len(*all) != round+1 || k.Listening != loop.Readable {
			t.Fatalf("%d connections", len(*all))
		}
	}
}

// FuzzKernel checks that all bytes are echoed even if the kernel's calls are partial or not ready, and that the
// connection is closed even if they fail.
func FuzzKernel(f *testing.F) {
	f.Add("hello", []byte("\x01\x02\x0f\x06\x07\x03"), false)
	f.Add(strings.Repeat("x", 300), []byte{1, 255, 15, 31, 7, 6, 3, 255}, true)
	f.Fuzz(func(t *testing.T, in string, script []byte, errs bool) {
		k, ls, all := stage(t, script)
		k.Errs = errs
		c := k.Client(in)
		k.Play(ls)
		c.EOF = true
		k.Play(ls)
		if !c.Gone || ls.Len() != 0 || len(*all) != 1 {
			t.Fatalf("the connection does not end: %+v", c)
		}
		if !errs && string(c.Out) != in {
			t.Errorf("%q was echoed instead of %q", c.Out, in)
		}
	})
}

const testTimeout = 2 * time.Minute

// newTestLoop returns an event loop on the system's kernel, and a connection to a handler on it.
func newTestLoop(t *testing.T, e *echo) (*loop.Loops, *net.TCPConn) {
	t.Helper()
	ls, err := loop.New(loop.Options{Loops: 1})
	if errors.Is(err, errors.ErrUnsupported) {
		t.Logf("event loops are not supported: %v", err)
		return nil, nil
	}
	if err != nil {
		t.Fatal(err)
	}
	near, far := tcpPair(t)
	place, err := ls.Take(far)
	if err != nil {
		t.Fatal(err)
	}
	place.Add(&e.fd, e)
	e.fd.Lock()
	e.fd.Wake()
	e.fd.Unlock()
	t.Cleanup(func() {
		near.Close()
		ls.Stop()
		ls.Wait()
	})
	return ls, near
}

func tcpPair(t *testing.T) (near, far *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(testTimeout))
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

func receive[T any](t *testing.T, ch <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-time.After(testTimeout):
		t.Fatal("nothing arrived in time")
	}
	return v
}

func roundTrip(t *testing.T, nc net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(nc, text); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, len(text))
	if _, err := io.ReadFull(nc, b); err != nil || string(b) != text {
		t.Fatalf("read %q, %v", b, err)
	}
}

// A Serve that blocks does not delay other descriptors, whether it calls Block or not. Meanwhile its own descriptor is not visited.
func TestServeThatBlocks(t *testing.T) {
	for _, says := range []bool{false, true} {
		waits, release := make(chan bool, 1), make(chan bool)
		slow, fast := &echo{closed: make(chan error, 1)}, &echo{closed: make(chan error, 1)}
		slow.serve = func(_ *loop.Driver, why loop.Events) {
			if why&loop.Readable != 0 && !slow.blocked {
				slow.blocked = true
				if says {
					slow.fd.Block()
				}
				waits <- true
				<-release
			}
		}
		ls, a := newTestLoop(t, slow)
		if ls == nil {
			return
		}
		near, far := tcpPair(t)
		place, err := ls.Take(far)
		if err != nil {
			t.Fatal(err)
		}
		place.Add(&fast.fd, fast)
		fast.fd.Lock()
		fast.fd.Wake()
		fast.fd.Unlock()
		io.WriteString(a, "x")
		receive(t, waits)
		for range 100 {
			roundTrip(t, near, "not stalled")
		}
		io.WriteString(a, "y")
		release <- true
		b := make([]byte, 2)
		if _, err := io.ReadFull(a, b); err != nil || string(b) != "xy" || slow.lostTimes() != 1 {
			t.Errorf("read %q, %v; lost %d times", b, err, slow.lostTimes())
		}
		near.Close()
		a.Close()
		receive(t, slow.closed)
		receive(t, fast.closed)
	}
}

// A Serve that calls runtime.Goexit is called once more, and its loop continues with one driver: a new driver, or, if the loop was lost
// before, the driver that has taken over.
func TestServeThatExitsItsGoroutine(t *testing.T) {
	for _, lost := range []bool{false, true} {
		exits, stays := &echo{closed: make(chan error, 1)}, &echo{closed: make(chan error, 1)}
		reasons := make(chan loop.Events, 2)
		exits.serve = func(_ *loop.Driver, why loop.Events) {
			select {
			case reasons <- why:
			default: // the test checks only the first two calls
			}
			if why&loop.Readable != 0 && !exits.blocked {
				exits.blocked = true
				if lost {
					exits.fd.Block()
				}
				runtime.Goexit()
			}
		}
		ls, a := newTestLoop(t, exits)
		if ls == nil {
			return
		}
		near, far := tcpPair(t)
		place, err := ls.Take(far)
		if err != nil {
			t.Fatal(err)
		}
		place.Add(&stays.fd, stays)
		stays.fd.Lock()
		stays.fd.Wake()
		stays.fd.Unlock()
		if first, second := receive(t, reasons), receive(t, reasons); first&loop.Readable == 0 || second != 0 {
			t.Errorf("lost %v: called with %b and then with %b", lost, first, second)
		}
		for range 10 {
			roundTrip(t, near, "it goes on")
			roundTrip(t, a, "and so does this")
		}
		near.Close()
		a.Close()
		receive(t, exits.closed)
		receive(t, stays.closed)
	}
}

// A stopped loop ends with its last descriptor, even if the goroutine that serves that descriptor no longer drives the loop.
func TestStopWaitsForAServeThatBlocks(t *testing.T) {
	waits, release, ended := make(chan bool, 1), make(chan bool), make(chan bool)
	e := &echo{closed: make(chan error, 1)}
	e.serve = func(_ *loop.Driver, why loop.Events) {
		if why&loop.Readable != 0 && !e.blocked {
			e.blocked = true
			e.fd.Block()
			waits <- e.lostTimes() == 1
			<-release
			e.eof = true
		}
	}
	ls, nc := newTestLoop(t, e)
	if ls == nil {
		return
	}
	e.fd.Block() // has no effect outside of Serve
	io.WriteString(nc, "x")
	if !receive(t, waits) {
		t.Error("Block returned with the loop")
	}
	ls.Stop()
	go func() { ls.Wait(); close(ended) }()
	select {
	case <-ended:
		t.Error("the loop ended before its descriptor")
	default:
	}
	close(release)
	receive(t, e.closed)
	receive(t, ended)
}

// Each calls its function exactly for the handlers of the descriptors that are on the loop, even after others have been removed.
func TestEach(t *testing.T) {
	k, ls, all := stage(t, nil)
	met := func() (n int) {
		ls.Each(func(h loop.Handler) {
			if h.(*echo) != nil {
				n++
			}
		})
		return n
	}
	if n := met(); n != 0 {
		t.Errorf("%d of none", n)
	}
	conns := []*looptest.Conn{k.Client(""), k.Client(""), k.Client("")}
	k.Play(ls)
	if n := met(); n != 3 || len(*all) != 3 {
		t.Errorf("%d of three", n)
	}
	conns[1].EOF = true
	k.Play(ls)
	if n := met(); n != 2 || ls.Len() != 2 {
		t.Errorf("%d of two that are left", n)
	}
}

// Left returns the time until the deadline of After.
func TestLeft(t *testing.T) {
	k, ls, all := stage(t, nil)
	k.Client("")
	k.Play(ls)
	f := &(*all)[0].fd
	f.Cancel()
	if left := f.Left(); left != 0 {
		t.Errorf("%v before anything is due", left)
	}
	f.After(3200 * time.Millisecond) // 200 ticks
	k.Clock += 1600 * time.Millisecond
	if left := f.Left(); left != 1600*time.Millisecond {
		t.Errorf("%v of 1.6 s", left)
	}
	k.Clock += time.Hour
	if left := f.Left(); left != 0 {
		t.Errorf("%v beyond", left)
	}
}

func TestDetach(t *testing.T) {
	out := make(chan net.Conn, 1)
	e := new(echo)
	d := &detachHandler{echo: e, out: out}
	ls, err := loop.New(loop.Options{Loops: 1})
	if errors.Is(err, errors.ErrUnsupported) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	near, far := tcpPair(t)
	place, err := ls.Take(far)
	if err != nil {
		t.Fatal(err)
	}
	place.Add(&e.fd, d)
	e.fd.Lock()
	e.fd.Wake()
	e.fd.Unlock()
	nc := receive(t, out)
	if _, err := io.WriteString(nc, "detached"); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 8)
	if _, err := io.ReadFull(near, b); err != nil || string(b) != "detached" {
		t.Errorf("read %q, %v", b, err)
	}
	nc.Close()
	near.Close()
	ls.Stop()
	ls.Wait()
}

type detachHandler struct {
	*echo
	out chan net.Conn
}

func (d *detachHandler) Serve(*loop.Driver, loop.Events) {
	d.fd.Lock()
	defer d.fd.Unlock()
	nc, err := d.fd.Detach()
	if err != nil {
		panic(err)
	}
	d.out <- nc
}

func TestOnlyExactSocketsAreTaken(t *testing.T) {
	ls, err := loop.New(loop.Options{Loops: 1})
	if errors.Is(err, errors.ErrUnsupported) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { ls.Stop(); ls.Wait() }()
	near, far := tcpPair(t)
	defer near.Close()
	defer far.Close()
	if _, err := ls.Take(struct{ *net.TCPConn }{far}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a wrapped socket: %v", err)
	}
	if _, _, err := ls.TakeBoth(struct{ *net.TCPConn }{far}, near); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a wrapped socket and another: %v", err)
	}
	ask := func() { _, err = io.WriteString(far, "as it was") }
	if ask(); err != nil {
		t.Error(err)
	}
	near.Close() // near's last descriptor, unless TakeBoth has kept one
	far.SetDeadline(time.Now().Add(testTimeout))
	if _, err := far.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the other end: %v", err)
	}
}

// Take closes the connection that it is passed. When its place is discarded, the peer reads EOF.
func TestTakeMovesTheSocket(t *testing.T) {
	ls, err := loop.New(loop.Options{Loops: 1})
	if errors.Is(err, errors.ErrUnsupported) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { ls.Stop(); ls.Wait() }()
	var nears, fars [3]*net.TCPConn
	var places [3]loop.Place
	for i := range nears {
		nears[i], fars[i] = tcpPair(t)
		defer nears[i].Close()
	}
	places[0], err = ls.Take(fars[0])
	if err != nil {
		t.Fatal(err)
	}
	if places[1], places[2], err = ls.TakeBoth(fars[1], fars[2]); err != nil {
		t.Fatal(err)
	}
	for i, far := range fars {
		if _, err := far.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("connection %d is still open: %v", i, err)
		}
		if peer := places[i].Peer(); peer == nil || peer.String() != nears[i].LocalAddr().String() {
			t.Errorf("place %d has the peer %v, want %v", i, peer, nears[i].LocalAddr())
		}
		places[i].Discard()
		if n, err := nears[i].Read(make([]byte, 1)); n != 0 || err != io.EOF { //nolint:errorlint // io.EOF is never wrapped
			t.Errorf("the peer of a place that was discarded reads %d bytes, %v", n, err)
		}
	}
}

// tracingKernel reports the start of each Wait, and the call of Release.
type tracingKernel struct {
	loop.Kernel
	turns chan string
}

func (k tracingKernel) Wait(events []loop.Event, timeout time.Duration) (int, error) {
	select {
	case k.turns <- "wait":
	default: // the test does not need more reports
	}
	return k.Kernel.Wait(events, timeout)
}

func (k tracingKernel) Release() {
	k.turns <- "release"
	k.Kernel.Release()
}

// The loop of a connection that is accepted while the loops stop does not end before the connection has been added. So the connection is
// served or closed.
func TestAcceptDuringStop(t *testing.T) {
	turns := make(chan string, 100)
	kernels := 0
	ls, err := loop.New(loop.Options{Loops: 2, Kernel: func() (loop.Kernel, error) {
		k, err := loop.NewKernel()
		if kernels++; kernels == 2 && err == nil {
			k = tracingKernel{k, turns}
		}
		return k, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var conns []net.Conn
	accepted := 0
	stop, err := ls.Listen(l, func(p loop.Place) *loop.FD {
		e := &echo{}
		if accepted++; accepted == 2 { // assigned to the other loop, which has no descriptors
			for len(turns) > 0 {
				<-turns
			}
			ls.Stop()
			bounded.Receive(t, turns) // the other loop has noticed the stop
		}
		p.Add(&e.fd, e)
		return &e.fd
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		nc, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		nc.SetDeadline(time.Now().Add(testTimeout))
		io.WriteString(nc, "hi")
		if _, err := io.ReadFull(nc, make([]byte, 2)); err != nil {
			t.Fatalf("a connection is not served: %v", err)
		}
		conns = append(conns, nc)
	}
	for _, nc := range conns {
		nc.Close()
	}
	stop()
	ls.Wait()
}
