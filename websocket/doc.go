// Package websocket implements the WebSocket protocol (RFC 6455), as a server and as a client.
//
// [Accept] turns an HTTP request into a connection, [Dial] opens one, and [NewConn] takes over a stream whose opening
// handshake happened elsewhere. All three return a [Conn]:
//
//	http.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
//		c, err := websocket.Accept(w, r, nil)
//		if err != nil {
//			log.Print(err) // Accept has sent an error response
//			return
//		}
//		defer c.CloseNow()
//		for m, err := range c.Messages(r.Context()) {
//			if err != nil || c.Write(r.Context(), m) != nil {
//				return
//			}
//		}
//	})
//
// The main functions and types:
//
//	to send
//	  Write                one message; returns when the kernel has it, so the peer sets the pace
//	  WriteUncompressed    the same for a message with a secret in it
//	  Send                 one message; is copied and queued; does not wait (but see QueueBlock)
//	  SendPrepared         messages for many connections: Prepare frames and compresses them once
//	  Writer               a message that is too long for memory, or of unknown length
//	to receive
//	  Read                 the next message; its Data is yours
//	  Messages             all messages, in a for loop
//	  View                 the next message in place: no copy, lent until the function returns
//	  Reader               the next message piece by piece
//	  Run                  a Receiver is called for each message, as in Endpoint.Open
//	to end
//	  Close                sends a close frame and waits for the peer's
//	  Shut                 sends a close frame and returns
//	  CloseNow             sends nothing; for defer, and when a handshake is not possible
//	to serve
//	  Accept               in any net/http handler, which then uses the Conn
//	  Endpoint             is a ready-made handler, with Admit, hooks and Shutdown; Open serves without a goroutine for each connection
//	  Server               listens for any handler: upgrades cost less, and Shutdown covers all connections
//
// Defaults are safe: same-origin requests only, messages of at most 1 MiB, a ping after 25 seconds of silence, a closing
// handshake of at most 5 seconds.
//
// A context interrupts only the call that it is passed to. An interrupted Read loses nothing: the next one continues with the
// same bytes.
package websocket
