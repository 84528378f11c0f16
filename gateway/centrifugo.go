package gateway

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/centrifugo"
	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/observe"
	"github.com/handfast/handfast/webhook"
	"github.com/handfast/handfast/websocket"
	wshandshake "github.com/handfast/handfast/websocket/handshake"
)

// newCentrifugo makes the target centrifugo.
func (s *Server) newCentrifugo(cfg *config.Config, i int) (Target, error) {
	h, err := s.hub.open(cfg, s.rec)
	if err != nil {
		return nil, err
	}
	set := cfg.Endpoints[i].Target.Settings.(*config.Centrifugo)
	t := &centrifugoTarget{anonymous: set.Anonymous, stopping: s.pages, server: &centrifugo.Server{
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

// newCaller makes what carries out the calls of clients.
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

// rpc has clients call the application.
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

// centrifugoTarget is the target that speaks the protocol of Centrifugo.
type centrifugoTarget struct {
	server    *centrifugo.Server
	caller    *webhook.Caller // nil: clients cannot call the application
	anonymous bool
	stopping  context.Context //nolint:containedctx // the server's
}

// errCentrifugoSubprotocol is the answer to clients that offer subprotocols, but none of these.
var errCentrifugoSubprotocol = &websocket.Reject{
	Status: http.StatusBadRequest,
	Reason: "The endpoint speaks the subprotocols " + strings.Join(centrifugo.Subprotocols, " and ") + " only; offer one of them, or none.",
}

// client returns who a client is, as far as its handshake says.
func (t *centrifugoTarget) client(id *auth.Identity, allow func(action, channel string) error, become func(*auth.Identity) error) centrifugo.Client {
	c := centrifugo.Client{Anonymous: t.anonymous, Allow: allow, Identified: func(token *centrifugo.Token) error {
		next := &auth.Identity{Subject: token.User, Method: "jwt", Claims: token.Claims}
		if token.User == "" {
			next.Method = config.Anonymous
		}
		return become(next)
	}}
	if id.Method != config.Anonymous {
		c.User = id.Subject
	}
	return c
}

// Open implements [Target].
func (t *centrifugoTarget) Open(_ context.Context, r *Request) (*Opened, error) {
	o := &Opened{QueueFull: centrifugo.ConnOptions().QueueFull}
	if r.Header.Get("Sec-WebSocket-Protocol") != "" {
		opening := wshandshake.OpeningOf(r.Request)
		if o.Subprotocol = opening.Choose(centrifugo.Subprotocols); o.Subprotocol == "" {
			return nil, errCentrifugoSubprotocol
		}
	}
	c := t.client(r.Identity, r.Allow, r.Become)
	if c.User != "" {
		c.Expires = r.Expires
		renew := r.Renew
		c.Refresh = func(ctx context.Context, token string) (time.Time, error) {
			id, err := renew(ctx, token)
			if err != nil {
				return time.Time{}, err
			}
			return id.Expires, nil
		}
	}
	o.Open = t.server.Open(c)
	return o, nil
}

// Register implements [Pages].
func (t *centrifugoTarget) Register(mux *http.ServeMux) {
	mux.HandleFunc("POST /connection/http_stream", t.lasting(t.server.HTTPStream))
	mux.HandleFunc("GET /connection/sse", t.lasting(t.server.SSE))
	mux.HandleFunc("POST /emulation", t.server.Emulation)
	mux.HandleFunc("/api/{method}", t.server.API)
}

// lasting serves a connection over HTTP, of a client that the endpoint admits.
func (t *centrifugoTarget) lasting(serve func(http.ResponseWriter, *http.Request, centrifugo.Client)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p := r.Context().Value(pageKey{}).(*pageAt)
		id, err := p.e.ask(r)
		if err == nil {
			_, err = p.e.rules.Authorize(id, auth.Action{Do: "connect", Endpoint: p.e.cfg.Name})
		}
		if err != nil {
			status := http.StatusForbidden
			if reject, ok := errors.AsType[*websocket.Reject](auth.Refusal(err)); ok {
				status = reject.Status
			}
			http.Error(w, http.StatusText(status), status)
			return
		}
		who := new(atomic.Pointer[auth.Identity])
		who.Store(id)
		ctx, cancel := context.WithCancel(p.lasting)
		defer cancel()
		defer context.AfterFunc(t.stopping, cancel)()
		serve(w, r.WithContext(ctx), t.client(id, p.e.allow(who), p.e.become(who)))
	}
}

// Close implements [Target]. The hub is the server's.
func (t *centrifugoTarget) Close() error {
	if t.caller != nil {
		t.caller.Close()
	}
	return nil
}
