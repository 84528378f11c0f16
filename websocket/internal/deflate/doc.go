// Package deflate is the codec of permessage-deflate (RFC 7692 §7.2): it compresses a message into a payload, and inflates a
// payload into a message. It knows nothing of connections, frames or handshakes.
//
// Encoders and decoders are only used during a message, and come from pools. With context takeover a connection keeps, for each
// direction, the end of the earlier messages, in a slice that grows up to the negotiated window. Without takeover it keeps nothing.
//
// The package does not use compress/flate, which is made for files rather than messages. compress/flate clears 650 KB of tables to
// start a message, or at its fastest level cannot use a dictionary; it cannot limit its window; it inflates into a 32 KiB buffer of
// its own that is then copied; and it cannot resume after a failed read. Here the match finder's table needs no clearing, a
// dictionary is a slice, the window is a comparison, the output is the caller's slice, and the inflater stops and resumes at any
// bit. [Codec] allows other implementations.
package deflate
