package websocket

import "net"

// Sender sends to one client, whatever drives its connection: a goroutine or the event loop.
// No method waits for the peer. All methods are safe for concurrent use.
type Sender interface {
	// Send queues one message. m.Data is copied.
	Send(m Message) error

	// SendPrepared queues messages that are framed, and compressed, once for all connections. Under QueueDropNewest it queues
	// all of them or none, if an empty queue has room for all.
	SendPrepared(ps ...*Prepared) error

	// Buffered returns the number of bytes accepted and not yet with the kernel, headers included.
	Buffered() int

	// Shut starts the closing handshake and returns. What was accepted before goes out before the close frame. How the handshake
	// ends is in the CloseError of the Receiver's Closed.
	Shut(code Code, reason string) error

	// CloseNow ends the connection immediately, without a closing handshake.
	CloseNow() error

	// Subprotocol returns the subprotocol agreed on, "" for none.
	Subprotocol() string

	// RemoteAddr returns the address of the peer, or of the last proxy in front of it.
	RemoteAddr() net.Addr
}

// Receiver gets what one connection receives. Its calls never overlap. A nil Receiver discards messages, as a push feed wants
// it.
//
// A Receiver that has a method Drained() is a drainer: it is called once when the write queue, having refused a message or
// been more than half full, is empty again.
type Receiver interface {
	// Message is called for each message. m.Data is lent until Message returns. It may block; the connection is not read
	// from meanwhile. A non-nil error closes the connection; a *CloseError picks the code and the reason, any other error
	// means CodeInternalError.
	Message(m Message) error

	// Closed is called once, last.
	Closed(err *CloseError)
}
