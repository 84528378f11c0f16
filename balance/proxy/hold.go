package proxy

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/handfast/handfast/balance"
	"github.com/handfast/handfast/balance/resume"
	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/protocol"
)

// HoldMode selects the connections that are held.
type HoldMode string

// The modes.
const (
	HoldOff       HoldMode = ""          // no connections
	HoldResume    HoldMode = "resume"    // those of a protocol that package resume knows
	HoldStateless HoldMode = "stateless" // all: the servers keep no state for a connection, except with the protocols that package resume knows
)

// Hold selects the connections that continue on another server when their server goes away or drains, without their clients
// noticing. Held connections are carried message by message. A client whose connection cannot continue gets a close frame; see
// [Farewell].
type Hold struct {
	// Mode selects the held connections. The zero value is HoldOff.
	Mode HoldMode

	// Wait is how long a connection may be without a server, and how long a server may take to resume it. Nothing is read from the
	// client meanwhile. 0 means 10 seconds.
	Wait time.Duration
}

const (
	defaultWait = 10 * time.Second

	// The pause between two attempts to find a server, which doubles each time.
	firstPause = 20 * time.Millisecond
	lastPause  = time.Second
)

// hold is the state for continuing a connection on another server. The relay's mu guards session, next, switching and unsent; the
// relay's goroutine for servers owns the rest.
type hold struct {
	session   resume.Session
	stateless bool     // the session does not track which commands have been answered
	request   *Request // the client's request, to repeat
	wait      time.Duration
	next      *serverConn        // where the client is to be moved; nil means nowhere
	moves     int                // planned moves that failed since the client has been on its present server
	planned   bool               // counted in Balancer.switching
	switching bool               // another server was found or is being looked for: the gate is full
	until     time.Time          // the deadline of the present outage; zero if there is none
	outage    time.Time          // the deadline of the previous outage
	pause     time.Duration      // pause before the next attempt to find a server; 0 means none
	unsent    *websocket.Message // the client's message that no server has got; the gate stays full until the next server gets it
}

// mayCarryByMessage reports whether a client's connection may have to be carried message by message, so that no extension can be
// negotiated with the server. The server's choice of the subprotocol then decides.
func (s *Settings) mayCarryByMessage(r *Request) bool {
	if s.ByMessage || s.Hold.Mode == HoldStateless {
		return true
	}
	offers := append(slices.Collect(subprotocols(r.Header)), "")
	return s.Hold.Mode == HoldResume && slices.ContainsFunc(offers, func(name string) bool {
		return resume.New(name, r.URL.Path, resume.Options{}) != nil
	})
}

// held returns the state for holding a connection with a subprotocol, or nil if it is not held.
func (s *Settings) held(subprotocol string, r *Request) *hold {
	if s.Hold.Mode == HoldOff {
		return nil
	}
	h := &hold{session: resume.New(subprotocol, r.URL.Path, resume.Options{}), request: r.repeat(subprotocol), wait: s.Hold.Wait}
	setDefault(&h.wait, defaultWait)
	if h.session == nil && s.Hold.Mode == HoldStateless {
		h.session, h.stateless = resume.New(subprotocol, r.URL.Path, resume.Options{Stateless: true}), true
	}
	if h.session == nil {
		return nil
	}
	return h
}

// withoutExtensions returns r without its offer of extensions.
func (r *Request) withoutExtensions() *Request {
	c, inner := *r, *r.Request
	inner.Header = r.Header.Clone()
	inner.Header.Del("Sec-WebSocket-Extensions")
	c.Request = &inner
	return &c
}

// repeat returns a copy of r for another server. The copy offers only the negotiated subprotocol.
func (r *Request) repeat(subprotocol string) *Request {
	c := r.withoutExtensions()
	u := *r.URL
	c.URL, c.Body = &u, nil
	c.Header.Del("Sec-WebSocket-Protocol")
	if subprotocol != "" {
		c.Header.Set("Sec-WebSocket-Protocol", subprotocol)
	}
	return c
}

func toResume(m websocket.Message) resume.Message {
	return resume.Message{Binary: m.Type == websocket.Binary, Data: m.Data}
}

func fromResume(m resume.Message) websocket.Message {
	if m.Binary {
		return websocket.Message{Type: websocket.Binary, Data: m.Data}
	}
	return websocket.Message{Type: websocket.Text, Data: m.Data}
}

// fromClient takes a message of the client, and returns the message to send in its place, if any.
func (h *hold) fromClient(m websocket.Message) (websocket.Message, bool) {
	forward, send := h.session.Client(toResume(m))
	return fromResume(forward), send
}

// errNotResumed reports that the connection cannot continue.
var errNotResumed = errors.New("the connection cannot be resumed on another server")

