package proxy

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/handfast/handfast/balance"
	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/protocol"
)

// closeFrame is the content of a close frame.
type closeFrame struct {
	code   websocket.Code
	reason string
}

// The close frames of a relay, in addition to those of limits and rules.
var (
	clientLeaves   = closeFrame{websocket.CodeGoingAway, "the client leaves this server"}
	clientGone     = closeFrame{websocket.CodeGoingAway, "the client disconnected"}
	clientViolated = closeFrame{websocket.CodeGoingAway, "the client violated the protocol"}
	serverViolated = closeFrame{1014, "the server violated the protocol"} // bad gateway, in the IANA registry
)

// relay carries the messages of one connection between a client and a server. Each side has a goroutine that reads a message and
// writes it to the other side before it reads the next message. A side that stops reading therefore holds up the other: at most one
// message is in memory for each direction.
type relay struct {
	conn   *Conn
	client *websocket.Conn
	limits limits // on a clock that starts with the connection
	rules  *Messages
	hold   *hold // nil means the connection ends with the connection to the server

	received func(int64) error // see Conn.Serve
	sent     func(int64)

	ctx    context.Context // ends shortly before the connection does
	cancel context.CancelFunc
	passed [2]passed    // messages by sending side, since the server was chosen
	active atomic.Int64 // when the last message arrived, in ns after began
	began  time.Time

	// gate is full while a message is written to the server: a message of the client, or the messages that resume the connection on
	// another server. It stays full after a message that could not be written.
	gate gate

	mu         sync.Mutex
	server     *serverConn
	ending     bool
	firstClose *closeFrame // the first close frame of either side, which has been passed on; nil if there is none
	timer      *time.Timer // nil if there are no limits
	closeTimer *time.Timer // started when a close frame is passed on
}

// passed counts the messages of one direction.
type passed struct {
	messages atomic.Uint64
	bytes    atomic.Int64
}

// serverConn is a connection to a server.
type serverConn struct {
	*websocket.Conn
	wire     *wire
	upstream *balance.Upstream
	stays    bool            // the server asks to keep the connection
	ctx      context.Context // for reads; ends when the client is to be moved
	cancel   context.CancelFunc
	since    time.Time
	failed   chan struct{} // closed when a message could not be written and the gate was left full
}

