package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/observe"
)

// counts returns the counters of the hub, for the metrics; nil if there are no channels.
func (s *sharedHub) counts() *observe.Channels {
	h := s.get()
	if h == nil {
		return nil
	}
	sizes := h.Sizes()
	c := &observe.Channels{Clients: sizes.Sessions, Channels: sizes.Channels, Subscriptions: sizes.Subscriptions,
		Ready: h.Ready() == nil, Lag: h.EngineLag(), Webhooks: s.hooks.counts()}
	for _, n := range h.Stats() {
		c.Namespaces = append(c.Namespaces, observe.Namespace{
			Name: n.Namespace, Publications: n.Publications, Deliveries: n.Deliveries, Rejected: n.Rejected, Recovered: n.Recovered,
			Unrecovered: n.Unrecovered, Slow: n.Slow, Dropped: n.Dropped, Refilled: n.Refilled, Gaps: n.Gaps,
			Insufficient: n.Insufficient, Joins: n.Joins, Leaves: n.Leaves,
		})
	}
	return c
}

// info is the response of /info.
type info struct {
	Version       string   `json:"version"`
	Started       string   `json:"started"`
	Uptime        int64    `json:"uptime_seconds"`
	Ready         bool     `json:"ready"`
	Reason        string   `json:"reason,omitempty"` // the reason why the server is not ready
	Connections   int      `json:"connections"`      // on this node, like the fields below
	Apps          []string `json:"apps"`
	Engine        string   `json:"engine"`
	EngineLag     float64  `json:"engine_lag_seconds"`
	Clients       int      `json:"clients"`
	Channels      int      `json:"channels"`
	Subscriptions int      `json:"subscriptions"`
}

// showInfo returns the version and the figures of this node.
func (s *operator) showInfo(w http.ResponseWriter, _ *http.Request) {
	cfg := s.config()
	i := info{Version: observe.Version(), Started: s.started.UTC().Format(time.RFC3339), Uptime: int64(time.Since(s.started).Seconds()),
		Ready: true, Connections: s.conns.Len(), Apps: []string{}, Engine: cfg.Hub.Engine.Kind}
	if err := s.ready(); err != nil {
		i.Ready, i.Reason = false, err.Error()
	}
	for _, a := range cfg.Apps {
		i.Apps = append(i.Apps, a.ID)
	}
	if c := s.hub.counts(); c != nil {
		i.EngineLag, i.Clients, i.Channels, i.Subscriptions = c.Lag.Seconds(), c.Clients, c.Channels, c.Subscriptions
	}
	writeJSON(w, i)
}

// page reads the parameters of a page of channels or members: the application, and the maximum number of items.
func (s *operator) page(w http.ResponseWriter, r *http.Request, app string) (h *hub.Hub, limit int, ok bool) {
	const most = 1000
	h, limit = s.hub.get(), 100
	var err error
	if text := r.URL.Query().Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > most {
			badRequest(w, "limit must be a number from 1 to %d", most)
			return nil, 0, false
		}
	}
	if h == nil || !hasApp(s.config(), app) {
		plain(w, http.StatusNotFound, "there is no such application with channels\n")
		return nil, 0, false
	}
	return h, limit, true
}

func hasApp(cfg *config.Config, id string) bool {
	for _, a := range cfg.Apps {
		if a.ID == id {
			return true
		}
	}
	return false
}

// engineTimeout bounds how long a page waits for the engine.
const engineTimeout = 5 * time.Second

// occupied is a channel in a list.
type occupied struct {
	Channel     string `json:"channel"`
	Subscribers int    `json:"subscribers"` // on all nodes
}

