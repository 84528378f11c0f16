// Package loop is an event loop on epoll: descriptors, readiness, timers and one shared read buffer for each goroutine that
// drives a loop. It is public and low level, for servers, proxies and tools; it knows nothing of WebSockets.
//
// A waiting descriptor has neither a goroutine nor a buffer. It costs an [FD], 64 bytes, and its place in the loop.
//
// # How to use it
//
// Embed an [FD] in the struct that handles a connection, implement [Handler], and give it to a loop:
//
//	type echo struct{ fd loop.FD }
//
//	func (e *echo) Begin(*loop.Driver, loop.Events) bool { return true }
//
//	func (e *echo) Serve(d *loop.Driver, why loop.Events) {
//		n, err := e.fd.Read(d.Buffer())
//		if err == nil {
//			_, err = e.fd.Write(d.Buffer()[:n]) // queue what the kernel does not take, wait for Writable
//		}
//		e.fd.Lock()
//		defer e.fd.Unlock()
//		if err != nil && err != loop.ErrAgain {
//			e.fd.Close()
//			return
//		}
//		e.fd.Arm(loop.Readable)
//	}
//
//	func (e *echo) Lost() {}
//
//	loops, err := loop.New(loop.Options{})
//	place, err := loops.Take(conn)
//	place.Add(&e.fd, e)
//	e.fd.Lock()
//	e.fd.Wake() // have Serve called for what is there already, and arm the descriptor
//	e.fd.Unlock()
//
// A connection that [Loops.Listen] has accepted is woken by the loop.
//
// A tunnel is two FDs on one loop ([Loops.TakeBoth]): each reads into the driver's buffer and writes to the other, under the
// other's lock. What the kernel does not take waits in a queue of the tunnel's; while it does, the tunnel arms the other
// FD for Writable only, and the source is not read from. [FD.CloseWrite] passes on the end of one direction. The example of
// [Loops.TakeBoth] is such a tunnel; while it waits it costs about 300 bytes.
//
// # TLS
//
// A [TLS] is what reads and writes a descriptor under TLS, by crypto/tls. The *tls.Conn is made on an [Under], which has the socket until the
// handshake is done and the loop takes it ([NewTLS]).
//
// # Handlers that block
//
// A Handler's Serve runs on the goroutine that drives the loop, which costs nothing as long as it returns soon. One that does
// not is noticed within about 10 ms: another goroutine then drives the loop, and Serve goes on where it is. A Serve that
// knows it will wait says so with [FD.Block].
//
// # Where it runs
//
// On Linux. Elsewhere [New] returns an error for which errors.Is(err, errors.ErrUnsupported) holds.
package loop
