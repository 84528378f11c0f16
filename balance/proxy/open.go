package proxy

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/handfast/handfast/balance"
	"github.com/handfast/handfast/internal/timeout"
	"github.com/handfast/handfast/websocket"
)

// The fields in the header of a response with which a server reports its state.
const (
	LoadHeader  = "Handfast-Connections" // the number of the server's connections, from all balancers
	DrainHeader = "Handfast-Draining"    // the server wants no new connections for a minute: any value but "0"
	StayHeader  = "Handfast-Stay"        // this connection is not to be moved by rebalancing: any value but "0"
)

// earlyEnd is how soon after its handshake a connection that ends without a close frame counts as a failure of the server.
const earlyEnd = time.Second

// Conn is a client's connection to a server, which Open has made with a successful handshake. The caller passes Subprotocol,
// Extensions and Header on to the client in its 101 and calls Tunnel or, if ByMessage returns true, Serve. Otherwise it calls
// Abandon.
type Conn struct {
	balancer    *Balancer
	server      atomic.Pointer[balance.Upstream]
	link        *Link     // nil once the connection is carried
	set         *Settings // settings of the handshake; nil once the connection is carried
	messages    *Messages // nil means bytes are carried
	hold        *hold     // nil if the connection is not held
	path        string
	subprotocol string
	number      uint64 // increases in the order of the handshakes
	since       time.Time
	carried     atomic.Pointer[carriage]
	moved       atomic.Bool
	stays       atomic.Bool // only a drain moves the connection: its server asks to keep it, or other servers have refused it
}

// carriage carries a connection: a [Tunnel] carries bytes, a relay messages. The methods do not wait for a peer.
type carriage interface {
	Shut(code websocket.Code, reason string) error
	CloseNow() error
	traffic() Traffic // with the present server
}

// mover is a carriage that can continue on another server. move reports whether the carriage tries to move. If working is true, the
// present server may keep the connection.
type mover interface{ move(well bool) bool }

// connNumber is the number of the last connection.
var connNumber atomic.Uint64

// Server returns the ID of the server. It changes when a held connection continues on another server.
func (c *Conn) Server() string { return c.server.Load().ID() }

// Subprotocol returns the subprotocol that the server has chosen, or "" if there is none.
func (c *Conn) Subprotocol() string { return c.subprotocol }

// Extensions returns the value of the Sec-WebSocket-Extensions field of the 101. It must not be called after Tunnel or Serve.
func (c *Conn) Extensions() string { return c.link.Extensions }

// Header returns the other fields of the 101. The caller owns it. It must not be called after Tunnel or Serve.
func (c *Conn) Header() http.Header { return c.link.Header }

// ByMessage reports whether the connection has to be carried message by message, with Serve.
func (c *Conn) ByMessage() bool { return c.messages != nil }

// Open chooses a server for a client and opens a WebSocket there. If a server fails, others are tried before the client receives
// anything. The error is a [*Refused] with a server's own response, or an error that [Reply] turns into a response.
func (b *Balancer) Open(ctx context.Context, r *Request) (*Conn, error) {
	for {
		s := b.set.Load()
		c, err := b.openWith(ctx, s, s.identified(r))
		if !errors.Is(err, errReconfigured) {
			return c, err
		}
	}
}

// openWith is Open with the given settings. The error may also be errReconfigured.
func (b *Balancer) openWith(ctx context.Context, s *Settings, r *Request) (*Conn, error) {
	byMessage := s.mayCarryByMessage(r)
	if byMessage {
		r = r.withoutExtensions()
	}
	prefer := b.preferred(s, r)
	u, link, err := b.place(ctx, s, r, prefer, prefer != "" || s.continues(r))
	if err != nil {
		return nil, err
	}
	c := b.opened(s, u, link, r)
	if byMessage {
		if c.hold = s.held(link.Subprotocol, r); c.hold != nil || s.ByMessage {
			c.messages = s.Messages.withDefaults()
		}
	}
	return c, nil
}

