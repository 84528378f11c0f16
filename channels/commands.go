package channels

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/handfast/handfast/channels/wire"
	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/websocket"
)

var (
	errUnsupported = errors.New("channels: not supported")
	errDevices     = errors.New("channels: too many devices")
	errToken       = errors.New("channels: the token is not accepted")
)

// subscribe subscribes to a channel, and sends the missed messages after the reply.
func (s *session) subscribe(ctx context.Context, c *wire.Subscribe) error {
	o := hub.SubscribeOptions{Member: c.Join, Data: c.Data, Members: c.Members, Changes: c.Changes, MissedBytes: hub.PageBytes}
	answer := &wire.Subscribed{Type: "subscribed", ID: c.ID, Channel: c.Channel}
	if c.Since != nil {
		o.Since = &hub.Position{Epoch: c.Since.Epoch, Offset: c.Since.Offset}
		if c.Since.Device != "" {
			var err error
			if o.Since, err = s.hub.Acked(ctx, c.Channel, s.deviceKey(c.Since.Device)); err != nil {
				return err
			}
		}
		if o.Since == nil {
			answer.Why = wire.NoAck
		}
	}
	err := s.hub.Subscribe(ctx, c.Channel, o, func(r *hub.Recovered) error {
		answer.Users = r.Users
		if c.Members > 0 {
			answer.Members, answer.Next = members(r.Members), r.Next
		}
		answer.Position = position(r.Position)
		if c.Since != nil {
			if r.Err != nil {
				answer.Why = gapReason(r.Err)
			}
			recovered := answer.Why == ""
			answer.Recovered = &recovered
			if recovered {
				answer.Position = position(*o.Since)
			}
		}
		return s.recover(answer, r)
	})
	if errors.Is(err, hub.ErrMore) {
		return nil // the reply was already sent
	}
	return err
}

// recover sends the reply to a subscription, and the missed messages. If not all missed messages fit, the session sends the first ones and
// ends the subscription; the client then subscribes again from the last message.
func (s *session) recover(answer *wire.Subscribed, r *hub.Recovered) error {
	if s.replies.Waiting() {
		return websocket.ErrQueueFull
	}
	first, err := encode(answer)
	if err != nil {
		return err
	}
	all := append(make([]*websocket.Prepared, 0, len(r.Publications)+2), first)
	all, err = s.server.recent.Append(all, r.Publications, func(p *hub.Publication) (*websocket.Prepared, int, error) {
		m, err := codec{}.Publication(answer.Channel, p, nil)
		if m == nil {
			return nil, 0, err
		}
		return m, m.Len(), err
	})
	if err != nil {
		return err
	}
	missed, whole := hub.Cut(all[1:], 0, func(m **websocket.Prepared) int { return (*m).Len() }) // encoded messages may be larger than the hub's limit
	all, more := all[:1+len(missed)], r.More || !whole
	if more {
		end, err := codec{}.Ended(answer.Channel, hub.EndInsufficient)
		if err != nil {
			return err
		}
		all = append(all, end)
	}
	if err := s.replies.Out.SendPrepared(all...); err != nil {
		return err
	}
	if more {
		return hub.ErrMore
	}
	return nil
}

// gapReason returns the reason that err gives for messages that cannot be recovered.
func gapReason(err error) wire.GapReason {
	switch {
	case errors.Is(err, hub.ErrNewEpoch):
		return wire.NewEpoch
	case errors.Is(err, hub.ErrTooOld):
		return wire.TooOld
	}
	return ""
}

func (s *session) publish(ctx context.Context, c *wire.Publish) error {
	data, err := c.Bytes()
	if err != nil {
		return err // never happens, because Decode has checked the data
	}
	p := &hub.Publication{
		ID: c.MessageID, Event: c.Event, Data: data, Binary: c.Binary, Key: c.Key, Removed: c.Removed, Tags: c.Tags,
	}
	if c.Echo != nil && !*c.Echo {
		p.NotTo = s.id
	}
	done, err := s.hub.Publish(ctx, c.Channel, p, nil)
	if err == nil && c.ID != 0 {
		s.reply(&wire.Published{Type: "published", ID: c.ID, Position: position(done.Position), Duplicate: done.Duplicate})
	}
	return err
}

func (s *session) members(ctx context.Context, c *wire.Members) error {
	ms, next, users, err := s.hub.Members(ctx, c.Channel, c.After, c.Limit)
	if err == nil {
		s.reply(&wire.Roster{Type: "members", ID: c.ID, Channel: c.Channel, Users: users, Members: members(ms), Next: next})
	}
	return err
}

func (s *session) history(ctx context.Context, c *wire.History) error {
	q := hub.HistoryQuery{Limit: c.Limit, Reverse: c.Reverse}
	if c.Since != nil {
		q.Since = &hub.Position{Epoch: c.Since.Epoch, Offset: c.Since.Offset}
	}
	page, err := s.hub.History(ctx, c.Channel, q)
	if err != nil {
		return err
	}
	s.reply(&wire.Page{
		Type: "history", ID: c.ID, Channel: c.Channel, Messages: messages(page.Publications), Position: position(page.Top),
		Why: gapReason(page.Err),
	})
	return nil
}

func (s *session) snapshot(ctx context.Context, c *wire.Snapshot) error {
	ps, next, top, err := s.hub.Snapshot(ctx, c.Channel, c.After, c.Limit)
	if err != nil {
		return err
	}
	s.reply(&wire.Page{Type: "snapshot", ID: c.ID, Channel: c.Channel, Messages: messages(ps), Position: position(top), Next: next})
	return nil
}

// messages returns publications in the form for clients.
func messages(ps []*hub.Publication) []wire.Message {
	all := make([]wire.Message, len(ps))
	for i, p := range ps {
		all[i] = message(p)
	}
	return all
}

// maxDevices is the maximum number of device names for which a connection may acknowledge messages, because the server stores each
// of them.
const maxDevices = 16

func (s *session) ack(ctx context.Context, c *wire.Ack) error {
	known := slices.Contains(s.devices, c.Device)
	if !known && len(s.devices) == maxDevices {
		return errDevices
	}
	at := hub.Position{Epoch: c.Position.Epoch, Offset: c.Position.Offset}
	err := s.hub.Ack(ctx, c.Channel, s.deviceKey(c.Device), at)
	if err == nil && !known {
		s.devices = append(s.devices, c.Device)
	}
	return err
}

// deviceKey returns the name of a device that is unique among the devices of all users.
func (s *session) deviceKey(name string) string { return strconv.Quote(s.user) + "/" + name }

func (s *session) refresh(ctx context.Context, c *wire.Refresh) error {
	if s.renew == nil {
		return errUnsupported
	}
	expires, err := s.renew(ctx, c.Token)
	if err != nil {
		return errToken
	}
	s.reply(&wire.Done{Type: "done", ID: c.ID, ExpiresIn: secondsUntil(expires)})
	s.hub.Recheck(nil)
	return nil
}
