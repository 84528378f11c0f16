package gateway

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/centrifugo"
	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/gateway/internal/registry"
	"github.com/handfast/handfast/internal/cors"
	"github.com/handfast/handfast/observe"
	"github.com/handfast/handfast/webhook"
	"github.com/handfast/handfast/websocket"
	wshandshake "github.com/handfast/handfast/websocket/handshake"
)

// newCentrifugo creates the target centrifugo.
func (s *Server) newCentrifugo(cfg *config.Config, i int) (Target, error) {
	h, err := s.hub.open(cfg, s.rec)
	if err != nil {
		return nil, err
	}
	set := cfg.Endpoints[i].Target.Settings.(*config.Centrifugo)
	t := &centrifugoTarget{anonymous: set.Anonymous, server: &centrifugo.Server{
		Hub: h, App: set.App, Name: "handfast", Version: "handfast", CommandsPerSecond: set.CommandsPerSecond,
	}}
	if i := slices.IndexFunc(cfg.Apps, func(a config.App) bool { return a.ID == set.App }); i >= 0 {
		t.server.Secret = cfg.Apps[i].Secret.Reveal()
	}
	if set.RPC.URL != "" {
		if t.caller, err = newCaller(set, t.server.Secret); err != nil {
			return nil, cfg.Problem(endpointPath(i, "target.centrifugo.rpc"), err.Error(), "")
		}
		t.server.RPC = s.rpc(t.caller)
	}
	return t, nil
}

// newCaller creates the caller that forwards the calls of clients to the application.
func newCaller(set *config.Centrifugo, secret string) (*webhook.Caller, error) {
	o := webhook.CallerOptions{URL: set.RPC.URL, App: set.App, Secret: []byte(secret), Timeout: time.Duration(set.RPC.Timeout)}
	if !set.RPC.Secret.Empty() {
		o.Secret = []byte(set.RPC.Secret.Reveal())
	}
	if set.RPC.CA != "" {
		transport, err := transportFor(string(set.RPC.CA))
		if err != nil {
			return nil, err
		}
		o.Transport = transport
	}
	return webhook.NewCaller(o)
}

// rpc returns the function for calls from clients to the application.
func (s *Server) rpc(calls *webhook.Caller) func(context.Context, centrifugo.Caller, string, []byte) ([]byte, error) {
	return func(ctx context.Context, c centrifugo.Caller, method string, data []byte) ([]byte, error) {
		result, err := calls.Call(ctx, webhook.Call{Client: c.Client, User: c.User, Method: method, Data: data})
		if e, ok := errors.AsType[*webhook.CallError](err); ok {
			return nil, &centrifugo.RPCError{Code: e.Code, Message: e.Message, Temporary: e.Temporary}
		}
		if err != nil {
			s.rec.log.Warn(observe.EventCallFailed, observe.KeyUser, c.User, observe.KeyError, err)
		}
		return result, err
	}
}

// centrifugoTarget is the target for the Centrifugo protocol.
type centrifugoTarget struct {
	server    *centrifugo.Server
	caller    *webhook.Caller // if nil, clients cannot call the application
	anonymous bool
}

// errCentrifugoSubprotocol is the response to clients that offer subprotocols, but none of Centrifugo's.
var errCentrifugoSubprotocol = &websocket.Reject{
	Status: http.StatusBadRequest,
	Reason: "The endpoint speaks the subprotocols " + strings.Join(centrifugo.Subprotocols, " and ") + " only; offer one of them, or none.",
}

// client returns the client of a handshake.
func (t *centrifugoTarget) client(r *Request) centrifugo.Client {
	check, become, renew := r.CheckRevoked, r.Become, r.Renew // the closures below must not keep r, which refers to the HTTP request
	c := centrifugo.Client{
		Anonymous: t.anonymous, Allow: r.Allow,
		CheckRevoked: func(ctx context.Context, token *centrifugo.Token) error {
			if token.User == "" { // the token is for an anonymous client
				return nil
			}
			return tokenError(check(ctx, identityOf(token)))
		},
		Identified: func(token *centrifugo.Token) error { return tokenError(become(identityOf(token))) },
	}
	if r.Identity.Method == config.Anonymous {
		return c
	}
	c.User, c.Expires = r.Identity.Subject, r.Expires
	c.Refresh = func(ctx context.Context, token string) (time.Time, error) {
		id, err := renew(ctx, token)
		if err != nil {
			return time.Time{}, err
		}
		return id.Expires, nil
	}
	return c
}

