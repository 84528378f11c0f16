package resume

import (
	"encoding/json"

	"github.com/handfast/handfast/channels/wire"
)

// header contains the top-level fields of a message of the server.
type header struct {
	kind    []byte // the type
	channel []byte // still encoded
	id      uint64
	offset  uint64
	client  []byte // still encoded
	user    []byte // still encoded
}

// parseHeader parses the heading of a message, and reports whether it is an object with a type. If whole is false, it stops at the
// offset of a publication.
func parseHeader(text []byte, whole bool) (h header, ok bool) {
	o := objectOf(text)
	for name, value, more := o.next(); more; name, value, more = o.next() {
		switch string(name) {
		case "type":
			h.kind, _ = unquoted(value)
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
	h, ok := parseHeader(m.Data, len(s.ids) > 0)
	if !ok || m.Binary || h.id != 0 && !json.Valid(m.Data) { // a reply may be withheld from the client, so it must be valid
		return s.passInvalid(m)
	}
	pass, err := true, error(nil)
	var more []Message
	switch {
	case h.id != 0:
		m.Data, more, pass, err = s.reply(h, m.Data)
	case string(h.kind) == "error":
		s.take(0) // the reply to a message that is not a command
	case string(h.kind) == "welcome":
		pass, err = s.handleWelcome(h)
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
	if pass && len(s.ids) > 0 {
		m.Data, pass = s.rename(h, m.Data)
	}
	done := s.resuming && s.gotWelcome && s.missing == 0
	if done {
		s.resuming = false
	}
	if !pass {
		return more, done, nil
	}
	if isMembersChange(h.kind) {
		if channel, ok := textOf(h.channel); ok {
			s.changed(channel, string(h.kind), m.Data)
		}
	}
	s.out[0] = m
	return s.out[:], done, nil
}

// isMembersChange reports whether a message of this type is about the members of a channel.
func isMembersChange(kind []byte) bool {
	return string(kind) == "join" || string(kind) == "update" || string(kind) == "leave"
}

// passInvalid passes on a message that does not conform to the protocol. The first messages of a new server must conform.
func (s *channels) passInvalid(m Message) ([]Message, bool, error) {
	if s.failure == nil {
		s.failure = ErrUnknown
	}
	if s.resuming {
		return nil, false, withReason(ErrRefused, "the new server does not speak "+wire.Subprotocol)
	}
	s.out[0] = m
	return s.out[:], false, nil
}

// handleWelcome handles the first message of a server. The client gets only the first welcome.
func (s *channels) handleWelcome(h header) (pass bool, err error) {
	client, ok := textOf(h.client)
	user := ""
	if h.user != nil {
		user, _ = textOf(h.user)
	}
	switch {
	case !ok || client == "", s.gotWelcome: // with gotWelcome, this is a second welcome
		s.failure = ErrUnknown
		return !s.resuming, nil
	case s.client == "":
		s.client, s.user, s.gotWelcome = client, user, true
		return true, nil
	case user != s.user:
		return false, withReason(ErrRefused, "the new server identifies the client as another user")
	case len(s.ids) == maxNames:
		return false, ErrTooMuch
	}
	s.ids[client], s.gotWelcome = true, true
	return false, nil
}

// message records a publication, and reports whether it is passed to the client.
func (s *channels) message(h header) bool {
	if h.offset == 0 {
		return true
	}
	var x *subscription
	if raw, ok := unquoted(h.channel); ok {
		x = s.subs[string(raw)]
	} else if channel, ok := textOf(h.channel); ok {
		x = s.subs[channel]
	}
	if x == nil {
		return true
	}
	if len(s.ids) > 0 && (h.offset <= x.at.Offset || x.isSilent(h.offset)) {
		x.at.Offset = max(x.at.Offset, h.offset)
		return false
	}
	x.at.Offset = max(x.at.Offset, h.offset)
	return true
}

// reply records a reply to a command, and returns it for the client, or the messages that the client gets instead.
func (s *channels) reply(h header, text []byte) (_ []byte, instead []Message, pass bool, err error) {
	c, ok := s.take(h.id)
	if !ok {
		return text, nil, true, nil
	}
	failed := string(h.kind) == "error"
	if c.own {
		if instead, err = s.resumed(&c, failed, text); err == nil {
			s.missing--
		}
		return nil, instead, false, err
	}
	s.effect(&c, failed, text)
	if c.data.repeated && c.data.messageIDAdded { // the client has published the message only once
		text, _ = withoutMembers(text, "duplicate")
	}
	if !c.data.idAdded {
		return text, nil, true, nil
	}
	if !failed && c.data.kind >= publication {
		return nil, nil, false, nil
	}
	text, ok = withoutMembers(text, "id")
	if ok && !failed && c.data.kind != subscribe {
		text = withMember(text, "id", []byte("0")) // as in the server's reply to a command without an ID
	}
	return text, nil, ok, nil
}

// effect records the effect of a command.
func (s *channels) effect(c *command[channelCommand], failed bool, text []byte) {
	switch {
	case failed:
	case c.data.kind == subscribe:
		var r wire.Subscribed
		if json.Unmarshal(text, &r) == nil {
			s.subscribed(c, &r)
		}
	case c.data.kind == unsubscribe:
		s.unsubscribed(c.channel)
	case c.data.kind == update:
		if x := s.subs[c.channel]; x != nil {
			before := len(x.text)
			if x.text, _ = withoutMembers(x.text, "data"); c.data.value != "" {
				x.text = withMember(x.text, "data", []byte(c.data.value))
			}
			s.grow(len(x.text) - before)
		}
	case c.data.kind == renewal:
		s.grow(len(c.data.value) - len(s.token))
		s.token = c.data.value
	case c.data.silent:
		var r wire.Published
		if json.Unmarshal(text, &r) == nil {
			s.recordSilent(c.channel, r.Position)
		}
	}
}

// rename replaces the connection's client ID with the one that the client knows, if they differ.
func (s *channels) rename(h header, text []byte) (_ []byte, pass bool) {
	own := false
	rename := func(value []byte) []byte {
		name, ok := textOf(value)
		if !ok {
			return value
		}
		own = own || name == s.client
		if s.ids[name] {
			own = true
			value, _ = json.Marshal(s.client) // a string can always be encoded
		}
		return value
	}
	switch string(h.kind) {
	case "message":
		if client, _ := unquoted(h.client); s.ids[string(client)] {
			text = replaceAt(text, rename, "client")
		}
	case "history", "snapshot":
		text = replaceAt(text, rename, "messages", "*", "client")
	case "subscribed", "members":
		text = replaceAt(text, rename, "members", "*", "user")
	case "join", "leave", "update":
		text = replaceAt(text, rename, "member", "user")
		return text, !own // a connection gets no notice of its own changes
	}
	return text, true
}
