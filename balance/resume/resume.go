package resume

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/handfast/handfast/channels/wire"
)

// Message is one WebSocket message.
type Message struct {
	// Binary marks a binary message. The zero value is a text message.
	Binary bool

	// Data is the payload. A Session does not modify or keep it, but its results may share it.
	Data []byte
}

// Session follows the messages of one connection, so that it can continue on another server. It is not safe for concurrent use.
type Session interface {
	// Client records a message of the client. If send is true, the caller sends forward to the server; otherwise the session keeps
	// or answers the message itself. Client must not be called between the loss of the server and Resume. Client may be called
	// during a resume; its result must then be sent after that of Resume.
	Client(m Message) (forward Message, send bool)

	// Server records a message of the server, and returns the messages for the client, in order. The slice is valid until the next
	// call of a method. done reports that a resume is complete. An error means that the resume cannot be completed: the new server
	// has refused a command, or has lost messages. The caller then closes the client's connection with 1012.
	Server(m Message) (toClient []Message, done bool, err error)

	// Gone reports whether a server that closes a connection with this code is going away, so that the connection should continue
	// on another. With any other code, the close frame is for the client.
	Gone(code uint16) bool

	// Idle reports that the server owes no reply, so that nothing has to be repeated in a planned move.
	Idle() bool

	// Resume begins a resume at a new server, and returns the messages to send to it first; the caller owns the slice. The next
	// call of Server must be for the first message of the new server. If there is nothing to send, the connection can continue
	// without waiting for done. If that server is lost, too, Resume may be called again. An error means that this connection cannot
	// continue on another server; the session is unchanged.
	Resume() (toServer []Message, err error)
}

// Renewer is implemented by sessions whose clients may renew the credential of their handshake.
type Renewer interface {
	// Renewed returns the last token with which the client has renewed its credential, or "" if there is none. The handshake with a
	// new server should have this token as its bearer token, because the token of the first handshake may have expired.
	Renewed() string
}

// Options configure a Session. The zero value has the defaults.
type Options struct {
	// Stateless declares that the servers keep no state for a connection, so that any of them can continue it. It has no effect on
	// a protocol that the package knows.
	Stateless bool

	// Subscriptions is the maximum number of subscriptions remembered, and Unanswered that of commands without a reply. A
	// connection with more of either cannot be resumed. 0 means 128 and 1024.
	Subscriptions int
	Unanswered    int

	// Bytes is the maximum size of everything remembered. A connection with more cannot be resumed. 0 means 1 MiB.
	Bytes int
}

func (o Options) withDefaults() Options {
	o.Subscriptions = cmp.Or(o.Subscriptions, 128)
	o.Unanswered = cmp.Or(o.Unanswered, 1024)
	o.Bytes = cmp.Or(o.Bytes, 1<<20)
	return o
}

// The errors of sessions, wrapped with details.
var (
	// ErrUnknown indicates that the connection had a message that the session does not understand.
	ErrUnknown = errors.New("resume: the message does not conform to the protocol")

	// ErrTooMuch indicates that the connection has more subscriptions, commands or bytes than Options allows.
	ErrTooMuch = errors.New("resume: there is too much state to keep")

	// ErrUnanswered indicates that a command has no reply yet, and must not be sent twice.
	ErrUnanswered = errors.New("resume: a command that must not be repeated has no reply yet")

	// ErrState indicates that a subscription cannot be recovered exactly.
	ErrState = errors.New("resume: a subscription cannot be recovered exactly")

	// ErrGap indicates that the new server does not have all missed messages.
	ErrGap = errors.New("resume: the new server does not have the missed messages")

	// ErrRefused indicates that the new server refused a command that the previous one had accepted, or identifies the client
	// differently.
	ErrRefused = errors.New("resume: the new server refused what the previous one had accepted")
)

// New returns the session for a connection with this subprotocol and request path; the path is only used if the subprotocol is "".
// It returns nil if the protocol is not known and the servers are not stateless.
func New(subprotocol, path string, o Options) Session {
	o = o.withDefaults()
	switch {
	case subprotocol == wire.Subprotocol, subprotocol == "" && strings.HasSuffix(path, "/channels"):
		return newChannels(o)
	case SpeaksCentrifugo(subprotocol, path):
		return newCentrifugo(o)
	case o.Stateless:
		return stateless{}
	}
	return nil
}

// SpeaksCentrifugo reports whether a connection with this subprotocol and request path uses Centrifugo's protocol; the path is only
// used if the subprotocol is "".
func SpeaksCentrifugo(subprotocol, path string) bool {
	return strings.HasPrefix(subprotocol, "centrifuge-") || subprotocol == "" && strings.HasSuffix(path, "/connection/websocket")
}

// stateless is the session of a connection for which the servers keep no state.
type stateless struct{}

func (stateless) Client(m Message) (Message, bool)          { return m, true }
func (stateless) Server(m Message) ([]Message, bool, error) { return []Message{m}, false, nil }
func (stateless) Gone(code uint16) bool                     { return isGoingAway(code) }
func (stateless) Idle() bool                                { return true }
func (stateless) Resume() (toServer []Message, err error)   { return nil, nil }

// isGoingAway reports whether a close code means, by RFC 6455 or its registry, that the server goes away: 1001 or 1012.
func isGoingAway(code uint16) bool { return code == 1001 || code == 1012 }

// withReason wraps one of the package's errors with a reason.
func withReason(err error, reason string) error { return fmt.Errorf("%w: %s", err, reason) }
