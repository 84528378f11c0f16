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
	// authTimeout is the timeout for authenticating a client.
	authTimeout = 10 * time.Second

	// openTimeout is the timeout of Target.Open, before the 101 response. Together with authTimeout it is less than the 20 seconds
	// of auth.Live.Admit.
	openTimeout = 8 * time.Second

	// authWait is how long a handshake waits for its turn to be authenticated. authQueue is the number of waiting handshakes that are
	// allowed for each handshake that is being authenticated.
	authWait  = 2 * time.Second
	authQueue = 4
)

// handshake is the handshake of one client at an endpoint, until the 101 response or the rejection. It must not be used
// concurrently.
type handshake struct {
	e       *endpoint
	via     *via
	header  http.Header // the header of the request
	entry   *registry.Entry
	entered bool    // the handshake occupies a slot of the registry, which drop or the connection releases
	rule    string  // the rule that decided
	upkeep  *upkeep // nil if the endpoint needs none
	opened  *Opened // the result of the target; nil if it was not called, or has rejected the client
}

// admit decides whether the client is admitted, and how it is served. After an error, h holds no place in the registry, so that a rejected
// client that retries immediately is not counted twice.
func (h *handshake) admit(r *http.Request) error {
	err := h.decide(r)
	if err != nil {
		h.release()
	}
	return err
}

// decide makes the cheap checks first, and calls the target last.
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

// list adds the client to the registry: from now on its connection can be closed.
func (h *handshake) list() error {
	e := h.e
	h.entry.Opened = time.Now()
	if err := e.adm.conns.Admit(h.entry); err != nil {
		return auth.Refusal(auth.Unauthorized(err, e.auth.Challenge()))
	}
	// A reload that removes the endpoint closes the connections in the registry, so the client must be in it before this check.
	if !e.adm.hasEndpoint(e.cfg.Name) {
		return errReplaced
	}
	return nil
}

// errReplaced is the response if a reload has replaced or removed the endpoint in the meantime.
var errReplaced = &websocket.Reject{
	Status: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {"1"}}, Reason: "The endpoint is being replaced.",
}

// release releases the resources of a failed handshake. It may be called more than once.
func (h *handshake) release() {
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

// identify authenticates the client.
func (h *handshake) identify(r *http.Request) (*auth.Identity, error) {
	if !h.e.skipsAuth { // the anonymous method does not block
		ctx, cancel := timeout.Context(r.Context(), authTimeout)
		defer cancel()
		r = r.WithContext(ctx)
	}
	began := time.Now()
	id, err := h.e.authenticate(r)
	h.e.rec.authenticated(id, err, time.Since(began))
	if err != nil {
		return nil, auth.Refusal(err)
	}
	return id, nil
}

// recordIdentity records the client's identity.
func (h *handshake) recordIdentity(id *auth.Identity) {
	n := h.entry
	n.Identity = auth.Identity{Subject: id.Subject, Method: id.Method, ID: id.ID, Issued: id.Issued}
	if h.e.cfg.Expiry.Close {
		n.Identity.Expires, n.Warn = id.Expires, time.Duration(h.e.cfg.Expiry.Warn)
	}
}

// authorize checks whether the rules allow the client to connect.
func (h *handshake) authorize(id *auth.Identity) error {
	d, err := h.e.rules.Authorize(id, auth.Action{Do: "connect", Endpoint: h.e.cfg.Name})
	h.rule = d.Reason
	if err != nil {
		return auth.Refusal(err)
	}
	return nil
}

// open calls the target. If it returns nil, the target is held, and h.opened is set.
func (h *handshake) open(r *http.Request, id *auth.Identity) error {
	e := h.e
	if !e.target.acquire() { // a reload has replaced the target in the meantime
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
		return nil // websocket.Endpoint checks everything else
	}
	e.target.release()
	return targetRefusal(err)
}

// request returns the request for the target.
func (h *handshake) request(r *http.Request, id *auth.Identity) *Request {
	e, who := h.e, new(atomic.Pointer[auth.Identity]) // who is the identity, which a renewal replaces
	who.Store(id)
	h.upkeep = e.newUpkeep(h.entry, who)
	k := h.client()
	return &Request{
		Request: r, Client: h.via.client, Identity: id, Received: k.received, Sent: h.entry.Out.Add,
		Expires: h.entry.Identity.Expires, Renew: e.renewal(h.entry, h.via.client, who),
		Allow: e.allow(h.entry, who), CheckRevoked: e.checkRevoked, Become: e.become(h.entry, who),
	}
}

// client returns the client of the handshake.
func (h *handshake) client() client { return client{h.e, h.entry, h.upkeep} }

// guard calls a function of the target. It returns false after a panic, which it records unless the value is http.ErrAbortHandler.
func (h *handshake) guard(call func()) (ok bool) {
	defer func() {
		if p := recover(); p != nil && !isAbort(p) {
			h.e.rec.panicked(h.e.metrics, h.entry, p)
		}
	}()
	call()
	return true
}

// targetRefusal converts an error of Target.Open into an error that determines the reply.
func targetRefusal(err error) error {
	if _, ok := errors.AsType[*websocket.Reject](err); ok {
		return err
	}
	if _, ok := errors.AsType[*auth.Error](err); ok {
		return auth.Refusal(err)
	}
	return &targetError{err, &websocket.Reject{Status: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {"5"}}}}
}

// targetError is an error of a target that is not shown to the client.
type targetError struct {
	err    error
	reject *websocket.Reject // the reply to the client
}

// Error returns the error for the operator.
func (e *targetError) Error() string { return "target: " + e.err.Error() }

// Unwrap returns the cause, and the error that determines the reply.
func (e *targetError) Unwrap() []error { return []error{e.err, e.reject} }
