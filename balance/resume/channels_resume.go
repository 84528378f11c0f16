package resume

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/handfast/handfast/channels/wire"
)

// Resume implements [Session]. The publications without a reply are sent before the subscriptions: then the position of each is
// known before the server sends what was missed, and the client does not get those that it does not want. Other commands follow
// the subscriptions that they need.
func (s *channels) Resume() ([]Message, error) {
	if err := s.possible(); err != nil {
		return nil, err
	}
	s.waiting = slices.DeleteFunc(s.waiting, func(c command) bool {
		if c.resumes {
			s.size -= c.size()
		}
		return c.resumes
	})
	before := s.waiting
	s.waiting, s.missing, s.welcome, s.resuming = nil, 0, false, true
	var out []Message
	send := func(c command) {
		s.waiting = append(s.waiting, c)
		out = append(out, Message{Data: c.text})
	}
	again := func(publications bool) {
		for _, c := range before {
			if (c.kind == publication) == publications {
				c.again = true
				send(c)
			}
		}
	}
	resume := func(c command) {
		c.resumes = true
		s.size += c.size()
		s.missing++
		send(c)
	}
	if s.token != "" {
		id := s.ownID()
		text, _ := wire.Encode(&wire.Refresh{Head: wire.Head{Type: "refresh", ID: id}, Token: s.token}) // strings can be encoded
		resume(command{id: id, kind: renewal, text: text})
	}
	again(true)
	for _, channel := range slices.Sorted(maps.Keys(s.subs)) {
		x := s.subs[channel]
		since, _ := json.Marshal(x.at) // likewise
		id := s.ownID()
		text := with(with(x.text, "id", number64(id)), "since", since)
		resume(command{id: id, kind: subscribe, channel: channel, text: text})
	}
	again(false)
	return out, nil
}

// possible returns nil if the connection can be resumed, or why not.
func (s *channels) possible() error {
	if s.no != nil {
		return s.no
	}
	for channel, x := range s.subs {
		switch {
		case x.at.Epoch == "" || x.unsure:
			return because(ErrState, channel)
		case x.changes:
			return because(ErrState, "the changes of the members of "+channel)
		}
	}
	subscribing := map[string]bool{}
	for _, c := range s.waiting {
		switch {
		case c.text == nil:
			return because(ErrUnanswered, c.channel)
		case c.kind == subscribe && !c.resumes:
			subscribing[c.channel] = true
		case c.kind == publication && subscribing[c.channel]:
			return because(ErrUnanswered, "a message to "+c.channel+" behind its subscription") // which would begin behind the message
		}
	}
	return nil
}

// resumed deals with the reply to a command that resumes.
func (s *channels) resumed(c *command, failed bool, text []byte) error {
	s.missing--
	if failed {
		var e wire.Error
		_ = json.Unmarshal(text, &e) // without a code it has failed, too
		return because(ErrRefused, string(e.Code)+" "+c.channel)
	}
	if c.kind != subscribe {
		return nil
	}
	var r wire.Subscribed
	if err := json.Unmarshal(text, &r); err != nil {
		return because(ErrRefused, err.Error())
	}
	x := s.subs[c.channel]
	if x == nil {
		return nil // it has ended meanwhile
	}
	if r.Recovered == nil || !*r.Recovered || r.Position.Epoch != x.at.Epoch {
		return because(ErrGap, c.channel+" "+string(r.Why))
	}
	return nil
}
