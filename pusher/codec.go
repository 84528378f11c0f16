package pusher

import (
	"cmp"
	"encoding/json"
	"strings"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/websocket"
)

// codec encodes the messages of the hub. All connections of all applications share it.
type codec struct {
	positions bool // for subscriptions that have requested positions
}

// Publication implements [hub.Codec].
func (c codec) Publication(channel string, p, _ *hub.Publication) (*websocket.Prepared, error) {
	if reserved(p.Event) && (p.Event != countEvent || p.Client != "") {
		return nil, nil // clients of other protocols may use reserved names for their events
	}
	e := &event{Event: cmp.Or(p.Event, "message"), Channel: wireName(channel), Data: eventData(p)}
	if isPresence(channel) && p.Client != "" {
		e.UserID = p.User
	}
	if c.positions && p.Offset != 0 {
		e.Offset = &p.Offset
		if p.Previous == 0 {
			e.Epoch = p.Epoch // a client that subscribed before the stream began does not know the epoch
		}
	}
	return prepare(e)
}

// reserved reports whether the name of an event is reserved for the protocol.
func reserved(name string) bool {
	return strings.HasPrefix(name, "pusher:") || strings.HasPrefix(name, hub.InternalPrefix)
}

// memberAdded and memberRemoved are the data of pusher_internal:member_added and pusher_internal:member_removed.
type memberAdded struct {
	UserID   string          `json:"user_id"`
	UserInfo json.RawMessage `json:"user_info"`
}

type memberRemoved struct {
	UserID string `json:"user_id"`
}

// Members implements [hub.Codec]. No message is sent when a member's data changes, because the protocol has no such message:
// clients that receive member_added for a member that they already know use the new data, but count the member twice.
func (codec) Members(channel string, cs []hub.Change) ([]*websocket.Prepared, error) {
	all := make([]*websocket.Prepared, 0, len(cs))
	for _, c := range cs {
		e := &event{Channel: wireName(channel)}
		switch c.Kind {
		case hub.Joined:
			e.Event, e.Data = "pusher_internal:member_added", jsonText(memberAdded{c.User, asJSON(c.Data)})
		case hub.Left:
			e.Event, e.Data = "pusher_internal:member_removed", jsonText(memberRemoved{c.User})
		default:
			continue
		}
		p, err := prepare(e)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// Ended implements [hub.Codec]. The protocol has no message for the end of a subscription.
func (codec) Ended(string, hub.EndReason) (*websocket.Prepared, error) { return nil, nil }

// Closing implements [hub.Codec].
func (codec) Closing(why hub.EndReason) (m *websocket.Prepared, code websocket.Code, reason string) {
	switch why {
	case hub.EndSlow, hub.EndInsufficient:
		return nil, CodeOverCapacity, "You read too slowly."
	case hub.EndReconnect:
		return nil, CodeReconnect, "Connect again."
	case hub.EndShutdown:
		return nil, CodeOverCapacity, "The server is stopping."
	}
	reason = "The application has closed the connection."
	m, _ = prepare(failure(int(CodeUnauthorized), reason, "")) // if this fails, the close frame has the same content
	return m, CodeUnauthorized, reason
}
