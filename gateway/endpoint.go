package gateway

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/gateway/internal/refusals"
	"github.com/handfast/handfast/gateway/internal/registry"
	"github.com/handfast/handfast/websocket"
	wshandshake "github.com/handfast/handfast/websocket/handshake"
)

// endpoint is a path with a policy and a target. It serves handshakes. It is immutable.
type endpoint struct {
	*endpointState
	adm       *admission
	rec       *recorder
	cfg       config.Endpoint
	auth      *authChain
	rules     *auth.Rules
	skipsAuth bool // the only method is anonymous, which needs no check
	ws        websocket.Endpoint
	bounds    registry.Bounds

	countsLoopback bool           // bounds.PerAddress applies to loopback addresses too
	perSecond      float64        // the allowed rate of handshakes for each address
	sending        *sendingBounds // nil if there are no limits
	rechecks       bool           // sessions are rechecked while connections are open
	target         *liveTarget
}

// newEndpoint creates the site's endpoint i. It takes the lasting state from old, which may be nil.
func (b *builder) newEndpoint(n, old *site, i int) (*endpoint, error) {
	cfg, limits := n.cfg.Endpoints[i], n.cfg.Limits
	e := &endpoint{
		adm: b.adm, rec: b.rec, cfg: cfg, endpointState: old.endpointState(cfg.Name), perSecond: cfg.Limits.HandshakesPerSecond,
		countsLoopback: n.cfg.CountsLoopback(),
		bounds: registry.Bounds{
			Total: limits.Connections, PerAddress: limits.ConnectionsPerAddress, Endpoint: cfg.Limits.Connections,
			EndpointPerAddress: cfg.Limits.ConnectionsPerAddress, EndpointPerUser: cfg.Limits.ConnectionsPerIdentity,
		},
	}
	e.sending = newSendingBounds(&cfg)
	e.rechecks = slices.ContainsFunc(cfg.Auth, func(ref config.AuthRef) bool { return n.cfg.Rechecks(ref) })
	e.ws.Admit, e.ws.Refused = e.admit, e.recordRefusal
	e.ws.Accept = websocket.AcceptOptions{
		Origins: cfg.Origins.Strings(), AnyOrigin: cfg.Origins.Any, TrustedProxies: n.proxies, Subprotocols: cfg.Subprotocols,
		Conn: websocket.ConnOptions{MaxMessage: int64(cfg.MaxMessage), PingInterval: time.Duration(cfg.PingInterval)},
	}
	if set, ok := cfg.Target.Settings.(*config.Balance); ok {
		e.ws.Accept.Subprotocols = nil // the server behind the balancer chooses one, or none
		if set.Timeouts.Ping > 0 {
			e.ws.Accept.Conn.PingInterval = time.Duration(set.Timeouts.Ping)
		}
	}
	if cfg.Compression.Enabled {
		e.ws.Accept.Conn.Compression = compression(cfg.Compression)
	}
	var err error
	if e.auth, err = n.methods.chain(endpointPath(i, "auth"), cfg.Name, cfg.Auth); err != nil {
		return nil, err
	}
	e.skipsAuth = e.auth.anonymous && len(cfg.Auth) == 1
	if e.rules, err = newRules(n.cfg, endpointPath(i, "rules"), cfg.Rules); err != nil {
		return nil, err
	}
	e.target, err = b.target(n, old, i) // last, because the endpoint holds the target from here on
	return e, err
}

// boundsFor returns the bounds for a client. The bounds per address do not apply to proxies, which forward many clients. The
// server's bound per address applies to programs on this machine only if it is configured.
func (e *endpoint) boundsFor(client netip.Addr) registry.Bounds {
	b := e.bounds
	if e.adm.isProxy(client) {
		b.PerAddress, b.EndpointPerAddress = 0, 0
	} else if client.IsLoopback() && !e.countsLoopback {
		b.PerAddress = 0
	}
	return b
}

// compression converts the configuration of compression for the library.
func compression(cfg config.Compression) *websocket.Compression {
	c := &websocket.Compression{
		ServerNoTakeover: !cfg.Takeover, ClientNoTakeover: !cfg.Takeover, Threshold: int(cfg.Threshold),
	}
	if c.Threshold == 0 {
		c.Threshold = -1 // compress all messages
	}
	return c
}

