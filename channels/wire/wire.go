// Package wire defines the messages of handfast.v1.json, the simple protocol of channels: each is a JSON object in a text message of a
// WebSocket. docs/channels-protocol.md describes the messages. The server and the client of this repository share this package, which does
// no I/O.
package wire

import (
	"bytes"
	"encoding/json"
	"time"
)

// Subprotocol is the name of the protocol in the opening handshake.
const Subprotocol = "handfast.v1.json"

// The codes with which a server closes a connection, in addition to those of RFC 6455.
const (
	CloseServer  = 4400 // the application has closed the connection: do not reconnect
	CloseExpired = 4401 // the credential has expired or was revoked: reconnect with a new one
	CloseDenied  = 4403 // the client is no longer allowed to connect: do not reconnect
	CloseSlow    = 4408 // the client does not read its messages: reconnect, and recover
)

// Code identifies the reason why a command has failed, or why a subscription has ended.
type Code string

// The codes.
const (
	BadRequest        Code = "bad_request"        // the message is not a valid command
	UnknownType       Code = "unknown_type"       // there is no command of that type
	Denied            Code = "denied"             // the command is not allowed
	TooMany           Code = "too_many"           // a limit on subscriptions or subscribers was reached
	TooFast           Code = "too_fast"           // there are too many commands or publications: wait a second
	TooBig            Code = "too_big"            // the data is too large for the channel
	AlreadySubscribed Code = "already_subscribed" // the client is already subscribed
	NotSubscribed     Code = "not_subscribed"     // the client is not subscribed
	NoPresence        Code = "no_presence"        // the channel has no members
	Unsupported       Code = "unsupported"        // the server does not support the command
	Unavailable       Code = "unavailable"        // a service that the server depends on does not respond: try again later
	Expired           Code = "expired"            // the authorization has expired
	Insufficient      Code = "insufficient"       // messages were lost: subscribe again
	Slow              Code = "slow"               // the client does not read its messages: subscribe again
	ByServer          Code = "server"             // the application has ended the subscription: do not subscribe again
)

// Temporary reports whether the same command may succeed soon afterwards.
func (c Code) Temporary() bool {
	return c == TooFast || c == Unavailable || c == Insufficient || c == Slow
}

// GapReason is the reason why missed messages cannot be recovered.
type GapReason string

// The reasons.
const (
	NewEpoch GapReason = "new_epoch" // the server has lost the stream that the position belongs to
	TooOld   GapReason = "too_old"   // the history does not reach back to the position
	NoAck    GapReason = "no_ack"    // the device has not acknowledged anything yet
)

// Position is a place in the stream of a channel: after the message with the offset Offset.
type Position struct {
	// Epoch identifies the stream.
	Epoch string `json:"epoch"`

	// Offset is the offset of the last message before the position; 0 means before the first message.
	Offset uint64 `json:"offset"`
}

// Member is a user in a channel.
type Member struct {
	// User is the user's ID. A connection without a user is a member of its own, with its client ID as User.
	User string `json:"user"`

	// Data is the member's public data.
	Data json.RawMessage `json:"data,omitempty"`
}

// Welcome is the server's first message.
type Welcome struct {
	// Type is "welcome".
	Type string `json:"type"`

	// Client is the ID of the connection, and User is the authenticated user.
	Client string `json:"client"`
	User   string `json:"user,omitempty"`

	// ExpiresIn is the number of seconds after which the connection is closed unless the token is renewed. 0 means never.
	ExpiresIn int64 `json:"expires_in,omitempty"`
}

// Subscribed is the reply to Subscribe. After it, the server sends the missed messages and then new messages.
type Subscribed struct {
	// Type is "subscribed".
	Type    string `json:"type"`
	ID      uint64 `json:"id,omitempty"`
	Channel string `json:"channel"`

	// Position is the position of the subscriber; each message that follows advances it.
	Position Position `json:"position"`

	// Recovered reports, if the command had a Since, whether all messages after Since follow. If false, Why is the reason.
	Recovered *bool     `json:"recovered,omitempty"`
	Why       GapReason `json:"why,omitempty"`

	// Users is the number of members of the channel, and Members is the first page of the members. Next is the cursor for the next page.
	Users   int      `json:"users,omitempty"`
	Members []Member `json:"members,omitempty"`
	Next    string   `json:"next,omitempty"`
}

