package gateway

import (
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/gateway/internal/registry"
	"github.com/handfast/handfast/internal/timeout"
	"github.com/handfast/handfast/websocket"
)

const (
	// authTimeout bounds how long it may take to find out who a client is.
	authTimeout = 10 * time.Second

	// openTimeout bounds how long a target may take for a client before the 101. With authTimeout it is less than the 20
	// seconds of auth.Live.Admit.
	openTimeout = 8 * time.Second

	// authWait is how long a handshake waits for its turn to be looked at, and authQueue how many wait for each that is.
	authWait  = 2 * time.Second
	authQueue = 4
)

// handshake is one client at an endpoint, until the 101 or the refusal. One goroutine uses it.
type handshake struct {
	e       *endpoint
	via     *via
	header  http.Header // of the request
	entry   *registry.Entry
	entered bool    // it has a place, which drop or the connection gives back
	rule    string  // that decided
	up      *upkeep // nil if nothing is to be done
	opened  *Opened // what the target says; nil if it was not asked, or has refused
}

// admit decides whether a client may come in, and how it is served. After an error nothing is held any more: a client that
// is refused and comes again finds its place free.
func (h *handshake) admit(r *http.Request) error {
	err := h.decide(r)
	if err != nil {
		h.drop()
	}
	return err
}

// decide asks the cheap questions first, and the target last.
func (h *handshake) decide(r *http.Request) error {
	h.e.rec.secured(r.TLS)
	id, err := h.enter(r)
	if err != nil {
		return err
	}
	if err := h.open(r, id); err != nil {
		return err
	}
	return h.list()
}

// list puts the client into the registry: from now on its connection can be closed.
func (h *handshake) list() error {
	e := h.e
	h.entry.Opened = time.Now()
	if err := e.adm.conns.Admit(h.entry); err != nil {
		return auth.Refusal(auth.Unauthorized(err, e.auth.Challenge()))
	}
	// A reload that takes the endpoint away closes what it finds in the registry, so that is where to be first.
	if !e.adm.has(e.cfg.Name) {
		return errReplaced
	}
	return nil
}

// errReplaced is the answer where a reload has taken an endpoint away meanwhile.
var errReplaced = &websocket.Reject{
	Status: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {"1"}}, Reason: "The endpoint is being replaced.",
}

// drop gives back what a handshake holds that has led to no connection. It may be called again.
func (h *handshake) drop() {
	if o := h.opened; o != nil {
		h.opened = nil
		if o.Abandon != nil {
			h.guard(o.Abandon)
		}
		h.e.target.release()
	}
	if h.entered {
		h.entered = false
		h.e.adm.conns.Leave(h.entry)
	}
}

// identify finds out who it is.
func (h *handshake) identify(r *http.Request) (*auth.Identity, error) {
	if !h.e.asksNone { // which waits for nothing
		ctx, cancel := timeout.Context(r.Context(), authTimeout)
		defer cancel()
		r = r.WithContext(ctx)
	}
	began := time.Now()
	id, err := h.e.ask(r)
	h.e.rec.authenticated(id, err, time.Since(began))
	if err != nil {
		return nil, auth.Refusal(err)
	}
	return id, nil
}

// know notes who it is.
func (h *handshake) know(id *auth.Identity) {
	n := h.entry
	n.Identity = auth.Identity{Subject: id.Subject, Method: id.Method, ID: id.ID, Issued: id.Issued}
	if h.e.cfg.Expiry.Close {
		n.Identity.Expires, n.Warn = id.Expires, time.Duration(h.e.cfg.Expiry.Warn)
	}
}

// authorize asks the rules.
func (h *handshake) authorize(id *auth.Identity) error {
	d, err := h.e.rules.Authorize(id, auth.Action{Do: "connect", Endpoint: h.e.cfg.Name})
	h.rule = d.Reason
	if err != nil {
		return auth.Refusal(err)
	}
	return nil
}

// open asks the target. Without an error the target is held, and h.opened is complete.
func (h *handshake) open(r *http.Request, id *auth.Identity) error {
	e := h.e
	if !e.target.hold() { // a reload has replaced it since the request came
		return errReplaced
	}
	ctx, cancel := timeout.Context(r.Context(), openTimeout)
	defer cancel()
	req := h.request(r, id)
	var err error
	if !h.guard(func() { h.opened, err = e.target.Open(ctx, req) }) {
		h.opened, err = nil, &targetError{errPanicked, &websocket.Reject{Status: http.StatusInternalServerError}}
	}
	switch {
	case err != nil:
		h.opened = nil
	case h.opened == nil:
		err = errors.New("the target neither accepted nor rejected the handshake")
	default:
		h.entry.DrainCode, h.entry.Server = h.opened.DrainCode, h.opened.Server
		return nil // its mistakes are found by the websocket.Endpoint
	}
	e.target.release()
	return targetRefusal(err)
}

// request returns the client's request as targets get it.
func (h *handshake) request(r *http.Request, id *auth.Identity) *Request {
	e, who := h.e, new(atomic.Pointer[auth.Identity]) // until a renewal
	who.Store(id)
	h.up = e.newUpkeep(h.entry, who)
	k := h.client()
	return &Request{
		Request: r, Client: h.via.client, Identity: id, Received: k.received, Sent: h.entry.Out.Add,
		Expires: h.entry.Identity.Expires, Renew: e.renewal(h.entry, h.via.client, who),
		Allow: e.allow(h.entry, who), CheckRevoked: e.checkRevoked, Become: e.become(h.entry, who),
	}
}

// client is the client from its 101 on.
func (h *handshake) client() client { return client{h.e, h.entry, h.up} }

// guard calls a function of the target. It reports false after a panic, which is recorded, unless it is to be quiet as in net/http.
func (h *handshake) guard(call func()) (ok bool) {
	defer func() {
		if p := recover(); p != nil && !aborts(p) {
			h.e.rec.panicked(h.e.metrics, h.entry, p)
		}
	}()
	call()
	return true
}

// targetRefusal turns an error of Target.Open into one that sets the reply.
func targetRefusal(err error) error {
	if _, ok := errors.AsType[*websocket.Reject](err); ok {
		return err
	}
	if _, ok := errors.AsType[*auth.Error](err); ok {
		return auth.Refusal(err)
	}
	return &targetError{err, &websocket.Reject{Status: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {"5"}}}}
}

// targetError is an error of a target that the client is not shown.
type targetError struct {
	err    error
	reject *websocket.Reject // what it is shown
}

// Error says what was wrong, for the operator.
func (e *targetError) Error() string { return "target: " + e.err.Error() }

// Unwrap returns the cause, and what sets the reply.
func (e *targetError) Unwrap() []error { return []error{e.err, e.reject} }
