package gateway

import (
	"errors"
	"maps"
	"net/http"
	"sync/atomic"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/gateway/internal/registry"
	"github.com/handfast/handfast/internal/cors"
	"github.com/handfast/handfast/websocket"
	wshandshake "github.com/handfast/handfast/websocket/handshake"
)

// serveRequest responds to a plain HTTP request at the endpoint's path.
func (e *endpoint) serveRequest(w http.ResponseWriter, r *http.Request, h *handshake, target Requests) {
	n := h.via.site
	if target, ok := target.(preflighter); ok && e.preflight(w, r, h, target) {
		return
	}
	if bad := e.badOrigin(n, r); bad != nil {
		e.refusePage(w, r, bad.Stage, bad.Status, bad.Section, bad.Detail)
		return
	}
	defer h.release()
	id, err := h.enter(r)
	if err != nil {
		e.refuseRequest(w, r, err)
		return
	}
	if !e.target.acquire() { // a reload has replaced the target in the meantime
		e.refuseRequest(w, r, errReplaced)
		return
	}
	defer e.target.release()
	who := new(atomic.Pointer[auth.Identity])
	who.Store(id)
	req := &Request{Request: r, Client: h.via.client, Identity: id, Allow: e.allow(h.entry, who)}
	e.audited(w, r, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req.Request = r
		target.ServeRequest(w, req)
	}))
}

// preflight adds the CORS headers. If the request is a preflight, it also responds to the request, and returns true.
func (e *endpoint) preflight(w http.ResponseWriter, r *http.Request, h *handshake, target preflighter) bool {
	n := h.via.site
	e.shareWith(n, w, r)
	if !cors.IsPreflight(r) {
		return false
	}
	if reject := e.adm.allow(n, h.via.client, e); reject != nil {
		e.refuseRequest(w, r, reject)
		return true
	}
	target.Preflight(w)
	return true
}

// shareWith adds the CORS headers that allow a page of another origin to read the response, if the endpoint admits that origin.
func (e *endpoint) shareWith(n *site, w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Origin") == "" {
		return
	}
	w.Header().Add("Vary", "Origin")
	if e.badOrigin(n, r) != nil {
		return
	}
	w.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
	if !e.ws.Accept.AnyOrigin { // only origins that the configuration names may use cookies
		w.Header().Set("Access-Control-Allow-Credentials", "true")
	}
}

// refuseRequest rejects a request with an error of a handshake.
func (e *endpoint) refuseRequest(w http.ResponseWriter, r *http.Request, err error) {
	reject, ok := errors.AsType[*websocket.Reject](err)
	if !ok {
		reject = &websocket.Reject{Status: http.StatusServiceUnavailable}
	}
	maps.Copy(w.Header(), reject.Header)
	e.refusePage(w, r, wshandshake.StageCheck, reject.Status, "", reject.Reason)
}

// enter applies the rate limit, reserves a place, and authenticates and authorizes the client.
func (h *handshake) enter(r *http.Request) (*auth.Identity, error) {
	if reject := h.e.adm.allow(h.via.site, h.via.client, h.e); reject != nil {
		return nil, reject
	}
	return h.take(r)
}

// take is like enter, for a request to which the rate limit was already applied.
func (h *handshake) take(r *http.Request) (*auth.Identity, error) {
	e := h.e
	if err := e.adm.conns.Enter(h.entry, e.boundsFor(h.entry.Addr)); err != nil {
		if errors.Is(err, registry.ErrFull) {
			e.rec.limitReached(e.bounds.Total)
		}
		return nil, err
	}
	h.entered = true
	id, err := h.identify(r)
	if err != nil {
		return nil, err
	}
	h.recordIdentity(id)
	if id.Method != config.Anonymous {
		if err := e.adm.conns.Identify(h.entry, e.bounds); err != nil {
			return nil, err
		}
	}
	return id, h.authorize(id)
}
