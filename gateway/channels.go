package gateway

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/handfast/handfast/channels"
	"github.com/handfast/handfast/channels/wire"
	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/observe"
	"github.com/handfast/handfast/websocket"
	wshandshake "github.com/handfast/handfast/websocket/handshake"
)

// sharedHub is the hub that all targets of a server share. It begins with the first of them and ends with the server.
type sharedHub struct {
	mu  sync.Mutex
	hub *hub.Hub
}

// open returns the hub.
func (s *sharedHub) open(cfg config.Hub) *hub.Hub {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hub == nil {
		s.hub = hub.New(hubOptions(cfg))
	}
	return s.hub
}

// close ends the hub. No connection is left.
func (s *sharedHub) close(rec *recorder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hub == nil {
		return
	}
	if err := s.hub.Close(); err != nil {
		rec.log.Warn(observe.EventTarget, observe.KeyError, err)
	}
}

// hubOptions turns the configuration into the hub's.
func hubOptions(cfg config.Hub) hub.Options {
	o := hub.Options{MaxSubscriptions: cfg.MaxSubscriptions}
	for _, n := range cfg.Namespaces {
		o.Namespaces = append(o.Namespaces, hub.Namespace{
			Prefix: n.Prefix, History: n.History, HistoryAge: time.Duration(n.HistoryAge), Presence: n.Presence, MaxData: int(n.MaxData),
			MaxSubscribers: n.MaxSubscribers, Rate: n.Rate, Burst: n.Burst, Slow: slowPolicies[n.Slow], KeyTTL: time.Duration(n.KeyTTL),
			Expiry: time.Duration(n.Expiry),
		})
	}
	return o
}

// slowPolicies are the values of the key slow.
var slowPolicies = map[string]hub.SlowPolicy{
	"refill": hub.SlowRefill, "drop": hub.SlowDrop, "latest": hub.SlowLatest, "close": hub.SlowClose,
}

// newTarget makes the target channels.
func (s *sharedHub) newTarget(cfg *config.Config, i int) (Target, error) {
	t := &channelsTarget{channels.Server{Hub: s.open(cfg.Hub), App: "dev"}}
	if set, ok := cfg.Endpoints[i].Target.Settings.(*config.Channels); ok {
		t.server.App, t.server.CommandsPerSecond = set.App, set.CommandsPerSecond
	}
	return t, nil
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