// pumpResumed passes on the messages of s while the connection is being resumed there, and returns once it has been resumed.
func (r *relay) pumpResumed(s *serverConn) error {
	if r.hold == nil || r.hold.until.IsZero() {
		return nil
	}
	ctx, cancel := context.WithDeadline(s.ctx, r.hold.until)
	defer cancel()
	return r.pump(ctx, s, func() bool { return r.hold.until.IsZero() }) // a method value would capture the present value of until
}

// forwardHeld passes a message of the server on.
func (r *relay) forwardHeld(m websocket.Message) error {
	out, done, err := func() ([]resume.Message, bool, error) {
		r.mu.Lock()
		defer r.mu.Unlock() // runs even after a panic
		out, done, err := r.hold.session.Server(toResume(m))
		return slices.Clone(out), done, err
	}()
	for _, m := range out {
		if err := r.toClient(fromResume(m)); err != nil {
			return err
		}
	}
	switch {
	case err != nil:
		return errors.Join(errNotResumed, err)
	case done && !r.hold.until.IsZero():
		r.resumed()
	}
	return nil
}

// openOnOtherServer performs the client's handshake at another server, with the latest token with which the client has renewed its
// credential.
func (r *relay) openOnOtherServer(ctx context.Context, avoid ...*balance.Upstream) (*serverConn, error) {
	b, request := r.conn.balancer, r.hold.request
	if renewer, ok := r.hold.session.(resume.Renewer); ok {
		r.mu.Lock()
		token := renewer.Renewed()
		r.mu.Unlock()
		if token != "" {
			request = request.repeat(r.conn.subprotocol)
			request.Header.Set("Authorization", "Bearer "+token)
		}
	}
	var u *balance.Upstream
	var link *Link
	for err := errReconfigured; err != nil; {
		s := b.set.Load()
		if u, link, err = b.place(ctx, s, s.identified(request), "", true, avoid...); err != nil && !errors.Is(err, errReconfigured) {
			if isPermanent(err) {
				b.countRefusal(u)
			}
			return nil, err
		}
	}
	if link.Subprotocol != r.conn.subprotocol {
		link.close()
		b.release(u)
		b.countRefusal(u)
		return nil, errNotResumed
	}
	b.clearRefusals(u)
	s, err := newServerConn(r.ctx, u, link, r.conn.messages)
	if err != nil {
		b.release(u)
	}
	return s, err
}

// abandon leaves a server that the client was not moved to.
func (r *relay) abandon(s *serverConn) {
	_ = s.Close(websocket.CodeGoingAway, "")
	r.conn.balancer.release(s.upstream)
}

// switchServer moves the client to another server after s, which is lost or has to be left. It reports whether the connection
// continues.
func (r *relay) switchServer(s *serverConn, err error) bool {
	h := r.hold
	r.mu.Lock()
	next, switching := h.next, h.switching
	ends := r.firstClose != nil || next == nil && !switching && !h.isGoingAway(err)
	if !ends {
		h.next, h.switching = nil, true
	}
	r.mu.Unlock()
	if ends {
		r.serverEnded(s, err)
		return false
	}
	if h.until.IsZero() {
		h.beginOutage(s, next != nil)
	}
	ctx, cancel := context.WithDeadline(r.ctx, h.until)
	defer cancel()
	switch {
	case errors.Is(err, errNotResumed), ctx.Err() != nil:
		return r.fail(next, CauseNotResumed)
	case !switching && !r.stop(ctx, s, next != nil):
		return r.fail(next, CauseNotResumed)
	case next != nil:
		g, err := r.finish(s)
		if err != nil {
			return r.fail(next, CauseNotResumed)
		}
		if g.code != 0 {
			r.abandon(next)
			r.end(g, g)
			return false
		}
		h.until = time.Now().Add(h.wait) // the new server has its own time limit
	default:
		r.lost(s)
		r.shut(s.Conn, clientLeaves) // also the reply to the server's close frame, if it sent one
		if switching {
			h.backOff()
		}
		if next, err = r.findServer(ctx, s); err != nil {
			return r.fail(nil, causeOf(err))
		}
	}
	return r.resume(s, next)
}

// beginOutage begins an outage. If the server was lost soon after the previous outage, it continues that outage instead: otherwise
// a server that accepts connections and immediately goes away would be tried forever.
func (h *hold) beginOutage(s *serverConn, working bool) {
	if working || h.outage.IsZero() || time.Since(s.since) >= earlyEnd {
		h.until, h.pause = time.Now().Add(h.wait), 0
		return
	}
	h.until = h.outage
	h.backOff()
}

// backOff doubles the next pause.
func (h *hold) backOff() { h.pause = min(max(2*h.pause, firstPause), lastPause) }

// isGoingAway reports whether a server that ended a connection with err is going away: it sent no close frame, or one whose code
// has this meaning.
func (h *hold) isGoingAway(err error) bool {
	if _, violated := errors.AsType[*protocol.Violation](err); violated {
		return false
	}
	e, ok := errors.AsType[*websocket.CloseError](err)
	return !ok || e.Err != nil || h.session.Gone(uint16(e.Code))
}

