package hub

import "github.com/handfast/handfast/websocket"

// Codec is how a protocol writes what the hub sends. It is called once for all sessions that have the same Codec, so it knows no
// session. A Codec must be comparable: a pointer, or a struct without slices. Channels are named without their application. A nil
// message means that the protocol has none for this.
type Codec interface {
	// Publication returns p as a message. previous is nil unless the receivers of the message have asked for deltas. Then it is
	// the publication before p if they have all got that one, with SubscribeOptions.KeyDelta the one before with its key, else [NoBase].
	Publication(channel string, p, previous *Publication) (*websocket.Prepared, error)

	// Members returns what changed in a roster as messages: one for all, or several.
	Members(channel string, cs []Change) ([]*websocket.Prepared, error)

	// Ended returns the message that a subscription has ended, although the client has not asked for it.
	Ended(channel string, why EndReason) (*websocket.Prepared, error)

	// Closing returns how a connection is closed. The message, if any, goes before it.
	Closing(why EndReason) (m *websocket.Prepared, code websocket.Code, reason string)
}

// PositionedCodec is a Codec that has another form for subscriptions with [SubscribeOptions].Positions: one whose messages say where
// they are in the stream.
type PositionedCodec interface {
	Codec

	// Positioned returns the Codec of those subscriptions. Only its Publication and Members are called.
	Positioned() Codec

	// Lost returns the message that publications are lost, which is sent to those subscriptions in place of that of Ended with
	// EndInsufficient, when the engine has lost them: the subscription continues from a position.
	Lost(channel string, at Position) (*websocket.Prepared, error)
}

// NoBase is the previous publication of Codec for receivers that have asked for deltas and do not have a base for one.
var NoBase = new(Publication)

// EndReason is the reason for which the hub, or a server that commands it, ends a subscription or a connection.
type EndReason uint8

// The reasons.
const (
	EndServer       EndReason = iota // a server has asked for it
	EndInsufficient                  // messages were lost that cannot be recovered: subscribe again
	EndSlow                          // the client does not read what it gets
	EndExpired                       // what allowed it has expired
	EndDenied                        // it is no longer allowed
	EndReconnect                     // a server has asked for it; the client is to come back
	EndShutdown                      // the node ends; the client is to come back
)

// Member is a user in a channel.
type Member struct {
	// User names it. A connection without a user is a member by itself: then this is its client ID.
	User string

	// Client is the connection that joined, changed the data or left last.
	Client string

	// Data is what the member shows to others; of several connections, what the last one gave.
	Data []byte
}

// ChangeKind is the kind of a Change.
type ChangeKind uint8

// The kinds of changes.
const (
	Joined  ChangeKind = iota // the first connection of the user was opened
	Updated                   // the member's data has changed
	Left                      // the last connection of the user was closed
)

// Change is a change in the roster of a channel. A member's own connections do not get their join, and a connection does not
// get its own update.
type Change struct {
	// Kind is the kind of the change.
	Kind ChangeKind

	// Member is the changed member.
	Member
}
