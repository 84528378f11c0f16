package websocket

import (
	"crypto/tls"
	"errors"
	"io"
	"time"

	"github.com/handfast/handfast/websocket/internal/opening"
)

// How long, and for how many bytes, a client that was refused may go on sending. A connection that is closed while bytes
// lie unread is reset, and with it goes the reply.
const (
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 256 << 10
)

// refuse answers a request that is not let in, tells Refused, and closes the connection.
func (o *arrival) refuse(f *opening.Refusal) {
	defer o.nc.Close()
	if f.Status == 0 { // nobody is there to read it
		o.serve.tell(o.nc.RemoteAddr().String(), refusal(f, ""))
		return
	}
	b, body := f.Append(make([]byte, 0, 1024), o.head.Opening(opening.View(o.buf)), time.Now())
	o.serve.tell(o.nc.RemoteAddr().String(), refusal(f, body))
	if o.nc.SetDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	if _, err := o.nc.Write(b); err != nil {
		return
	}
	if half, ok := o.nc.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		for left := lingerBytes; left > 0; {
			n, err := o.nc.Read(o.room[:])
			if left -= n; err != nil {
				return
			}
		}
	}
}

// refuseTLS ends a connection whose TLS handshake failed. A client that spoke HTTP is told so in HTTP.
func (o *arrival) refuseTLS(err error) {
	defer o.nc.Close()
	e := &HandshakeError{Stage: StageTLS, Err: err}
	if re, ok := errors.AsType[tls.RecordHeaderError](err); ok && re.Conn != nil && looksLikeHTTP(re.RecordHeader) {
		e.Hint = "the client spoke HTTP to a port that wants TLS: https:// or wss://"
		_, _ = io.WriteString(re.Conn, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"+
			"400 Bad Request\n\nThis port speaks TLS.\nNext step: use https:// or wss://\n") // a courtesy, whether it arrives or not
	}
	o.serve.tell(o.nc.RemoteAddr().String(), e)
}

// looksLikeHTTP reports whether the five bytes in which TLS found no record may begin an HTTP request.
func looksLikeHTTP(b [5]byte) bool {
	switch opening.View(b[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "DELET", "PATCH":
		return true
	}
	return false
}
