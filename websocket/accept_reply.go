package websocket

import (
	"io"
	"net/http"
	"time"

	"github.com/handfast/handfast/websocket/internal/opening"
)

// maxBody is the maximum number of bytes of a failed response's body that an error holds.
const maxBody = 1024

// refuse writes the reply to a rejected client, and returns the handshake's error.
func refuse(w http.ResponseWriter, r *http.Request, f *opening.Refusal) *HandshakeError {
	body := f.Reply(w.Header(), r.ProtoMajor, time.Now())
	w.WriteHeader(f.Status)
	io.WriteString(w, body) //nolint:errcheck // the handshake has failed already, and the returned error says why
	return refusal(f, body)
}

// refusal returns the error for a handshake that was refused with body.
func refusal(f *opening.Refusal, body string) *HandshakeError {
	return &HandshakeError{
		Stage: f.Stage, Section: f.Section, Status: f.Status, Header: f.Header, Hint: f.Hint, Err: f.Err,
		Body: []byte(body[:min(len(body), maxBody)]),
	}
}
