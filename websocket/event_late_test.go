//go:build linux

package websocket

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/internal/looptest"
	"github.com/handfast/handfast/websocket/internal/opening"
	"github.com/handfast/handfast/websocket/loop"
	"github.com/handfast/handfast/websocket/protocol"
)

// Shutdown may find a connection before the time limit of its handshake is set, and close it.
func TestEventAdoptDuringShutdown(t *testing.T) {
	ls, err := newEventLoops(2)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	stop := make(chan struct{})
	var looking sync.WaitGroup
	for range 2 {
		looking.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					ls.each(func(c *eventConn) { c.Shut(CodeGoingAway, "") })
				}
			}
		})
	}
	k := &eventKind{opts: new(ConnOptions).settings(), open: func(Sender) Receiver { return nil }}
	for range 500 {
		far, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		near, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ls.adopt(k, near, upgradedConn{}); err != nil {
			t.Fatal(err)
		}
		far.Close()
	}
	close(stop)
	looking.Wait()
	ls.each(func(c *eventConn) { c.CloseNow() })
	ls.Stop()
	ls.Wait()
}

// A connection that is accepted just when Shutdown begins is not kept open until the time limit of its handshake.
func TestEventAcceptDuringShutdown(t *testing.T) {
	ls, err := newEventLoops(1)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	e := &Endpoint{Open: func(Sender) Receiver { return nil }}
	s := ownServer(e)
	x := service{conn: &e.Accept.Conn, open: e.Open}
	k := newEventKind(reporter{endpoint: e, server: s}, &x)
	k.opening = &eventOpening{headTimeout: testTimeout, roster: &e.roster}
	stop, err := ls.listen(l, k, func() bool {
		k.count(1)
		s.roster.halt(false) // at this point, every connection has been notified
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	nc := dialRaw(t, l.Addr().String())
	if _, err := nc.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the client read %v", err)
	}
	bounded.Receive(t, s.roster.idleChan())
	stop()
	ls.Stop()
	ls.Wait()
}

// TestShutdown_EndsTheLoops covers Shutdown of a Server, and of an Endpoint behind net/http.
func TestShutdown_EndsTheLoops(t *testing.T) {
	e, behind := &Endpoint{Open: openEcho}, &Endpoint{Open: openEcho}
	s := ownServer(e)
	by := httptest.NewServer(behind)
	defer by.Close()
	for name, tt := range map[string]struct {
		addr     string
		loops    *lazyLoops
		shutdown func(context.Context) error
	}{
		"Server":   {serveOwn(t, s), &s.loops, s.Shutdown},
		"Endpoint": {by.Listener.Addr().String(), &behind.loops, behind.Shutdown},
	} {
		c, err := Dial(bounded.Context(t), "ws://"+tt.addr, &DialOptions{Proxy: noProxy})
		if err != nil {
			t.Fatal(err)
		}
		defer c.CloseNow()
		ls := tt.loops.get(0)
		if ls == nil || ls.Len() != 1 {
			t.Fatalf("%s: the connection is on no loop", name)
		}
		go c.Read(bounded.Context(t)) //nolint:errcheck // Read only replies to the close frame
		if err := tt.shutdown(bounded.Context(t)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		ended := make(chan struct{})
		go func() { ls.Wait(); close(ended) }()
		bounded.Receive(t, ended)
		if tt.loops.use(0, func(*eventLoops) bool { return true }) {
			t.Errorf("%s: the loops can be used after Shutdown", name)
		}
	}
}

// After Shutdown of an Endpoint, clients receive a 503 response, even those that connected before it.
func TestEndpoint_ShutdownBehindServer(t *testing.T) {
	for name, e := range map[string]*Endpoint{"Serve": {Serve: serveEcho}, "Open": {Open: openEcho}} {
		t.Run(name, func(t *testing.T) {
			addr := serveOwn(t, ownServer(e))
			before := dialRaw(t, addr)
			io.WriteString(before, sampleRequest[:6])
			r, nc, br := exchangeHead(t, addr, sampleRequest+"\r\n"+string(raw{t, nil, protocol.RoleClient}.frame(1, true, "hi")))
			if r.StatusCode != 101 {
				t.Fatal(r)
			}
			expectEcho(t, br, "hi")
			shut := make(chan error, 1)
			go func() { shut <- e.Shutdown(bounded.Context(t)) }()
			expectEcho(t, br, "\x03\xe9")
			raw{t, nc, protocol.RoleClient}.send(raw{t, nil, protocol.RoleClient}.frame(8, true, closeBody(CodeGoingAway, "")))
			if err := bounded.Receive(t, shut); err != nil {
				t.Error(err)
			}
			io.WriteString(before, sampleRequest[6:]+"\r\n")
			r, _ = readResponse(t, before)
			second, _, _ := exchangeHead(t, addr, sampleRequest+"\r\n")
			for _, r := range []*http.Response{r, second} {
				if b, _ := io.ReadAll(r.Body); r.StatusCode != 503 || !strings.Contains(string(b), "shutting down") {
					t.Errorf("%d %q", r.StatusCode, b)
				}
			}
		})
	}
}

// A connection that is being closed is not passed to HTTP.
func TestEventHandOverOfAnEndingConnection(t *testing.T) {
	k := looptest.New(t, nil)
	p := evManual(t, k, &evServer{})
	p.kind.opening.handOver = func(net.Conn, []byte, time.Duration) { t.Error("the connection was passed to HTTP") }
	k.Client("")
	k.Play(p.ls.Loops)
	c := p.onlyConn()
	c.Shut(CodeGoingAway, "")
	c.handOver(nil)
	k.Play(p.ls.Loops)
	if n := p.Len(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
}

// evUndetachableKernel is a kernel whose descriptors are no longer sockets once they have been read. No net.Conn can be made from them, as in a
// process that has run out of descriptors.
type evUndetachableKernel struct{ loop.Kernel }

func (k evUndetachableKernel) Read(fd int, p []byte) (int, error) {
	n, err := k.Kernel.Read(fd, p)
	if err != nil { // no data has arrived yet
		return n, err
	}
	if null, err := os.Open(os.DevNull); err == nil {
		syscall.Dup3(int(null.Fd()), fd, syscall.O_CLOEXEC)
		null.Close()
	}
	return n, err
}

// A connection that cannot be passed to HTTP is closed, and an error is reported.
func TestEventHandOverFails(t *testing.T) {
	refused := make(chan error, 1)
	s := &evServer{makeKernel: func() (loop.Kernel, error) {
		k, err := loop.NewKernel()
		return evUndetachableKernel{k}, err
	}}
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	s.kind.opening.handOver = func(net.Conn, []byte, time.Duration) { t.Error("the connection was passed to HTTP") }
	s.kind.opening.refused = func(_ net.Addr, f *opening.Refusal, _ string) { refused <- f.Err }
	p := evConnect(t, evServe(t, s))
	p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	p.expectEOF()
	if err := bounded.Receive(t, refused); err == nil {
		t.Error("no error was reported")
	}
	bounded.Until(t, func() bool { return s.Len() == 0 })
}

// evClockKernel is a kernel whose clock the test can advance.
type evClockKernel struct {
	loop.Kernel
	offset *atomic.Int64
}

func (k evClockKernel) Now() time.Duration { return k.Kernel.Now() + time.Duration(k.offset.Load()) }

// When a connection is passed to HTTP, the remaining part of the time limit for its header applies.
func TestEventHandOverWithTheTimeLeft(t *testing.T) {
	var by atomic.Int64
	lefts := make(chan time.Duration, 1)
	s := &evServer{HeadTimeout: time.Minute, makeKernel: func() (loop.Kernel, error) {
		k, err := loop.NewKernel()
		return evClockKernel{k, &by}, err
	}}
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	s.kind.opening.handOver = func(nc net.Conn, _ []byte, left time.Duration) {
		nc.Close()
		lefts <- left
	}
	p := evConnect(t, evServe(t, s))
	p.send("GET / HT")
	bounded.Until(t, func() (counts bool) {
		s.ls.each(func(c *eventConn) { counts = c.inbox.outbox.link.fd.Left() > 0 })
		return counts
	})
	by.Store(int64(50 * time.Second))
	p.send("TP/1.1\r\nHost: a\r\n\r\n")
	if left := bounded.Receive(t, lefts); left <= 0 || left > 10*time.Second+100*time.Millisecond {
		t.Errorf("%v are left of 10 s", left)
	}
	p.expectEOF()
}
