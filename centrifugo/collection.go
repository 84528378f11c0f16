package centrifugo

import (
	"context"
	"slices"

	"github.com/centrifugal/protocol"

	"github.com/handfast/handfast/hub"
)

// The phases of a subscription to a keyed collection. A client first requests the pages of the state, then the changes that happened in the
// meantime, and then receives live changes. This server sends the changes with the last page, and continues with phaseLive.
const (
	phaseLive   = 0
	phaseStream = 1
	phaseState  = 2
)

const (
	defaultPage, maxPage = 100, 1000
	maxCollections       = 16 // the maximum number of collections whose pages a connection reads at the same time
)

// collection executes a subscribe command for a keyed collection.
func (s *session) collection(ctx context.Context, c *protocol.SubscribeRequest, r *request) (*protocol.SubscribeResult, error) {
	first, begun := s.collections[c.Channel]
	switch {
	case s.hub.Subscribed(c.Channel):
		return nil, hub.ErrSubscribed
	case c.Phase == phaseState && c.Cursor == "":
		delete(s.collections, c.Channel) // the client starts again
	case c.Phase == phaseState && !begun, c.Phase == phaseStream && !c.Recover && !begun:
		return nil, errDenied
	}
	if s.hub.Namespace(c.Channel).History == 0 {
		return s.collectionWithoutHistory(ctx, c, r)
	}
	switch c.Phase {
	case phaseState:
		return s.page(ctx, c, r, first)
	case phaseStream, phaseLive:
		return s.follow(ctx, r, &hub.Position{Epoch: c.Epoch, Offset: c.Offset}, c.Recover)
	}
	return nil, errBadRequest
}

// page replies with a page of the state. With the last page the subscription begins, after the position of the first page.
func (s *session) page(ctx context.Context, c *protocol.SubscribeRequest, r *request, first hub.Position) (*protocol.SubscribeResult, error) {
	limit := int(c.Limit)
	if limit <= 0 {
		limit = defaultPage
	}
	ps, next, top, err := s.snapshot(ctx, r, c.Cursor, min(limit, maxPage))
	if err != nil {
		return nil, err
	}
	if c.Cursor == "" {
		first = top
	} else if top.Epoch != first.Epoch {
		delete(s.collections, c.Channel)
		return nil, errUnrecoverable
	}
	if next == "" {
		res, err := s.follow(ctx, r, &first, false)
		if err == nil {
			res.State = s.format.state(ps, r)
		}
		return res, err
	}
	if s.collections == nil {
		s.collections = map[string]hub.Position{}
	}
	if s.collections[c.Channel] = first; len(s.collections) > maxCollections {
		delete(s.collections, c.Channel)
		return nil, errLimit
	}
	return &protocol.SubscribeResult{
		Type: typeMap, Phase: phaseState, Cursor: next, Epoch: first.Epoch, Offset: first.Offset, State: s.format.state(ps, r),
	}, nil
}

// snapshot reads a page of the state.
func (s *session) snapshot(ctx context.Context, r *request, cursor string, limit int) ([]*hub.Publication, string, hub.Position, error) {
	if r.granted {
		s.grantedNow = r.channel
		defer func() { s.grantedNow = "" }()
	}
	return s.hub.Snapshot(ctx, r.channel, cursor, limit)
}

// follow begins the subscription after the position since. recovers means that the client already has the state from an earlier
// subscription.
func (s *session) follow(ctx context.Context, r *request, since *hub.Position, recovers bool) (*protocol.SubscribeResult, error) {
	delete(s.collections, r.channel)
	r.since = since
	res, err := s.subscribe(ctx, r)
	if err != nil {
		return nil, err
	}
	res.Type, res.Phase = typeMap, phaseLive
	if !recovers {
		res.WasRecovering, res.Recovered = false, false
	}
	return res, nil
}

// collectionWithoutHistory replies with the whole state of a collection without a history. Changes that happen before the reply
// cannot be read later, so they are held back and sent after the reply.
func (s *session) collectionWithoutHistory(ctx context.Context, c *protocol.SubscribeRequest, r *request) (*protocol.SubscribeResult, error) {
	if c.Phase != phaseState {
		return nil, errUnrecoverable
	}
	r.since = nil
	res, err := s.subscribe(ctx, r)
	if err != nil {
		return nil, err
	}
	var all []*hub.Publication
	room, cursor := hub.NewRoom(maxReply), ""
	for {
		ps, next, _, err := s.snapshot(ctx, r, cursor, maxPage)
		if err == nil && slices.ContainsFunc(ps, func(p *hub.Publication) bool { return !room.Take(p.Size()) }) {
			err = errLimit
		}
		if err != nil {
			s.hub.Unsubscribe(r.channel) //nolint:errcheck // this cannot fail, because the session is subscribed
			return nil, err
		}
		all = append(all, ps...)
		if cursor = next; cursor == "" {
			break
		}
	}
	res.Type, res.Phase, res.State = typeMap, phaseLive, s.format.state(all, r)
	return res, nil
}
