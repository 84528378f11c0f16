package centrifugo

import (
	"bytes"
	"context"
	"encoding/json"
	"path"
	"time"

	"github.com/centrifugal/protocol"

	"github.com/handfast/handfast/hub"
)

// methods are the methods of the API, except for batch.
var methods = map[string]method{
	"publish": decoded(apiPublish), "broadcast": decoded(apiBroadcast), "subscribe": decoded(apiSubscribe), "unsubscribe": decoded(apiUnsubscribe),
	"disconnect": decoded(apiDisconnect), "refresh": decoded(apiRefresh), "presence": decoded(apiPresence), "presence_stats": decoded(apiPresenceStats),
	"history": decoded(apiHistory), "history_remove": decoded(apiHistoryRemove), "channels": decoded(apiChannels), "info": decoded(apiInfo),
	"map_publish": decoded(apiMapPublish), "map_remove": decoded(apiMapRemove),
}

// payload is data of the application: JSON, or any bytes in base64.
type payload struct {
	Data    json.RawMessage `json:"data"`
	B64Data []byte          `json:"b64data"`
}

// publishParams are the parameters of a publication.
type publishParams struct {
	payload

	Channel        string            `json:"channel"`
	Channels       []string          `json:"channels"`
	SkipHistory    bool              `json:"skip_history"`
	Tags           map[string]string `json:"tags"`
	IdempotencyKey string            `json:"idempotency_key"`
	Key            string            `json:"key"`
}

// publication returns the publication and its options.
func (p *publishParams) publication() (*hub.Publication, *hub.PublishOptions, error) {
	q := &hub.Publication{ID: p.IdempotencyKey, Data: p.Data, Tags: p.Tags}
	if len(p.B64Data) > 0 {
		q.Data = p.B64Data
		q.Binary = asJSON.data(p.B64Data, false)[0] == '"' && !json.Valid(p.B64Data)
	}
	if len(q.Data) == 0 {
		return nil, nil, errBadRequest
	}
	o := new(hub.PublishOptions)
	if p.SkipHistory {
		o.History = -1
	}
	return q, o, nil
}

// position is the position of a publication.
type position struct {
	Offset uint64 `json:"offset,omitempty"`
	Epoch  string `json:"epoch,omitempty"`
}

func apiPublish(ctx context.Context, s *Server, p *publishParams) (any, error) {
	q, o, err := p.publication()
	if err != nil {
		return nil, err
	}
	return s.publish(ctx, p.Channel, q, o)
}

// publish publishes for the application.
func (s *Server) publish(ctx context.Context, channel string, p *hub.Publication, o *hub.PublishOptions) (any, error) {
	done, err := s.Hub.Publish(ctx, s.App, channel, p, o)
	if err != nil {
		return nil, err
	}
	if done.Offset == 0 {
		return position{}, nil
	}
	return position{Offset: done.Offset, Epoch: done.Epoch}, nil
}

func apiBroadcast(ctx context.Context, s *Server, p *publishParams) (any, error) {
	if len(p.Channels) == 0 || len(p.Channels) > maxChannels {
		return nil, errBadRequest
	}
	responses := make([]answer, len(p.Channels))
	for i, channel := range p.Channels {
		q, o, err := p.publication() // a new publication for each channel, because the subscribers of a channel share it
		if err != nil {
			return nil, err
		}
		if responses[i].Result, err = s.publish(ctx, channel, q, o); err != nil {
			responses[i] = answer{Error: failureOf(err)}
		}
	}
	return map[string]any{"responses": responses}, nil
}

func apiMapPublish(ctx context.Context, s *Server, p *publishParams) (any, error) {
	q, o, err := p.publication()
	if err != nil || p.Key == "" {
		return nil, errBadRequest
	}
	q.Key = p.Key
	return s.publish(ctx, p.Channel, q, o)
}

func apiMapRemove(ctx context.Context, s *Server, p *publishParams) (any, error) {
	if p.Key == "" {
		return nil, errBadRequest
	}
	return s.publish(ctx, p.Channel, &hub.Publication{ID: p.IdempotencyKey, Key: p.Key, Removed: true, Tags: p.Tags}, nil)
}

// target selects the connections that a method applies to.
type target struct {
	User    string `json:"user"`
	Client  string `json:"client"`
	Channel string `json:"channel"`
}

func apiSubscribe(ctx context.Context, s *Server, p *struct {
	target
	payload

	Info     json.RawMessage `json:"info"`
	B64Info  []byte          `json:"b64info"`
	ExpireAt int64           `json:"expire_at"`
}) (any, error) {
	if p.User == "" && p.Client == "" || p.Channel == "" {
		return nil, errBadRequest
	}
	o := &subscribeOrder{Channel: p.Channel, Info: p.Info, Data: p.Data, Expires: p.ExpireAt}
	if len(p.B64Info) > 0 {
		o.Info = p.B64Info
	}
	if len(p.B64Data) > 0 {
		o.Data = p.B64Data
	}
	if o.Info != nil && !json.Valid(o.Info) || o.Data != nil && !json.Valid(o.Data) {
		return nil, errBadRequest
	}
	return nil, s.send(ctx, hub.CommandMessage, p.User, p.Client, &order{Subscribe: o})
}

