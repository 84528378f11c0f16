// Package protocol implements a WebSocket connection as a state machine (RFC 6455 sections 5 to 8) without I/O: it converts
// received bytes to events, and messages to bytes to send. Clocks, locks, masking keys, buffers and waiting belong to the driver.
// It is a low-level package for proxies, transports and tools. Programs use package websocket.
//
// Every rule about the data that a peer may send is implemented in this package, in one place. A driver transfers bytes and never examines
// an opcode.
//
// A [Machine] has two halves. The reading half parses the received bytes with [Machine.Step], which is called until it returns no
// more events. [Machine.Pending] then reports whether there are replies to send, and [Machine.AppendOutput] appends them. The
// writing half frames messages, with [Machine.BeginFrame] or [Machine.AppendMessage], and makes control frames. Methods that append
// copy their arguments.
//
// A [Violation] contains the clause that the peer violated, and the code of the close frame, which the Machine adds to the output.
//
// A driver has to check two limits itself and report violations: the number of control frames per second
// ([Machine.TooManyControls]), and the output of the decompressor ([Machine.Inflated], [Machine.InflatesTooBig],
// [Machine.CannotInflate]). An [Inflater] is a decompressor for tools that examine messages.
package protocol
