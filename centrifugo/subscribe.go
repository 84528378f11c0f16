package centrifugo

import (
	"context"
	"errors"
	"strings"

	"github.com/centrifugal/protocol"

	"github.com/handfast/handfast/hub"
)

// The types of subscriptions.
const (
	typeStream  = 0
	typeMap     = 1 // a keyed collection
	typeClients = 2 // the connections in a channel, as a keyed collection
	typeUsers   = 3 // the users in a channel, as a keyed collection
)

const (
	// flagReject is the flag for a subscription that must not begin if the missed publications cannot be recovered.
	flagReject = 2

	// privatePrefix is the prefix of the names of channels that require a subscription token.
	privatePrefix = "$"

	// maxReply is the maximum number of bytes of data in one reply.
	maxReply = 1 << 20
)

// request is a subscription that a client or the application requests.
type request struct {
	channel     string
	serverOwned ServerOwned
	since       *hub.Position
	granted     bool // whether a token or the application allows the subscription
	deltas      bool
	keyed       bool // whether the deltas are those of a keyed collection
	joinLeave   bool // whether joins and leaves are sent
	reject      bool // whether to fail if the missed publications cannot be recovered
	token       *Token
	filter      func(*hub.Publication) bool // nil means no filter
}

// since returns the position from which a client wants to recover, or nil if there is none.
func since(c *protocol.SubscribeRequest) *hub.Position {
	if c == nil || !c.Recover {
		return nil
	}
	return &hub.Position{Epoch: c.Epoch, Offset: c.Offset}
}

// subscribeCommand subscribes the client to a channel. The result is nil if the reply was already sent.
func (s *session) subscribeCommand(ctx context.Context, c *protocol.SubscribeRequest) (*protocol.SubscribeResult, error) {
	if c.Channel == "" {
		return nil, endBadRequest
	}
	if c.Type < typeStream || c.Type > typeUsers {
		return nil, errNotAvailable // other types, such as shared polls, are not supported
	}
	members := c.Type == typeClients || c.Type == typeUsers
	filter, err := filterOf(c.Tf, c.Type == typeMap)
	if err != nil {
		return nil, err
	}
	n := s.hub.Namespace(c.Channel)
	r := &request{
		channel: c.Channel, since: since(c), keyed: c.Type == typeMap, filter: filter, joinLeave: c.JoinLeave,
		deltas: c.Delta == "fossil" && c.Tf == nil && (c.Type == typeStream || n.KeyDeltas()),
		reject: c.Flag&flagReject != 0 || c.Type == typeMap,
	}
	if c.Token != "" {
		t, err := s.subscriptionToken(ctx, c.Token, c.Channel)
		if err != nil {
			return nil, err
		}
		r.granted, r.token, r.serverOwned.Info = true, t, t.Info
	} else if strings.HasPrefix(c.Channel, privatePrefix) && !members {
		return nil, errDenied
	}
	s.out.hold()
	switch {
	case members:
		return s.members(ctx, c, r)
	case s.watches.has(c.Channel):
		return nil, errSubscribed
	case c.Type == typeMap:
		return s.collection(ctx, c, r)
	}
	return s.subscribe(ctx, r)
}

// subscribe subscribes to a channel. Messages are held until the result was sent.
func (s *session) subscribe(ctx context.Context, r *request) (*protocol.SubscribeResult, error) {
	o := hub.SubscribeOptions{Since: r.since, Delta: r.deltas && !r.keyed, KeyDelta: r.deltas && r.keyed, Changes: r.joinLeave, Data: r.serverOwned.Info, Filter: r.filter,
		MissedBytes: maxReply}
	n := s.hub.Namespace(r.channel)
	o.Member = n.Presence
	if r.granted {
		s.grantedNow = r.channel
		defer func() { s.grantedNow = "" }()
	}
	if r.joinLeave && s.allow(hub.ActionPresence, r.channel) != nil {
		o.Changes = false
	}
	keeps := n.History > 0
	if keeps && r.since != nil && r.since.Epoch == "" {
		// The client does not know the epoch, so the current one applies.
		page, err := s.server.Hub.History(ctx, s.server.App, r.channel, hub.HistoryQuery{})
		if err != nil {
			return nil, err
		}
		o.Since = &hub.Position{Epoch: page.Top.Epoch, Offset: r.since.Offset}
	}
	res := &protocol.SubscribeResult{Data: protocol.Raw(r.serverOwned.Data), Delta: r.deltas, WasRecovering: r.since != nil}
	answer := func(got *hub.Recovered) error {
		if keeps {
			res.Recoverable, res.Positioned, res.Epoch, res.Offset = true, true, got.Position.Epoch, got.Position.Offset
		}
		if r.since == nil {
			return nil
		}
		if res.Recovered = o.Since != nil && got.Err == nil && !got.More; !res.Recovered {
			if r.reject {
				return errUnrecoverable
			}
			return nil
		}
		var err error
		res.Publications, err = s.server.missed(s.format, got.Publications, r)
		return err
	}
	err := s.hub.Subscribe(ctx, r.channel, o, answer)
	if errors.Is(err, hub.ErrMore) {
		o.Since = nil // there are too many publications for one reply, so the client is not recovered
		err = s.hub.Subscribe(ctx, r.channel, o, answer)
	}
	if err != nil {
		return nil, err
	}
	s.grant(r.channel, r.granted)
	s.clock.setExpiry(r, res)
	return res, nil
}

// missed returns the missed publications for the reply to a subscription.
func (s *Server) missed(f format, ps []*hub.Publication, r *request) ([]*protocol.Publication, error) {
	if r.deltas { // deltas are not cached, because they depend on the client's position
		return f.publications(ps, r), nil
	}
	all := make([]*protocol.Publication, 0, len(ps))
	return s.recent[f].Append(all, ps, func(p *hub.Publication) (*protocol.Publication, int, error) {
		q := f.publication(p)
		return q, len(q.Data), nil
	})
}

func (s *session) unsubscribe(c *protocol.UnsubscribeRequest) (*protocol.UnsubscribeResult, error) {
	if c.Channel == "" {
		return nil, endBadRequest
	}
	delete(s.collections, c.Channel)
	delete(s.grants, c.Channel)
	s.clock.expireSub(c.Channel, zeroTime)
	if s.watches.end(c.Channel) {
		return new(protocol.UnsubscribeResult), nil
	}
	if err := s.hub.Unsubscribe(c.Channel); err != nil && !errors.Is(err, hub.ErrNotSubscribed) {
		return nil, err
	}
	return new(protocol.UnsubscribeResult), nil
}