// place opens a WebSocket to a server that is not in avoid, preferably to the one with the ID prefer. Clients that resume a session
// have priority over others.
func (b *Balancer) place(ctx context.Context, s *Settings, r *Request, prefer string, resuming bool, avoid ...*balance.Upstream) (*balance.Upstream, *Link, error) {
	if after := b.storm.Admit(time.Now(), resuming); after > 0 {
		return nil, nil, &Busy{RetryAfter: after}
	}
	var took time.Duration // the time spent by the servers; time in the queue indicates nothing about them
	began, served := false, false
	defer func() {
		if began {
			b.storm.Done(time.Now(), took, served)
		}
	}()
	tried := avoid
	var last error
	for range s.Retries + 1 {
		u, err := b.acquire(ctx, s, r, prefer, tried)
		if err != nil {
			served = ctx.Err() != nil
			if last != nil && !errors.Is(err, balance.ErrFull) {
				err = lastError(last) // the reason why the last server has failed is more helpful
			}
			return nil, nil, err
		}
		if !began {
			began = true
			b.storm.Begin()
		}
		link, spent, err := b.attemptWithin(ctx, s, u, r)
		took += spent
		if err == nil {
			served = true
			return u, link, nil
		}
		b.release(u)
		if _, busy := errors.AsType[*Busy](err); busy || errors.Is(err, errReconfigured) {
			served = !busy
			return nil, nil, err
		}
		if !retryable(err) || ctx.Err() != nil {
			served = true
			return u, nil, err
		}
		tried, last = append(tried, u), err
	}
	return nil, nil, lastError(last)
}

// lastError turns the error of the last server into the one for the client.
func lastError(err error) error {
	if portsExhausted(err) {
		return exhaustedBusy(err)
	}
	return err
}

// continues reports whether a client was connected before. A client can claim this falsely, but only gains priority.
func (s *Settings) continues(r *Request) bool {
	return r.TLS != nil && r.TLS.DidResume || s.Resuming != nil && s.Resuming(r)
}

// acquire takes a slot at a server, and waits for one if the settings allow it.
func (b *Balancer) acquire(ctx context.Context, s *Settings, r *Request, prefer string, tried []*balance.Upstream) (*balance.Upstream, error) {
	key := ""
	if s.Key != nil {
		key = s.Key(r)
	}
	until, queued := time.Now().Add(s.Wait), false
	defer func() {
		if queued { // there may be free slots for other waiting handshakes, too
			b.queue.next()
		}
	}()
	for {
		if len(tried) == 0 && prefer != "" {
			if u, ok := b.pool.AcquireAt(time.Now(), prefer); ok {
				return u, nil
			}
		}
		u, err := b.pool.Acquire(time.Now(), key, tried...)
		left := time.Until(until)
		if err == nil || !errors.Is(err, balance.ErrFull) || s.MaxWaiting == 0 || left <= 0 {
			return u, err
		}
		if waited := b.queue.wait(ctx, s.MaxWaiting, left); waited != nil {
			if errors.Is(waited, errQueue) {
				return nil, err
			}
			return nil, waited
		}
		queued = true
	}
}

// preferred returns the ID of the server in the client's cookie, or "" if there is none.
func (b *Balancer) preferred(s *Settings, r *Request) string {
	if s.Sticky == nil {
		return ""
	}
	cookie := s.Sticky.Shown(r.Request)
	if cookie == "" {
		return ""
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for id := range b.servers {
		if s.Sticky.Is(cookie, id) {
			return id
		}
	}
	return ""
}

// attemptWithin is attempt, limited to half of the remaining time if there is a deadline, so that a server that does not respond
// leaves time for the next.
func (b *Balancer) attemptWithin(ctx context.Context, s *Settings, u *balance.Upstream, r *Request) (link *Link, took time.Duration, err error) {
	if by, bounded := ctx.Deadline(); bounded {
		half, cancel := timeout.Context(ctx, time.Until(by)/2)
		defer cancel()
		ctx = half
	}
	return b.attempt(ctx, s, u, r)
}

// attempt opens a WebSocket to a server, and counts the outcome. took is the time that the server has taken.
func (b *Balancer) attempt(ctx context.Context, s *Settings, u *balance.Upstream, r *Request) (link *Link, took time.Duration, err error) {
	began := time.Now()
	n, err := b.serverFor(s, u.ID())
	if err != nil {
		return nil, 0, err
	}
	link, err = b.carrier.open(ctx, n.dialer, r)
	took = time.Since(began)
	if err != nil && ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled) {
		return nil, took, err // the client has gone: the server is not to blame
	}
	if exhausted(err) { // another server would not help, and this one is not to blame
		return nil, took, exhaustedBusy(err)
	}
	if portsExhausted(err) { // this server is not to blame either
		return nil, took, err
	}
	outcome, status, header := classify(link, err)
	b.readStateHeader(u, header)
	b.outcome(u, outcome)
	if b.hooks.Tried != nil {
		b.hooks.Tried(Attempt{Server: u.ID(), Outcome: outcome, Status: status, Took: took})
	}
	return link, took, err
}

