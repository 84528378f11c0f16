package resume

import (
	"bytes"
	"strings"

	"github.com/centrifugal/protocol"
)

// firstOwnIDCentrifugo is the ID of the session's own first command. Further IDs count down from it, while clients count up from 1.
const firstOwnIDCentrifugo = 1<<32 - 1

// centrifugo is the session for Centrifugo's client protocol, version 2, in JSON and in Protobuf.
//
// A command has an ID and a reply, except for a send, which needs no reply. The protocol has no means to make a publication
// idempotent, so a connection cannot continue while a publication or an RPC has no reply.
type centrifugo struct {
	ledger[centrifugoCommand]
	format      format
	formatKnown bool // the client has sent a message, so that the format is known

	client         string                     // the connection's ID as the client knows it; "" before it is connected
	ids            map[string]bool            // the connection's IDs at later servers
	token          string                     // the last token with which the connection was refreshed
	connectRequest *protocol.ConnectRequest   // the client's connect request
	connectResult  *protocol.ConnectResult    // the parts of the reply that must be the same at each server
	subs           map[string]*centrifugoSubs // by channel

	pongPending bool // the client has not answered the last ping of the present server
	moved       bool // the present server is not the first
	resuming    bool
	missing     int // own commands of the resume that have no reply yet

	out [2]Message
}

// centrifugoSubs is a subscription to a stream.
type centrifugoSubs struct {
	request *protocol.SubscribeRequest // nil means the server made the subscription
	token   string                     // the last token with which the subscription was refreshed
	epoch   string
	offset  uint64
	delta   bool
	inexact string // why the subscription cannot be recovered exactly; "" if it can
	size    int    // bytes, counted for the limit
}

// centrifugoKind is the meaning of a command for the session.
type centrifugoKind uint8

const (
	cfQuery centrifugoKind = iota // can be repeated
	cfConnect
	cfSubscribe
	cfUnsubscribe
	cfRefresh
	cfSubRefresh
	cfOnce // must not be sent twice
	cfSend // must not be sent twice, and has no reply
)

type centrifugoCommand struct {
	kind     centrifugoKind
	pongSeen bool // for a message without a reply: the client has answered a ping since
}

func newCentrifugo(o Options) *centrifugo {
	return &centrifugo{ledger: ledger[centrifugoCommand]{opts: o, firstID: firstOwnIDCentrifugo}, ids: map[string]bool{}, subs: map[string]*centrifugoSubs{}}
}

// Gone implements [Session]. The protocol has its own code for a server that shuts down.
func (s *centrifugo) Gone(code uint16) bool { return isGoingAway(code) || code == 3001 }

// Idle implements [Session].
func (s *centrifugo) Idle() bool {
	return s.failure == nil && len(s.waiting) == 0 && s.client != "" && !s.resuming
}

// Client implements [Session].
func (s *centrifugo) Client(m Message) (Message, bool) {
	if !s.formatKnown {
		s.format, s.formatKnown = format{m.Binary}, true
	}
	if s.failure == nil && m.Binary != s.format.binary {
		s.failure = ErrUnknown
	}
	if s.failure != nil && !s.moved {
		return m, true
	}
	var without []byte // the message without the pongs that the server does not expect
	dropped := false
	for rest := m.Data; len(rest) > 0; {
		part, more, ok := s.format.cut(rest)
		if !ok {
			s.failure = ErrUnknown
			return m, true
		}
		if s.format.blank(part) || s.record(part) {
			if dropped {
				without = s.format.join(without, part)
			}
		} else if !dropped {
			dropped = true
			without = append(without, m.Data[:len(m.Data)-len(rest)]...)
			without = bytes.TrimSuffix(without, []byte("\n"))
		}
		rest = more
	}
	if dropped {
		return Message{Binary: m.Binary, Data: without}, len(without) > 0
	}
	return m, true
}

// record records a command, and reports whether it is passed to the server.
func (s *centrifugo) record(part []byte) bool {
	c, ok := s.format.command(part)
	if !ok {
		s.failure = ErrUnknown
		return true
	}
	w := command[centrifugoCommand]{id: uint64(c.Id)}
	again := true
	switch {
	case c.Connect != nil:
		w.data.kind = cfConnect
	case c.Subscribe != nil:
		w.data.kind, w.channel = cfSubscribe, c.Subscribe.Channel
	case c.Unsubscribe != nil:
		w.data.kind, w.channel = cfUnsubscribe, c.Unsubscribe.Channel
	case c.Publish != nil:
		w.data.kind, w.channel, again = cfOnce, c.Publish.Channel, false
	case c.Presence != nil, c.PresenceStats != nil, c.History != nil, c.Ping != nil:
	case c.Send != nil:
		w.data.kind, again = cfSend, false
	case c.Rpc != nil:
		w.data.kind, again = cfOnce, false
	case c.Refresh != nil:
		w.data.kind = cfRefresh
	case c.SubRefresh != nil:
		w.data.kind, w.channel = cfSubRefresh, c.SubRefresh.Channel
	case c.Id == 0:
		return s.pong()
	default:
		again = false // the reply is an error
		w.data.kind = cfOnce
	}
	if s.failure != nil {
		return true
	}
	if c.Id == 0 && w.data.kind != cfSend {
		s.failure = ErrUnknown // the server will close the connection
		return true
	}
	w.channel = strings.Clone(w.channel)
	if again {
		w.text = bytes.Clone(part)
	}
	s.add(w)
	return true
}

// pong records the reply to a ping, and reports whether it is passed to the server, which closes the connection for a pong without
// a ping.
func (s *centrifugo) pong() bool {
	pass := s.pongPending || !s.moved
	if s.pongPending {
		for i := range s.waiting {
			s.waiting[i].data.pongSeen = true
		}
	}
	s.pongPending = false
	return pass
}

// pinged records a ping. The server sends a ping only after it has received the reply to the previous ping, and all messages before
// that reply.
func (s *centrifugo) pinged() {
	s.pongPending = true
	s.dropExecuted(func(_ int, c *command[centrifugoCommand]) bool { return c.data.pongSeen })
}

// dropExecuted forgets the messages without replies that the server is known to have received.
func (s *centrifugo) dropExecuted(known func(i int, c *command[centrifugoCommand]) bool) {
	kept := s.waiting[:0]
	for i, c := range s.waiting {
		if c.data.kind == cfSend && known(i, &c) {
			s.size -= c.size()
			continue
		}
		kept = append(kept, c)
	}
	clear(s.waiting[len(kept):])
	s.waiting = kept
}
