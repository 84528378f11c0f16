package resume

import (
	"slices"
	"strconv"

	"github.com/handfast/handfast/channels/wire"
)

const (
	// firstOwn is the first ID of a command of the session itself. Every JSON implementation has this number.
	firstOwn = 1<<53 - 1

	// maxNames is how many servers a connection may go on at: the session knows the names that it had there.
	maxNames = 1000

	// maxClient is the longest name of a connection that message IDs are made of; they have at most 255 bytes.
	maxClient = 200
)

// channels is the session of handfast.v1.json.
//
// The server carries out the commands of a connection in their order, and so it replies in their order. Each one has an ID: where
// the client has given none, the session adds one of its own and removes it from the reply. So it is known which commands have been
// carried out; those that have not are sent again to the next server.
type channels struct {
	ledger[channelCommand]

	client string          // the name of the connection that the client knows; "" before the server has said it
	user   string          // of the client
	names  map[string]bool // the names of the connection at later servers
	token  string          // the last one that the client has renewed its credential with

	subs  map[string]*subscription // by channel
	keys  uint64                   // message IDs of the session itself
	stray bool                     // the client has published without an echo where it was not subscribed

	resuming bool // a resume is under way
	welcome  bool // the present server has said welcome
	missing  int  // own commands of the resume without a reply

	out [1]Message
}

// subscription is one that the server has accepted.
type subscription struct {
	text    []byte // the command of the client without id, since and members, and with the last data of the member
	at      wire.Position
	changes bool   // the client gets the changes of members
	joined  bool   // the client is a member
	members roster // who is there, if it gets the changes
	unsure  bool   // there may be messages behind at which the client must not get
	silent  []span // offsets of the client's own messages behind at, which it must not get
}

// span is a range of offsets.
type span struct{ from, to uint64 }

// kind is what a command is for the session.
type kind uint8

const (
	question    kind = iota // it changes nothing, and has a reply in any case
	subscribe               // likewise, as to its reply
	renewal                 // likewise
	publication             // it has a reply only with an ID; likewise below
	unsubscribe
	update
	ack
)

// channelCommand is what the session needs to know of a command without a reply.
type channelCommand struct {
	kind   kind
	own    bool   // the ID is the session's
	keyed  bool   // the session has added the message ID
	silent bool   // a publication that its publisher does not get
	again  bool   // it was sent to more than one server
	value  string // the token of a renewal, the data of an update
	sub    *subscription
}

func newChannels(o Options) *channels {
	return &channels{ledger: ledger[channelCommand]{opts: o, first: firstOwn}, names: map[string]bool{}, subs: map[string]*subscription{}}
}

// Renewed implements [Renewer].
func (s *channels) Renewed() string { return s.token }

// Gone implements [Session].
func (s *channels) Gone(code uint16) bool { return gone(code) }

// Idle implements [Session].
func (s *channels) Idle() bool { return s.no == nil && len(s.waiting) == 0 && s.welcome && !s.resuming }

// Client implements [Session].
func (s *channels) Client(m Message) (Message, bool) {
	if s.no != nil {
		return m, true
	}
	if m.Binary {
		s.no = ErrUnknown
		return m, true
	}
	c, bad := wire.Decode(m.Data)
	if bad != nil {
		if bad.ID == 0 {
			s.no = ErrUnknown
			return m, true
		}
		s.wait(command[channelCommand]{id: bad.ID}) // there is an error as the reply; the command is not sent again
		return m, true
	}
	text, w := s.note(c, m.Data)
	if !s.wait(w) {
		return m, true
	}
	return Message{Data: text}, true
}

// note returns what is remembered of a command, and its text as it is to be sent.
func (s *channels) note(c wire.Command, message []byte) (text []byte, _ command[channelCommand]) {
	h := wire.HeadOf(c)
	w := command[channelCommand]{id: h.ID, channel: h.Channel}
	text = message
	again := true
	switch c := c.(type) {
	case *wire.Subscribe:
		w.is.kind = subscribe
		w.is.sub = &subscription{changes: c.Changes, joined: c.Join, unsure: c.Since != nil && s.stray}
	case *wire.Unsubscribe:
		w.is.kind = unsubscribe
	case *wire.Update:
		w.is.kind, w.is.value = update, string(c.Data)
	case *wire.Ack:
		w.is.kind = ack
	case *wire.Refresh:
		w.is.kind, w.is.value = renewal, c.Token
	case *wire.Publish:
		w.is.kind, w.is.silent = publication, c.Echo != nil && !*c.Echo
		if again = c.MessageID != ""; !again && s.client != "" && len(s.client) <= maxClient {
			s.keys++
			text = with(text, "message_id", strconv.AppendQuote(nil, s.client+"-"+strconv.FormatUint(s.keys, 10)))
			w.is.keyed, again = true, true
		}
	}
	if w.id == 0 {
		w.id, w.is.own = s.ownID(), true
		text = with(text, "id", number64(w.id))
	}
	if again {
		text = kept(text, message)
		w.text = text
	}
	return text, w
}

// subscribed notes a subscription that the server has accepted.
func (s *channels) subscribed(c *command[channelCommand], r *wire.Subscribed) {
	text, ok := without(c.text, "id", "since", "members")
	if !ok {
		s.no = ErrUnknown
		return
	}
	s.unsubscribed(c.channel)
	x := c.is.sub
	x.text, x.at = text, r.Position
	if x.changes {
		if x.members = rosterOf(r); x.members == nil && r.Users == 1 && x.joined {
			x.members = roster{} // it is the client itself
		}
	}
	if s.room(len(s.subs), x.size()) {
		s.subs[c.channel] = x
		s.size += x.size()
	}
}

func (x *subscription) size() int { return perItem + len(x.text) + x.members.size() }

// unsubscribed notes that a subscription has ended.
func (s *channels) unsubscribed(channel string) {
	if x := s.subs[channel]; x != nil {
		s.size -= x.size()
		delete(s.subs, channel)
	}
}

// maxSpans is how many ranges of offsets of messages a subscription remembers that the client must not get.
const maxSpans = 64

// hush notes that the client must not get one of its own messages.
func (s *channels) hush(channel string, at wire.Position) {
	x := s.subs[channel]
	switch {
	case at.Offset == 0:
	case x == nil:
		s.stray = true
	case at.Epoch != x.at.Epoch || at.Offset <= x.at.Offset:
	case len(x.silent) > 0 && x.silent[len(x.silent)-1].to+1 == at.Offset:
		x.silent[len(x.silent)-1].to++
	default:
		x.silent = slices.DeleteFunc(x.silent, func(p span) bool { return p.to <= x.at.Offset })
		if len(x.silent) >= maxSpans {
			x.unsure = true
			return
		}
		x.silent = append(x.silent, span{at.Offset, at.Offset})
	}
}

// hushed reports whether the client must not get a message.
func (x *subscription) hushed(offset uint64) bool {
	return slices.ContainsFunc(x.silent, func(p span) bool { return p.from <= offset && offset <= p.to })
}