func apiUnsubscribe(ctx context.Context, s *Server, p *target) (any, error) {
	if p.User == "" && p.Client == "" || p.Channel == "" {
		return nil, errBadRequest
	}
	return nil, s.Hub.Do(ctx, hub.Command{
		Kind: hub.CommandUnsubscribe, App: s.App, User: p.User, Client: p.Client, Channel: p.Channel, Reason: hub.EndServer,
	})
}

func apiDisconnect(ctx context.Context, s *Server, p *struct {
	target

	Whitelist  []string             `json:"whitelist"`
	Disconnect *protocol.Disconnect `json:"disconnect"`
}) (any, error) {
	d := p.Disconnect
	switch {
	case p.User == "" && p.Client == "", d != nil && (d.Code < 3000 || d.Code > 4999 || !validReason(d.Reason)):
		return nil, errBadRequest
	case len(p.Whitelist) > maxChannels:
		return nil, errLimit
	}
	c := hub.Command{Kind: hub.CommandDisconnect, App: s.App, User: p.User, Client: p.Client, Except: p.Whitelist, Reason: hub.EndServer}
	if d != nil {
		data, err := json.Marshal(&order{Disconnect: d})
		if err != nil {
			return nil, err
		}
		c.Channel, c.Data = commandName, data
	}
	return nil, s.Hub.Do(ctx, c)
}

func apiRefresh(ctx context.Context, s *Server, p *struct {
	target

	Expired  bool  `json:"expired"`
	ExpireAt int64 `json:"expire_at"`
}) (any, error) {
	if p.User == "" && p.Client == "" {
		return nil, errBadRequest
	}
	return nil, s.send(ctx, hub.CommandMessage, p.User, p.Client, &order{Refresh: &refreshOrder{Expired: p.Expired, Expires: p.ExpireAt}})
}

// entries returns a function that reads the connections in a channel, for the application.
func (s *Server) entries(channel string) page {
	return func(ctx context.Context, cursor string, limit int) ([]hub.Entry, string, error) {
		return s.Hub.Entries(ctx, s.App, channel, cursor, limit)
	}
}

func apiPresence(ctx context.Context, s *Server, p *target) (any, error) {
	all, err := s.entries(p.Channel).present(ctx, asJSON)
	return raw(&protocol.PresenceResult{Presence: all}), err
}

func apiPresenceStats(ctx context.Context, s *Server, p *target) (any, error) {
	r, err := s.entries(p.Channel).count(ctx)
	if err != nil {
		return nil, err
	}
	return map[string]uint32{"num_clients": r.NumClients, "num_users": r.NumUsers}, nil
}

func apiHistory(ctx context.Context, s *Server, p *struct {
	Channel string                   `json:"channel"`
	Limit   int32                    `json:"limit"`
	Since   *protocol.StreamPosition `json:"since"`
	Reverse bool                     `json:"reverse"`
}) (any, error) {
	r, err := readHistory(&protocol.HistoryRequest{Limit: p.Limit, Since: p.Since, Reverse: p.Reverse}, asJSON,
		func(q hub.HistoryQuery) (hub.HistoryPage, error) { return s.Hub.History(ctx, s.App, p.Channel, q) })
	if err != nil {
		return nil, err
	}
	if r.Publications == nil {
		r.Publications = []*protocol.Publication{}
	}
	return raw(r), nil
}

// raw returns a message of the client protocol as JSON.
func raw(m interface{ AppendJSON(b []byte) []byte }) json.RawMessage {
	return bytes.TrimSpace(m.AppendJSON(nil))
}

func apiHistoryRemove(ctx context.Context, s *Server, p *target) (any, error) {
	page, err := s.Hub.History(ctx, s.App, p.Channel, hub.HistoryQuery{})
	if err != nil {
		return nil, err
	}
	return nil, s.Hub.Trim(ctx, s.App, p.Channel, page.Top.Offset)
}

// channelCount is the number of clients in a channel.
type channelCount struct {
	NumClients int `json:"num_clients"`
}

func apiChannels(ctx context.Context, s *Server, p *struct {
	Pattern string `json:"pattern"`
}) (any, error) {
	if _, err := path.Match(p.Pattern, ""); err != nil {
		return nil, errBadRequest
	}
	all, after := map[string]channelCount{}, ""
	for {
		cs, more, err := s.Hub.Occupied(ctx, s.App, "", after, maxChannels)
		if err != nil {
			return nil, err
		}
		for _, c := range cs {
			after = c.Channel
			if ok, _ := path.Match(p.Pattern, c.Channel); !ok && p.Pattern != "" {
				continue
			}
			if all[c.Channel] = (channelCount{c.Subscribers}); len(all) > maxCounted {
				return nil, errLimit
			}
		}
		if !more || len(cs) == 0 {
			return map[string]any{"channels": all}, nil
		}
	}
}

// node describes this node to the application.
type node struct {
	UID         string `json:"uid"`
	Name        string `json:"name"`
	Version     string `json:"version"`
	NumClients  int    `json:"num_clients"`
	NumChannels int    `json:"num_channels"`
	NumSubs     int    `json:"num_subs"`
	Uptime      int64  `json:"uptime"`
}

func apiInfo(_ context.Context, s *Server, _ *struct{}) (any, error) {
	n := s.Hub.Sizes()
	return map[string]any{"nodes": []node{{
		UID: s.Name, Name: s.Name, Version: s.Version, NumClients: n.Sessions, NumChannels: n.Channels, NumSubs: n.Subscriptions,
		Uptime: int64(time.Since(started) / time.Second),
	}}}, nil
}

// started is the time when the process started.
var started = time.Now()
