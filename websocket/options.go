package websocket

import "time"

// ConnOptions says how a connection behaves once it is open. The zero value is the safe default.
type ConnOptions struct {
	// MaxMessage is the largest message accepted, in bytes after decompression. A larger one fails the connection with
	// CodeTooBig. 0 means 1 MiB; a negative value means no limit, so that one peer can fill the memory.
	MaxMessage int64

	// Compression offers permessage-deflate to the peer, or takes its offer. nil means off: it costs CPU time and memory
	// on both sides, and can give a secret away (see [Compression]). With NewConn the Handshake says what was agreed on.
	Compression *Compression

	// PingInterval is how long the peer may be silent: it gets a ping before that has passed, and the connection is
	// closed when it has been silent for twice as long, whether the application reads or not. A peer that is still taking
	// data is not silent; a slow one gets twice as much time, because its answer waits behind that data. 0 means 25 seconds; a
	// negative value turns keepalive off: then nothing notices a peer whose network went away.
	PingInterval time.Duration

	// QueueBytes bounds what Send and SendPrepared have accepted and the kernel has not, headers included, and 64 bytes more for each
	// message. 0 means 1 MiB. A message larger than that is accepted into an empty queue. What is being written is not in the queue any
	// more: one message, or some that are 32 KiB together.
	QueueBytes int

	// QueueFull says what happens to a message that does not fit. The zero value is QueueClose: the connection is closed with
	// CodeTryAgainLater.
	QueueFull QueuePolicy

	// CloseTimeout bounds the closing handshake. 0 means 5 seconds.
	CloseTimeout time.Duration

	// HalfClose closes each direction by itself, for a proxy that passes close frames on in their order among the messages. The peer's close
	// frame ends reading and nothing else: the reading methods return it as a [CloseError], messages can still be written, and the caller
	// answers it with Close or Shut, as RFC 6455 §5.5.1 requires. After a Shut here, they go on until the peer's close frame, and return that; the
	// caller reads on until then. A peer that has closed and gets no answer is cut when it has been silent for twice PingInterval. HalfClose
	// is for callers that read by themselves: with Open and Run it is a mistake.
	HalfClose bool
}
