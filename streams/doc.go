// Package streams serves Durable Streams (github.com/durable-streams/durable-streams, PROTOCOL.md) on the channels of a hub. With
// plain HTTP, a client creates a stream, appends to it, reads it from an offset, and waits for more via long polling or server-sent
// events. It works with EventSource and curl and needs no sticky sessions, and a reader that was disconnected continues at its
// offset.
//
// # Streams and channels
//
// The stream NAME is the channel NAME. Each message of the stream is a publication, so appended messages are sent to the
// subscribers of the channel in any protocol, and publications in the channel are part of the stream. An element of a JSON stream
// is the data of a publication unchanged; text is published as a JSON string, and anything else as binary data. A channel with a
// history can be read as a stream of JSON messages even if the stream was never created.
//
// Properties of a stream that the hub does not know, such as its content type, are in a record: the last publication of a channel
// with the same name in an application without clients. The sequence numbers of producers and the end of the stream are tags of the
// publications. So every node that uses the engine can serve every stream, and sees the data that another node has acknowledged.
//
// # Limits
//
// A stream keeps its last messages, up to Server.History; the response to a read from an offset before them is 410. Publications of
// other protocols are kept as the hub's namespace specifies, so fewer of them may be kept. A fork begins with copies of the
// messages of its source.
package streams
