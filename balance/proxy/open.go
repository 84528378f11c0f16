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

// What a server says of itself in the head of a response.
const (
	LoadHeader  = "Handfast-Connections" // how many connections it has, from all balancers
	DrainHeader = "Handfast-Draining"    // that it wants no new ones, for a minute: any value but "0"
	StayHeader  = "Handfast-Stay"        // that this connection is not to be moved for the sake of an even load: any value but "0"
)

// earlyEnd is how soon after its handshake a connection that a server ends without a close frame counts as a failure of the server.
const earlyEnd = time.Second

// Conn is a client's way to a server, which Open has made: a handshake has succeeded there. The caller passes Subprotocol, Extensions
// and Header on to the client in its 101 and calls Tunnel or, if ByMessage says so, Serve. Otherwise it calls Abandon.
type Conn struct {
	balancer    *Balancer
	server      atomic.Pointer[balance.Upstream]
	link        *Link     // until it is carried
	set         *Settings // of the handshake, until it is carried
	messages    *Messages // nil means bytes are carried
	hold        *hold     // nil if it is not held
	path        string
	subprotocol string
	number      uint64 // in the order of the handshakes
	since       time.Time
	carried     atomic.Pointer[carriage]
	moved       atomic.Bool
	stays       atomic.Bool // on its server, except for a drain: the server says so, or others have refused it
}

// carriage carries a connection: a [Tunnel] its bytes, or a relay its messages. The methods do not wait for a peer.
type carriage interface {
	Shut(code websocket.Code, reason string) error
	CloseNow() error
	traffic() Traffic // with the server that it is on
}

// moves is a carriage that can go on at another server. move reports whether it tries to. well says that the
// present server may keep it.
type moves interface{ move(well bool) bool }

// numbers counts connections.
var numbers atomic.Uint64

// Server returns the ID of the server. It changes when a connection that is held goes on at another one.
func (c *Conn) Server() string { return c.server.Load().ID() }

// Subprotocol returns the subprotocol that the server has chosen, "" if it has chosen none.
func (c *Conn) Subprotocol() string { return c.subprotocol }

// Extensions returns the value of the field Sec-WebSocket-Extensions of the 101. It must not be called after Tunnel or Serve.
func (c *Conn) Extensions() string { return c.link.Extensions }

// Header returns the other fields of the 101. The caller owns it. It must not be called after Tunnel or Serve.
func (c *Conn) Header() http.Header { return c.link.Header }

// ByMessage reports that the connection is to be carried message by message, with Serve.
func (c *Conn) ByMessage() bool { return c.messages != nil }

// Open chooses a server for a client and opens a WebSocket there. If a server fails, others are tried before the client sees anything.
// The error is a [*Refused] with a server's own answer to the client, or one for which [Reply] knows what to say.
func (b *Balancer) Open(ctx context.Context, r *Request) (*Conn, error) {
	for {
		s := b.set.Load()
		c, err := b.openWith(ctx, s, s.identified(r))
		if !errors.Is(err, errReconfigured) {
			return c, err
		}
	}
}

// openWith is Open with settings. The error may be errReconfigured as well.
func (b *Balancer) openWith(ctx context.Context, s *Settings, r *Request) (*Conn, error) {
	byMessage := s.mayBeByMessage(r)
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
			c.messages = s.Messages.filled()
		}
	}
	return c, nil
}

// place opens a WebSocket at one of the servers except those to avoid, at the one with the ID prefer if that is not "". Among clients, those
// that are resuming a session go first.
func (b *Balancer) place(ctx context.Context, s *Settings, r *Request, prefer string, resuming bool, avoid ...*balance.Upstream) (*balance.Upstream, *Link, error) {
	if after := b.storm.Admit(time.Now(), resuming); after > 0 {
		return nil, nil, &Busy{RetryAfter: after}
	}
	var took time.Duration // by the servers; a client that waits for a place says nothing about them
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
				err = lastError(last) // why the last server has failed says more
			}
			return nil, nil, err
		}
		if !began {
			began = true
			b.storm.Begin()
		}
		link, spent, err := b.attemptIn(ctx, s, u, r)
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

// lastError returns what a client gets for the error of the last server.
func lastError(err error) error {
	if outOfPorts(err) {
		return exhaustedBusy(err)
	}
	return err
}

// continues reports whether a client was here before. It may claim that: it goes before others, and gets nothing else for it.
func (s *Settings) continues(r *Request) bool {
	return r.TLS != nil && r.TLS.DidResume || s.Resuming != nil && s.Resuming(r)
}

