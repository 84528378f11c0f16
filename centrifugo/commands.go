package centrifugo

import (
	"context"
	"errors"
	"time"
	"unicode/utf8"

	"github.com/centrifugal/protocol"

	"github.com/handfast/handfast/hub"
)

const (
	maxHistory = 1000   // the maximum number of publications in one reply
	maxMembers = 10_000 // the maximum number of connections in one reply
	maxCounted = 100_000

	maxPresence = 4 << 20 // the maximum number of bytes of connections in one reply
	entryPage   = 1000
)

var zeroTime time.Time

func (s *session) publish(ctx context.Context, c *protocol.PublishRequest) (*protocol.PublishResult, error) {
	switch {
	case c.Channel == "" || len(c.Data) == 0 && !c.Removed:
		return nil, endBadRequest
	case c.Type > 1 || c.Type == 1 && c.Key == "":
		return nil, errBadRequest
	}
	p := &hub.Publication{Data: c.Data, Binary: !utf8.Valid(c.Data)}
	if c.Type == 1 {
		p.Key, p.Removed = c.Key, c.Removed
	}
	_, err := s.hub.Publish(ctx, c.Channel, p, nil)
	return new(protocol.PublishResult), err
}

// page is a function that reads a page of the connections in a channel.
type page func(ctx context.Context, cursor string, limit int) ([]hub.Entry, string, error)

// each calls f for each connection in a channel, until f returns an error. If there are more than limit connections, it returns
// errLimit.
func (read page) each(ctx context.Context, limit int, f func(*hub.Entry) error) error {
	n, cursor := 0, ""
	for {
		es, next, err := read(ctx, cursor, entryPage)
		if err != nil {
			return err
		}
		if n += len(es); n > limit {
			return errLimit
		}
		for i := range es {
			if err := f(&es[i]); err != nil {
				return err
			}
		}
		if cursor = next; cursor == "" {
			return nil
		}
	}
}

// present returns the connections in a channel, by client ID, in the form for clients.
func (read page) present(ctx context.Context, f format) (map[string]*protocol.ClientInfo, error) {
	all, room := map[string]*protocol.ClientInfo{}, hub.NewRoom(maxPresence)
	err := read.each(ctx, maxMembers, func(e *hub.Entry) error {
		if !room.Take(e.Size()) {
			return errLimit // the protocol has no pages for connections
		}
		all[e.Client] = &protocol.ClientInfo{User: e.User, Client: e.Client, ConnInfo: f.info(e.Data)}
		return nil
	})
	return all, err
}

// count returns the numbers of connections and users in a channel.
func (read page) count(ctx context.Context) (*protocol.PresenceStatsResult, error) {
	users, r := map[string]struct{}{}, new(protocol.PresenceStatsResult)
	err := read.each(ctx, maxCounted, func(e *hub.Entry) error {
		r.NumClients++
		users[e.User] = struct{}{}
		return nil
	})
	r.NumUsers = uint32(len(users)) // there are at most maxCounted users
	return r, err
}

func (s *session) entries(channel string) page {
	return func(ctx context.Context, cursor string, limit int) ([]hub.Entry, string, error) {
		return s.hub.Entries(ctx, channel, cursor, limit)
	}
}

func (s *session) presence(ctx context.Context, c *protocol.PresenceRequest) (*protocol.PresenceResult, error) {
	if c.Channel == "" {
		return nil, endBadRequest
	}
	all, err := s.entries(c.Channel).present(ctx, s.format)
	return &protocol.PresenceResult{Presence: all}, err
}

func (s *session) presenceStats(ctx context.Context, c *protocol.PresenceStatsRequest) (*protocol.PresenceStatsResult, error) {
	if c.Channel == "" {
		return nil, endBadRequest
	}
	return s.entries(c.Channel).count(ctx)
}

func (s *session) history(ctx context.Context, c *protocol.HistoryRequest) (*protocol.HistoryResult, error) {
	if c.Channel == "" {
		return nil, endBadRequest
	}
	if s.hub.Namespace(c.Channel).History == 0 {
		return nil, errNotAvailable
	}
	return readHistory(c, s.format, func(q hub.HistoryQuery) (hub.HistoryPage, error) { return s.hub.History(ctx, c.Channel, q) })
}

// readHistory executes a request for a part of a channel's history.
func readHistory(c *protocol.HistoryRequest, f format, read func(hub.HistoryQuery) (hub.HistoryPage, error)) (*protocol.HistoryResult, error) {
	q := hub.HistoryQuery{Limit: int(c.Limit), Bytes: maxReply, Reverse: c.Reverse}
	if q.Limit < 0 || q.Limit > maxHistory {
		q.Limit = maxHistory
	}
	if c.Since != nil {
		if c.Reverse && c.Since.Offset == 0 {
			return nil, errBadRequest
		}
		q.Since = &hub.Position{Epoch: c.Since.Epoch, Offset: c.Since.Offset}
		if q.Since.Epoch == "" { // the client accepts any epoch
			top, err := read(hub.HistoryQuery{})
			if err != nil {
				return nil, err
			}
			q.Since.Epoch = top.Top.Epoch
		}
	}
	page, err := read(q)
	if err == nil && errors.Is(page.Err, hub.ErrTooOld) && !c.Reverse {
		q.Since = nil // nil means from the oldest publication
		page, err = read(q)
	}
	switch {
	case err != nil:
		return nil, err
	case page.Err != nil:
		return nil, errUnrecoverable
	}
	return &protocol.HistoryResult{Publications: f.publications(page.Publications, nil), Epoch: page.Top.Epoch, Offset: page.Top.Offset}, nil
}

func (s *session) rpc(ctx context.Context, c *protocol.RPCRequest) (*protocol.RPCResult, error) {
	if s.server.RPC == nil {
		return nil, errNotAvailable
	}
	data, err := s.server.RPC(ctx, s.caller(), c.Method, c.Data)
	if e, ok := errors.AsType[*RPCError](err); ok && e.Code >= minRPCCode && e.Code <= maxRPCCode {
		return nil, &failure{Code: e.Code, Message: e.Message, Temporary: e.Temporary}
	}
	if err != nil {
		return nil, err
	}
	return &protocol.RPCResult{Data: s.format.data(data, false)}, nil
}
