package pusher

import (
	"context"
	"errors"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/websocket"
)

// maxMissed is the maximum size of the missed events that can be recovered, in encoded form, together with a list of members: half
// of the queue of a connection.
const maxMissed = 512 << 10

// missedOverhead is the size of an event in the queue in addition to its data.
const missedOverhead = 128

// position is a position in the form that clients receive and send.
type position struct {
	Epoch  string `json:"epoch"`
	Offset uint64 `json:"offset"`
}

// since is the position of a client that reconnects.
type since struct {
	Epoch  string `json:"epoch"`
	Offset uint64 `json:"offset"`

	// SocketID is the ID of the connection on which the client had reached the position: events that were excluded for that
	// connection are not sent.
	SocketID string `json:"socket_id,omitempty"`
}

// reply is the reply to a subscription.
type reply struct {
	name          string // the name of the channel in the hub
	withPositions bool   // the client requests positions, and the channel has them
	since         *since // the position from which to recover; nil if there is none

	recovered bool // the missed events follow
	missed    []*websocket.Prepared
}

// replyTo returns the reply to a request, and sets the options of the subscription.
func (s *session) replyTo(ctx context.Context, r *request, o *hub.SubscribeOptions) (*reply, error) {
	a := &reply{name: hubName(r.Channel), since: r.Since}
	a.withPositions = (r.Recover || r.Since != nil) && s.hub.Namespace(a.name).History > 0
	o.Positions = a.withPositions
	if r.Since == nil || !a.withPositions {
		return a, nil
	}
	o.MissedBytes = maxMissed
	o.Since = &hub.Position{Epoch: r.Since.Epoch, Offset: r.Since.Offset}
	if *o.Since != (hub.Position{}) {
		return a, nil
	}
	// The client was subscribed before the stream began, so it has missed the whole stream.
	page, err := s.server.Hub.History(ctx, s.app.ID, a.name, hub.HistoryQuery{})
	o.Since.Epoch = page.Top.Epoch
	if errors.Is(err, hub.ErrUnsupported) {
		err = nil
	}
	return a, err
}

var (
	errUnrecoverable = errors.New("pusher: recovery from the position is not possible")
	errBusy          = closing{CodeReconnect, "You have missed more than can be sent at one time: reconnect for the rest."}
)

// recover subscribes after the client's position. If recovery is not possible, recover subscribes without it, except for a cache
// channel: it returns errUnrecoverable, and the caller must subscribe without a position.
func (s *session) recover(ctx context.Context, o hub.SubscribeOptions, a *reply) error {
	err := s.hub.Subscribe(ctx, a.name, o, func(r *hub.Recovered) error {
		var err error
		a.recovered, a.missed = false, nil
		switch {
		case r.More:
			return nil // the hub will return ErrMore
		case r.Err == nil:
			if err = s.missed(a, r); err != nil {
				return err
			}
		}
		if !a.recovered && isCache(a.name) {
			return errUnrecoverable
		}
		return s.sendSucceeded(a, r, a.missed...)
	})
	switch {
	case errors.Is(err, hub.ErrMore):
		if isCache(a.name) {
			return errUnrecoverable
		}
		o.Since = nil
		return s.hub.Subscribe(ctx, a.name, o, func(r *hub.Recovered) error { return s.sendSucceeded(a, r) })
	case errors.Is(err, websocket.ErrQueueFull):
		return errBusy
	}
	return err
}

// missed encodes the missed events and the event that marks their end, unless the missed events exceed the limit.
func (s *session) missed(a *reply, r *hub.Recovered) error {
	ps := make([]*hub.Publication, 0, len(r.Publications))
	for _, p := range r.Publications {
		if p.NotTo == "" || p.NotTo != a.since.SocketID {
			ps = append(ps, p)
		}
	}
	ms, err := s.server.recent.Append(nil, ps, func(p *hub.Publication) (*websocket.Prepared, int, error) {
		m, err := codec{positions: true}.Publication(a.name, p, nil)
		if m == nil {
			return nil, 0, err
		}
		return m, m.Len(), err
	})
	if err != nil {
		return err
	}
	bytes := 0
	for i := range r.Members { // the list of members uses the same queue, and escaped quotes can double its size
		bytes += 2 * r.Members[i].Size()
	}
	for _, m := range ms {
		bytes += m.Len() + missedOverhead
	}
	if bytes > maxMissed {
		return nil
	}
	end, err := prepare(&event{Event: positionEvent, Channel: wireName(a.name), Offset: &r.Position.Offset})
	if err != nil {
		return err
	}
	a.recovered, a.missed = true, append(ms, end)
	return nil
}

// positionEvent follows the missed events, and contains only an offset. pusher-js does not pass it on to the application.
const positionEvent = hub.InternalPrefix + "position"

// missedEvent reports that events are lost, and the position from which the subscription continues. pusher-js passes it on to the
// channel.
const missedEvent = "pusher:missed"

// position returns the position in the reply; nil if there is none. The missed events that follow advance it to r.Position.
func (a *reply) position(r *hub.Recovered) *position {
	switch {
	case !a.withPositions:
		return nil
	case a.recovered:
		return &position{r.Position.Epoch, a.since.Offset}
	}
	return &position{r.Position.Epoch, r.Position.Offset}
}

// Positioned implements [hub.PositionedCodec].
func (codec) Positioned() hub.Codec { return codec{positions: true} }

// Lost implements [hub.PositionedCodec].
func (codec) Lost(channel string, at hub.Position) (*websocket.Prepared, error) {
	data := struct {
		Position position `json:"position"`
	}{position{at.Epoch, at.Offset}}
	return prepare(&event{Event: missedEvent, Channel: wireName(channel), Data: jsonText(data), Epoch: at.Epoch, Offset: &at.Offset})
}
