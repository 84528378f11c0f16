package hub

import (
	"errors"
	"time"

	"github.com/handfast/handfast/websocket"
)

// The actions for which Client.Allow is called.
const (
	ActionSubscribe = "subscribe"
	ActionPublish   = "publish"
	ActionPresence  = "presence"
	ActionHistory   = "history"
)

// Errors of sessions. Errors of Client.Allow are returned unchanged.
var (
	// ErrClosed indicates that the hub or the session has ended.
	ErrClosed = errors.New("hub: closed")

	// ErrSubscribed indicates that the session is already subscribed to the channel.
	ErrSubscribed = errors.New("hub: already subscribed")

	// ErrNotSubscribed indicates that the session is not subscribed to the channel.
	ErrNotSubscribed = errors.New("hub: not subscribed")

	// ErrTooMany indicates that a limit on subscriptions or subscribers has been reached.
	ErrTooMany = errors.New("hub: too many subscriptions")

	// ErrTooFast indicates that the session publishes faster than the namespace allows.
	ErrTooFast = errors.New("hub: too many publications")

	// ErrTooBig indicates that a publication is larger than the namespace allows. Its size includes tags and names.
	ErrTooBig = errors.New("hub: the publication is too large")

	// ErrMore indicates that the missed publications do not fit into one reply.
	ErrMore = errors.New("hub: the missed publications do not fit into one answer")

	// ErrNoPresence indicates that the channel has no presence.
	ErrNoPresence = errors.New("hub: the channel has no presence")

	// ErrBadChannel indicates that a channel's name is empty or too long.
	ErrBadChannel = errors.New("hub: not a valid channel name")

	// ErrNotYours indicates that a channel belongs to another user.
	ErrNotYours = errors.New("hub: the channel belongs to another user")
)

// MaxChannel is the maximum length of a channel name in bytes.
const MaxChannel = 255

// Options configures a Hub. The zero value is a hub of a single node, in memory.
type Options struct {
	// Engine connects the nodes. nil means a new Memory.
	Engine Engine

	// Namespaces are the settings of channels.
	Namespaces []Namespace

	// MaxSubscriptions is the number of channels that a session may subscribe to. 0 means 128.
	MaxSubscriptions int

	// Lease is how long a node may be unreachable before its members leave. It renews its lease three times in that time. 0 means
	// three seconds.
	Lease time.Duration

	// ProbeEvery is the interval between probes of the engine, and the timeout of a probe. 0 means two seconds; a negative value
	// disables probes.
	ProbeEvery time.Duration

	// Linger is how long the node stays subscribed to a channel that has no subscribers, so that clients that reconnect immediately
	// find it unchanged. 0 means ten seconds; a negative value disables lingering.
	Linger time.Duration

	// EngineState is called with nil when the engine starts or resumes working, and with the reason when it fails: see [Hub.Ready].
	// It is called from any goroutine, with locks held: it must not block or call the hub. nil means that nothing is reported.
	EngineState func(error)

	// Events is called for each event, from any goroutine, with locks held: it must not block or call the hub. nil means that
	// nothing is reported. See [Event].
	Events func(Event)

	// Traced is called for each publication with a trace ID: once on the node that published it, and on each node that has sent it
	// to subscribers. It is called from any goroutine and must not block. nil means that traces are not reported.
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
	// App is the ID of the application. It must not contain a slash.
	App string

	// ID identifies the connection. It is unique in the application, on all nodes.
	ID string

	// User is the authenticated user; "" if there is none.
	User string

	// Data is the client's public data: the Info of its publications, and its data as a member. It is shared and must not be
	// modified. May be nil.
	Data []byte

	// Out sends to the client. It is required. Its queue must have the policy websocket.QueueDropNewest: with another policy, a
	// slow client may lose messages without the hub noticing.
	Out websocket.Sender

	// Codec is the protocol that the client speaks. It is required.
	Codec Codec

	// Allow is called before each action on a channel. A non-nil error denies the action and is returned. If nil, every action is
	// allowed.
	Allow func(action, channel string) error

	// Command is called for commands to the client, from any goroutine: see [CommandKind] and Command.Data. May be nil.
	Command func(Command)
}

// SubscribeOptions configures a subscription. With the zero value, the subscription begins with the next publication.
type SubscribeOptions struct {
	// Since requests all publications after this position. nil requests none.
	Since *Position

	// MissedBytes is the maximum size of the missed publications in the reply. If there are more, the reply contains the first
	// part, and no subscription is made: see Recovered.More. 0 means 16 MiB.
	MissedBytes int

	// Member makes the session a member of the channel. It has no effect in a channel without presence.
	Member bool

	// User and Data are the user and the data of the member; "" and nil mean those of the session.
	User string
	Data []byte

	// Members is the number of members on the first page in the reply. 0 means none. In a channel with presence, Allow is also
	// called with ActionPresence; the same applies to Changes.
	Members int

	// MembersBytes is the maximum size of the first page of members. 0 means PageBytes.
	MembersBytes int

	// Changes requests the joins, updates and leaves of members.
	Changes bool

	// Delta declares that the client can apply a delta from the previous publication. The Codec is then called with that publication.
	Delta bool

	// KeyDelta is like Delta for a keyed collection. The client must have the state of the collection at the position where the
	// subscription begins. The Codec is called with the previous publication of the same key. KeyDelta has an effect only if
	// [Namespace.KeyDeltas] is true.
	KeyDelta bool

	// Positions requests the positions of publications, if the client's Codec is a [PositionedCodec]; otherwise it has no effect.
	Positions bool

	// Filter reports whether a publication is for the subscriber. Other publications are not delivered, and are not among the
	// missed ones. Filter is called with locks held, so it must not block or call the hub. nil selects all publications.
	Filter func(p *Publication) bool
}

// Recovered is the reply to a subscription.
type Recovered struct {
	// Position is the position of the subscriber: after Publications. Later publications follow that position.
	Position Position

	// Publications are the missed publications, in order; nil unless all of them are available.
	Publications []*Publication

	// More reports that Publications is only the first part of the missed publications. Subscribe then makes no subscription and returns
	// ErrMore. Subscribing again with Since set to Position returns the rest.
	More bool

	// Err is nil, or the reason why the missed publications are unknown: ErrNewEpoch or ErrTooOld. The subscription then begins at
	// Position.
	Err error

	// Users is the number of members, for a channel with presence.
	Users int

	// Members is the first page of the members, if requested.
	Members []Member

	// Next is the cursor for the next page, for Session.Members; "" if there are no more.
	Next string
}
