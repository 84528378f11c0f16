package websocket

import "net"

// Sender sends to one client, whose connection is served by a goroutine or by an event loop. No method waits for the peer. All
// methods are safe for concurrent use.
type Sender interface {
	// Send queues one message. It copies m.Data.
	Send(m Message) error

	// SendPrepared queues messages that are framed, and compressed, once for all connections. Under QueueDropNewest it queues all
	// of them or none, if an empty queue has room for all.
	SendPrepared(ps ...*Prepared) error

	// Buffered returns the number of accepted bytes that the kernel has not accepted yet, including headers.
	Buffered() int

	// Shut starts the closing handshake and returns. Accepted messages are sent before the close frame. The CloseError passed to
	// the Receiver's Closed reports the result.
	Shut(code Code, reason string) error

	// CloseNow ends the connection immediately, without a closing handshake.
	CloseNow() error

	// Subprotocol returns the negotiated subprotocol, or "" for none.
	Subprotocol() string

	// RemoteAddr returns the address of the peer, or of the last proxy in front of it.
	RemoteAddr() net.Addr
}

// Receiver handles the messages of one connection. Calls to its methods never overlap. A nil Receiver discards messages, which suits
// a push feed.
//
// If a Receiver has a method Drained(), it is called once each time the write queue becomes empty after it has rejected a message
// or was more than half full.
type Receiver interface {
	// Message is called for each message. m.Data is valid until Message returns. Message may block; the connection is not read in
	// the meantime. A non-nil error closes the connection; a *CloseError sets the code and the reason, any other error means
	// CodeInternalError.
	Message(m Message) error

	// Closed is called once, as the last call.
	Closed(err *CloseError)
}
