// Package opening is the one way into every server: a request in, terms or the bytes of a refusal out. It knows no
// connection, no clock and no goroutine.
//
// [Rules.Admit] judges a request, however it was read, and returns the [Terms] of the connection or a [Refusal], which is
// the same byte for byte in every server.
//
// [Head] reads the head of an HTTP/1 request in place, in a buffer of the caller's, and tells a request for a WebSocket
// from all others. It allocates nothing while it parses.
//
// How to drive it:
//
//	var h opening.Head // one may serve any number of requests, one after another
//	h.Reset(limits)
//	for {
//		n += read(buf[n:])
//		switch verdict, violation := h.Parse(buf[:n]); verdict {
//		case opening.More: // wait for more bytes; how long is the caller's business: answer 408 then
//		case opening.Bad: // answer violation.Status and close
//		case opening.Other: // another HTTP request: hand all n bytes to an HTTP server, or answer what Check says
//		case opening.Upgrade: // the head is buf[:h.Len()]; what follows it are the client's first frames
//			o := h.Opening(string(buf[:h.Len()])) // or View(buf[:h.Len()]), while the buffer stays as it is
//			o.TLS, o.RemoteAddr = ...
//			terms, refusal := rules.Admit(o, ask)
//		}
//	}
//
// Parse wants all bytes that have come so far, those of earlier calls included; they may have moved meanwhile. How the
// network cuts them makes no difference to the verdict.
//
// It is as strict as net/http, and stricter where a lenient reader could be made to see other lines than its neighbour
// (RFC 9112 §11.2): it takes no bare line feed, no folded line, no field without a name.
package opening