// handshake starts the decision on a request.
func (e *endpoint) handshake(r *http.Request) *handshake {
	v := viaOf(r)
	return &handshake{e: e, via: v, header: r.Header, entry: &registry.Entry{
		Endpoint: e.cfg.Name, Addr: v.client, Origin: wshandshake.PrintableOrigin(r.Header.Get("Origin")), Sum: &e.sum,
	}}
}

// ServeHTTP responds to an opening handshake, and to other requests if the target serves them. The connection of an admitted client
// keeps none of the objects that net/http holds for a request.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := e.handshake(r)
	if target, ok := e.target.Target.(Requests); ok && !wantsWebSocket(r) {
		e.serveRequest(w, r, h, target)
		return
	}
	if p, ok := r.Context().(*requestContext); ok {
		p.handshake = h
	} else {
		r = r.WithContext(context.WithValue(r.Context(), handshakeKey{}, h))
	}
	e.ws.ServeHTTP(w, r)
}

// admit decides whether a handshake is admitted, after the checks of the protocol and of the origin.
func (e *endpoint) admit(r *http.Request) (*websocket.Admission, error) {
	h, _ := r.Context().Value(handshakeKey{}).(*handshake)
	if err := h.admit(r); err != nil {
		return nil, err
	}
	o := h.opened
	e.rec.storeOutcome(h.via, refusals.Outcome{Status: http.StatusSwitchingProtocols})
	k := &admitted{h.client(), strings.Clone(r.URL.Path), h.rule} // the connection must not keep the request or its site
	a := &websocket.Admission{Subprotocol: o.Subprotocol, Header: o.Header, Extensions: o.Extensions}
	if o.QueueFull != e.ws.Accept.Conn.QueueFull || o.HalfClose {
		conn := e.ws.Accept.Conn
		conn.QueueFull, conn.HalfClose = o.QueueFull, o.HalfClose
		a.Options = &conn
	}
	if serve := o.Serve; serve != nil {
		a.Serve = func(c *websocket.Conn) { k.serve(c, serve) }
	}
	if o.Open != nil {
		a.Open = k.events(o.Open)
	}
	if tunnel := o.Tunnel; tunnel != nil {
		a.Tunnel = func(nc net.Conn, early []byte) { k.tunnel(nc, early, tunnel) }
	}
	// The connection keeps the request for as long as it is open, but no longer needs the header, the TLS state and most of the URL, which
	// take about 1 KiB and contain credentials.
	r.Header, r.TLS, r.URL = nil, nil, &url.URL{Path: r.URL.Path}
	return a, nil
}

// recordRefusal records a handshake that has failed.
func (e *endpoint) recordRefusal(_ context.Context, _ string, r *http.Request, err *websocket.HandshakeError) {
	h, _ := r.Context().Value(handshakeKey{}).(*handshake)
	h.release()
	r.Header = h.header
	e.rec.refusedBy(h, r, err)
}

// handshakeKey is the key of a *handshake in the context of its request.
type handshakeKey struct{}

// recoverPanic calls a method. A panic is treated like an unavailable service, so that it ends only one connection.
func recoverPanic(method func() (*auth.Identity, error)) (id *auth.Identity, err error) {
	defer func() {
		if p := recover(); p != nil {
			id, err = nil, auth.Unavailable(authWait, fmt.Errorf("an authentication method panicked: %v", p))
		}
	}()
	return method()
}

// authenticate calls the endpoint's methods, until the request's context is done. A method may continue after that, because other
// requests may wait for the same result. The method has its own timeout and keeps its turn until it returns, which limits the
// number of goroutines that continue.
func (e *endpoint) authenticate(r *http.Request) (*auth.Identity, error) {
	if e.skipsAuth {
		return e.auth.Authenticate(r)
	}
	type answer struct {
		id  *auth.Identity
		err error
	}
	answered := make(chan answer, 1)
	go func() {
		id, err := recoverPanic(func() (*auth.Identity, error) { return e.auth.Authenticate(r) })
		answered <- answer{id, err}
	}()
	select {
	case a := <-answered:
		return a.id, a.err
	case <-r.Context().Done():
		return nil, auth.Unavailable(authWait, context.Cause(r.Context()))
	}
}
