package resume

import (
	"slices"
	"strconv"

	"github.com/handfast/handfast/channels/wire"
)

const (
	// firstOwnID is the ID of the session's own first command. Every JSON implementation can represent this number.
	firstOwnID = 1<<53 - 1

	// maxNames is the maximum number of servers that a connection may move to: the session remembers the client ID at each.
	maxNames = 1000

	// maxClientID is the maximum length of a client ID that message IDs are made of; they have at most 255 bytes.
	maxClientID = 200
)

// channels is the session for handfast.v1.json.
//
// The server executes the commands of a connection in order, and replies in the same order. The session adds an ID to each command
// without one, and removes it from the reply. The replies show which commands have been executed, and the session sends the others
// again to the next server.
type channels struct {
	ledger[channelCommand]

	client string          // the client ID as the client knows it; "" before the welcome
	user   string          // user of the client
	ids    map[string]bool // the client IDs at later servers
	token  string          // the last token with which the client renewed its credential

	subs               map[string]*subscription // by channel
	messageIDs         uint64                   // number of message IDs that the session has made
	unsubscribedSilent bool                     // the client has published without an echo in a channel without a subscription

	resuming   bool // a resume is in progress
	gotWelcome bool // the present server has sent its welcome
	missing    int  // own commands of the resume that have no reply yet

	out [1]Message
}

// subscription is a subscription that the server has accepted.
type subscription struct {
	text    []byte // the command of the client without id, since and members, and with the member's latest data
	at      wire.Position
	changes bool   // the client gets changes of the members
	joined  bool   // the client is a member
	members roster // the members, if the client gets changes of them
	inexact bool   // messages after at may include some that the client must not get
	silent  []span // offsets after at of the client's own messages, which the client must not get
}

// span is a range of offsets.
type span struct{ from, to uint64 }

// kind is the meaning of a command for the session.
type kind uint8

const (
	query       kind = iota // changes nothing, and always has a reply
	subscribe               // always has a reply
	renewal                 // always has a reply
	publication             // like all kinds below, has a reply only if the command has an ID
	unsubscribe
	update
	ack
)

// channelCommand contains the data that the session needs of a command without a reply.
type channelCommand struct {
	kind           kind
	idAdded        bool   // the session has added the ID
	messageIDAdded bool   // the session has added the message ID
	silent         bool   // a publication without an echo
	repeated       bool   // the command was sent to several servers
	value          string // the token of a renewal, or the data of an update
	sub            *subscription
}

func newChannels(o Options) *channels {
	return &channels{ledger: ledger[channelCommand]{opts: o, firstID: firstOwnID}, ids: map[string]bool{}, subs: map[string]*subscription{}}
}

// Renewed implements [Renewer].
func (s *channels) Renewed() string { return s.token }

// Gone implements [Session].
func (s *channels) Gone(code uint16) bool { return isGoingAway(code) }

// Idle implements [Session].
func (s *channels) Idle() bool {
	return s.failure == nil && len(s.waiting) == 0 && s.gotWelcome && !s.resuming
}

// Client implements [Session].
func (s *channels) Client(m Message) (Message, bool) {
	if s.failure != nil {
		return m, true
	}
	bad := &wire.Error{} // kept if the message is not text
	var c wire.Command
	if !m.Binary {
		c, bad = wire.Decode(m.Data)
	}
	if bad != nil {
		s.add(command[channelCommand]{id: bad.ID}) // the reply is an error, possibly without an ID; the message is not sent again
		return m, true
	}
	text, w := s.record(c, m.Data)
	if !s.add(w) {
		return m, true
	}
	return Message{Data: text}, true
}

// record returns the record of a command, and its text for the server.
func (s *channels) record(c wire.Command, message []byte) (text []byte, _ command[channelCommand]) {
	h := wire.HeadOf(c)
	w := command[channelCommand]{id: h.ID, channel: h.Channel}
	text = message
	again := true
	switch c := c.(type) {
	case *wire.Subscribe:
		w.data.kind = subscribe
		w.data.sub = &subscription{changes: c.Changes, joined: c.Join, inexact: c.Since != nil && s.unsubscribedSilent}
	case *wire.Unsubscribe:
		w.data.kind = unsubscribe
	case *wire.Update:
		w.data.kind, w.data.value = update, string(c.Data)
	case *wire.Ack:
		w.data.kind = ack
	case *wire.Refresh:
		w.data.kind, w.data.value = renewal, c.Token
	case *wire.Publish:
		w.data.kind, w.data.silent = publication, c.Echo != nil && !*c.Echo
		if again = c.MessageID != ""; !again && s.client != "" && len(s.client) <= maxClientID {
			s.messageIDs++
			text = withMember(text, "message_id", strconv.AppendQuote(nil, s.client+"-"+strconv.FormatUint(s.messageIDs, 10)))
			w.data.messageIDAdded, again = true, true
		}
	}
	if w.id == 0 {
		w.id, w.data.idAdded = s.ownID(), true
		text = withMember(text, "id", number64(w.id))
	}
	if again {
		text = cloneShared(text, message)
		w.text = text
	}
	return text, w
}

// subscribed records a subscription that the server has accepted.
func (s *channels) subscribed(c *command[channelCommand], r *wire.Subscribed) {
	text, ok := withoutMembers(c.text, "id", "since", "members")
	if !ok {
		s.failure = ErrUnknown
		return
	}
	s.unsubscribed(c.channel)
	x := c.data.sub
	x.text, x.at = text, r.Position
	if x.changes {
		if x.members = rosterOf(r); x.members == nil && r.Users == 1 && x.joined {
			x.members = roster{} // the only member is the client itself
		}
	}
	if s.hasRoom(len(s.subs), x.size()) {
		s.subs[c.channel] = x
		s.size += x.size()
	}
}

func (x *subscription) size() int { return itemOverhead + len(x.text) + x.members.size() }

// unsubscribed records the end of a subscription.
func (s *channels) unsubscribed(channel string) {
	if x := s.subs[channel]; x != nil {
		s.size -= x.size()
		delete(s.subs, channel)
	}
}

// maxSpans is the maximum number of ranges of offsets that a subscription remembers because the client must not get the messages in
// them.
const maxSpans = 64

// recordSilent records the position of one of the client's own messages, which the client must not get.
func (s *channels) recordSilent(channel string, at wire.Position) {
	x := s.subs[channel]
	switch {
	case at.Offset == 0:
	case x == nil:
		s.unsubscribedSilent = true
	case at.Epoch != x.at.Epoch || at.Offset <= x.at.Offset:
	case len(x.silent) > 0 && x.silent[len(x.silent)-1].to+1 == at.Offset:
		x.silent[len(x.silent)-1].to++
	default:
		x.silent = slices.DeleteFunc(x.silent, func(p span) bool { return p.to <= x.at.Offset })
		if len(x.silent) >= maxSpans {
			x.inexact = true
			return
		}
		x.silent = append(x.silent, span{at.Offset, at.Offset})
	}
}

// isSilent reports whether the client must not get the message at an offset.
func (x *subscription) isSilent(offset uint64) bool {
	return slices.ContainsFunc(x.silent, func(p span) bool { return p.from <= offset && offset <= p.to })
}