// identityOf returns the identity in a token.
func identityOf(t *centrifugo.Token) *auth.Identity {
	id := &auth.Identity{Subject: t.User, Method: "jwt", Claims: t.Claims, ID: t.ID, Issued: t.Issued}
	if t.User == "" {
		id.Method = config.Anonymous
	}
	return id
}

// tokenError converts an error for centrifugo.Client.
func tokenError(err error) error {
	switch {
	case errors.Is(err, auth.ErrRevoked):
		return centrifugo.ErrRevoked
	case errors.Is(err, registry.ErrUserFull):
		return centrifugo.ErrTooMany
	}
	return err
}

// Open implements [Target].
func (t *centrifugoTarget) Open(_ context.Context, r *Request) (*Opened, error) {
	o := &Opened{QueueFull: centrifugo.ConnOptions().QueueFull, DrainCode: drainCentrifugo}
	if r.Header.Get("Sec-WebSocket-Protocol") != "" {
		opening := wshandshake.OpeningOf(r.Request)
		if o.Subprotocol = opening.Choose(centrifugo.Subprotocols); o.Subprotocol == "" {
			return nil, errCentrifugoSubprotocol
		}
	}
	o.Open = t.server.Open(t.client(r))
	return o, nil
}

// Register implements [Pages].
func (t *centrifugoTarget) Register(mux *http.ServeMux) {
	mux.HandleFunc("POST /connection/http_stream", t.lasting(t.server.HTTPStream))
	mux.HandleFunc("GET /connection/sse", t.lasting(t.server.SSE))
	mux.HandleFunc("POST /emulation", t.server.Emulation)
	mux.HandleFunc("/api/{method}", t.server.API)
}

// Preflight lists the methods and headers that a page of another origin may send. The header for the API key is not among them, because
// pages must not have the key.
func (t *centrifugoTarget) Preflight(w http.ResponseWriter) {
	cors.Preflight(w, "GET, POST", "Authorization, Content-Type")
}

// drainCentrifugo returns the protocol's code for a shutdown, after which clients reconnect.
func drainCentrifugo(int) websocket.Code { return centrifugo.CodeShutdown }

// lasting serves a connection over HTTP to an admitted client. Like a WebSocket, the connection counts towards the limits, and operators
// can list and close it.
func (t *centrifugoTarget) lasting(serve func(http.ResponseWriter, *http.Request, centrifugo.Client)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p := r.Context().Value(pageKey{}).(*pageRequest)
		h := p.e.handshake(r)
		h.entry.DrainCode = drainCentrifugo
		defer h.release()
		id, err := h.take(r)
		if err == nil {
			err = h.list()
		}
		if err == nil && !p.e.target.acquire() { // a reload has replaced the target in the meantime
			err = errReplaced
		}
		if err != nil {
			p.e.refuseRequest(w, r, err)
			return
		}
		client := t.client(h.request(r, id))
		k := &admitted{h.client(), r.URL.Path, h.rule}
		h.entered = false // k.end will release the place
		k.begin()
		sent := &emulatedConn{client: &k.client}
		client.Received = sent.received
		ctx, cancel := context.WithCancelCause(p.lasting)
		defer func() {
			cancel(nil)
			sent.end()
			how, _ := errors.AsType[*websocket.CloseError](context.Cause(ctx))
			if how == nil {
				how = &websocket.CloseError{Code: websocket.CodeGoingAway, ByPeer: true}
			}
			k.end(how, nil)
		}()
		if !p.e.adm.conns.Open(h.entry, lastingHandle(cancel)) {
			p.e.refuseRequest(w, r, errReplaced) // the connection was closed in the meantime
			return
		}
		serve(w, r.WithContext(ctx), client)
	}
}

// emulatedConn counts the messages of a connection over HTTP, which arrive in separate requests.
type emulatedConn struct {
	mu     sync.Mutex
	client *client // nil after the connection has ended
}

// received counts a message.
func (e *emulatedConn) received(bytes int64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.client == nil {
		return net.ErrClosed
	}
	return e.client.received(bytes)
}

// end must be called before the end of the client.
func (e *emulatedConn) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.client = nil
}

// lastingHandle closes a connection over HTTP by canceling the context of its request.
type lastingHandle context.CancelCauseFunc

// Shut implements [auth.Handle].
func (h lastingHandle) Shut(code websocket.Code, reason string) error {
	h(&websocket.CloseError{Code: code, Reason: reason})
	return nil
}

// CloseNow implements [auth.Handle].
func (h lastingHandle) CloseNow() error {
	h(context.Canceled)
	return nil
}

// Close implements [Target]. It does not close the hub, which belongs to the server.
func (t *centrifugoTarget) Close() error {
	if t.caller != nil {
		t.caller.Close()
	}
	return nil
}
