package centrifugo

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"strings"
	"time"

	"github.com/centrifugal/protocol"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/websocket"
)

// commandName is the channel of hub commands for this protocol.
const commandName = "centrifugo"

// order is a command to a connection, from another node or from the API.
type order struct {
	Disconnect *protocol.Disconnect `json:"disconnect,omitempty"`
	Subscribe  *subscribeOrder      `json:"subscribe,omitempty"`
	Refresh    *refreshOrder        `json:"refresh,omitempty"`
	Emulation  *emulationOrder      `json:"emulation,omitempty"`
}

type subscribeOrder struct {
	Channel string          `json:"channel"`
	Info    json.RawMessage `json:"info,omitempty"`
	Data    json.RawMessage `json:"data,omitempty"`
	Expires int64           `json:"expires,omitempty"` // in Unix time; 0 means never
}

type refreshOrder struct {
	Expired bool  `json:"expired,omitempty"`
	Expires int64 `json:"expires,omitempty"` // in Unix time; 0 means never
}

type emulationOrder struct {
	Secret string `json:"secret"`
	Data   []byte `json:"data"`
}

// send sends an order to the selected connections, on all nodes.
func (s *Server) send(ctx context.Context, kind hub.CommandKind, user, client string, o *order) error {
	data, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return s.Hub.Do(ctx, hub.Command{Kind: kind, App: s.App, User: user, Client: client, Channel: commandName, Data: data})
}

// handleCommand executes a command of the hub. For an unsubscribe command, it ends only subscriptions to the members of channels,
// because the hub itself ends subscriptions to channels.
func (s *session) handleCommand(c hub.Command) {
	if c.Kind == hub.CommandUnsubscribe {
		s.commandMu.Lock() // the push must not precede the reply to the subscription
		defer s.commandMu.Unlock()
		for _, channel := range s.watches.endWhere(func(channel, _ string) bool { return c.Channel == "" || channel == c.Channel }) {
			delete(s.grants, channel)
			s.clock.expireSub(channel, zeroTime)
			s.out.reply(&protocol.Reply{Push: &protocol.Push{Channel: channel, Unsubscribe: unsubscribePush(c.Reason)}})
		}
		return
	}
	var o order
	if c.Channel != commandName || json.Unmarshal(c.Data, &o) != nil {
		return
	}
	switch {
	case o.Disconnect != nil:
		code := websocket.Code(o.Disconnect.Code) // the API has checked the range of the code
		if s.out.Shut(code, o.Disconnect.Reason) != nil {
			s.shut(endForced)
		}
	case o.Subscribe != nil:
		s.applySubscribe(o.Subscribe)
	case o.Refresh != nil:
		s.applyRefresh(o.Refresh)
	case o.Emulation != nil:
		if s.secret != "" && subtle.ConstantTimeCompare([]byte(s.secret), []byte(o.Emulation.Secret)) == 1 {
			s.receiveEmulated(o.Emulation.Data)
		}
	}
}

// applySubscribe subscribes the client to a channel on behalf of the application.
func (s *session) applySubscribe(o *subscribeOrder) {
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	s.commandMu.Lock()
	defer s.commandMu.Unlock()
	s.out.hold()
	defer s.out.release()
	res, err := s.subscribe(ctx, &request{channel: o.Channel, serverOwned: ServerOwned{Info: o.Info, Data: o.Data}, granted: true})
	if err != nil {
		return // the client is already subscribed, or the subscription is not possible
	}
	if o.Expires != 0 {
		// The clock ends a subscription refreshGrace after its expiry. A client without a token does not need this delay.
		s.clock.expireSub(o.Channel, time.Unix(o.Expires, 0).Add(-refreshGrace))
	}
	s.out.reply(&protocol.Reply{Push: &protocol.Push{Channel: o.Channel, Subscribe: &protocol.Subscribe{
		Recoverable: res.Recoverable, Positioned: res.Positioned, Epoch: res.Epoch, Offset: res.Offset, Data: res.Data,
	}}})
}

// applyRefresh sets the time when the connection expires.
func (s *session) applyRefresh(o *refreshOrder) {
	if o.Expired {
		s.shut(endExpired)
		return
	}
	push := new(protocol.Refresh)
	expires := zeroTime
	if o.Expires != 0 {
		expires = time.Unix(o.Expires, 0)
		push.Expires, push.Ttl = true, secondsUntil(expires)
	}
	s.clock.expire(expires)
	s.out.reply(&protocol.Reply{Push: &protocol.Push{Refresh: push}})
}

// validReason reports whether a reason is valid in a close frame.
func validReason(reason string) bool {
	return len(reason) <= 123 && strings.ToValidUTF8(reason, "") == reason
}
