package websocket

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/internal/opening"
)

// A client that has received its reply may continue to send for lingerTime, and up to lingerBytes. Closing a connection with unread
// bytes resets it, which could destroy the reply.
const (
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 256 << 10
)

// refuse responds to a request that does not reach a handler, reports it, and closes the connection.
func (a *arrival) refuse(f *opening.Refusal) { a.refuseFor(nil, f) }

// refuseFor is refuse on behalf of an Endpoint.
func (a *arrival) refuseFor(e *Endpoint, f *opening.Refusal) {
	defer a.close()
	if f.Status == 0 { // the client has disconnected
		a.refused(e, refusal(f, ""))
		return
	}
	b, body := f.Append(make([]byte, 0, 1024), a.head.Opening(opening.View(a.buf)), time.Now())
	a.refused(e, refusal(f, body))
	if a.nc.SetDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	if _, err := a.nc.Write(b); err == nil {
		linger(a.nc, a.storage[:])
	}
}

// linger shuts down the sending direction, and reads until the peer has closed its direction, too. The caller sets the deadline.
func linger(nc net.Conn, buf []byte) {
	half, ok := nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	for left := lingerBytes; left > 0; {
		n, err := nc.Read(buf)
		if left -= n; err != nil {
			return
		}
	}
}

// plainHTTP is the response to a client that sends plain HTTP to a TLS port.
var plainHTTP = &handshake.Violation{
	Stage: handshake.StageTLS, Status: http.StatusBadRequest, Detail: "This port speaks TLS", Hint: "use https:// or wss://",
}

// refuseTLS ends a connection whose TLS handshake failed. A client that sent plain HTTP gets a response in HTTP.
func (a *arrival) refuseTLS(err error) {
	defer a.close()
	e := &HandshakeError{Stage: handshake.StageTLS, Err: err}
	if re, ok := errors.AsType[tls.RecordHeaderError](err); ok && re.Conn != nil && looksLikeHTTP(re.RecordHeader) {
		o := &handshake.Opening{Major: 1, Minor: 1}
		if re.RecordHeader == [5]byte{'H', 'E', 'A', 'D', ' '} {
			o.Method = http.MethodHead
		}
		b, body := opening.Violated(plainHTTP).Append(make([]byte, 0, 1024), o, time.Now())
		e = refusal(opening.Violated(plainHTTP), body)
		e.Err, e.Hint = err, "the client spoke HTTP to a port that expects TLS: use https:// or wss://"
		if re.Conn.SetDeadline(time.Now().Add(lingerTime)) == nil {
			if _, err := re.Conn.Write(b); err == nil {
				defer linger(re.Conn, a.storage[:])
			}
		}
	}
	if !errors.Is(err, io.EOF) { // a client that disconnects without having sent anything is not reported
		a.refused(nil, e)
	}
}

// looksLikeHTTP reports whether the five bytes that are not a TLS record header may begin an HTTP request.
func looksLikeHTTP(b [5]byte) bool {
	switch opening.View(b[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "DELET", "PATCH":
		return true
	}
	return false
}
