package resume

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/handfast/handfast/channels/wire"
)

const (
	// firstOwn is the first ID of a command of the session itself; the others count down from it. Every JSON implementation has this
	// number.
	firstOwn = 1<<53 - 1

	// maxNames is how many servers a connection may go on at: the session knows the names that it had there.
	maxNames = 1000

	// maxClient is the longest name of a connection that message IDs are made of; they have at most 255 bytes.
	maxClient = 200

	// perItem is what is counted for something that is remembered, beyond its text.
	perItem = 128
)

// channels is the session of handfast.v1.json.
//
// The server carries out the commands of a connection in their order, and so it replies in their order. Each one has an ID: where
// the client has given none, the session adds one of its own and removes it from the reply. So it is known which commands have been
// carried out; those that have not are sent again to the next server.
type channels struct {
	opts Options
	no   error // why it cannot be resumed any more; nil if it can
	size int   // bytes that are remembered

	client string   // the name of the connection that the client knows; "" before the server has said it
	user   string   // of the client
	names  []string // the names of the connection at later servers, the last one is the present one
	token  string   // the last one that the client has renewed its credential with

	subs    map[string]*subscription // by channel
	waiting []command                // for a reply, in order
	own     uint64                   // the last ID of the session itself
	keys    uint64                   // message IDs of the session itself
	stray   bool                     // the client has published without an echo where it was not subscribed

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

// command is a command without a reply.
type command struct {
	id      uint64
	kind    kind
	own     bool // the ID is the session's
	keyed   bool // the session has added the message ID
	silent  bool // a publication that its publisher does not get
	again   bool // it was sent to more than one server
	resumes bool // it is one of the session itself, to resume
	channel string
	value   string // the token of a renewal, the data of an update
	text    []byte // as it was sent; nil if it must not be sent again
	sub     *subscription
}

func (c *command) size() int { return perItem + len(c.text) + len(c.value) + len(c.channel) }

func newChannels(o Options) *channels {
	return &channels{opts: o, subs: map[string]*subscription{}, own: firstOwn + 1}
}

// Renewed implements [Renewer].
func (s *channels) Renewed() string { return s.token }

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
		s.wait(command{id: bad.ID}) // there is an error as the reply; the command is not sent again
		return m, true
	}
	text, w := s.note(c, m.Data)
	if len(text) == len(m.Data) {
		text = bytes.Clone(m.Data)
	}
	if w.kind != publication || w.keyed || c.(*wire.Publish).MessageID != "" {
		w.text = text
	}
	if !s.wait(w) {
		return m, true
	}
	return Message{Data: text}, true
}

// note returns what is remembered of a command, and its text as it is to be sent.
func (s *channels) note(c wire.Command, text []byte) ([]byte, command) {
	h := wire.HeadOf(c)
	w := command{id: h.ID, channel: h.Channel}
	switch c := c.(type) {
	case *wire.Subscribe:
		w.kind = subscribe
		w.sub = &subscription{changes: c.Changes, unsure: c.Since != nil && s.stray}
	case *wire.Unsubscribe:
		w.kind = unsubscribe
	case *wire.Update:
		w.kind, w.value = update, string(c.Data)
	case *wire.Ack:
		w.kind = ack
	case *wire.Refresh:
		w.kind, w.value = renewal, c.Token
	case *wire.Publish:
		w.kind, w.silent = publication, c.Echo != nil && !*c.Echo
		if c.MessageID == "" && s.client != "" && len(s.client) <= maxClient {
			s.keys++
			text, w.keyed = with(text, "message_id", strconv.AppendQuote(nil, s.client+"-"+strconv.FormatUint(s.keys, 10))), true
		}
	}
	if w.id == 0 {
		w.id, w.own = s.ownID(), true
		text = with(text, "id", number64(w.id))
	}
	return text, w
}

// wait notes that a command waits for its reply. It returns false if that is too much to remember.
func (s *channels) wait(w command) bool {
	if len(s.waiting) >= s.opts.Unanswered || s.size+w.size() > s.opts.Bytes {
		s.no = ErrTooMuch
		return false
	}
	s.size += w.size()
	s.waiting = append(s.waiting, w)
	return true
}

// ownID returns an ID that no command which waits for its reply has.
func (s *channels) ownID() uint64 {
	for {
		if s.own--; s.own < firstOwn/2 {
			s.own = firstOwn
		}
		if s.find(s.own) < 0 {
			return s.own
		}
	}
}

// find returns which command waits for the reply with an ID, -1 if none does.
func (s *channels) find(id uint64) int {
	for i := range s.waiting {
		if s.waiting[i].id == id {
			return i
		}
	}
	return -1
}

// subscribed notes a subscription that the server has accepted.
func (s *channels) subscribed(c *command, at wire.Position) {
	text, ok := without(c.text, "id", "since", "members")
	switch {
	case !ok:
		s.no = ErrUnknown
	case len(s.subs) >= s.opts.Subscriptions, s.size+perItem+len(text) > s.opts.Bytes:
		s.no = ErrTooMuch
	default:
		s.unsubscribed(c.channel)
		c.sub.text, c.sub.at = text, at
		s.subs[c.channel] = c.sub
		s.size += c.sub.size()
	}
}

func (x *subscription) size() int { return perItem + len(x.text) }

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
