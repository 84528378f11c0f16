// Package upgrade reads the head of an HTTP/1 request where it lies, in a buffer of the caller's, and tells a request for
// a WebSocket from all others. It knows no connection, no clock and no goroutine, and allocates nothing while it parses.
//
// How to drive it:
//
//	var h upgrade.Head // one may serve any number of requests, one after another
//	h.Reset(limits)
//	for {
//		n += read(buf[n:])
//		switch verdict, violation := h.Parse(buf[:n]); verdict {
//		case upgrade.More: // wait for more bytes; how long is the caller's business: answer 408 then
//		case upgrade.Bad: // answer violation.Status and close
//		case upgrade.Other: // another HTTP request: hand all n bytes to an HTTP server, or answer what Check says
//		case upgrade.Upgrade: // the head is buf[:h.Len()]; what lies behind it are the client's first frames
//			o := h.Opening(string(buf[:h.Len()])) // or View(buf[:h.Len()]), while the buffer stays as it is
//			o.TLS, o.RemoteAddr = ...
//			violation = o.Check() // and o.CheckOrigin(policy): the rules that Accept goes by
//		}
//	}
//
// Parse wants all bytes that have come so far, those of earlier calls included; they may have moved meanwhile. How the
// network cuts them makes no difference to the verdict.
//
// It is as strict as net/http, and stricter where a lenient reader could be made to see other lines than its neighbour
// (RFC 9112 §11.2): it takes no bare line feed, no folded line, no field without a name.
package upgrade
