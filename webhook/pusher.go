package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/handfast/handfast/hub"
)

// The header fields of requests of [Pusher].
const (
	HeaderPusherKey       = "X-Pusher-Key"       // the key of the application
	HeaderPusherSignature = "X-Pusher-Signature" // the HMAC-SHA256 of the body, in hexadecimal digits
)

// Pusher is the format of the webhooks of Pusher Channels, for applications that already have a receiver for them. It sends only the
// events of that format: channel_occupied, channel_vacated, cache_miss, subscription_count, client_event, and, for presence channels,
// member_added and member_removed.
type Pusher struct {
	// Key is the key of the application, and Secret is its secret, which signs the requests.
	Key    string
	Secret []byte
}

// pusherEvent is the encoded form of an event.
type pusherEvent struct {
	Name     string `json:"name"`
	Channel  string `json:"channel"`
	UserID   string `json:"user_id,omitempty"`
	Event    string `json:"event,omitempty"`
	Data     string `json:"data,omitempty"`
	SocketID string `json:"socket_id,omitempty"`
	Count    *int   `json:"subscription_count,omitempty"`
}

// Encode implements [Format].
func (f Pusher) Encode(now time.Time, es []hub.Event) ([]byte, http.Header, error) {
	var all []pusherEvent
	for _, e := range es {
		if p, ok := pusherEventOf(e); ok {
			all = append(all, p)
		}
	}
	if all == nil {
		return nil, nil, nil
	}
	text, err := json.Marshal(struct {
		Time   int64         `json:"time_ms"`
		Events []pusherEvent `json:"events"`
	}{now.UnixMilli(), all})
	if err != nil {
		return nil, nil, err
	}
	m := hmac.New(sha256.New, f.Secret)
	m.Write(text)
	return text, http.Header{
		"Content-Type": {"application/json"}, HeaderPusherKey: {f.Key}, HeaderPusherSignature: {hex.EncodeToString(m.Sum(nil))},
	}, nil
}

func pusherEventOf(e hub.Event) (p pusherEvent, ok bool) {
	p.Channel = e.Channel
	presence := strings.HasPrefix(e.Channel, "presence-")
	switch e.Kind {
	case hub.EventOccupied:
		p.Name = "channel_occupied"
	case hub.EventVacated:
		p.Name = "channel_vacated"
	case hub.EventCacheMiss:
		p.Name = "cache_miss"
	case hub.EventSubscriptionCount:
		p.Name, p.Count = "subscription_count", &e.Subscribers
	case hub.EventMemberAdded:
		p.Name, p.UserID = "member_added", e.User
		return p, presence
	case hub.EventMemberRemoved:
		p.Name, p.UserID = "member_removed", e.User
		return p, presence
	case hub.EventPublished:
		p.Name, p.Event, p.Data, p.SocketID = "client_event", e.Publication.Event, string(e.Publication.Data), e.Client
		if presence {
			p.UserID = e.User
		}
		return p, e.Client != "" && strings.HasPrefix(p.Event, "client-")
	default:
		return p, false
	}
	return p, true
}