// acquire takes a place at a server, and waits for one if the settings say so.
func (b *Balancer) acquire(ctx context.Context, s *Settings, r *Request, prefer string, tried []*balance.Upstream) (*balance.Upstream, error) {
	key := ""
	if s.Key != nil {
		key = s.Key(r)
	}
	until, queued := time.Now().Add(s.Wait), false
	defer func() {
		if queued { // there may be room for more than one
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

// preferred returns the ID of the server that the client's cookie leads to, "" if there is none.
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

// attemptIn is attempt that takes half of the time that is left, if that is bounded: a server that does not answer leaves some for the next.
func (b *Balancer) attemptIn(ctx context.Context, s *Settings, u *balance.Upstream, r *Request) (link *Link, took time.Duration, err error) {
	if by, bounded := ctx.Deadline(); bounded {
		half, cancel := timeout.Context(ctx, time.Until(by)/2)
		defer cancel()
		ctx = half
	}
	return b.attempt(ctx, s, u, r)
}

// attempt opens a WebSocket at a server, and counts how that went. took is the server's time.
func (b *Balancer) attempt(ctx context.Context, s *Settings, u *balance.Upstream, r *Request) (link *Link, took time.Duration, err error) {
	began := time.Now()
	n, err := b.serverFor(s, u.ID())
	if err != nil {
		return nil, 0, err
	}
	link, err = b.carrier.open(ctx, n.dialer, r)
	took = time.Since(began)
	if err != nil && ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled) {
		return nil, took, err // the client has gone: the server cannot help it
	}
	if exhausted(err) { // no other server would do better, and this one is not to blame
		return nil, took, exhaustedBusy(err)
	}
	if outOfPorts(err) { // this one is not to blame either
		return nil, took, err
	}
	outcome, status, header := judge(link, err)
	b.heard(u, header)
	b.outcome(u, outcome)
	if b.hooks.Tried != nil {
		b.hooks.Tried(Attempt{Server: u.ID(), Outcome: outcome, Status: status, Took: took})
	}
	return link, took, err
}

// judge returns how a handshake has gone for the server, with the status and the header of its answer: 0 and nil without one.
func judge(link *Link, err error) (balance.Outcome, int, http.Header) {
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
		return balance.OK, 0, nil // the client's own fault
	case f != nil && (f.Stage == StageConnect || f.Stage == StageTLS):
		return balance.Unreachable, 0, nil
	}
	return balance.Failed, 0, nil
}

var errGone = errors.New("it is no longer in the list")

// retryable reports whether another server may do better: this one has failed, or says that it, or one behind it, does not work.
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

// heard takes what a server says of itself, and takes it out of what is passed on.
func (b *Balancer) heard(u *balance.Upstream, h http.Header) {
	if h == nil {
		return
	}
	if n, err := strconv.Atoi(h.Get(LoadHeader)); err == nil {
		b.pool.ReportLoad(time.Now(), u, n)
	}
	if h.Get(DrainHeader) != "" {
		now := time.Now()
		b.says(now, u.ID(), drains(h), now.Add(saidFor))
	}
	h.Del(LoadHeader)
	h.Del(DrainHeader)
}

// drains reports whether a server says that it drains.
func drains(h http.Header) bool {
	v := h.Get(DrainHeader)
	return v != "" && v != "0"
}

// outcome counts how it went with a server.
func (b *Balancer) outcome(u *balance.Upstream, o balance.Outcome) {
	if o != balance.OK {
		b.members.failed(u.ID())
	}
	if b.pool.Outcome(time.Now(), u, o) {
		b.wake()
	}
}

// release gives back a place at a server.
func (b *Balancer) release(u *balance.Upstream) {
	b.pool.Release(time.Now(), u)
	b.queue.next()
}

// stays reports whether the server says that the connection is to stay there, and takes that out of what is passed on.
func (k *Link) stays() bool {
	stay := k.Header.Get(StayHeader)
	k.Header.Del(StayHeader)
	return stay != "" && stay != "0"
}

// lastPath is the path of the last connection. Most clients ask for the same one, of which a single copy is kept.
type lastPath struct{ atomic.Pointer[string] }

// keep returns a copy of path.
func (l *lastPath) keep(path string) string {
	if last := l.Load(); last != nil && *last == path {
		return *last
	}
	path = strings.Clone(path)
	l.Store(&path)
	return path
}

// opened returns the connection behind a handshake that has succeeded at u.
func (b *Balancer) opened(s *Settings, u *balance.Upstream, link *Link, r *Request) *Conn {
	c := &Conn{balancer: b, link: link, set: s, path: b.last.keep(r.URL.Path), subprotocol: link.Subprotocol, number: numbers.Add(1), since: time.Now()}
	c.server.Store(u)
	c.stays.Store(link.stays())
	s.Sticky.set(link.Header, r, u.ID())
	return c
}