// Message is a publication.
type Message struct {
	// Type is "message".
	Type    string `json:"type"`
	Channel string `json:"channel,omitempty"`

	// Offset is the message's offset in the stream; 0 means that the message has no offset and cannot be recovered.
	Offset uint64 `json:"offset,omitempty"`

	// Data is any JSON value. If Binary is set, Data is a string in base64.
	Data   json.RawMessage `json:"data,omitempty"`
	Binary bool            `json:"binary,omitempty"`

	// Event, Key, Removed and Tags are those of the publication.
	Event   string            `json:"event,omitempty"`
	Key     string            `json:"key,omitempty"`
	Removed bool              `json:"removed,omitempty"`
	Tags    map[string]string `json:"tags,omitempty"`

	// User and Client identify the publisher; both are empty for a server. Info is the public data of the publisher's connection.
	User   string          `json:"user,omitempty"`
	Client string          `json:"client,omitempty"`
	Info   json.RawMessage `json:"info,omitempty"`

	// Time is the time when the server accepted the message.
	Time time.Time `json:"time,omitzero"`
}

// Change is a change of the members of a channel.
type Change struct {
	// Type is "join", "update" or "leave".
	Type    string `json:"type"`
	Channel string `json:"channel"`

	// Member is the member that has joined, left or changed its data.
	Member Member `json:"member"`
}

// Unsubscribed reports that the server has ended a subscription.
type Unsubscribed struct {
	// Type is "unsubscribed".
	Type    string `json:"type"`
	Channel string `json:"channel"`

	// Code is the reason; Message describes it for people.
	Code    Code   `json:"code"`
	Message string `json:"message"`
}

// Published is the reply to Publish: the message was accepted.
type Published struct {
	// Type is "published".
	Type string `json:"type"`
	ID   uint64 `json:"id"`

	// Position is the position of the message.
	Position Position `json:"position"`

	// Duplicate reports that a message with this MessageID was published before. Position is then the position of that message.
	Duplicate bool `json:"duplicate,omitempty"`
}

// Roster is the reply to Members.
type Roster struct {
	// Type is "members".
	Type    string `json:"type"`
	ID      uint64 `json:"id"`
	Channel string `json:"channel"`

	// Users is the number of members, Members is one page of the members, and Next is the cursor for the next page.
	Users   int      `json:"users"`
	Members []Member `json:"members"`
	Next    string   `json:"next,omitempty"`
}

// Page is the reply to History and Snapshot.
type Page struct {
	// Type is "history" or "snapshot".
	Type    string `json:"type"`
	ID      uint64 `json:"id"`
	Channel string `json:"channel"`

	// Messages are the messages of this page, without their channel.
	Messages []Message `json:"messages"`

	// Position is the position of the channel when the page was read.
	Position Position `json:"position"`

	// Why is the reason why a page of a history does not begin directly after Since; empty if it does.
	Why GapReason `json:"why,omitempty"`

	// Next is the cursor for the next page of a snapshot.
	Next string `json:"next,omitempty"`
}

// Done is the reply to commands that have no other result.
type Done struct {
	// Type is "done", or "pong" for a ping.
	Type string `json:"type"`
	ID   uint64 `json:"id"`

	// ExpiresIn is, after Refresh, the number of seconds until the new token expires. 0 means never.
	ExpiresIn int64 `json:"expires_in,omitempty"`
}

// Expiring reports that the token is about to expire. Unless the client sends Refresh, the server closes the connection.
type Expiring struct {
	// Type is "refresh".
	Type string `json:"type"`

	// ExpiresIn is the number of seconds after which the connection is closed.
	ExpiresIn int64 `json:"expires_in"`
}

// Error is the reply to a command that has failed. The connection continues.
type Error struct {
	// Type is "error".
	Type    string `json:"type"`
	ID      uint64 `json:"id,omitempty"`
	Channel string `json:"channel,omitempty"`

	// Code is the reason; Message describes it for people.
	Code    Code   `json:"code"`
	Message string `json:"message"`
}

// Error returns the code and the message.
func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

// Encode returns a message of this package as JSON on one line.
func Encode(v any) ([]byte, error) {
	if text := encodeFast(v); text != nil {
		return text, nil
	}
	return encode(v)
}

// encode does the work of Encode with encoding/json.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
