package hub

import "time"

// EventKind says what an Event reports.
type EventKind uint8

// The kinds of events.
const (
	EventConnected         EventKind = iota // a client has joined
	EventDisconnected                       // its session has ended, and its subscriptions with it
	EventSubscribed                         // a client has subscribed to a channel
	EventUnsubscribed                       // its subscription has ended before the session
	EventPublished                          // a publication was accepted
	EventMemberAdded                        // the first connection of a user is a member of a channel
	EventMemberRemoved                      // the last one has left
	EventOccupied                           // a channel has a subscriber, the first on all nodes
	EventVacated                            // it has had none for three seconds, on all nodes
	EventCacheMiss                          // a client has subscribed to a cache channel without an event; of package pusher
	EventSubscriptionCount                  // the number of subscribers of a channel has changed; of package pusher
)

// String returns the kind as one word.
func (k EventKind) String() string {
	words := [...]string{
		"connected", "disconnected", "subscribed", "unsubscribed", "published", "member_added", "member_removed", "occupied", "vacated",
		"cache_miss", "subscription_count",
	}
	if int(k) < len(words) {
		return words[k]
	}
	return "unknown"
}

// Event is something that has happened to clients and channels. It is reported by the node where it has happened, except that those
// of members, EventOccupied and EventVacated, and the disconnects of a node that was killed, are reported by one node: they need an
// engine that implements [History], [Keyed], [Presence] and [Occupancy]. A hub does not report the last two kinds: the server of a
// protocol that has them does.
//
// A member that is back within three seconds was never away. One that goes from node to node in that time may be
// reported as added twice, not as removed.
type Event struct {
	// Kind is what has happened, and Time is when.
	Kind EventKind
	Time time.Time

	// App is the application, and Channel is the name of the channel; "" for connects and disconnects.
	App, Channel string

	// Client and User are whom it has happened to; both are "" for the last four kinds. A member without a user has its
	// client ID as User.
	Client, User string

	// Data is what the client, or the member, shows of itself. May be nil.
	Data []byte

	// Publication is what was published; nil for other kinds. It must not be modified.
	Publication *Publication

	// Subscribers is how many subscribers the channel has on all nodes, for EventSubscriptionCount.
	Subscribers int

	// Reason is why a session has ended: "client" if the connection has, a word for an [EndReason], or "node" if the node was
	// lost.
	Reason string

	// Done is nil, except for EventDisconnected. It is to be called when the event has been dealt with, or given up. If the
	// node is killed before that, another one reports the event again; [Hub.Close] waits for it, five seconds at most.
	Done func()
}

// String returns the reason as one word.
func (r EndReason) String() string {
	words := [...]string{"server", "insufficient", "slow", "expired", "denied", "reconnect", "shutdown"}
	if int(r) < len(words) {
		return words[r]
	}
	return "unknown"
}