// classify returns the outcome of a handshake for the server, with the status and the header of its response, or 0 and nil
// without a response.
func classify(link *Link, err error) (balance.Outcome, int, http.Header) {
	if err == nil {
		return balance.OK, http.StatusSwitchingProtocols, link.Header
	}
	if refused, ok := errors.AsType[*Refused](err); ok {
		if retryable(err) {
			return balance.Failed, refused.Status, refused.Header
		}
		return balance.OK, refused.Status, refused.Header
	}
	f, _ := errors.AsType[*Failure](err)
	switch {
	case f != nil && f.Stage == StageRequest:
		return balance.OK, 0, nil // the client is to blame
	case f != nil && (f.Stage == StageConnect || f.Stage == StageTLS):
		return balance.Unreachable, 0, nil
	}
	return balance.Failed, 0, nil
}

var errRemoved = errors.New("the server is no longer in the list")

// retryable reports whether another server may succeed: err is a failure of this server, or its report that it or a server behind
// it does not work.
func retryable(err error) bool {
	if f, ok := errors.AsType[*Failure](err); ok {
		return f.Stage != StageRequest
	}
	refused, ok := errors.AsType[*Refused](err)
	if !ok {
		return true
	}
	switch refused.Status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// readStateHeader processes the fields with which a server reports its state, and removes them from the header that is passed on.
func (b *Balancer) readStateHeader(u *balance.Upstream, h http.Header) {
	if h == nil {
		return
	}
	if load := h.Get(LoadHeader); load != "" {
		if n, err := strconv.Atoi(load); err == nil {
			b.pool.ReportLoad(time.Now(), u, n)
		}
	}
	if h.Get(DrainHeader) != "" {
		now := time.Now()
		b.setAnnouncedDrain(now, u.ID(), announcesDrain(h), now.Add(drainValidity))
	}
	h.Del(LoadHeader)
	h.Del(DrainHeader)
}

// announcesDrain reports whether a server announces that it drains.
func announcesDrain(h http.Header) bool {
	v := h.Get(DrainHeader)
	return v != "" && v != "0"
}

// outcome counts an outcome for a server.
func (b *Balancer) outcome(u *balance.Upstream, o balance.Outcome) {
	if o != balance.OK {
		b.members.failed(u.ID())
	}
	if b.pool.Outcome(time.Now(), u, o) {
		b.wake()
	}
}

// release gives back a slot at a server.
func (b *Balancer) release(u *balance.Upstream) {
	b.pool.Release(time.Now(), u)
	b.queue.next()
}

// asksToStay reports whether the server asks to keep the connection, and removes StayHeader from the header that is passed on.
func (k *Link) asksToStay() bool {
	stay := k.Header.Get(StayHeader)
	k.Header.Del(StayHeader)
	return stay != "" && stay != "0"
}

// lastPath is the path of the last connection. Most clients request the same path, so that connections can share a copy.
type lastPath struct{ atomic.Pointer[string] }

// intern returns a copy of path.
func (l *lastPath) intern(path string) string {
	if last := l.Load(); last != nil && *last == path {
		return *last
	}
	kept := strings.Clone(path) // a separate variable, because taking path's address would move path to the heap in every call
	l.Store(&kept)
	return kept
}

// opened returns the connection for a successful handshake at u.
func (b *Balancer) opened(s *Settings, u *balance.Upstream, link *Link, r *Request) *Conn {
	c := &Conn{balancer: b, link: link, set: s, path: b.last.intern(r.URL.Path), subprotocol: link.Subprotocol, number: connNumber.Add(1), since: time.Now()}
	c.server.Store(u)
	c.stays.Store(link.asksToStay())
	s.Sticky.set(link.Header, r, u.ID())
	return c
}
