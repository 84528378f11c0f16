// Package loop implements an event loop on epoll: descriptors, readiness, timers, and a shared read buffer for each goroutine that
// drives a loop. It is a public, low-level package for servers, proxies and tools. It does not depend on WebSocket.
//
// A waiting descriptor has neither a goroutine nor a buffer. It occupies an [FD], which has 64 bytes, and its slot in the loop.
//
// # Usage
//
// Embed an [FD] in the struct that handles a connection, implement [Handler], and add it to a loop:
//
//	type echo struct{ fd loop.FD }
//
//	func (e *echo) Begin(*loop.Driver, loop.Events) bool { return true }
//
//	func (e *echo) Serve(d *loop.Driver, why loop.Events) {
//		n, err := e.fd.Read(d.Buffer())
//		if err == nil {
//			_, err = e.fd.Write(d.Buffer()[:n]) // a real handler queues the bytes that were not accepted, and waits for Writable
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
//	e.fd.Wake() // call Serve for data that has already arrived, and arm the descriptor
//	e.fd.Unlock()
//
// The loop itself wakes a connection that [Loops.Listen] has accepted.
//
// A tunnel is two FDs on one loop ([Loops.TakeBoth]): each FD reads into the driver's buffer and writes to the other FD, under the lock of
// the other FD. The tunnel queues the bytes that the kernel does not accept. Until they are written, it arms the other FD for Writable
// only, and does not read from the source. [FD.CloseWrite] passes on the end of one direction. The example of [Loops.TakeBoth] is such a
// tunnel. An idle tunnel occupies about 300 bytes.
//
// # TLS
//
// A [TLS] reads and writes a descriptor with TLS, using crypto/tls. The *tls.Conn must be created on an [Under], which uses the
// socket until the handshake is complete and the loop takes the socket over ([NewTLS]).
//
// # Handlers that block
//
// A Handler's Serve runs on the goroutine that drives the loop, which has no cost as long as Serve returns soon. A Serve that does
// not return is detected within about 10 ms: another goroutine then drives the loop, and Serve continues on its goroutine. A Serve
// that is about to block should call [FD.Block] first.
//
// # Supported systems
//
// The package works on Linux. On other systems [New] returns an error for which errors.Is(err, errors.ErrUnsupported) is true.
package loop
