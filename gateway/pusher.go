package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/gateway/internal/registry"
	"github.com/handfast/handfast/pusher"
	"github.com/handfast/handfast/websocket"
)

// pusherPace is the number of connections that a drain may tell to reconnect immediately, which clients do without any delay. While
// more connections are left, clients must wait for a second.
const pusherPace = 100

// pusherTarget is the target for the Pusher-compatible protocol.
type pusherTarget struct {
	server *pusher.Server
	prefix string // the part of the path before /app/ and /apps/
}

// newPusher creates the target pusher.
func (s *Server) newPusher(cfg *config.Config, i int) (Target, error) {
	h, err := s.hub.open(cfg, s.rec)
	if err != nil {
		return nil, err
	}
	e := &cfg.Endpoints[i]
	set := e.Target.Settings.(*config.Pusher)
	var apps []pusher.App
	for _, a := range cfg.Apps {
		apps = append(apps, pusher.App{ID: a.ID, Key: a.Key, Secret: a.Secret.Reveal()})
	}
	return &pusherTarget{
		server: &pusher.Server{
			Hub: h, Events: s.hub.events(), Apps: apps, ClientEvents: set.ClientEvents, SubscriptionCounts: set.SubscriptionCounts,
			Watchlists: set.Watchlists, MaxMembers: set.MaxMembers,
			MaxData: int(set.MaxData), MaxConnections: set.MaxConnections, ActivityTimeout: time.Duration(set.ActivityTimeout),
			MessagesPerSecond: set.MessagesPerSecond,
		},
		prefix: strings.TrimSuffix(e.Path, config.PusherPath),
	}, nil
}

// Open implements [Target].
func (t *pusherTarget) Open(_ context.Context, r *Request) (*Opened, error) {
	q := r.URL.Query()
	c := pusher.Client{Key: r.PathValue("key"), Protocol: q.Get("protocol"), Version: q.Get("version"), User: r.Identity.Subject, Allow: r.Allow}
	if r.Identity.Method == config.Anonymous {
		c.User, c.Identified = "", pusherUser(r)
	}
	return &Opened{QueueFull: pusher.ConnOptions().QueueFull, Open: t.server.Open(c), DrainCode: pusherDrain}, nil
}

// methodSignIn is the method in the identity of a client that has signed in with a signature of its application.
const methodSignIn = "signin"

// pusherUser returns the Client.Identified function of an anonymous client. A signature contains no time, but it contains the ID of
// the connection, so it cannot be older than the connection.
func pusherUser(r *Request) func(context.Context, string) error {
	began, check, become := time.Now(), r.CheckRevoked, r.Become // the closure must not keep r, which refers to the HTTP request
	return func(ctx context.Context, user string) error {
		id := &auth.Identity{Subject: user, Method: methodSignIn, Issued: began}
		err := check(ctx, id)
		if err == nil {
			err = become(id)
		}
		switch {
		case errors.Is(err, auth.ErrRevoked):
			return pusher.ErrRevoked
		case errors.Is(err, registry.ErrUserFull):
			return pusher.ErrTooMany
		}
		return err
	}
}

// pusherDrain returns the close code for a drain, given the number of connections that are left.
func pusherDrain(left int) websocket.Code {
	if left > pusherPace {
		return pusher.CodeOverCapacity
	}
	return pusher.CodeReconnect
}

// Register implements [Pages]: it adds the HTTP API, and a page for health checks.
func (t *pusherTarget) Register(mux *http.ServeMux) {
	mux.Handle(t.prefix+"/apps/", t.server.API(t.prefix))
	mux.HandleFunc("GET "+t.prefix+"/up", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"health":"OK"}`) // this fails if the client has disconnected
	})
}

// Close implements [Target]. It does not close the hub, which belongs to the server.
func (t *pusherTarget) Close() error { return nil }
