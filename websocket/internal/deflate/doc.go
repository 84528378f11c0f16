// Package deflate is the codec of permessage-deflate (RFC 7692 §7.2): it compresses messages to payloads, and inflates payloads to
// messages. It does not depend on connections, frames or handshakes.
//
// Encoders and decoders are only used during a message, and come from pools. With context takeover a connection retains, for each
// direction, the last bytes of the earlier messages, in a slice that grows up to the negotiated window. Without takeover it retains
// nothing.
//
// The package does not use compress/flate, which is designed for files rather than messages. compress/flate clears 650 KB of tables to
// start a message, or at its fastest level cannot use a dictionary. It cannot limit its window, it inflates into an internal 32 KiB buffer
// that must then be copied, and it cannot resume after a failed read. In this package the match finder's table needs no clearing, a
// dictionary is a slice, limiting the window takes one comparison, the inflater writes to the caller's slice, and it can stop and resume at
// any bit. [Codec] allows other implementations.
package deflate
