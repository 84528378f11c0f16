package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/loop"
)

// watchAfter is how long a server may take to respond before the client's context is watched. Most servers respond sooner, and the
// watch costs as much as the request.
const watchAfter = 20 * time.Millisecond

// dialing is a handshake with an upstream on the event loop, until the tunnel begins. The Tunnel's mu guards it; its results may be
// read once progress has reported that it is done.
type dialing struct {
	dialer       *Dialer
	l            *loopTunnel
	head         []byte    // the unsent part of the request; nil if there is none
	stageErr     error     // why the stage has failed, for the loop to handle
	deadline     time.Time // the deadline of the stage
	nextCheck    time.Time // time of the next check on the loop; zero means never
	slow         bool      // the upstream has not responded within watchAfter
	stage        Stage     // the current stage
	answer       handshake.Head
	detachedConn chan net.Conn // receives the connection when it leaves the loop, or nil on failure; itself nil if the connection stays
	progress     chan bool     // receives true at the end, and may receive false before if the upstream is slow; has room for both

	resp *handshake.Response
	late []byte   // the bytes received after resp
	conn net.Conn // the connection for reading the body, if resp is not a 101
	err  error    // why the stage failed
}

// headBuffers are buffers for requests.
var headBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 1<<10); return &b }}

// open implements [Dialer.Open]. If the upstream is an IP address without TLS, the connection is on the event loop from the
// beginning, and package net is not involved. The Link then has no Conn, and is only for a tunnel of the Carrier.
func (c *Carrier) open(ctx context.Context, d *Dialer, r *Request) (*Link, error) {
	if c.loops == nil || !d.at.IsValid() {
		return d.Open(ctx, r)
	}
	req, err := d.request(r)
	if err != nil {
		return nil, &Failure{Upstream: d.upstream, Stage: StageRequest, Err: err}
	}
	o, err := c.dial(d, r, req)
	if err != nil {
		return nil, d.failure(ctx, StageConnect, d.dialError(err))
	}
	ended := o.wait(ctx)
	switch {
	case ended:
		return nil, d.failure(ctx, o.stage, net.ErrClosed)
	case o.err != nil:
		return nil, d.failure(ctx, o.stage, o.err)
	case o.conn != nil:
		defer o.conn.Close()
		o.conn.SetDeadline(o.deadline)                                                 //nolint:errcheck // if the connection is broken, its next read or write fails anyway
		stop := context.AfterFunc(ctx, func() { o.conn.SetDeadline(time.Unix(1, 0)) }) //nolint:errcheck // if the connection is broken, its next read or write fails anyway
		defer stop()
		return nil, d.refused(o.resp, io.MultiReader(bytes.NewReader(o.late), o.conn))
	}
	link, err := d.link(ctx, o.resp, req, o.late)
	if err != nil {
		o.l.CloseNow() //nolint:errcheck // CloseNow always returns nil
		return nil, err
	}
	link.dialed = o
	return link, nil
}

// dial starts to connect, and sends the request if it can do so without waiting.
func (c *Carrier) dial(d *Dialer, r *Request, req *handshake.Request) (*dialing, error) {
	if !c.reserve() {
		return nil, net.ErrClosed
	}
	place, err := c.loops.Dial(d.at, d.o.KeepAlive)
	if err != nil {
		c.wg.Done()
		return nil, err
	}
	buf := headBuffers.Get().(*[]byte)
	o := &dialing{dialer: d, l: newLoopTunnel(), progress: make(chan bool, 2), head: req.AppendHead(d.proxyHeader((*buf)[:0], r))}
	*buf = o.head
	l := o.l
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dialing = o
	e := &l.ends[upstream]
	l.place(upstream, place, nil)
	l.register(c, l)
	o.scheduleCheck(e, time.Now().Add(watchAfter))
	o.begin(e, StageConnect, d.o.Connect)
	if o.stageErr = o.send(e); o.head == nil {
		headBuffers.Put(buf) // otherwise buf still holds the rest of the request
	}
	if o.stageErr != nil || l.terminated {
		e.wake() // only the loop may close the connection
	}
	return o, nil
}

// begin begins a stage with the time limit.
func (o *dialing) begin(e *loopEnd, stage Stage, limit time.Duration) {
	o.stage, o.deadline = stage, time.Now().Add(limit)
	o.scheduleCheck(e, o.deadline)
}

// scheduleCheck schedules a check of the deadlines at the time at, unless an earlier check is scheduled.
func (o *dialing) scheduleCheck(e *loopEnd, at time.Time) {
	if o.nextCheck.IsZero() || at.Before(o.nextCheck) {
		o.nextCheck = at
		e.fd.After(time.Until(at))
	}
}

// overdue is called when a scheduled check is due. It reports whether the stage has taken too long, and notes in any case that the
// upstream is slow. The loop counts in ticks, so a timer may fire a fraction of a tick too early: it is then set again.
func (o *dialing) overdue(e *loopEnd) bool {
	if !o.slow {
		o.slow = true
		o.progress <- false
	}
	o.nextCheck = time.Time{}
	if time.Until(o.deadline) <= 0 {
		return true
	}
	o.scheduleCheck(e, o.deadline)
	return false
}

// wait waits until the upstream has responded or failed. If ctx is done first, it closes the connection and returns true, unless
// the connection has just left the loop: then the caller owns it.
func (o *dialing) wait(ctx context.Context) (ended bool) {
	if <-o.progress {
		return false
	}
	select {
	case <-o.progress:
		return false
	case <-ctx.Done():
		o.l.CloseNow() //nolint:errcheck // CloseNow always returns nil
		<-o.progress
		return o.conn == nil
	}
}

