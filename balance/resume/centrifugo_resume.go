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
	if err := s.possible(); err != nil {
		return nil, err
	}
	var own []command[centrifugoCommand]
	add := func(kind centrifugoKind, channel string, c *protocol.Command) error {
		c.Id = uint32(s.ownID()) //nolint:gosec // it counts down from the largest one
		text, err := s.format.encodeCommand(c)
		own = append(own, command[centrifugoCommand]{id: uint64(c.Id), channel: channel, text: text, is: centrifugoCommand{kind: kind}})
		return err
	}
	if s.client != "" {
		if err := add(cfConnect, "", &protocol.Command{Connect: s.connect()}); err != nil {
			return nil, err
		}
		for _, channel := range slices.Sorted(maps.Keys(s.subs)) {
			if q := s.subs[channel].again(); q != nil && s.subs[channel].request != nil {
				if err := add(cfSubscribe, channel, &protocol.Command{Subscribe: q}); err != nil {
					return nil, err
				}
			}
		}
	}
	clients := s.restart()
	s.missing, s.resuming, s.due = len(own), len(own)+len(clients) > 0, false
	s.moved = true
	var out []Message
	for _, c := range own {
		s.resume(c)
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
		Token: cmp.Or(s.token, s.call.Token), Data: s.call.Data, Name: s.call.Name, Version: s.call.Version, Headers: s.call.Headers,
		Profile: s.call.Profile,
	}
	for channel, x := range s.subs {
		if x.request == nil {
			if q.Subs == nil {
				q.Subs = map[string]*protocol.SubscribeRequest{}
			}
			q.Subs[channel] = x.again()
		}
	}
	return q
}

// again returns the subscribe request for another server.
func (x *centrifugoSubs) again() *protocol.SubscribeRequest {
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

// possible returns nil if the connection can be resumed, and otherwise the reason.
func (s *centrifugo) possible() error {
	if s.no != nil {
		return s.no
	}
	for channel, x := range s.subs {
		if x.inexact != "" {
			return because(ErrState, channel+": "+x.inexact)
		}
	}
	for _, c := range s.waiting {
		if c.text == nil {
			return because(ErrUnanswered, c.channel)
		}
	}
	return nil
}

// resumed handles the reply to a command of the resume. It returns the missed messages, which the client gets in place of the
// reply.
func (s *centrifugo) resumed(c *command[centrifugoCommand], r *protocol.Reply) ([]*protocol.Reply, error) {
	switch {
	case r.Error != nil:
		return nil, because(ErrRefused, r.Error.Message+" "+c.channel)
	case c.is.kind == cfConnect && r.Connect != nil:
		return s.reconnected(r.Connect)
	case c.is.kind == cfSubscribe && r.Subscribe != nil:
		return s.recovered(c.channel, r.Subscribe)
	}
	return nil, because(ErrRefused, "a reply does not match its command")
}

// reconnected handles the reply to the connect request.
func (s *centrifugo) reconnected(r *protocol.ConnectResult) (missed []*protocol.Reply, err error) {
	switch {
	case r.Flag != 0 || r.Dict != nil || r.Client == "" || r.Ping != s.answer.Ping || r.Pong != s.answer.Pong || r.Expires && !s.answer.Expires:
		return nil, because(ErrRefused, "the reply to connect differs")
	case len(s.names) == maxNames:
		return nil, ErrTooMuch
	}
	s.names[strings.Clone(r.Client)] = true
	served := 0
	for channel, x := range s.subs {
		if x.request != nil {
			continue
		}
		served++
		sub := r.Subs[channel]
		if sub == nil {
			return nil, because(ErrRefused, "the reply to connect lacks the subscription to "+channel)
		}
		more, err := s.recovered(channel, sub)
		if err != nil {
			return nil, err
		}
		missed = append(missed, more...)
	}
	if served != len(r.Subs) {
		return nil, because(ErrRefused, "the reply to connect has other subscriptions")
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
		return nil, because(ErrGap, channel)
	case r.Delta != x.delta || r.Id != 0 || r.Type != 0:
		return nil, because(ErrRefused, "the reply to subscribe differs for the channel "+channel)
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
