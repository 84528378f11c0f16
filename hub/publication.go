package hub

import (
	"strings"
	"time"
)

// Position is a place in a channel's stream: after the publication with that offset. The zero value is before the first publication
// of an unknown epoch.
type Position struct {
	// Epoch identifies the stream. It changes when the engine has lost the stream and begins another one.
	Epoch string

	// Offset is the offset of the last publication before this position; 0 means that there is none.
	Offset uint64
}

// Publication is one message of a channel. A published Publication is shared: it, its Data, its Info and its Tags must not be modified.
type Publication struct {
	// Position is the position of the publication. The engine sets it. The offset is 0 for a publication that is not part of the
	// stream: it can be neither missed nor recovered.
	Position

	// Previous is the offset of the preceding publication in the same channel, or 0 for the first. The engine sets it.
	Previous uint64

	// ID makes publishing idempotent: a second publication with the same ID in the same channel is not published. "" means none.
	ID string

	// Event is the name of the event, for protocols that have such names.
	Event string

	// Data is the payload.
	Data []byte

	// Key is the key of a keyed collection that this publication sets or removes. "" means that the publication does not concern a
	// key.
	Key string

	// Removed reports that Key is removed from the collection. Data may be empty.
	Removed bool

	// Binary reports that Data is not text.
	Binary bool

	// Tags are additional values set by the publisher. May be nil.
	Tags map[string]string

	// Client and User identify the publisher; both are "" for a server.
	Client, User string

	// Info is the publisher's public data: Client.Data. May be nil.
	Info []byte

	// NotTo is the ID of a client that must not receive the publication, such as its publisher. "" means none.
	NotTo string

	// Trace is the trace ID, under which Options.Traced reports the publication: 32 hexadecimal digits. "" means none; the hub then sets
	// one if the context of Publish contains a trace ID or the namespace requires tracing.
	Trace string

	// Time is when the publication was accepted. The engine sets it if it is zero.
	Time time.Time

	// Expires is the time from which the publication is no longer delivered, and no longer part of the history. Zero means never.
	Expires time.Time
}

// Expired reports whether p must no longer be delivered.
func (p *Publication) Expired(now time.Time) bool {
	return !p.Expires.IsZero() && !now.Before(p.Expires)
}

// ChannelOf returns the name of an application's channel in an [Engine]. The application's ID must not contain a slash.
func ChannelOf(app, name string) string { return app + "/" + name }

// SplitChannel splits an engine's channel into the application and the name. Without a slash, all of it is the application.
func SplitChannel(channel string) (app, name string) {
	app, name, _ = strings.Cut(channel, "/")
	return app, name
}

// InternalPrefix begins the names of events that one protocol sends to its own clients. They are not part of the stream, and the
// codecs of other protocols leave them out.
const InternalPrefix = "pusher_internal:"

// internal reports whether p is for the clients of one protocol only.
func (p *Publication) internal() bool { return strings.HasPrefix(p.Event, InternalPrefix) }

// userPrefix begins the names of channels that belong to one user.
const userPrefix = "#user:"

// UserChannel returns the name of the private channel of a user, to which only the user's connections may subscribe.
func UserChannel(user string) string { return userPrefix + user }
