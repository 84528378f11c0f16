// Package websocket speaks the WebSocket protocol (RFC 6455), as a server and as a client.
//
// [Accept] turns an HTTP request into a connection, [Dial] opens one, and [NewConn] takes over a stream whose opening
// handshake happened elsewhere. All three return a [Conn]:
//
//	http.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
//		c, err := websocket.Accept(w, r, nil)
//		if err != nil {
//			return // the reply is written and says why
//		}
//		defer c.CloseNow()
//		for m, err := range c.Messages(r.Context()) {
//			if err != nil || c.Write(r.Context(), m) != nil {
//				return
//			}
//		}
//	})
//
// Defaults are safe: same-origin requests only, messages of at most 1 MiB, a ping after 25 seconds of silence, a closing
// handshake of at most 5 seconds.
//
// A context interrupts the one call it was given to. A Read that was interrupted has lost nothing: the next one goes on
// with the same bytes.
package websocket
