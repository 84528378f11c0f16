// Package opening judges the opening handshakes of all servers: it turns a request into terms or the bytes of a refusal. It uses no
// connection, clock or goroutine.
//
// [Rules.Admit] judges a request, however it was parsed, and returns the [Terms] of the connection or a [Refusal], whose bytes are
// the same in every server.
//
// [Head] parses the header of an HTTP/1 request in place, in a buffer of the caller, and distinguishes WebSocket requests from all
// others. It does not allocate while it parses.
//
// Usage:
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
// Parse needs all bytes received so far, including those of earlier calls; they may have been moved. The verdict does not depend on
// how the network splits them.
//
// It is as strict as net/http, and stricter where a lenient parser could disagree with another server about the lines (RFC 9112
// §11.2): it accepts no bare line feed, no folded line, and no field without a name.
package opening
