package resume

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/handfast/handfast/channels/wire"
)

// Resume implements [Session]. The unanswered publications are sent before the subscriptions, so that their positions are known
// before the server sends the missed messages. Publications without an echo can then be withheld from the client. Other commands
// follow the subscriptions that they need.
func (s *channels) Resume() ([]Message, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	before := s.takeClientCommands()
	s.missing, s.gotWelcome, s.resuming = 0, false, true
	var out []Message
	again := func(publications bool) {
		for _, c := range before {
			if (c.data.kind == publication) == publications {
				c.data.repeated = true
				s.waiting = append(s.waiting, c)
				out = append(out, Message{Data: c.text})
			}
		}
	}
	resume := func(kind kind, id uint64, channel string, text []byte) {
		s.missing++
		s.addOwn(command[channelCommand]{id: id, channel: channel, text: text, data: channelCommand{kind: kind}})
		out = append(out, Message{Data: text})
	}
	if s.token != "" {
		id := s.ownID()
		text, _ := wire.Encode(&wire.Refresh{Head: wire.Head{Type: "refresh", ID: id}, Token: s.token}) // strings can always be encoded
		resume(renewal, id, "", text)
	}
	again(true)
	for _, channel := range slices.Sorted(maps.Keys(s.subs)) {
		x := s.subs[channel]
		since, _ := json.Marshal(x.at) // a position can always be encoded
		id := s.ownID()
		text := withMember(withMember(x.text, "id", number64(id)), "since", since)
		if x.changes {
			text = withMember(text, "members", number64(maxRoster))
		}
		resume(subscribe, id, channel, text)
	}
	again(false)
	return out, nil
}

// check returns nil if the connection can be resumed, and otherwise the reason.
func (s *channels) check() error {
	if s.failure != nil {
		return s.failure
	}
	for channel, x := range s.subs {
		switch {
		case x.at.Epoch == "" || x.inexact:
			return withReason(ErrState, channel)
		case x.changes && x.members == nil:
			return withReason(ErrState, "the members of "+channel+" are not known")
		}
	}
	subscribing := map[string]bool{}
	for _, c := range s.waiting {
		switch {
		case c.text == nil:
			return withReason(ErrUnanswered, c.channel)
		case c.data.kind == subscribe && !c.own:
			subscribing[c.channel] = true
		case c.data.kind == publication && subscribing[c.channel]:
			return withReason(ErrUnanswered, "a publication to "+c.channel+" follows an unanswered subscription") // the subscription would begin after the message
		}
	}
	return nil
}

// resumed handles the reply to a command that the session sent to resume. It returns the messages that the client gets in place of
// the reply.
func (s *channels) resumed(c *command[channelCommand], failed bool, text []byte) ([]Message, error) {
	if failed {
		var e wire.Error
		_ = json.Unmarshal(text, &e) // an error without a code is an error, too
		return nil, withReason(ErrRefused, string(e.Code)+" "+c.channel)
	}
	x := s.subs[c.channel]
	if c.data.kind != subscribe || x == nil { // x is nil if the subscription has ended in the meantime
		return nil, nil
	}
	var r wire.Subscribed
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, withReason(ErrRefused, err.Error())
	}
	if r.Recovered == nil || !*r.Recovered || r.Position.Epoch != x.at.Epoch {
		return nil, withReason(ErrGap, c.channel+" "+string(r.Why))
	}
	if !x.changes {
		return nil, nil
	}
	now := rosterOf(&r)
	if now == nil || s.size+now.size() > s.opts.Bytes {
		return nil, withReason(ErrGap, "there are too many members in "+c.channel)
	}
	return s.caughtUp(c.channel, x, now)
}