// serve handles events and whatever is due.
func (o *dialing) serve(e *loopEnd, d *loop.Driver, why loop.Events) {
	switch l := e.l; {
	case l.terminated:
		o.fail(e, net.ErrClosed)
	case o.stageErr != nil:
		o.fail(e, o.stageErr)
	case o.detachedConn != nil:
		conn, _ := o.leave(e)
		o.detachedConn <- conn
	case o.resp != nil: // the tunnel has not begun yet
		if why&loop.Hangup != 0 {
			e.hungUp = true
		}
		o.setEvents(e, loop.Once)
	case why&loop.Due != 0 && o.overdue(e):
		err := os.ErrDeadlineExceeded
		if o.stage == StageConnect {
			err = o.dialer.dialError(err)
		}
		o.fail(e, err)
	case len(o.head) > 0:
		if err := o.send(e); err != nil {
			o.fail(e, err)
		}
	default:
		o.read(e, d)
	}
}

// setEvents sets the events that e waits for.
func (o *dialing) setEvents(e *loopEnd, what loop.Events) {
	e.fd.Lock()
	defer e.fd.Unlock()
	e.fd.Arm(what) //nolint:errcheck // arming e.fd has succeeded before
}

// send sends as much of the request as it can: nothing until the connection is established. After an error it must not be called
// again.
func (o *dialing) send(e *loopEnd) error {
	e.fd.Lock()
	defer e.fd.Unlock()
	n, err := e.fd.Write(o.head)
	o.head = o.head[n:]
	if err = ignoreNotReady(err); err != nil {
		if o.stage == StageConnect && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
			return o.dialer.dialError(err)
		}
		o.stage = StageHandshake // the connection has just been established
		return err
	}
	if n > 0 && o.stage == StageConnect {
		o.begin(e, StageHandshake, o.dialer.o.Handshake)
	}
	if len(o.head) > 0 {
		return e.fd.Arm(loop.Writable)
	}
	o.head = nil
	return e.fd.Arm(loop.Readable)
}

// read reads the response.
func (o *dialing) read(e *loopEnd, d *loop.Driver) {
	n, err := e.fd.Read(d.Buffer())
	if err = ignoreNotReady(err); err != nil {
		o.fail(e, noResponseError(err))
		return
	}
	resp, late, v := o.answer.Feed(d.Buffer()[:n])
	switch {
	case v != nil:
		o.stage = StageAnswer
		o.fail(e, v)
	case resp == nil:
		o.setEvents(e, loop.Readable)
	case resp.Status >= http.StatusMultipleChoices:
		o.resp, o.late = resp, bytes.Clone(late)
		if o.conn, err = o.leave(e); err != nil {
			o.stage, o.err = StageHandshake, err
		}
		o.progress <- true
	default:
		o.resp, o.late = resp, bytes.Clone(late)
		o.setEvents(e, loop.Readable)
		o.progress <- true
	}
}

// leave takes the connection off the loop.
func (o *dialing) leave(e *loopEnd) (net.Conn, error) {
	e.fd.Lock()
	defer e.fd.Unlock()
	conn, err := e.fd.Detach()
	o.abandon()
	return conn, err
}

// fail closes the connection.
func (o *dialing) fail(e *loopEnd, err error) {
	e.fd.Lock()
	defer e.fd.Unlock()
	e.fd.Close()
	if o.resp == nil {
		o.err = err
		o.progress <- true
	}
	if o.detachedConn != nil {
		o.detachedConn <- nil
	}
	o.abandon()
}

// abandon ends a dialing that does not become a tunnel.
func (o *dialing) abandon() {
	o.l.terminated = true
	o.l.carrier.remove(&o.l.Tunnel)
}

// carry begins a tunnel between a client and the upstream of link. See [Carrier.Carry].
func (c *Carrier) carry(cl net.Conn, link *Link, early []byte, o TunnelOptions, done func(*Tunnel, error)) (*Tunnel, error) {
	if link.dialed == nil {
		return c.Carry(cl, link.Conn, early, link.Late, o, done)
	}
	of := partsOf(cl)
	o.setKeepAlive(of.socket) // the upstream's has already been set
	l := link.dialed.l
	l.mu.Lock()
	if l.terminated {
		l.mu.Unlock()
		return nil, net.ErrClosed
	}
	toClient, err := c.loops.TakeBeside(of.socket, &l.ends[upstream].fd)
	if err != nil { // for example, the client has TLS on something that is not a socket
		l.mu.Unlock()
		up, err := link.dialed.detach()
		if err != nil {
			return nil, err
		}
		t, err := c.Carry(cl, up, early, link.Late, o, done)
		if err != nil {
			up.Close()
		}
		return t, err
	}
	defer l.mu.Unlock()
	l.dialing = nil
	l.setUp(o, done)
	l.place(client, toClient, of.tls)
	l.processBuffered(early, link.Late)
	l.beginTunnel()
	return &l.Tunnel, nil
}

// detach makes the loop release the connection, and returns it.
func (o *dialing) detach() (net.Conn, error) {
	o.l.mu.Lock()
	if o.l.terminated {
		o.l.mu.Unlock()
		return nil, net.ErrClosed
	}
	o.detachedConn = make(chan net.Conn, 1)
	o.l.wake()
	o.l.mu.Unlock()
	if conn := <-o.detachedConn; conn != nil {
		return conn, nil
	}
	return nil, net.ErrClosed
}
