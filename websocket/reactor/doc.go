// Package reactor serves WebSockets from an event loop, for very many connections that mostly wait. A connection that
// waits has no goroutine and no buffer: it is a descriptor and about 300 bytes.
//
// A handful of goroutines, the drivers, wait for the kernel (epoll), read what has arrived into a buffer that all
// connections share, and call the [Handler] from where the bytes lie. What a handler writes leaves when all that had
// arrived on its connection has been handled, in one system call.
//
// # Handlers that block
//
// A handler runs on a driver, which costs nothing as long as it returns soon. One that does not is noticed within
// about 10 ms: another goroutine then drives the loop, and the handler goes on where it is, as in a server with a
// goroutine for each connection. A handler that knows it will wait says so with [Conn.Block] and is not waited for at
// all. In either case its connection is not read from until it returns: messages keep their order, one at a time.
//
// # Backpressure
//
// [Conn.Send] never blocks: what the kernel does not take waits in a queue. When half of Options.Conn.WriteQueue waits, the
// connection is not read from until its peer has read, so that a peer whose requests fill the queue stalls itself. When
// all of it is full, others write to a peer that does not read: the connection is closed with 1013.
//
// # Where it runs
//
// On Linux. Elsewhere [Server.Serve] and [Server.Adopt] return an error for which errors.Is(err, errors.ErrUnsupported)
// holds; [websocket.Accept] with a goroutine for each connection works everywhere.
//
// The package drives the protocol's own state machine (websocket/protocol) rather than [websocket.Conn]: a Conn
// of the other kind costs more memory than a connection may have here. The rules and bounds are the same, and stand there.
// One thing comes later than with Conn: a compressed message in fragments is inflated when all of it is there, so that text
// which is not UTF-8 fails the connection at the message's end.
package reactor
