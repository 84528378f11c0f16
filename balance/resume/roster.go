package resume

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/handfast/handfast/channels/wire"
)

// maxRoster is the maximum number of members in a server's reply to a subscription.
const maxRoster = 1000

// roster is the list of the members of a channel as the client knows it: the data of each member, by user. A resume compares it
// with the list of the next server to find the changes that the client has missed. nil means that the members are not known.
type roster map[string]string

// rosterOf returns the roster in the reply to a subscription, or nil if the reply does not have all members.
func rosterOf(r *wire.Subscribed) roster {
	if r.Next != "" || len(r.Members) != r.Users {
		return nil
	}
	all := roster{}
	for _, m := range r.Members {
		all[m.User] = string(m.Data)
	}
	return all
}

func (r roster) size() int {
	n := 0
	for user, data := range r {
		n += sizeOfMember(user, data)
	}
	return n
}

func sizeOfMember(user, data string) int { return itemOverhead + len(user) + len(data) }

// changed records a change of the members of a channel that is passed to the client.
func (s *channels) changed(channel, kind string, text []byte) {
	x := s.subs[channel]
	if x == nil || x.members == nil {
		return
	}
	var c wire.Change
	if json.Unmarshal(text, &c) != nil {
		s.forget(x)
		return
	}
	user := c.Member.User
	if data, ok := x.members[user]; ok {
		s.size -= sizeOfMember(user, data)
		delete(x.members, user)
	}
	if kind == "leave" {
		return
	}
	data := string(c.Member.Data)
	if s.size += sizeOfMember(user, data); s.size > s.opts.Bytes {
		s.size -= sizeOfMember(user, data)
		s.forget(x)
		return
	}
	x.members[user] = data
}

// forget discards the members of a channel. The subscription can then no longer be recovered exactly.
func (s *channels) forget(x *subscription) {
	s.size -= x.members.size()
	x.members = nil
}

// caughtUp returns the changes since the last notice to the client, as the server would have sent them, and records them.
func (s *channels) caughtUp(channel string, x *subscription, now roster) ([]Message, error) {
	var out []Message
	tell := func(kind, user, data string) error {
		if s.isOwn(user, x) {
			return nil
		}
		m := wire.Member{User: user}
		if data != "" {
			m.Data = json.RawMessage(data)
		}
		text, err := wire.Encode(&wire.Change{Type: kind, Channel: channel, Member: m})
		out = append(out, Message{Data: text})
		return err
	}
	for _, user := range slices.Sorted(maps.Keys(x.members)) {
		data, err := now[user], error(nil)
		if _, ok := now[user]; !ok {
			err = tell("leave", user, x.members[user])
		} else if data != x.members[user] {
			err = tell("update", user, data)
		}
		if err != nil {
			return nil, err
		}
	}
	for _, user := range slices.Sorted(maps.Keys(now)) {
		if _, ok := x.members[user]; !ok {
			if err := tell("join", user, now[user]); err != nil {
				return nil, err
			}
		}
	}
	s.size += now.size() - x.members.size()
	x.members = now
	return out, nil
}

// isOwn reports whether a member is the client itself.
func (s *channels) isOwn(user string, x *subscription) bool {
	return x.joined && user == s.user || user == s.client || s.ids[user]
}
