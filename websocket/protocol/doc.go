// Package protocol is the WebSocket connection as a state machine (RFC 6455 sections 5 to 8) that does no I/O: bytes go
// in and events come out, messages go in and bytes come out. Clocks, locks, mask keys, buffers and waiting belong to
// the driver. It is low level: programs use package websocket, and proxies, transports and tools use this one.
//
// Every rule about what a peer may send is in this package, once. A driver moves bytes and never looks at an opcode.
//
// A [Machine] has two halves. The reading half takes what has arrived, with [Machine.Step], until that returns no more
// events; what it wants to answer is then [Machine.Pending], and [Machine.AppendOutput] appends it. The writing half
// frames messages, with [Machine.BeginFrame] or [Machine.AppendMessage], and makes control frames. Methods that append
// copy what they are given.
//
// A [Violation] names the clause that the peer broke, and the code for the close frame, which is among the output.
//
// Two things a driver has to find out itself, and to report: how many control frames come in a second
// ([Machine.TooManyControls]), and what comes out of a decompressor ([Machine.Inflated], [Machine.InflatesTooBig],
// [Machine.CannotInflate]).
package protocol
