package gateway

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/streams"
	"github.com/handfast/handfast/websocket"
)

// newStreams creates the target streams.
func (s *Server) newStreams(cfg *config.Config, i int) (Target, error) {
	h, err := s.hub.open(cfg, s.rec)
	if err != nil {
		return nil, err
	}
	set := cfg.Endpoints[i].Target.Settings.(*config.Streams)
	return &streamsTarget{path: cfg.Endpoints[i].Path, server: streams.Server{
		Hub: h, App: set.App, History: set.History, MaxBody: int64(set.MaxBody), LongPoll: time.Duration(set.LongPoll),
		SSE: time.Duration(set.Events), MaxLive: set.MaxLive,
	}}, nil
}

// streamsTarget is the target for Durable Streams.
type streamsTarget struct {
	path   string
	server streams.Server
}

// errPlainHTTP is the response to WebSocket handshakes.
var errPlainHTTP = &websocket.Reject{
	Status: http.StatusBadRequest, Reason: "The endpoint serves streams over plain HTTP; channels over WebSocket are at another endpoint.",
}

// Open implements [Target].
func (t *streamsTarget) Open(context.Context, *Request) (*Opened, error) { return nil, errPlainHTTP }

// ServeRequest implements [Requests].
func (t *streamsTarget) ServeRequest(w http.ResponseWriter, r *Request) {
	c := streams.Client{User: r.Identity.Subject, Allow: r.Allow}
	if r.Identity.Method == config.Anonymous {
		c.User = ""
	}
	t.server.Serve(w, r.Request, strings.TrimPrefix(r.URL.Path, t.path), c)
}

// Preflight implements [preflighter].
func (t *streamsTarget) Preflight(w http.ResponseWriter) { streams.Preflight(w) }

// Close implements [Target]. It does not close the hub, which belongs to the server.
func (t *streamsTarget) Close() error { return t.server.Close() }