// listChannels returns the channels of an application that have subscribers on any node, sorted by name.
func (s *operator) listChannels(w http.ResponseWriter, r *http.Request) {
	q, app := r.URL.Query(), r.PathValue("app")
	if all := s.config().Apps; app == "" && len(all) > 0 {
		app = all[0].ID
	}
	h, limit, ok := s.page(w, r, app)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), engineTimeout)
	defer cancel()
	list, more, err := h.Occupied(ctx, app, q.Get("prefix"), q.Get("after"), limit)
	if err != nil {
		hubError(w, err)
		return
	}
	out := struct {
		App      string     `json:"app"`
		Channels []occupied `json:"channels"`
		After    string     `json:"after,omitempty"` // the parameter for the next page
	}{App: app, Channels: []occupied{}}
	for _, c := range list {
		out.Channels = append(out.Channels, occupied(c))
	}
	if more && len(list) > 0 {
		out.After = list[len(list)-1].Channel
	}
	writeJSON(w, out)
}

// channelPage is the response about one channel.
type channelPage struct {
	App     string   `json:"app"`
	Channel string   `json:"channel"`
	Epoch   string   `json:"epoch,omitempty"`
	Offset  uint64   `json:"offset"` // the offset of the newest message
	History int      `json:"history"`
	More    bool     `json:"history_more,omitempty"` // the history contains more messages than were counted
	Users   int      `json:"users"`                  // on all nodes; 0 for channels without presence
	Members []member `json:"members"`
	Cursor  string   `json:"cursor,omitempty"` // the parameter for the next page of members
}

// member is a user in a channel.
type member struct {
	User   string `json:"user,omitempty"`
	Client string `json:"client"`
	Data   any    `json:"data,omitempty"` // JSON unchanged, other bytes as a string
}

// The limits for counting the messages of a history.
const (
	maxCountedHistory = 1000
	maxHistoryReads   = 16 // in pages
)

// countHistory counts the last messages of a channel. It returns the channel's position, and reports whether there are more
// messages.
func countHistory(ctx context.Context, h *hub.Hub, app, channel string) (top hub.Position, n int, more bool, err error) {
	q := hub.HistoryQuery{Reverse: true}
	for range maxHistoryReads {
		q.Limit = maxCountedHistory - n
		page, err := h.History(ctx, app, channel, q)
		if q.Since == nil {
			top = page.Top
		}
		last := len(page.Publications) - 1
		if err != nil || last < 0 {
			return top, n, false, err
		}
		if n += last + 1; n == maxCountedHistory {
			break
		}
		q.Since = &page.Publications[last].Position
	}
	return top, n, true, nil
}

// showChannel returns the position of a channel, the size of its history, and a page of its members.
func (s *operator) showChannel(w http.ResponseWriter, r *http.Request) {
	out := channelPage{App: r.PathValue("app"), Channel: r.PathValue("channel"), Members: []member{}}
	h, limit, ok := s.page(w, r, out.App)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), engineTimeout)
	defer cancel()
	top, n, more, err := countHistory(ctx, h, out.App, out.Channel)
	if err != nil && !errors.Is(err, hub.ErrUnsupported) {
		hubError(w, err)
		return
	}
	out.Epoch, out.Offset, out.History, out.More = top.Epoch, top.Offset, n, more
	members, next, users, err := h.Members(ctx, out.App, out.Channel, r.URL.Query().Get("cursor"), limit)
	if err != nil && !errors.Is(err, hub.ErrNoPresence) {
		hubError(w, err)
		return
	}
	out.Users, out.Cursor = users, next
	for _, m := range members {
		out.Members = append(out.Members, member{m.User, m.Client, dataJSON(m.Data)})
	}
	writeJSON(w, out)
}

// dataJSON returns the data of a member as a JSON value, or nil if there is none.
func dataJSON(data []byte) any {
	switch {
	case len(data) == 0:
		return nil
	case json.Valid(data):
		return json.RawMessage(data)
	}
	return string(data)
}

// hubError responds to a request that failed in the hub or in its engine.
func hubError(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, hub.ErrBadChannel):
		badRequest(w, "%v", err)
	case errors.Is(err, hub.ErrUnsupported):
		plain(w, http.StatusNotImplemented, "the engine of channels does not support this request\n")
	default:
		plain(w, http.StatusServiceUnavailable, fmt.Sprintf("%v\n", err))
	}
}
