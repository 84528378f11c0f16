// Package streams serves Durable Streams (github.com/durable-streams/durable-streams, PROTOCOL.md) over the channels of a hub:
// plain HTTP with which a client creates a stream, appends to it, reads on from an offset, and waits for more by long polling or
// server-sent events. It works with EventSource and curl, needs no sticky sessions, and a reader that was away goes on where it was.
//
// # Streams and channels
//
// The stream NAME is the channel NAME: each message of the stream is a publication, so what is appended arrives at the
// subscribers of the channel, whatever protocol they speak, and what is published in the channel is part of the stream. An element
// of a JSON stream is the data of a publication unchanged; text is published as a JSON string, and anything else as binary data.
// A channel with a history is a stream of JSON messages to those who read it, although it was never created.
//
// What the hub does not know of a stream, such as its content type, is in a record: the last publication of a channel with the same
// name, of an application that has no clients. The sequence numbers of producers and the end of the stream are tags of the
// publications. So all nodes of an engine serve all streams, and what one node has acknowledged all of them know.
//
// # Limits
//
// A stream keeps its last messages, as many as Server.History says; an offset before them is answered with 410. What others publish
// in the channel is kept as the hub's namespace says, which may be less. A fork begins with copies of what its source had.
package streams
