package resume

import (
	"encoding/json"

	"github.com/handfast/handfast/channels/wire"
)

// heading contains the top-level fields of a message of the server.
type heading struct {
	kind    []byte // the type
	channel []byte // still encoded
	id      uint64
	offset  uint64
	client  []byte // still encoded
	user    []byte // still encoded
}

// headingOf parses the heading of a message, and reports whether it is an object with a type. If whole is false, it stops at the
// offset of a publication.
func headingOf(text []byte, whole bool) (h heading, ok bool) {
	o := objectOf(text)
	for name, value, more := o.next(); more; name, value, more = o.next() {
		switch string(name) {
		case "type":
			h.kind, _ = plain(value)
		case "channel":
			h.channel = value
		case "client":
			h.client = value
		case "user":
			h.user = value
		case "id":
			if h.id, ok = number(value); !ok {
				return h, false
			}
		case "offset":
			if h.offset, ok = number(value); !ok {
				return h, false
			}
		}
		if !whole && h.offset != 0 && h.channel != nil && string(h.kind) == "message" {
			return h, true
		}
	}
	return h, !o.bad && h.kind != nil
}

// Server implements [Session].
func (s *channels) Server(m Message) ([]Message, bool, error) {
	h, ok := headingOf(m.Data, len(s.names) > 0)
	if !ok || m.Binary || h.id != 0 && !json.Valid(m.Data) { // a reply may be withheld from the client, so it must be valid
		return s.strange(m)
	}
	pass, err := true, error(nil)
	var more []Message
	switch {
	case h.id != 0:
		m.Data, more, pass, err = s.reply(h, m.Data)
	case string(h.kind) == "error":
		s.take(0) // the reply to a message that is not a command
	case string(h.kind) == "welcome":
		pass, err = s.welcomed(h)
	case string(h.kind) == "message":
		pass = s.message(h)
	case string(h.kind) == "unsubscribed":
		if channel, ok := textOf(h.channel); ok {
			s.unsubscribed(channel)
		}
	}
	if err != nil {
		return nil, false, err
	}
	if pass && len(s.names) > 0 {
		m.Data, pass = s.rename(h, m.Data)
	}
	done := s.resuming && s.welcome && s.missing == 0
	if done {
		s.resuming = false
	}
	if !pass {
		return more, done, nil
	}
	if change(h.kind) {
		if channel, ok := textOf(h.channel); ok {
			s.changed(channel, string(h.kind), m.Data)
		}
	}
	s.out[0] = m
	return s.out[:], done, nil
}

// change reports whether a message of this type is about the members of a channel.
func change(kind []byte) bool {
	return string(kind) == "join" || string(kind) == "update" || string(kind) == "leave"
}

// strange passes on a message that does not conform to the protocol. The first messages of a new server must conform.
func (s *channels) strange(m Message) ([]Message, bool, error) {
	if s.no == nil {
		s.no = ErrUnknown
	}
	if s.resuming {
		return nil, false, because(ErrRefused, "the new server does not speak "+wire.Subprotocol)
	}
	s.out[0] = m
	return s.out[:], false, nil
}

// welcomed handles the first message of a server. The client gets only the first welcome.
func (s *channels) welcomed(h heading) (pass bool, err error) {
	client, ok := textOf(h.client)
	user := ""
	if h.user != nil {
		user, _ = textOf(h.user)
	}
	switch {
	case !ok || client == "", s.welcome: // s.welcome means that this is a second welcome
		s.no = ErrUnknown
		return !s.resuming, nil
	case s.client == "":
		s.client, s.user, s.welcome = client, user, true
		return true, nil
	case user != s.user:
		return false, because(ErrRefused, "the new server identifies the client as another user")
	case len(s.names) == maxNames:
		return false, ErrTooMuch
	}
	s.names[client], s.welcome = true, true
	return false, nil
}

// message records a publication, and reports whether it is passed to the client.
func (s *channels) message(h heading) bool {
	if h.offset == 0 {
		return true
	}
	var x *subscription
	if raw, ok := plain(h.channel); ok {
		x = s.subs[string(raw)]
	} else if channel, ok := textOf(h.channel); ok {
		x = s.subs[channel]
	}
	if x == nil {
		return true
	}
	if len(s.names) > 0 && (h.offset <= x.at.Offset || x.hushed(h.offset)) {
		x.at.Offset = max(x.at.Offset, h.offset)
		return false
	}
	x.at.Offset = max(x.at.Offset, h.offset)
	return true
}

// reply records a reply to a command, and returns it for the client, or the messages that the client gets instead.
func (s *channels) reply(h heading, text []byte) (_ []byte, instead []Message, pass bool, err error) {
	c, ok := s.take(h.id)
	if !ok {
		return text, nil, true, nil
	}
	failed := string(h.kind) == "error"
	if c.resumes {
		if instead, err = s.resumed(&c, failed, text); err == nil {
			s.missing--
		}
		return nil, instead, false, err
	}
	s.effect(&c, failed, text)
	if c.is.again && c.is.keyed { // the client has published the message only once
		text, _ = without(text, "duplicate")
	}
	if !c.is.own {
		return text, nil, true, nil
	}
	if !failed && c.is.kind >= publication {
		return nil, nil, false, nil
	}
	text, ok = without(text, "id")
	if ok && !failed && c.is.kind != subscribe {
		text = with(text, "id", []byte("0")) // as in the server's reply to a command without an ID
	}
	return text, nil, ok, nil
}

// effect records the effect of a command.
func (s *channels) effect(c *command[channelCommand], failed bool, text []byte) {
	switch {
	case failed:
	case c.is.kind == subscribe:
		var r wire.Subscribed
		if json.Unmarshal(text, &r) == nil {
			s.subscribed(c, &r)
		}
	case c.is.kind == unsubscribe:
		s.unsubscribed(c.channel)
	case c.is.kind == update:
		if x := s.subs[c.channel]; x != nil {
			before := len(x.text)
			if x.text, _ = without(x.text, "data"); c.is.value != "" {
				x.text = with(x.text, "data", []byte(c.is.value))
			}
			s.grow(len(x.text) - before)
		}
	case c.is.kind == renewal:
		s.grow(len(c.is.value) - len(s.token))
		s.token = c.is.value
	case c.is.silent:
		var r wire.Published
		if json.Unmarshal(text, &r) == nil {
			s.hush(c.channel, r.Position)
		}
	}
}

// rename replaces the connection's client ID with the one that the client knows, if they differ.
func (s *channels) rename(h heading, text []byte) (_ []byte, pass bool) {
	own := false
	rename := func(value []byte) []byte {
		name, ok := textOf(value)
		if !ok {
			return value
		}
		own = own || name == s.client
		if s.names[name] {
			own = true
			value, _ = json.Marshal(s.client) // a string can always be encoded
		}
		return value
	}
	switch string(h.kind) {
	case "message":
		if client, _ := plain(h.client); s.names[string(client)] {
			text = replaced(text, rename, "client")
		}
	case "history", "snapshot":
		text = replaced(text, rename, "messages", "*", "client")
	case "subscribed", "members":
		text = replaced(text, rename, "members", "*", "user")
	case "join", "leave", "update":
		text = replaced(text, rename, "member", "user")
		return text, !own // a connection gets no notice of its own changes
	}
	return text, true
}