// fail closes a connection that cannot continue, and returns false. next may be nil.
func (r *relay) fail(next *serverConn, cause Cause) bool {
	r.conn.sendFarewell(cause)
	if next != nil {
		r.abandon(next)
	}
	return false
}

// stop takes the gate, so that nothing more is written to s. If working is true, a message that is being written has the time
// closeTimeout to complete. stop returns false if the gate is not free in time.
func (r *relay) stop(ctx context.Context, s *serverConn, working bool) bool {
	if working {
		patient, cancel := context.WithTimeout(ctx, closeTimeout)
		defer cancel()
		defer time.AfterFunc(closeTimeout, func() { _ = s.CloseNow() }).Stop() // ends a write that takes too long
		ctx = patient
	}
	select {
	case r.gate <- struct{}{}:
	case <-s.failed: // the gate is full already
	case <-ctx.Done():
		return false
	}
	return true
}

// finish waits until s has replied to all messages that it received, and then leaves it. No other message is written to s in the
// meantime. If s closes the connection in the meantime with a code that concerns the client, finish returns that close frame: the
// client must not continue at another server.
func (r *relay) finish(s *serverConn) (g closeFrame, err error) {
	ctx, cancel := context.WithTimeout(r.ctx, closeTimeout)
	defer cancel()
	idle := func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.hold.session.Idle()
	}
	err = r.pump(ctx, s, idle)
	g, closed := closeFrameOf(err)
	if !closed && !stopped(err) && s.wire.finish(clientLeaves.code, clientLeaves.reason) == nil {
		// A server that handles messages in order has handled all of them when it replies to the close frame.
		closing, cancel := context.WithTimeout(r.ctx, closeTimeout)
		defer cancel()
		err = r.pump(closing, s, nil)
		g, closed = closeFrameOf(err)
		closed = closed && g.code != websocket.CodeNormal && g.code != websocket.CodeNoStatus // the codes of a reply to our close frame
	}
	_ = s.CloseNow()
	if stopped(err) {
		return closeFrame{}, err
	}
	if !closed || r.hold.session.Gone(uint16(g.code)) {
		return closeFrame{}, nil
	}
	return g, nil
}

// stopped reports whether an error of pump has a cause other than the server.
func stopped(err error) bool { return errors.Is(err, errClientWrite) || errors.Is(err, errNotResumed) }

// findServer looks for another server until ctx ends. From the second attempt on, the lost server is tried too, because it may be
// back.
func (r *relay) findServer(ctx context.Context, lost *serverConn) (*serverConn, error) {
	avoid := []*balance.Upstream{lost.upstream}
	h := r.hold
	for {
		if pause := h.pause; pause > 0 {
			select {
			case <-time.After(pause/2 + rand.N(pause)):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		next, err := r.openOnOtherServer(ctx, avoid...)
		if err == nil || isPermanent(err) {
			return next, err
		}
		if ctx.Err() != nil {
			return nil, err
		}
		if h.pause = max(h.pause, firstPause); avoid == nil {
			h.backOff()
		}
		avoid = nil
	}
}

// resume begins to resume the connection at next, which is the client's server from now on.
func (r *relay) resume(s, next *serverConn) bool {
	r.conn.balancer.members.reassign(r.conn, next.upstream)
	r.conn.stays.Store(next.stays)
	r.conn.balancer.release(s.upstream)
	r.mu.Lock()
	first, err := r.hold.session.Resume()
	ending := r.ending
	r.server = next
	r.mu.Unlock()
	if ending {
		_ = next.CloseNow()
		return false
	}
	if err != nil {
		return r.fail(nil, CauseNotResumed)
	}
	go func() { // while the replies are being read
		for _, m := range first {
			if next.Write(r.ctx, fromResume(m)) != nil {
				_ = next.CloseNow() // its reader then looks for another server
				return
			}
		}
	}()
	if len(first) == 0 {
		r.resumed()
	}
	return true
}

// resumed is called when the connection has been resumed.
func (r *relay) resumed() {
	h, s := r.hold, r.currentServer()
	h.outage, h.until = h.until, time.Time{}
	r.mu.Lock()
	m := h.unsent
	h.unsent, h.switching, h.moves = nil, false, 0
	r.mu.Unlock()
	r.conn.balancer.members.resumed(r.conn)
	r.endMove()
	r.conn.moved.Store(false) // the connection may be moved again
	r.conn.balancer.wake()
	if m == nil || !h.stateless {
		<-r.gate
		return
	}
	go func() { // while messages of s are being read
		if s.Write(r.ctx, *m) != nil {
			r.writeFailed(s, *m)
			return
		}
		<-r.gate
	}()
}
