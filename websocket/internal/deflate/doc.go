// Package deflate is the codec of permessage-deflate (RFC 7692 §7.2): one message in, its compressed payload out, and
// back. It knows nothing of connections, frames or handshakes.
//
// Nothing that compresses or inflates outlives a message. Encoders and decoders come from pools; what a connection keeps
// of a direction with context takeover is the end of what it carried, in a slice that grows with what was seen and never
// past the negotiated window. Without takeover it keeps nothing.
//
// The codec is our own rather than compress/flate because a message is not a file. compress/flate clears 650 KB of
// tables to start a message, or at its fastest level cannot take a dictionary; it cannot limit its window; it inflates
// into a 32 KiB buffer of its own that is then copied; and it loses its place when a read fails. Here the match finder's
// table needs no clearing, a dictionary is a slice, the window is a comparison, the output is the caller's slice, and
// the inflater stops and goes on at any bit. [Codec] is the seam by which another implementation enters.
package deflate
