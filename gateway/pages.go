package gateway

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/handfast/handfast/gateway/internal/registry"
	"github.com/handfast/handfast/internal/cors"
	"github.com/handfast/handfast/observe"
	wshandshake "github.com/handfast/handfast/websocket/handshake"
)

// mountPages mounts the pages of an endpoint's target, if it has any.
func (n *site) mountPages(e *endpoint) (err error) {
	p, ok := e.target.Target.(Pages)
	if !ok {
		return nil
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the pages of the target cannot be served: %v", p)
		}
	}()
	mux := http.NewServeMux()
	p.Register(mux)
	n.targets = append(n.targets, targetPages{e.cfg.Hosts, mux, e.page(n, mux)})
	return nil
}

// targetPages are the pages of one endpoint's target.
type targetPages struct {
	hosts   []string // empty means all
	mux     *http.ServeMux
	handler http.Handler // for all pages in mux
}

// pageOf returns the handler for a page of a target, or nil if no target has the page.
func (n *site) pageOf(r *http.Request) http.Handler {
	if cors.IsPreflight(r) { // look for the page that the actual request will ask for
		asked := *r
		asked.Method = r.Header.Get("Access-Control-Request-Method")
		r = &asked
	}
	host := strings.ToLower(hostOf(r))
	var general http.Handler
	for _, t := range n.targets {
		named := slices.Contains(t.hosts, host)
		if _, pattern := t.mux.Handler(r); pattern == "" || !named && len(t.hosts) > 0 {
			continue
		}
		if named {
			return t.handler
		}
		if general == nil {
			general = t.handler
		}
	}
	return general
}

// hostOf returns the host in the Host header of a request, without the port.
func hostOf(r *http.Request) string {
	if host, _, err := net.SplitHostPort(r.Host); err == nil {
		return host
	}
	return r.Host
}

// pageKey is the key of a pageRequest in the context of a request for a page.
type pageKey struct{}

// pageRequest is the endpoint of a page, and the context of the request without the timeout of pages, for requests that last
// longer.
type pageRequest struct {
	e       *endpoint
	lasting context.Context // the value belongs to a single request
}

// page returns a handler for the pages of a target. The handler applies the endpoint's limits and origin check, and writes the outcome of
// requests to the audit log.
func (e *endpoint) page(n *site, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shares, ok := e.target.Target.(preflighter)
		if ok {
			e.shareWith(n, w, r)
		}
		if !e.checkPage(n, w, r) {
			return
		}
		if ok && cors.IsPreflight(r) {
			shares.Preflight(w)
			return
		}
		ctx, cancel := context.WithTimeout(context.WithValue(r.Context(), pageKey{}, &pageRequest{e, r.Context()}), pageTimeout)
		defer cancel()
		e.audited(w, r.WithContext(ctx), next)
	})
}

// checkPage applies the limits and the check of origins to a request that is not a handshake. It returns false after a rejection.
func (e *endpoint) checkPage(n *site, w http.ResponseWriter, r *http.Request) bool {
	v := viaOf(r)
	if reject := e.adm.allow(n, v.client, e); reject != nil {
		w.Header().Set("Retry-After", reject.Header.Get("Retry-After"))
		e.refusePage(w, r, wshandshake.StageCheck, reject.Status, "", reject.Reason)
		return false
	}
	if bad := e.badOrigin(n, r); bad != nil {
		e.refusePage(w, r, bad.Stage, bad.Status, bad.Section, bad.Detail)
		return false
	}
	return true
}

// badOrigin returns the reason if a page of the request's origin may not make the request, nil otherwise.
func (e *endpoint) badOrigin(n *site, r *http.Request) *wshandshake.Violation {
	opening := wshandshake.OpeningOf(r)
	return opening.CheckOrigin(wshandshake.OriginPolicy{Any: e.ws.Accept.AnyOrigin, Allowed: e.ws.Accept.Origins, Proxies: n.proxies})
}

// audited responds to a request, and writes the outcome to the audit log.
func (e *endpoint) audited(w http.ResponseWriter, r *http.Request, next http.Handler) {
	v := viaOf(r)
	status := &statusWriter{ResponseWriter: w, status: http.StatusOK}
	defer func() {
		p := recover()
		if p != nil && !isAbort(p) {
			e.rec.panicked(e.metrics, &registry.Entry{Endpoint: e.cfg.Name, Addr: v.client}, p)
			status.status = http.StatusInternalServerError
		}
		e.rec.audit.log(observe.AuditPage, observe.KeyAddr, v.client.String(), observe.KeyOrigin, r.Header.Get("Origin"),
			observe.KeyEndpoint, e.cfg.Name, observe.KeyPath, r.URL.Path, observe.KeyStatus, status.status)
		if p != nil {
			panic(http.ErrAbortHandler) // net/http closes the connection without logging the panic again
		}
	}()
	next.ServeHTTP(status, r)
}

// refusePage rejects a request for a page because of the endpoint's policy, and records that.
func (e *endpoint) refusePage(w http.ResponseWriter, r *http.Request, stage wshandshake.Stage, status int, clause, reason string) {
	http.Error(w, strconv.Itoa(status)+" "+http.StatusText(status)+"\n\n"+reason, status)
	n := refusalOf(r, viaOf(r))
	n.Endpoint, n.Stage, n.Status, n.Clause, n.Reason = e.cfg.Name, string(stage), status, clause, reason
	e.rec.record(e.metrics, n, "", "")
}
