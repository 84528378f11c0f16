// Package wire has the messages of handfast.v1.json, the plain protocol of channels: each is a JSON object in a text message of
// a WebSocket. docs/channels-protocol.md describes them. The server and the client of this repository share this package; it
// does no I/O.
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
	CloseServer  = 4400 // the application has asked for it: do not come back
	CloseExpired = 4401 // the credential has expired or was revoked: come back with a new one
	CloseDenied  = 4403 // no longer allowed: do not come back
	CloseSlow    = 4408 // the client does not read what it gets: come back, and recover
)

// Code says in one word why a command has failed, or why a subscription has ended.
type Code string

// The codes.
const (
	BadRequest        Code = "bad_request"        // the message is not a command
	UnknownType       Code = "unknown_type"       // there is no command of that type
	Denied            Code = "denied"             // it is not allowed
	TooMany           Code = "too_many"           // a limit on subscriptions or subscribers is reached
	TooFast           Code = "too_fast"           // there are too many commands or publications: wait a second
	TooBig            Code = "too_big"            // the data is too big for the channel
	AlreadySubscribed Code = "already_subscribed" // there is a subscription already
	NotSubscribed     Code = "not_subscribed"     // there is no subscription
	NoPresence        Code = "no_presence"        // the channel has no members
	Unsupported       Code = "unsupported"        // the server does not have that
	Unavailable       Code = "unavailable"        // something behind the server does not answer: try again later
	Expired           Code = "expired"            // what allowed it has expired
	Insufficient      Code = "insufficient"       // messages were lost: subscribe again
	Slow              Code = "slow"               // the client does not read what it gets: subscribe again
	ByServer          Code = "server"             // the application has asked for it: do not subscribe again
)

// Temporary reports whether the same may succeed a little later.
func (c Code) Temporary() bool {
	return c == TooFast || c == Unavailable || c == Insufficient || c == Slow
}

// GapReason says why it is not known what a subscriber has missed.
type GapReason string

// The reasons.
const (
	NewEpoch GapReason = "new_epoch" // the server has lost the stream that the position belongs to
	TooOld   GapReason = "too_old"   // the history does not reach back to the position
	NoAck    GapReason = "no_ack"    // the device has not acknowledged anything yet
)

// Position is a place in the stream of a channel: behind the message with that offset.
type Position struct {
	// Epoch names the stream.
	Epoch string `json:"epoch"`

	// Offset is that of the last message before the position; 0 is before the first one.
	Offset uint64 `json:"offset"`
}

// Member is a user in a channel.
type Member struct {
	// User names the user; a connection without a user is a member by itself, under its client ID.
	User string `json:"user"`

	// Data is what the member shows to others.
	Data json.RawMessage `json:"data,omitempty"`
}

// Welcome is the server's first message.
type Welcome struct {
	// Type is "welcome".
	Type string `json:"type"`

	// Client names the connection, and User is the authenticated user.
	Client string `json:"client"`
	User   string `json:"user,omitempty"`

	// ExpiresIn is in how many seconds the connection is closed unless the token is renewed. 0 means never.
	ExpiresIn int64 `json:"expires_in,omitempty"`
}

// Subscribed is the reply to Subscribe. The messages that were missed follow it, and then what is published.
type Subscribed struct {
	// Type is "subscribed".
	Type    string `json:"type"`
	ID      uint64 `json:"id,omitempty"`
	Channel string `json:"channel"`

	// Position is where the subscriber is; each message that follows moves it on.
	Position Position `json:"position"`

	// Recovered says, if there was a Since, whether everything after it follows. If not, Why says why.
	Recovered *bool     `json:"recovered,omitempty"`
	Why       GapReason `json:"why,omitempty"`

	// Users is how many members the channel has, and Members is the first page of them. Next continues it.
	Users   int      `json:"users,omitempty"`
	Members []Member `json:"members,omitempty"`
	Next    string   `json:"next,omitempty"`
}

// Message is a publication.
type Message struct {
	// Type is "message".
	Type    string `json:"type"`
	Channel string `json:"channel,omitempty"`

	// Offset is its place in the stream; 0 means that it has none and cannot be recovered.
	Offset uint64 `json:"offset,omitempty"`

	// Data is any JSON. If Binary, it is a string in base64.
	Data   json.RawMessage `json:"data,omitempty"`
	Binary bool            `json:"binary,omitempty"`

	// Event, Key, Removed and Tags are as published.
	Event   string            `json:"event,omitempty"`
	Key     string            `json:"key,omitempty"`
	Removed bool              `json:"removed,omitempty"`
	Tags    map[string]string `json:"tags,omitempty"`

	// User and Client are the publisher's; empty for a server. Info is what the publisher's connection says of itself.
	User   string          `json:"user,omitempty"`
	Client string          `json:"client,omitempty"`
	Info   json.RawMessage `json:"info,omitempty"`

	// Time is when the server has accepted it.
	Time time.Time `json:"time,omitzero"`
}

// Change is a change of the members of a channel.
type Change struct {
	// Type is "join", "update" or "leave".
	Type    string `json:"type"`
	Channel string `json:"channel"`

	// Member is who has joined or left, or has other data.
	Member Member `json:"member"`
}

// Unsubscribed says that the server has ended a subscription.
type Unsubscribed struct {
	// Type is "unsubscribed".
	Type    string `json:"type"`
	Channel string `json:"channel"`

	// Code says why; Message says so for people.
	Code    Code   `json:"code"`
	Message string `json:"message"`
}

// Published is the reply to Publish: the message is accepted.
type Published struct {
	// Type is "published".
	Type string `json:"type"`
	ID   uint64 `json:"id"`

	// Position is that of the message.
	Position Position `json:"position"`

	// Duplicate says that a message with this MessageID was there already. Position is that of the first one.
	Duplicate bool `json:"duplicate,omitempty"`
}

// Roster is the reply to Members.
type Roster struct {
	// Type is "members".
	Type    string `json:"type"`
	ID      uint64 `json:"id"`
	Channel string `json:"channel"`

	// Users is how many members there are, Members is a page of them, and Next continues it.
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

	// Position is where the channel was when the page was read.
	Position Position `json:"position"`

	// Why says, of a history, that the page does not begin directly behind Since.
	Why GapReason `json:"why,omitempty"`

	// Next continues a snapshot.
	Next string `json:"next,omitempty"`
}

// Done is the reply to commands that have nothing else to report.
type Done struct {
	// Type is "done", or "pong" for a ping.
	Type string `json:"type"`
	ID   uint64 `json:"id"`

	// ExpiresIn is, after Refresh, in how many seconds the new token expires. 0 means never.
	ExpiresIn int64 `json:"expires_in,omitempty"`
}

// Expiring says that the token is about to expire: the client sends Refresh, or is closed.
type Expiring struct {
	// Type is "refresh".
	Type string `json:"type"`

	// ExpiresIn is in how many seconds the connection is closed.
	ExpiresIn int64 `json:"expires_in"`
}

// Error is the reply to a command that has failed. The connection goes on.
type Error struct {
	// Type is "error".
	Type    string `json:"type"`
	ID      uint64 `json:"id,omitempty"`
	Channel string `json:"channel,omitempty"`

	// Code says why; Message says so for people.
	Code    Code   `json:"code"`
	Message string `json:"message"`
}

// Error returns the code and the message.
func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

// Encode returns a message of this package as JSON on one line.
func Encode(v any) ([]byte, error) {
	if text := quickly(v); text != nil {
		return text, nil
	}
	return encode(v)
}

// encode is Encode by encoding/json.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
