package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/gateway/internal/registry"
	"github.com/handfast/handfast/internal/limit"
	"github.com/handfast/handfast/websocket"
)

// endpoint is a path, a policy and a target. It serves handshakes, and hands connections to sessions.
type endpoint struct {
	*lasting
	server    *Server
	cfg       config.Endpoint
	auth      *asked
	rules     *auth.Rules
	nobody    bool                    // clients without a credential come in, and no others: there is nothing to ask
	accept    websocket.AcceptOptions // without a Check
	bounds    registry.Bounds
	perSecond float64 // handshakes of one address
	serve     target
}

// target is what an endpoint does with a connection, until its error. It need not close it.
type target func(ctx context.Context, c *websocket.Conn, e *registry.Entry) error

const (
	// authTimeout bounds how long it may take to find out who a client is.
	authTimeout = 10 * time.Second

	// authWait is how long a handshake waits for its turn to be looked at, and authQueue how many wait for each that is.
	authWait  = 2 * time.Second
	authQueue = 4
)

// newEndpoint makes the site's endpoint i. What lasts comes from old, which may be nil.
func (s *Server) newEndpoint(n, old *site, i int) (*endpoint, error) {
	cfg, limits := n.cfg.Endpoints[i], n.cfg.Limits
	e := &endpoint{server: s, cfg: cfg, lasting: old.lasting(cfg.Name), perSecond: cfg.Limits.HandshakesPerSecond, bounds: registry.Bounds{
		Total: limits.Connections, PerAddress: limits.ConnectionsPerAddress, Endpoint: cfg.Limits.Connections,
		EndpointPerAddress: cfg.Limits.ConnectionsPerAddress, EndpointPerUser: cfg.Limits.ConnectionsPerIdentity,
	}}
	e.accept = websocket.AcceptOptions{
		Origins: cfg.Origins.Strings(), AnyOrigin: cfg.Origins.Any, TrustedProxies: n.proxies, Subprotocols: cfg.Subprotocols,
		Conn: websocket.ConnOptions{MaxMessage: int64(cfg.MaxMessage), PingInterval: time.Duration(cfg.PingInterval)},
	}
	if cfg.Compression.Enabled {
		e.accept.Conn.Compression = compression(cfg.Compression)
	}
	var err error
	if e.auth, err = n.methods.chain(s, endpointPath(i, "auth"), cfg.Name, cfg.Auth); err != nil {
		return nil, err
	}
	e.nobody = e.auth.anonymous && len(cfg.Auth) == 1
	if e.rules, err = newRules(n.cfg, endpointPath(i, "rules"), cfg.Rules); err != nil {
		return nil, err
	}
	switch {
	case cfg.Target.Echo != nil:
		e.serve = echo
	default:
		return nil, n.cfg.Problem(endpointPath(i, "target"), "there is no such target", "echo")
	}
	return e, nil
}

// compression turns the configuration of compression into the library's.
func compression(cfg config.Compression) *websocket.Compression {
	c := &websocket.Compression{
		ServerNoTakeover: !cfg.Takeover, ClientNoTakeover: !cfg.Takeover, Threshold: int(cfg.Threshold),
	}
	if c.Threshold == 0 {
		c.Threshold = -1 // all of them
	}
	return c
}

// handshake is one client at the door.
type handshake struct {
	e       *endpoint
	entry   *registry.Entry
	entered bool
	rule    string // that decided
	via     *via
}

// ServeHTTP answers an opening handshake. When the client is let in the connection goes on in a goroutine of its own, on
// a fresh stack and without what net/http keeps for a request.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v := viaOf(r)
	h := &handshake{e: e, via: v, entry: &registry.Entry{
		Endpoint: e.cfg.Name, Addr: v.client, Origin: r.Header.Get("Origin"), Sum: &e.sum,
	}}
	opts := e.accept
	opts.Check = h.check
	header := r.Header
	c, err := websocket.Accept(w, r, &opts)
	if err != nil {
		if h.entered {
			e.server.conns.Leave(h.entry)
		}
		r.Header = header
		h.refused(r, err)
		return
	}
	e.server.recordOpened(h, r, c)
	h.via = nil // with it goes what the connection need not hold: the site, which a reload replaces
	go e.run(h, c)
}