// newServerConn takes over a link, after a handshake without extensions. If there is an error, the link is closed.
func newServerConn(ctx context.Context, u *balance.Upstream, link *Link, m *Messages) (*serverConn, error) {
	stays := link.asksToStay()
	nc, err := link.conn()
	if err != nil {
		return nil, err
	}
	w := &wire{Conn: nc, late: link.Late}
	c, err := websocket.NewConn(w, protocol.RoleClient, &websocket.Handshake{Subprotocol: link.Subprotocol}, &websocket.ConnOptions{
		MaxMessage: m.MaxFromServer, PingInterval: m.Ping, CloseTimeout: closeTimeout, HalfClose: true,
	})
	if err != nil { // the server has chosen an extension that was not offered
		_ = nc.Close()
		return nil, err
	}
	s := &serverConn{Conn: c, wire: w, upstream: u, stays: stays, since: time.Now(), failed: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(ctx)
	return s, nil
}

// run carries messages until both connections have ended.
func (r *relay) run() *websocket.CloseError {
	r.checkLimits()
	var all sync.WaitGroup
	var panicked any
	all.Go(func() {
		defer func() {
			if panicked = recover(); panicked != nil {
				_ = r.CloseNow()
			}
		}()
		r.fromServer()
	})
	defer r.CloseNow() //nolint:errcheck // CloseNow always returns nil; the call has an effect only after a panic
	r.fromClient()
	all.Wait()
	if panicked != nil { // panic on the caller's goroutine, which may recover, so that only one client is affected
		panic(panicked)
	}
	<-r.client.Context().Done() // Shut bounds the wait
	r.cancel()
	r.mu.Lock()
	server := r.server
	for _, timer := range []*time.Timer{r.timer, r.closeTimer} {
		if timer != nil {
			timer.Stop()
		}
	}
	r.mu.Unlock()
	<-server.Context().Done() // Shut bounds the wait
	if r.hold != nil {
		r.endMove()
		if r.hold.next != nil {
			r.abandon(r.hold.next)
		}
	}
	how, _ := errors.AsType[*websocket.CloseError](context.Cause(r.client.Context()))
	return how
}

// fromClient passes on the messages of the client until the client's connection has ended.
func (r *relay) fromClient() {
	for {
		m, err := r.client.Read(context.Background())
		if err != nil {
			if g, closed := closeFrameOf(err); closed {
				r.passToServer(g)
			} else {
				r.clientEnded(err)
			}
			return
		}
		r.count(client, m)
		if bad := r.rules.check(m, r.received); bad.code != 0 {
			r.end(bad, clientViolated)
		} else {
			r.toServer(m)
		}
	}
}

// toServer writes a message of the client to the server. While a connection is being resumed, toServer waits, and nothing is read
// from the client.
func (r *relay) toServer(m websocket.Message) {
	if !r.gate.enter(r.ctx) {
		return
	}
	s, m, send := r.forward(m)
	if send && s.Write(context.Background(), m) != nil && !r.closing() { // bounded by the keepalive of s
		r.writeFailed(s, m)
		return
	}
	<-r.gate
}

// forward returns the client's server, and, if send is true, the message to send there for a message of the client.
func (r *relay) forward(m websocket.Message) (s *serverConn, out websocket.Message, send bool) {
	r.mu.Lock()
	defer r.mu.Unlock() // runs even after a panic
	if r.hold != nil && !r.ending {
		out, send = r.hold.fromClient(m)
		return r.server, out, send
	}
	return r.server, m, !r.ending
}

// writeFailed is called when m could not be written. The gate stays full until there is another server.
func (r *relay) writeFailed(s *serverConn, m websocket.Message) {
	if r.hold != nil {
		r.mu.Lock()
		r.hold.unsent = &m
		r.mu.Unlock()
	}
	close(s.failed)
	time.AfterFunc(closeTimeout, func() { _ = s.CloseNow() }) // until then, the remaining messages of s can be read
}

// clientEnded ends the connection when the client has ended its side, or accepts no more messages.
func (r *relay) clientEnded(err error) {
	g, closed := closeFrameOf(err)
	_, violated := errors.AsType[*protocol.Violation](err)
	switch {
	case closed:
		r.end(g, g)
	case violated:
		r.end(clientViolated, clientViolated)
	default:
		r.end(clientGone, clientGone)
	}
}

// fromServer passes on the messages of the server, and of the servers that follow it, until the connection ends.
func (r *relay) fromServer() {
	for {
		s := r.currentServer()
		err := r.pumpResumed(s)
		if err == nil {
			err = r.pump(s.ctx, s, nil)
		}
		if !r.failOver(s, err) {
			break
		}
	}
	for s := r.currentServer(); ; { // reads up to the close frame
		if _, err := s.Read(context.Background()); err != nil { // Read fails when s ends
			return
		}
	}
}

// currentServer returns the client's present server.
func (r *relay) currentServer() *serverConn {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.server
}

// pump passes on the messages of s until enough, if it is not nil, returns true, or ctx or s has ended.
func (r *relay) pump(ctx context.Context, s *serverConn, enough func() bool) error {
	for enough == nil || !enough() {
		m, err := s.Read(ctx)
		if err != nil {
			return err
		}
		r.count(upstream, m)
		if r.hold == nil {
			err = r.toClient(m)
		} else {
			err = r.forwardHeld(m)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// errClientWrite reports that the client accepts no more messages.
var errClientWrite = errors.New("the client accepts no more messages")

// toClient writes a message of the server to the client.
func (r *relay) toClient(m websocket.Message) error {
	if err := r.client.Write(context.Background(), m); err != nil { // bounded by the client's keepalive
		return errors.Join(errClientWrite, err)
	}
	return nil
}

// failOver decides how to continue after the last message of s, and reports whether the client is on another server now.
func (r *relay) failOver(s *serverConn, err error) bool {
	r.mu.Lock()
	ending := r.ending
	r.mu.Unlock()
	switch {
	case ending:
	case errors.Is(err, errClientWrite):
		r.clientEnded(err) // the client's reader may be waiting for us
	case r.hold != nil && !r.closing():
		return r.switchServer(s, err)
	default:
		r.serverEnded(s, err)
	}
	return false
}

// serverEnded passes on how the server has ended the connection.
func (r *relay) serverEnded(s *serverConn, err error) {
	if s.ctx.Err() != nil && r.closing() { // the client was to be moved
		if err = r.pump(r.ctx, s, nil); errors.Is(err, errClientWrite) {
			r.clientEnded(err)
			return
		}
	}
	if g, closed := closeFrameOf(err); closed {
		r.passToClient(g)
		return
	}
	r.mu.Lock()
	leaving := r.firstClose
	r.mu.Unlock()
	if leaving != nil { // the server does not reply to the client's close frame
		r.end(*leaving, *leaving)
		return
	}
	if _, violated := errors.AsType[*protocol.Violation](err); violated {
		r.end(serverViolated, serverViolated)
		return
	}
	r.lost(s)
	code, reason := r.conn.lostFrame()
	r.end(closeFrame{code, reason}, clientGone)
}

// lost counts a failure of the server if the server ended its connection without a close frame soon after the handshake.
func (r *relay) lost(s *serverConn) {
	if time.Since(s.since) < earlyEnd {
		r.conn.balancer.outcome(s.upstream, balance.ClosedEarly)
	}
}

// end ends the connection: each side that has not received a close frame gets one.
func (r *relay) end(toClient, toServer closeFrame) {
	r.mu.Lock()
	r.ending = true
	s := r.server
	r.mu.Unlock()
	r.cancel()
	r.shut(r.client, toClient)
	r.shut(s.Conn, toServer)
}

// closeFrameOf returns the close frame in an error of Read or Write.
func closeFrameOf(err error) (g closeFrame, closed bool) {
	e, _ := errors.AsType[*websocket.CloseError](err)
	if e == nil || e.Err != nil {
		return closeFrame{}, false
	}
	return closeFrame{e.Code, e.Reason}, true
}

// passToServer passes on the client's close frame, after its messages. Further messages of the server go to the client, until the
// server's close frame. While there is no server, the close frame waits behind the messages that the next server must receive; if
// there are none, the client gets the reply immediately.
func (r *relay) passToServer(g closeFrame) {
	left, later := r.beginClosing(g, client)
	for ; later; left, later = r.beginClosing(g, client) {
		if !r.gate.enter(r.ctx) {
			return
		}
		<-r.gate
	}
	if !left {
		r.end(g, g)
	} else if r.gate.enter(r.ctx) {
		defer func() { <-r.gate }()
		r.shut(r.currentServer().Conn, g)
	}
}

// gate is full while something is written to the server.
type gate chan struct{}

// enter takes the gate. It returns false if ctx ends before the gate is free.
func (g gate) enter(ctx context.Context) bool {
	select {
	case g <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// passToClient passes on the server's close frame, after its messages. Further messages of the client go to the server, until the
// client's close frame.
func (r *relay) passToClient(g closeFrame) {
	if left, _ := r.beginClosing(g, upstream); left {
		r.shut(r.client, g)
	}
}

// beginClosing notes that a side's close frame is passed on, and limits the time for the rest. While there is no server, it does
// nothing. later then reports that the client's close frame must be passed on to the next server, after the messages that the lost
// server has not accepted or replied to.
func (r *relay) beginClosing(g closeFrame, from side) (left, later bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h := r.hold; h != nil {
		queued := h.unsent != nil || h.switching && !h.session.Idle()
		if later = from == client && queued && !r.ending; later || h.switching {
			return false, later
		}
	}
	if r.firstClose == nil && !r.ending {
		r.firstClose = &g
		r.closeTimer = time.AfterFunc(2*closeTimeout, func() { r.end(g, g) })
	}
	return true, false
}

// closing reports whether a close frame has been passed on: then the connection does not continue on another server.
func (r *relay) closing() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.firstClose != nil
}

// shut sends a close frame.
func (r *relay) shut(side *websocket.Conn, g closeFrame) {
	if side.Shut(g.code, g.reason) != nil { // the code must not be sent
		_ = side.Shut(websocket.CodeGoingAway, "")
	}
}

// Shut implements carriage.
func (r *relay) Shut(code websocket.Code, reason string) error {
	g := closeFrame{code, reason}
	r.end(g, g)
	return nil
}

// CloseNow implements carriage.
func (r *relay) CloseNow() error {
	r.mu.Lock()
	r.ending = true
	s := r.server
	r.mu.Unlock()
	r.cancel()
	_, _ = s.CloseNow(), r.client.CloseNow() // in this order: otherwise the server gets a close frame because the client has gone
	return nil
}

// traffic implements carriage.
func (r *relay) traffic() Traffic {
	in, out := &r.passed[client], &r.passed[upstream]
	return Traffic{
		FromClients: in.bytes.Load(), FromServer: out.bytes.Load(),
		MessagesFromClients: in.messages.Load(), MessagesFromServer: out.messages.Load(),
	}
}

// takeTraffic returns the traffic and resets the counts.
func (r *relay) takeTraffic() Traffic {
	in, out := &r.passed[client], &r.passed[upstream]
	return Traffic{
		FromClients: in.bytes.Swap(0), FromServer: out.bytes.Swap(0),
		MessagesFromClients: in.messages.Swap(0), MessagesFromServer: out.messages.Swap(0),
	}
}

// count counts a message of a side.
func (r *relay) count(from side, m websocket.Message) {
	r.passed[from].messages.Add(1)
	r.passed[from].bytes.Add(int64(len(m.Data)))
	r.active.Store(int64(time.Since(r.began)))
	if from == upstream && r.sent != nil {
		r.sent(int64(len(m.Data)))
	}
}

// checkLimits ends the connection if it has reached a limit, and sets the timer otherwise.
func (r *relay) checkLimits() {
	now := time.Since(r.began)
	switch reason, next := r.limits.reached(time.Duration(r.active.Load()), now); {
	case reason != "":
		_ = r.Shut(websocket.CodeGoingAway, reason)
	case next != 0:
		r.checkLimitsIn(next - now)
	}
}

func (r *relay) checkLimitsIn(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timer == nil {
		r.timer = time.AfterFunc(d, r.checkLimits)
	} else if !r.ending {
		r.timer.Reset(d)
	}
}
