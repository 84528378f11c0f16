package resume

import (
	"bytes"
	"errors"
	"strings"

	"github.com/centrifugal/protocol"
)

// Server implements [Session].
func (s *centrifugo) Server(m Message) ([]Message, bool, error) {
	if !s.formatKnown || m.Binary != s.format.binary {
		return s.passInvalid(m)
	}
	var changed []byte // the message for the client, if it differs from m
	other := false
	for rest := m.Data; len(rest) > 0; {
		before := m.Data[:len(m.Data)-len(rest)]
		part, more, ok := s.format.cut(rest)
		if rest = more; !ok {
			return s.passInvalid(m)
		}
		if s.format.blank(part) {
			continue
		}
		own, pass, err := s.part(part)
		if errors.Is(err, errInvalidReply) {
			return s.passInvalid(m)
		}
		if err != nil {
			return nil, false, err
		}
		if !pass && !other {
			other = true
			changed = append(changed, bytes.TrimSuffix(before, []byte("\n"))...)
		}
		if pass && other {
			changed = s.format.join(changed, part)
		}
		for _, text := range own {
			changed = s.format.join(changed, text)
		}
	}
	if other {
		m.Data = changed
	}
	out := s.out[:0]
	if !other || len(changed) > 0 {
		out = append(out, m)
	}
	done := s.resuming && s.missing == 0
	if done {
		s.resuming = false
		if s.connectResult != nil && s.connectResult.Ping > 0 {
			// A client waits for the next ping for an interval and a few seconds. The new server may send its first ping a whole
			// interval after the connect, so the client gets one now.
			out = append(out, s.format.ping())
		}
	}
	return out, done, nil
}

// errInvalidReply indicates that data is not a reply.
var errInvalidReply = errors.New("resume: the data is not a reply")

// part handles one reply or push. If it is not passed to the client, own is sent in its place.
func (s *centrifugo) part(part []byte) (own [][]byte, pass bool, err error) {
	if p, ok := s.format.publication(part); ok && !s.ids[string(p.client)] {
		x := s.subs[string(p.channel)]
		return nil, x == nil || s.advance(x, p.offset), nil
	}
	r, ok := s.format.reply(part)
	if !ok {
		return nil, false, errInvalidReply
	}
	instead, pass, err := s.receive(r)
	if err != nil {
		return nil, false, err
	}
	if pass && s.rename(r) {
		instead, pass = []*protocol.Reply{r}, false
	}
	for _, r := range instead {
		s.rename(r)
		text, err := s.format.encodeReply(r)
		if err != nil {
			return nil, false, withReason(ErrRefused, err.Error())
		}
		own = append(own, text)
	}
	return own, pass, nil
}

// passInvalid passes on a message that does not conform to the protocol.
func (s *centrifugo) passInvalid(m Message) ([]Message, bool, error) {
	if s.failure == nil {
		s.failure = ErrUnknown
	}
	if s.resuming {
		return nil, false, withReason(ErrRefused, "the new server does not speak the protocol of the previous one")
	}
	s.out[0] = m
	return s.out[:1], false, nil
}

// receive records a reply or a push. If it is not passed to the client, own is sent in its place.
func (s *centrifugo) receive(r *protocol.Reply) (own []*protocol.Reply, pass bool, err error) {
	switch {
	case r.Id != 0:
		at := s.find(uint64(r.Id))
		c, ok := s.take(uint64(r.Id))
		if !ok {
			return nil, true, nil
		}
		if c.own {
			if own, err = s.resumed(&c, r); err == nil {
				s.missing--
			}
			return own, false, err
		}
		s.dropExecuted(func(i int, _ *command[centrifugoCommand]) bool { return i < at }) // the server has received the earlier commands, too
		if r.Error == nil {
			s.effect(&c, r)
		}
		return nil, true, nil
	case r.Push != nil:
		return nil, s.pushed(r.Push), nil
	case r.Error == nil:
		s.pinged()
	}
	return nil, true, nil
}

// effect records the effect of a command.
func (s *centrifugo) effect(c *command[centrifugoCommand], r *protocol.Reply) {
	var q *protocol.Command
	if c.text != nil {
		q, _ = s.format.command(c.text) // c.text was decoded before without an error
	}
	switch {
	case c.data.kind == cfConnect && r.Connect != nil:
		s.grow(len(c.text)) // the request shares the memory of the text
		s.connected(q.Connect, r.Connect)
	case c.data.kind == cfSubscribe && r.Subscribe != nil:
		s.subscribed(c.channel, q.Subscribe, r.Subscribe, len(c.text))
	case c.data.kind == cfUnsubscribe:
		s.unsubscribed(c.channel)
	case c.data.kind == cfRefresh:
		s.grow(len(q.Refresh.Token) - len(s.token))
		s.token = strings.Clone(q.Refresh.Token)
	case c.data.kind == cfSubRefresh:
		if x := s.subs[c.channel]; x != nil && x.request != nil {
			more := len(q.SubRefresh.Token) - len(x.token)
			x.token, x.size = strings.Clone(q.SubRefresh.Token), x.size+more
			s.grow(more)
		}
	}
}

