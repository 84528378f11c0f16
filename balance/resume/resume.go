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
	// Binary says that it is a binary message. The zero value is a text message.
	Binary bool

	// Data is the payload. A Session does not modify or keep it, but what it returns may share it.
	Data []byte
}

// Session follows the messages of one connection, so that it can go on at another server. It is not safe for concurrent use.
type Session interface {
	// Client notes a message of the client. The caller sends forward to the server if send is true; otherwise the session keeps or
	// answers the message itself. Client must not be called between the loss of the server and Resume. While a resume is under way it may
	// be: what it returns follows what Resume has returned.
	Client(m Message) (forward Message, send bool)

	// Server notes a message of the server, and returns what the client is to get, in order. The slice is valid until the next call of a
	// method. done reports that a resume that was under way is complete. An error says that it cannot be completed: the new server has
	// refused something, or has lost messages. The caller then closes the client's connection with 1012.
	Server(m Message) (toClient []Message, done bool, err error)

	// Gone reports whether a server that closes a connection with this code goes away itself, so that another one is to be found. After
	// another code, the close frame is the client's.
	Gone(code uint16) bool

	// Idle reports that the server owes no reply, so that a planned move needs to send nothing again.
	Idle() bool

	// Resume begins to resume at a new server, and returns what to send to it first; the slice is the caller's. The message that Server gets
	// next must be the first one of the new server. Nothing to send means that the connection can go on without waiting for done. If that
	// server is lost, too, Resume may be called again. An error says that this connection cannot go on at another server; the session stays
	// as it was.
	Resume() (toServer []Message, err error)
}

// Renewer is implemented by sessions of clients that may renew the credential of their handshake.
type Renewer interface {
	// Renewed returns the last token with which the client has renewed the credential of its handshake, "" if it has not. The handshake
	// with a new server should have it as its bearer token, because the first one may have expired.
	Renewed() string
}

// Options say how a Session works. The zero value is the default.
type Options struct {
	// Stateless says that the servers keep no state of a connection, so that any of them can go on with it. It has no effect on a
	// protocol that the package knows.
	Stateless bool

	// Subscriptions is how many subscriptions are remembered, and Unanswered how many commands without a reply. A connection
	// with more of them cannot be resumed. 0 means 128 and 1024.
	Subscriptions int
	Unanswered    int

	// Bytes bounds the bytes of all that is remembered. A connection with more cannot be resumed. 0 means 1 MiB.
	Bytes int
}

func (o Options) withDefaults() Options {
	o.Subscriptions = cmp.Or(o.Subscriptions, 128)
	o.Unanswered = cmp.Or(o.Unanswered, 1024)
	o.Bytes = cmp.Or(o.Bytes, 1<<20)
	return o
}

// Errors of sessions. Others wrap them.
var (
	// ErrUnknown indicates that the connection had a message that the session does not understand.
	ErrUnknown = errors.New("resume: the message does not conform to the protocol")

	// ErrTooMuch indicates that the connection has more subscriptions, commands or bytes than Options allows.
	ErrTooMuch = errors.New("resume: there is too much state to keep")

	// ErrUnanswered indicates that a command has no reply, and must not be sent twice.
	ErrUnanswered = errors.New("resume: a command that must not be repeated has no reply yet")

	// ErrState indicates that there is a subscription that cannot be recovered exactly.
	ErrState = errors.New("resume: a subscription cannot be recovered exactly")

	// ErrGap indicates that the new server does not have what was missed.
	ErrGap = errors.New("resume: the new server does not have the missed messages")

	// ErrRefused indicates that the new server refused what the previous one had accepted, or takes the client for another one.
	ErrRefused = errors.New("resume: the new server refused what the previous one had accepted")
)

// New returns the session for a connection with this subprotocol and request path; the path counts where the subprotocol is "". It returns
// nil if the protocol is not known and the servers are not stateless.
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

// SpeaksCentrifugo reports whether a connection with this subprotocol and request path speaks Centrifugo's protocol; the path counts where the
// subprotocol is "".
func SpeaksCentrifugo(subprotocol, path string) bool {
	return strings.HasPrefix(subprotocol, "centrifuge-") || subprotocol == "" && strings.HasSuffix(path, "/connection/websocket")
}

// stateless is the session of a connection of which the servers keep nothing.
type stateless struct{}

func (stateless) Client(m Message) (Message, bool)          { return m, true }
func (stateless) Server(m Message) ([]Message, bool, error) { return []Message{m}, false, nil }
func (stateless) Gone(code uint16) bool                     { return gone(code) }
func (stateless) Idle() bool                                { return true }
func (stateless) Resume() (toServer []Message, err error)   { return nil, nil }

// gone reports whether RFC 6455 or its registry says that a server with this code goes away: 1001 or 1012.
func gone(code uint16) bool { return code == 1001 || code == 1012 }

// because returns one of the package's errors with its reason.
func because(err error, reason string) error { return fmt.Errorf("%w: %s", err, reason) }
