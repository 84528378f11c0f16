package websocket

import "time"

// ConnOptions are the options of an open connection. The zero value is the safe default.
type ConnOptions struct {
	// MaxMessage is the largest message accepted, in bytes after decompression. A larger one fails the connection with
	// CodeTooBig. 0 means 1 MiB; a negative value means no limit: a single peer can then exhaust the memory.
	MaxMessage int64

	// Compression offers permessage-deflate to the peer, or accepts its offer. nil means off: compression takes CPU time and memory
	// on both sides, and can reveal a secret (see [Compression]). With NewConn, the Handshake contains the negotiated parameters.
	Compression *Compression

	// PingInterval is how long the peer may be silent: it gets a ping within that time, and the connection is closed after twice
	// that time in silence, whether the application reads or not. A peer that still accepts data is not silent; a slow peer gets
	// twice as much time, because its pong waits behind that data. 0 means 25 seconds; a negative value turns keepalive off, so
	// that a peer whose network fails is not detected.
	PingInterval time.Duration

	// QueueBytes limits the data that Send and SendPrepared have accepted and the kernel has not accepted yet, including headers,
	// plus 64 bytes for each message. 0 means 1 MiB. An empty queue accepts a larger message. Data that is being written is no
	// longer in the queue: one message, or several with a total of 32 KiB.
	QueueBytes int

	// QueueFull is the policy for a message that does not fit into the queue. The zero value is QueueClose: the connection is
	// closed with CodeTryAgainLater.
	QueueFull QueuePolicy

	// CloseTimeout bounds the closing handshake. 0 means 5 seconds.
	CloseTimeout time.Duration

	// HalfClose closes each direction independently, for a proxy that forwards close frames in order with the messages. The peer's
	// close frame ends only reading: the reading methods return it as a [CloseError], messages can still be written, and the caller
	// replies to it with Close or Shut, as RFC 6455 §5.5.1 requires. After a Shut, the caller must continue to read until the
	// reading methods return the peer's close frame. A peer that has sent a close frame and gets no reply is disconnected after
	// twice PingInterval in silence. HalfClose is for callers of the reading methods: it is an error with Open and Run.
	HalfClose bool
}
