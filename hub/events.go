package hub

import "time"

// EventKind is the kind of an Event.
type EventKind uint8

// The kinds of events.
const (
	EventConnected         EventKind = iota // a client has joined
	EventDisconnected                       // a client's session has ended, and with it its subscriptions
	EventSubscribed                         // a client has subscribed to a channel
	EventUnsubscribed                       // a subscription has ended before its session
	EventPublished                          // a publication was accepted
	EventMemberAdded                        // a user's first connection has become a member of a channel
	EventMemberRemoved                      // a user's last connection has left a channel
	EventOccupied                           // a channel has its first subscriber on any node
	EventVacated                            // a channel has had no subscriber on any node for three seconds
	EventCacheMiss                          // a client has subscribed to a cache channel that has no event; reported by package pusher
	EventSubscriptionCount                  // the number of subscribers of a channel has changed; reported by package pusher
)

// String returns the kind as a single word.
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

// Event is an event that concerns clients and channels. It is reported by the node where it has occurred. Some events are reported by one
// node on behalf of all: those of members, EventOccupied and EventVacated, and the disconnects of a node that was killed. Events on behalf
// of all nodes require an engine that implements [History], [Keyed], [Presence] and [Occupancy]. EventCacheMiss and EventSubscriptionCount
// are reported by the server of a protocol that defines them, not by a hub.
//
// The absence of a member who returns within three seconds is not reported. A member who changes nodes in that time may be reported
// as added twice, but not as removed.
type Event struct {
	// Kind is the kind of the event, and Time is the time when it occurred.
	Kind EventKind
	Time time.Time

	// App is the application, and Channel is the name of the channel. Channel is "" for connects and disconnects.
	App, Channel string

	// Client and User identify the client; both are "" for EventOccupied and the kinds after it. A member without a user has its client ID
	// as User.
	Client, User string

	// Data is the public data of the client or the member. May be nil.
	Data []byte

	// Publication is the publication of EventPublished; nil for other kinds. It must not be modified.
	Publication *Publication

	// Subscribers is the number of subscribers of the channel on all nodes, for EventSubscriptionCount.
	Subscribers int

	// Reason is the reason why a session has ended: "client" if the connection has ended, the name of an [EndReason], or "node" if
	// the node was lost.
	Reason string

	// Done is nil, except for EventDisconnected. It must be called when the event has been processed or discarded. If the node is killed
	// before Done is called, another node reports the event again. [Hub.Close] waits for Done, five seconds at most.
	Done func()
}

// String returns the reason as a single word.
func (r EndReason) String() string {
	words := [...]string{"server", "insufficient", "slow", "expired", "denied", "reconnect", "shutdown"}
	if int(r) < len(words) {
		return words[r]
	}
	return "unknown"
}
