package channels

import (
	"strings"
	"time"

	"github.com/handfast/handfast/channels/wire"
	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/websocket"
)

// codec encodes the messages of the hub. All connections of all applications share it.
type codec struct{}

// Publication implements [hub.Codec].
func (codec) Publication(channel string, p, _ *hub.Publication) (*websocket.Prepared, error) {
	if strings.HasPrefix(p.Event, hub.InternalPrefix) {
		return nil, nil
	}
	m := message(p)
	m.Channel = channel
	return encode(&m)
}

// Members implements [hub.Codec].
func (codec) Members(channel string, cs []hub.Change) ([]*websocket.Prepared, error) {
	all := make([]*websocket.Prepared, len(cs))
	for i, c := range cs {
		name := "update"
		switch c.Kind {
		case hub.Joined:
			name = "join"
		case hub.Left:
			name = "leave"
		}
		p, err := encode(&wire.Change{Type: name, Channel: channel, Member: member(c.Member)})
		if err != nil {
			return nil, err
		}
		all[i] = p
	}
	return all, nil
}

// Ended implements [hub.Codec].
func (codec) Ended(channel string, why hub.EndReason) (*websocket.Prepared, error) {
	m := &wire.Unsubscribed{Type: "unsubscribed", Channel: channel, Code: wire.ByServer, Message: "the application has ended the subscription"}
	switch why {
	case hub.EndInsufficient:
		m.Code, m.Message = wire.Insufficient, "messages were lost: subscribe again with since set to your position"
	case hub.EndSlow:
		m.Code, m.Message = wire.Slow, "the client reads too slowly: subscribe again with since set to your position"
	case hub.EndExpired:
		m.Code, m.Message = wire.Expired, "the token of the subscription has expired"
	case hub.EndDenied:
		m.Code, m.Message = wire.Denied, "the subscription is no longer allowed"
	case hub.EndReconnect, hub.EndShutdown:
		m.Code, m.Message = wire.Unavailable, "subscribe again"
	}
	return encode(m)
}

// Closing implements [hub.Codec].
func (codec) Closing(why hub.EndReason) (m *websocket.Prepared, code websocket.Code, reason string) {
	switch why {
	case hub.EndExpired:
		return nil, wire.CloseExpired, "the credential has expired"
	case hub.EndDenied:
		return nil, wire.CloseDenied, "the connection is no longer allowed"
	case hub.EndSlow, hub.EndInsufficient:
		return nil, wire.CloseSlow, "the client reads too slowly"
	case hub.EndReconnect:
		return nil, websocket.CodeServiceRestart, "connect again"
	case hub.EndShutdown:
		return nil, websocket.CodeGoingAway, "the server is stopping"
	}
	return nil, wire.CloseServer, "the application has ended the connection"
}

// message returns a publication in the form for clients, without its channel.
func message(p *hub.Publication) wire.Message {
	data, inBase64 := wire.JSON(p.Data, p.Binary)
	info, _ := wire.JSON(p.Info, false)
	return wire.Message{
		Type: "message", Offset: p.Offset, Data: data, Binary: inBase64, Event: p.Event, Key: p.Key, Removed: p.Removed,
		Tags: p.Tags, User: p.User, Client: p.Client, Info: info, Time: p.Time.UTC().Truncate(time.Millisecond),
	}
}

// member returns a member in the form for clients.
func member(m hub.Member) wire.Member {
	data, _ := wire.JSON(m.Data, false)
	return wire.Member{User: m.User, Data: data}
}

func members(ms []hub.Member) []wire.Member {
	all := make([]wire.Member, len(ms))
	for i, m := range ms {
		all[i] = member(m)
	}
	return all
}

// position returns a position in the form for clients.
func position(p hub.Position) wire.Position { return wire.Position{Epoch: p.Epoch, Offset: p.Offset} }

// encode encodes a message once for all receivers.
func encode(m any) (*websocket.Prepared, error) {
	text, err := wire.Encode(m)
	if err != nil {
		return nil, err
	}
	return websocket.Prepare(websocket.Message{Type: websocket.Text, Data: text})
}
