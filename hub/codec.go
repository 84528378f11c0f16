package hub

import "github.com/handfast/handfast/websocket"

// Codec encodes the hub's messages in the format of a protocol. Its result is shared by all sessions with the same Codec, so it
// must not depend on a session. A Codec must be comparable: a pointer, or a struct without slices. Channel names are passed without
// the application. A nil message means that the protocol has no message for the event.
type Codec interface {
	// Publication returns p as a message. If the receivers have not requested deltas, previous is nil. Otherwise previous is the
	// publication before p or, with SubscribeOptions.KeyDelta, the last one before p with the same key. If not every receiver has that
	// publication, previous is [NoBase].
	Publication(channel string, p, previous *Publication) (*websocket.Prepared, error)

	// Members returns the changes of a roster as one message, or as several.
	Members(channel string, cs []Change) ([]*websocket.Prepared, error)

	// Ended returns the message that reports the end of a subscription that the client did not end.
	Ended(channel string, why EndReason) (*websocket.Prepared, error)

	// Closing returns the close code and reason of a connection. The message, if any, is sent before the close frame.
	Closing(why EndReason) (m *websocket.Prepared, code websocket.Code, reason string)
}

// PositionedCodec is a Codec with a second form for subscriptions with [SubscribeOptions].Positions: its messages contain positions
// in the stream.
type PositionedCodec interface {
	Codec

	// Positioned returns the Codec of those subscriptions. Only its Publication and Members are called.
	Positioned() Codec

	// Lost returns the message that reports lost publications. When the engine has lost publications, subscriptions with Positions receive
	// it instead of the message of Ended, and continue from at.
	Lost(channel string, at Position) (*websocket.Prepared, error)
}

// NoBase is passed to a Codec as the previous publication if the receivers have requested deltas but do not all have a base.
var NoBase = new(Publication)

// EndReason is the reason why the hub, or a server through the hub, ends a subscription or a connection.
type EndReason uint8

// The reasons.
const (
	EndServer       EndReason = iota // requested by a server
	EndInsufficient                  // messages were lost that cannot be recovered: subscribe again
	EndSlow                          // the client does not read fast enough
	EndExpired                       // the authorization has expired
	EndDenied                        // the client is no longer authorized
	EndReconnect                     // requested by a server; the client should reconnect
	EndShutdown                      // the node is shutting down; the client should reconnect
)

// Member is a user in a channel.
type Member struct {
	// User is the user's ID. A connection without a user is a separate member, for which User is the client ID.
	User string

	// Client is the connection that last joined, changed the data or left.
	Client string

	// Data is the member's public data. With several connections it is the data that was last supplied.
	Data []byte
}

// ChangeKind is the kind of a Change.
type ChangeKind uint8

// The kinds of changes.
const (
	Joined  ChangeKind = iota // the user's first connection has joined
	Updated                   // the member's data has changed
	Left                      // the user's last connection has left
)

// Change is a change in the roster of a channel. The join of a user is not sent to that user's own connections, and an update is
// not sent to the connection that made it.
type Change struct {
	// Kind is the kind of the change.
	Kind ChangeKind

	Member
}
