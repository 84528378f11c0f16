package resume

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/centrifugal/protocol"
)

// Resume implements [Session]. The client's unanswered commands follow the subscriptions.
func (s *centrifugo) Resume() ([]Message, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	var own []command[centrifugoCommand]
	add := func(kind centrifugoKind, channel string, c *protocol.Command) error {
		c.Id = uint32(s.ownID()) // the ID is at most the largest uint32, from which IDs count down
		text, err := s.format.encodeCommand(c)
		own = append(own, command[centrifugoCommand]{id: uint64(c.Id), channel: channel, text: text, data: centrifugoCommand{kind: kind}})
		return err
	}
	if s.client != "" {
		if err := add(cfConnect, "", &protocol.Command{Connect: s.connect()}); err != nil {
			return nil, err
		}
		for _, channel := range slices.Sorted(maps.Keys(s.subs)) {
			if q := s.subs[channel].repeat(); q != nil && s.subs[channel].request != nil {
				if err := add(cfSubscribe, channel, &protocol.Command{Subscribe: q}); err != nil {
					return nil, err
				}
			}
		}
	}
	clients := s.takeClientCommands()
	s.missing, s.resuming, s.pongPending = len(own), len(own)+len(clients) > 0, false
	s.moved = true
	var out []Message
	for _, c := range own {
		s.addOwn(c)
		out = append(out, s.format.message(c.text))
	}
	for _, c := range clients {
		s.waiting = append(s.waiting, c)
		out = append(out, s.format.message(c.text))
	}
	return out, nil
}

// connect returns the connect request for another server.
func (s *centrifugo) connect() *protocol.ConnectRequest {
	q := &protocol.ConnectRequest{
		Token: cmp.Or(s.token, s.connectRequest.Token), Data: s.connectRequest.Data, Name: s.connectRequest.Name, Version: s.connectRequest.Version, Headers: s.connectRequest.Headers,
		Profile: s.connectRequest.Profile,
	}
	for channel, x := range s.subs {
		if x.request == nil {
			if q.Subs == nil {
				q.Subs = map[string]*protocol.SubscribeRequest{}
			}
			q.Subs[channel] = x.repeat()
		}
	}
	return q
}

// repeat returns the subscribe request for another server.
func (x *centrifugoSubs) repeat() *protocol.SubscribeRequest {
	q := &protocol.SubscribeRequest{}
	if r := x.request; r != nil {
		q = &protocol.SubscribeRequest{
			Channel: r.Channel, Token: cmp.Or(x.token, r.Token), Data: r.Data, Positioned: r.Positioned, Recoverable: r.Recoverable, Delta: r.Delta, Tf: r.Tf,
			Flag: r.Flag,
		}
	}
	q.Recover, q.Epoch, q.Offset = true, x.epoch, x.offset
	return q
}

// check returns nil if the connection can be resumed, and otherwise the reason.
func (s *centrifugo) check() error {
	if s.failure != nil {
		return s.failure
	}
	for channel, x := range s.subs {
		if x.inexact != "" {
			return withReason(ErrState, channel+": "+x.inexact)
		}
	}
	for _, c := range s.waiting {
		if c.text == nil {
			return withReason(ErrUnanswered, c.channel)
		}
	}
	return nil
}

// resumed handles the reply to a command that the session sent to resume. It returns the missed messages, which the client gets in
// place of the reply.
func (s *centrifugo) resumed(c *command[centrifugoCommand], r *protocol.Reply) ([]*protocol.Reply, error) {
	switch {
	case r.Error != nil:
		return nil, withReason(ErrRefused, r.Error.Message+" "+c.channel)
	case c.data.kind == cfConnect && r.Connect != nil:
		return s.reconnected(r.Connect)
	case c.data.kind == cfSubscribe && r.Subscribe != nil:
		return s.recovered(c.channel, r.Subscribe)
	}
	return nil, withReason(ErrRefused, "a reply does not match its command")
}

// reconnected handles the reply to the connect request.
func (s *centrifugo) reconnected(r *protocol.ConnectResult) (missed []*protocol.Reply, err error) {
	switch {
	case r.Flag != 0 || r.Dict != nil || r.Client == "" || r.Ping != s.connectResult.Ping || r.Pong != s.connectResult.Pong || r.Expires && !s.connectResult.Expires:
		return nil, withReason(ErrRefused, "the reply to connect differs")
	case len(s.ids) == maxNames:
		return nil, ErrTooMuch
	}
	s.ids[strings.Clone(r.Client)] = true
	served := 0
	for channel, x := range s.subs {
		if x.request != nil {
			continue
		}
		served++
		sub := r.Subs[channel]
		if sub == nil {
			return nil, withReason(ErrRefused, "the reply to connect lacks the subscription to "+channel)
		}
		more, err := s.recovered(channel, sub)
		if err != nil {
			return nil, err
		}
		missed = append(missed, more...)
	}
	if served != len(r.Subs) {
		return nil, withReason(ErrRefused, "the reply to connect has other subscriptions")
	}
	return missed, nil
}

// recovered handles the reply to a repeated subscription, and returns the missed publications for the client.
func (s *centrifugo) recovered(channel string, r *protocol.SubscribeResult) (missed []*protocol.Reply, err error) {
	x := s.subs[channel]
	switch {
	case x == nil:
		return nil, nil // the subscription has ended in the meantime
	case !r.Recovered || !r.Recoverable || x.epoch != "" && r.Epoch != x.epoch:
		return nil, withReason(ErrGap, channel)
	case r.Delta != x.delta || r.Id != 0 || r.Type != 0:
		return nil, withReason(ErrRefused, "the reply to subscribe differs for the channel "+channel)
	}
	if x.epoch == "" {
		x.epoch = strings.Clone(r.Epoch)
	}
	for _, p := range r.Publications {
		if s.publication(x, p) {
			missed = append(missed, &protocol.Reply{Push: &protocol.Push{Channel: channel, Pub: p}})
		}
	}
	return missed, nil
}
