package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/handfast/handfast/channels"
	"github.com/handfast/handfast/channels/wire"
	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/hub/natsengine"
	"github.com/handfast/handfast/observe"
	"github.com/handfast/handfast/pusher"
	"github.com/handfast/handfast/websocket"
	wshandshake "github.com/handfast/handfast/websocket/handshake"
)

// sharedHub is the hub that all targets of a server share. The first target starts the hub, which stops with the server.
type sharedHub struct {
	mu     sync.Mutex
	hub    *hub.Hub
	engine hub.Engine
	hooks  webhooks
}

// open returns the hub, and starts it if necessary.
func (s *sharedHub) open(cfg *config.Config, rec *recorder) (*hub.Hub, error) {
	log := rec.log
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hub != nil {
		return s.hub, nil
	}
	engine, err := newEngine(cfg, log)
	if err != nil {
		p := cfg.Problem("hub.engine", strings.TrimPrefix(err.Error(), "natsengine: "), "")
		if errors.Is(err, natsengine.ErrInUse) {
			p.Hint = "give each node a directory of its own: another --cluster-listen, or dir in a file"
		}
		return nil, p
	}
	o := hubOptions(cfg.Hub)
	if s.hooks, err = openWebhooks(cfg, log); err != nil {
		if c, ok := engine.(io.Closer); ok {
			err = errors.Join(err, c.Close())
		}
		return nil, err
	}
	o.Events = s.hooks.events()
	o.Engine, s.engine, o.Traced, o.EngineState = engine, engine, rec.traced, engineState(cfg, log)
	s.hub = hub.New(o)
	return s.hub, nil
}

// events returns the function that receives events, or nil if there is none.
func (s *sharedHub) events() func(hub.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hooks.events()
}

// get returns the hub, or nil if it was not started.
func (s *sharedHub) get() *hub.Hub {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hub
}

// close ends the hub. All connections must have ended.
func (s *sharedHub) close(rec *recorder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hub == nil {
		return
	}
	if err := s.hub.Close(); err != nil { // for example because the last nodes of a cluster no longer have a majority
		rec.log.Info(observe.EventEngineGone, observe.KeyError, err, observe.KeyHint, "the members of this node leave when the lease of the node ends")
	}
	s.hooks.close(webhookGrace)
	if c, ok := s.engine.(io.Closer); ok {
		if err := c.Close(); err != nil {
			rec.log.Warn(observe.EventEngine, observe.KeyError, err)
		}
	}
}

// hubOptions converts the configuration for the hub. It adds the namespaces that the target pusher requires, so that a reload may
// add that target.
func hubOptions(cfg config.Hub) hub.Options {
	o := hub.Options{MaxSubscriptions: cfg.MaxSubscriptions}
	for _, n := range cfg.Namespaces {
		o.Namespaces = append(o.Namespaces, hub.Namespace{
			Name: n.Prefix + "*", Prefix: n.Prefix, History: n.History, HistoryAge: time.Duration(n.HistoryAge), Presence: n.Presence, MaxData: int(n.MaxData),
			MaxSubscribers: n.MaxSubscribers, Rate: n.Rate, Burst: n.Burst, Slow: slowPolicies[n.Slow], KeyTTL: time.Duration(n.KeyTTL),
			Expiry: time.Duration(n.Expiry), Trace: n.Trace,
		})
	}
	if !slices.ContainsFunc(o.Namespaces, func(n hub.Namespace) bool { return n.Prefix == "" }) {
		o.Namespaces = append(o.Namespaces, hub.Namespace{Name: "*"}) // the defaults of the hub, under the name that metrics show
	}
	o.Namespaces = pusher.Namespaces(o.Namespaces)
	return o
}

// slowPolicies are the values of the setting slow.
var slowPolicies = map[string]hub.SlowPolicy{
	"refill": hub.SlowRefill, "drop": hub.SlowDrop, "latest": hub.SlowLatest, "close": hub.SlowClose,
}

// newChannels creates the target channels.
func (s *Server) newChannels(cfg *config.Config, i int) (Target, error) {
	h, err := s.hub.open(cfg, s.rec)
	if err != nil {
		return nil, err
	}
	set := cfg.Endpoints[i].Target.Settings.(*config.Channels)
	return &channelsTarget{channels.Server{Hub: h, App: set.App, CommandsPerSecond: set.CommandsPerSecond}}, nil
}

// channelsTarget is the target for the protocol handfast.v1.json.
type channelsTarget struct{ server channels.Server }

// errSubprotocol is the response to clients that offer subprotocols, but not handfast.v1.json.
var errSubprotocol = &websocket.Reject{
	Status: http.StatusBadRequest, Reason: "The endpoint speaks the subprotocol " + wire.Subprotocol + " only; offer it, or none.",
}

// Open implements [Target].
func (t *channelsTarget) Open(_ context.Context, r *Request) (*Opened, error) {
	o := &Opened{QueueFull: channels.ConnOptions().QueueFull}
	if offered := strings.Join(r.Header.Values("Sec-WebSocket-Protocol"), ","); offered != "" {
		opening := wshandshake.OpeningOf(r.Request)
		if o.Subprotocol = opening.Choose([]string{wire.Subprotocol}); o.Subprotocol == "" {
			return nil, errSubprotocol
		}
	}
	c := channels.Client{User: r.Identity.Subject, Allow: r.Allow, Expires: r.Expires}
	if r.Identity.Method == config.Anonymous {
		c.User = ""
	} else {
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

// Close implements [Target]. It does not close the hub, which belongs to the server.
func (t *channelsTarget) Close() error { return nil }
