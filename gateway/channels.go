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

// sharedHub is the hub that all targets of a server share. It begins with the first of them and ends with the server.
type sharedHub struct {
	mu     sync.Mutex
	hub    *hub.Hub
	engine hub.Engine
	hooks  webhooks
}

// open returns the hub.
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

// events returns what events are reported to, nil if that is nothing.
func (s *sharedHub) events() func(hub.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hooks.events()
}

// get returns the hub, nil when there are no channels.
func (s *sharedHub) get() *hub.Hub {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hub
}

// close ends the hub. No connection is left.
func (s *sharedHub) close(rec *recorder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hub == nil {
		return
	}
	if err := s.hub.Close(); err != nil { // as of the last nodes of a cluster, which have no majority any more
		rec.log.Info(observe.EventEngineGone, observe.KeyError, err, observe.KeyHint, "the members of this node leave when its lease ends")
	}
	s.hooks.close(webhookGrace)
	if c, ok := s.engine.(io.Closer); ok {
		if err := c.Close(); err != nil {
			rec.log.Warn(observe.EventEngine, observe.KeyError, err)
		}
	}
}

// hubOptions turns the configuration into the hub's. What the target pusher requires of channels with certain names is added, so
// that a reload may add that target.
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
		o.Namespaces = append(o.Namespaces, hub.Namespace{Name: "*"}) // as the hub has them, with the name that metrics show
	}
	o.Namespaces = pusher.Namespaces(o.Namespaces)
	return o
}

// slowPolicies are the values of the key slow.
var slowPolicies = map[string]hub.SlowPolicy{
	"refill": hub.SlowRefill, "drop": hub.SlowDrop, "latest": hub.SlowLatest, "close": hub.SlowClose,
}

// newChannels makes the target channels.
func (s *Server) newChannels(cfg *config.Config, i int) (Target, error) {
	h, err := s.hub.open(cfg, s.rec)
	if err != nil {
		return nil, err
	}
	set := cfg.Endpoints[i].Target.Settings.(*config.Channels)
	return &channelsTarget{channels.Server{Hub: h, App: set.App, CommandsPerSecond: set.CommandsPerSecond}}, nil
}

// channelsTarget is the target that speaks handfast.v1.json.
type channelsTarget struct{ server channels.Server }

// errSubprotocol is the answer to clients that offer subprotocols, but not this one.
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

// Close implements [Target]. The hub is the server's.
func (t *channelsTarget) Close() error { return nil }
