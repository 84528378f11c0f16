// Package opening checks the opening handshakes of all servers: it converts a request to the terms of a connection, or to the bytes
// of a refusal. It uses no connection, clock or goroutine.
//
// [Rules.Admit] checks a request, whichever parser has read it, and returns the [Terms] of the connection or a [Refusal], whose
// bytes are the same in every server.
//
// [Head] parses the header of an HTTP/1 request in place, in a buffer of the caller, and distinguishes WebSocket requests from all
// others. It does not allocate while it parses.
//
// Usage:
//
//	var h opening.Head // it can be reused for any number of requests
//	h.Reset(limits)
//	for {
//		n += read(buf[n:])
//		switch verdict, violation := h.Parse(buf[:n]); verdict {
//		case opening.More: // wait for more bytes; after a time limit set by the caller, respond with 408
//		case opening.Bad: // respond with violation.Status and close
//		case opening.Other: // another HTTP request: pass all n bytes to an HTTP server, or respond with the result of Check
//		case opening.Upgrade: // the header is buf[:h.Len()], and the client's first frames follow it
//			o := h.Opening(string(buf[:h.Len()])) // or View(buf[:h.Len()]), as long as the buffer is not modified
//			o.TLS, o.RemoteAddr = ...
//			terms, refusal := rules.Admit(o, ask)
//		}
//	}
//
// Parse requires all bytes received so far, including those of earlier calls, which may have been moved. The verdict does not
// depend on how the network splits them.
//
// Parse is as strict as net/http, and stricter where a lenient parser and another server could split the lines differently (RFC 9112
// §11.2): it accepts no bare line feed, no folded line, and no field without a name.
package opening