func (s *centrifugo) connected(q *protocol.ConnectRequest, r *protocol.ConnectResult) {
	if r.Flag != 0 || r.Dict != nil || s.client != "" || r.Client == "" {
		s.failure = ErrUnknown
		return
	}
	s.client, s.connectRequest = strings.Clone(r.Client), q
	s.connectResult = &protocol.ConnectResult{Ping: r.Ping, Pong: r.Pong, Expires: r.Expires}
	for channel, sub := range r.Subs {
		s.subscribed(strings.Clone(channel), nil, sub, 0)
	}
}

func (s *centrifugo) subscribed(channel string, q *protocol.SubscribeRequest, r *protocol.SubscribeResult, size int) {
	x := &centrifugoSubs{
		request: q, epoch: strings.Clone(r.Epoch), offset: r.Offset, delta: r.Delta, size: itemOverhead + len(channel) + len(r.Epoch) + size,
	}
	if n := len(r.Publications); n > 0 && r.Recovered {
		x.offset = r.Publications[n-1].Offset
	}
	switch {
	case r.Type != 0 || q != nil && q.Type != 0:
		x.inexact = "the type of the subscription is not stream"
	case !r.Recoverable:
		x.inexact = "the channel cannot be recovered"
	case r.Id != 0:
		x.inexact = "the server sends a number instead of the channel"
	case q != nil && q.JoinLeave:
		x.inexact = "the subscription includes joins and leaves"
	}
	s.unsubscribed(channel)
	if s.hasRoom(len(s.subs), x.size) {
		s.subs[channel] = x
		s.size += x.size
	}
}

// unsubscribed records the end of a subscription.
func (s *centrifugo) unsubscribed(channel string) {
	if x := s.subs[channel]; x != nil {
		s.size -= x.size
		delete(s.subs, channel)
	}
}

// pushed records a push of the server, and reports whether it is passed to the client.
func (s *centrifugo) pushed(p *protocol.Push) bool {
	x := s.subs[p.Channel]
	switch {
	case p.Subscribe != nil:
		q := p.Subscribe
		s.subscribed(strings.Clone(p.Channel), nil, &protocol.SubscribeResult{
			Recoverable: q.Recoverable, Epoch: q.Epoch, Offset: q.Offset,
		}, 0)
	case p.Unsubscribe != nil:
		s.unsubscribed(p.Channel)
	case x == nil:
	case p.Join != nil, p.Leave != nil:
		x.inexact = "the subscription includes joins and leaves"
	case p.Pub != nil:
		return s.publication(x, p.Pub)
	}
	return true
}

// publication records a publication, and reports whether it is passed to the client.
func (s *centrifugo) publication(x *centrifugoSubs, p *protocol.Publication) bool {
	if p.Epoch != "" && p.Epoch != x.epoch {
		x.epoch, x.offset = strings.Clone(p.Epoch), p.Offset
		return true
	}
	return s.advance(x, p.Offset)
}

// advance records the offset of a publication, and reports whether it is passed to the client.
func (s *centrifugo) advance(x *centrifugoSubs, offset uint64) bool {
	if offset != 0 && offset <= x.offset && s.moved {
		return false
	}
	x.offset = max(x.offset, offset)
	return true
}

// rename replaces the connection's ID with the one that the client knows, and reports whether they differ.
func (s *centrifugo) rename(r *protocol.Reply) bool {
	changed := false
	info := func(i *protocol.ClientInfo) {
		if i != nil && s.ids[i.Client] {
			i.Client, changed = s.client, true
		}
	}
	publications := func(ps []*protocol.Publication) {
		for _, p := range ps {
			info(p.Info)
		}
	}
	if p := r.Push; p != nil {
		if p.Pub != nil {
			info(p.Pub.Info)
		}
		if p.Join != nil {
			info(p.Join.Info)
		}
		if p.Leave != nil {
			info(p.Leave.Info)
		}
	}
	if r.History != nil {
		publications(r.History.Publications)
	}
	if r.Subscribe != nil {
		publications(r.Subscribe.Publications)
		publications(r.Subscribe.State)
	}
	if r.Refresh != nil && s.ids[r.Refresh.Client] {
		r.Refresh.Client, changed = s.client, true
	}
	if r.Presence != nil {
		for name := range s.ids {
			if i, ok := r.Presence.Presence[name]; ok {
				info(i)
				delete(r.Presence.Presence, name)
				r.Presence.Presence[s.client] = i
			}
		}
	}
	return changed
}