// check decides whether a client may come in, the cheap questions first. Accept asks it after all that is the protocol's.
func (h *handshake) check(r *http.Request) error {
	e, s := h.e, h.e.server
	if err := s.allow(h.via, e); err != nil {
		return err
	}
	if err := s.conns.Enter(h.entry, e.bounds); err != nil {
		return err
	}
	h.entered = true
	id, err := h.identify(r)
	if err != nil {
		return err
	}
	h.know(id)
	if id.Method != config.Anonymous {
		if err := s.conns.Identify(h.entry, e.bounds); err != nil {
			return err
		}
	}
	if err := h.authorize(id); err != nil {
		return err
	}
	h.entry.Opened = time.Now()
	if err := s.conns.Admit(h.entry); err != nil {
		return auth.Refusal(auth.Unauthorized(err, e.auth.Challenge()))
	}
	// The connection keeps what the request has, for as long as it is open. Nobody asks for it any more: it is about a
	// KiB, and there are credentials in it.
	r.Header, r.TLS, r.URL = nil, nil, &url.URL{Path: r.URL.Path}
	return nil
}

// allow takes a token from the buckets of the client's address.
func (s *Server) allow(v *via, e *endpoint) error {
	now, key := time.Now(), limit.Key(v.client)
	perSecond := v.site.cfg.Limits.HandshakesPerSecond
	if ok, wait := s.rate.Allow(key, now, perSecond, burst(perSecond)); !ok {
		return tooFast(wait)
	}
	if ok, wait := e.rate.Allow(key, now, e.perSecond, burst(e.perSecond)); !ok {
		return tooFast(wait)
	}
	return nil
}

func tooFast(wait time.Duration) *websocket.Reject {
	return &websocket.Reject{
		Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {seconds(wait)}},
		Reason: "There are too many handshakes from your address.",
	}
}

// identify finds out who it is.
func (h *handshake) identify(r *http.Request) (*auth.Identity, error) {
	ctx, cancel := context.WithTimeout(r.Context(), authTimeout)
	defer cancel()
	began := time.Now()
	id, err := h.e.ask(r.WithContext(ctx))
	h.e.server.recordAuth(id, err, time.Since(began))
	if err != nil {
		return nil, auth.Refusal(err)
	}
	return id, nil
}

// ask asks the endpoint's methods, until the request's context ends. A method may go on beyond that, since others wait
// for the same answer; it has its own bound, and its turn until then: turn bounds how many goroutines there are of these.
func (e *endpoint) ask(r *http.Request) (*auth.Identity, error) {
	if e.nobody {
		return e.auth.Authenticate(r)
	}
	type answer struct {
		id  *auth.Identity
		err error
	}
	answered := make(chan answer, 1)
	go func() {
		var a answer
		defer func() {
			if p := recover(); p != nil { // as net/http would: one client must not end the others
				a.err = auth.Unavailable(authWait, fmt.Errorf("a method panicked: %v", p))
			}
			answered <- a
		}()
		a.id, a.err = e.auth.Authenticate(r)
	}()
	select {
	case a := <-answered:
		return a.id, a.err
	case <-r.Context().Done():
		return nil, auth.Unavailable(authWait, context.Cause(r.Context()))
	}
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

// run is the goroutine of a connection, from its first message to its end.
func (e *endpoint) run(h *handshake, c *websocket.Conn) {
	s, entry := e.server, h.entry
	defer s.conns.Leave(entry)
	e.metrics.Open.Inc()
	defer e.metrics.Open.Dec()
	var err error
	if s.conns.Open(entry, c) {
		err = e.serveOne(c, entry)
	}
	// Somebody else may be closing the connection at this very moment: this Close waits until that is done, and does
	// nothing to a connection that has ended. Only an endpoint that gives up by itself is closed by it.
	_ = c.Close(websocket.CodeInternalError, "")
	s.recordClosed(h, c, err, time.Since(entry.Opened))
}

// serveOne has the target serve a connection. A panic costs this client, and no other.
func (e *endpoint) serveOne(c *websocket.Conn, entry *registry.Entry) (err error) {
	defer func() {
		if p := recover(); p != nil {
			e.server.recordPanic(e.metrics, entry, p)
			err = errPanicked
		}
	}()
	return e.serve(context.Background(), c, entry)
}

var errPanicked = errors.New("the target panicked")

// closedBy returns how a connection ended, nil when that is not known.
func closedBy(c *websocket.Conn) *websocket.CloseError {
	e, _ := errors.AsType[*websocket.CloseError](context.Cause(c.Context()))
	return e
}

// authCalls returns how many credentials are being looked at, for the metrics.
func (s *Server) authCalls() float64 {
	n := 0
	if site := s.site.Load(); site != nil {
		for _, e := range site.endpoints {
			for _, c := range e.auth.calls {
				n += c.Running()
			}
		}
	}
	return float64(n)
}
