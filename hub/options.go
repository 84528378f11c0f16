package hub

import (
	"errors"
	"time"

	"github.com/handfast/handfast/websocket"
)

// The actions for Client.Allow.
const (
	ActionSubscribe = "subscribe"
	ActionPublish   = "publish"
	ActionPresence  = "presence"
	ActionHistory   = "history"
)

// Errors of sessions. Those of Client.Allow are passed on unchanged.
var (
	// ErrClosed indicates that the hub or the session has ended.
	ErrClosed = errors.New("hub: closed")

	// ErrSubscribed indicates that the session has subscribed to the channel already.
	ErrSubscribed = errors.New("hub: already subscribed")

	// ErrNotSubscribed indicates that the session has not subscribed to the channel.
	ErrNotSubscribed = errors.New("hub: not subscribed")

	// ErrTooMany indicates that a limit on subscriptions or subscribers is reached.
	ErrTooMany = errors.New("hub: too many subscriptions")

	// ErrTooFast indicates that the session publishes faster than the namespace allows.
	ErrTooFast = errors.New("hub: too many publications")

	// ErrTooBig indicates that a publication is larger than the namespace allows, its tags and names included.
	ErrTooBig = errors.New("hub: the publication is too big")

	// ErrMore indicates that a subscriber missed more than fits into one answer.
	ErrMore = errors.New("hub: the missed publications do not fit into one answer")

	// ErrNoPresence indicates that the channel has no presence.
	ErrNoPresence = errors.New("hub: the channel has no presence")

	// ErrBadChannel indicates that a channel's name is empty, or too long.
	ErrBadChannel = errors.New("hub: not a valid channel name")

	// ErrNotYours indicates that a channel belongs to another user.
	ErrNotYours = errors.New("hub: the channel of another user")
)

// MaxChannel is the length of the longest name of a channel, in bytes.
const MaxChannel = 255

// Options says how a Hub works. The zero value is a hub of one node, in memory.
type Options struct {
	// Engine connects the nodes. nil means a Memory of its own.
	Engine Engine

	// Namespaces are the rules of channels.
	Namespaces []Namespace

	// MaxSubscriptions is how many channels a session may subscribe to. 0 means 128.
	MaxSubscriptions int

	// Lease is how long a node may be silent before its members leave. It renews its lease three times in that time. 0 means
	// three seconds.
	Lease time.Duration

	// ProbeEvery is how often the engine is probed, and how long a probe may take. 0 means two seconds; a negative value turns
	// it off.
	ProbeEvery time.Duration

	// Linger is how long a channel without subscribers stays subscribed to at the engine, so that clients that come back
	// immediately find it as it was. 0 means ten seconds; a negative value means that it does not.
	Linger time.Duration

	// EngineState is called with nil when the engine works, for the first time and each time that it works again, and with the reason
	// when it does not: see [Hub.Ready]. It is called from any goroutine, with locks held: it must not wait, and not call the hub. nil
	// means that nothing is reported.
	EngineState func(error)

	// Events is called for each event, from any goroutine, with locks held: it must not wait, and not call the hub. nil means
	// that nothing is reported. See [Event].
	Events func(Event)

	// Traced is called for each publication with a trace ID: once where it was published, and on each node where it was sent to
	// subscribers. It is called from any goroutine and must not wait. nil means that traces are not reported.
	Traced func(Trace)
}

func (o Options) withDefaults() Options {
	if o.Engine == nil {
		o.Engine = NewMemory().Node()
	}
	if o.MaxSubscriptions == 0 {
		o.MaxSubscriptions = 128
	}
	if o.Lease == 0 {
		o.Lease = 3 * time.Second
	}
	if o.ProbeEvery == 0 {
		o.ProbeEvery = 2 * time.Second
	}
	if o.Linger == 0 {
		o.Linger = 10 * time.Second
	}
	return o
}

// Client is one connection to the hub.
type Client struct {
	// App is the application. Its ID has no slash.
	App string

	// ID names the connection. It is unique in the application, on all nodes.
	ID string

	// User is the authenticated user; "" if there is none.
	User string

	// Data is public data of the client: Info of its publications, and its data as a member. It is shared and must not be
	// modified. May be nil.
	Data []byte

	// Out sends to the client. It is required. Its queue must have the policy websocket.QueueDropNewest: with another one, a slow
	// client may lose messages without the hub noticing.
	Out websocket.Sender

	// Codec is the protocol that the client speaks. It is required.
	Codec Codec

	// Allow is asked before each action on a channel: its error denies the action and is returned. nil allows everything.
	Allow func(action, channel string) error

	// Command is called for commands to the client, from any goroutine: see [CommandKind] and Command.Data. May be nil.
	Command func(Command)
}

// SubscribeOptions says how to subscribe. The zero value subscribes to what is published from now on.
type SubscribeOptions struct {
	// Since asks for everything behind this position. nil asks for nothing.
	Since *Position

	// MissedBytes is how many bytes of what was missed the answer has. If there are more, it has the first part, and there is no
	// subscription: see Recovered.More. 0 means 16 MiB.
	MissedBytes int

	// Member makes the session a member of a channel with presence.
	Member bool

	// User and Data are how it is a member there; "" and nil mean those of the session.
	User string
	Data []byte

	// Members is how many members the answer lists, the first page. 0 means none. In a channel with presence, Allow is asked for
	// ActionPresence, too; likewise for Changes.
	Members int

	// MembersBytes is how many bytes that page has. 0 means PageBytes.
	MembersBytes int

	// Changes asks for the joins, updates and leaves of members.
	Changes bool

	// Delta says that the client can apply a difference to the publication before: the Codec then gets that one.
	Delta bool

	// KeyDelta is Delta for a keyed collection whose state the client has, as it is at the position where the subscription begins:
	// the Codec gets the publication before with the same key. It has an effect only where [Namespace.KeyDeltas] says so.
	KeyDelta bool

	// Positions asks for the positions of publications, if the client's Codec is a [PositionedCodec]; otherwise it has no effect.
	Positions bool

	// Filter reports whether a publication is for the subscriber: others are not delivered to it, and not among what it has missed.
	// It is called with locks held, so it must not wait, and not call the hub. nil means that all are.
	Filter func(p *Publication) bool
}

// Recovered is the answer to a subscription.
type Recovered struct {
	// Position is where the subscriber is: behind Publications. What is sent to it later follows that position.
	Position Position

	// Publications is what was missed, in order; nil unless all of it is there.
	Publications []*Publication

	// More says that Publications is only the first part of what was missed. There is no subscription: Subscribe returns ErrMore.
	// Another one since Position has what follows.
	More bool

	// Err is nil, or why it is not known what was missed: ErrNewEpoch or ErrTooOld. The subscription begins nevertheless, at
	// Position.
	Err error

	// Users is how many members the channel has, in a channel with presence.
	Users int

	// Members is the first page of them, as many as asked for.
	Members []Member

	// Next continues Members in Session.Members; "" when there are no more.
	Next string
}
