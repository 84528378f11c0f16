package websocket

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"strconv"

	"github.com/handfast/handfast/websocket/handshake"
)

// maxBody is how much of a failed answer's body an error holds.
const maxBody = 1024

// refuse writes the reply that e asks for, completes e with it and returns it.
func refuse(w http.ResponseWriter, r *http.Request, e *HandshakeError) error {
	body := reply(w.Header(), r.ProtoMajor, e)
	w.WriteHeader(e.Status)
	io.WriteString(w, body) //nolint:errcheck // the handshake has failed, and its error says why
	return e
}

// reply puts the fields of the reply that e asks for into h, completes e with it and returns its body.
func reply(h http.Header, httpMajor int, e *HandshakeError) string {
	body := replyBody(e)
	maps.Copy(h, e.Header)
	if reject := rejection(e); reject == nil || reject.Header.Get("Content-Type") == "" {
		h.Set("Content-Type", "text/plain; charset=utf-8")
	}
	h.Set("X-Content-Type-Options", "nosniff")
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if httpMajor == 1 {
		// A proxy that took the upgrade for granted would tunnel what follows: it must not be read as another request. A
		// 426 names its protocol for this connection (RFC 9110 §7.8), and that goes on a line of its own.
		h["Connection"] = []string{"close"}
		if h.Get("Upgrade") != "" {
			h["Connection"] = []string{"close", "Upgrade"}
		}
	}
	e.Body = []byte(body[:min(len(body), maxBody)])
	return body
}

// replyBody is what the client is told: what is wrong by which clause, and the next step. What Check returned is told only
// when it is a *Reject, and of a mistake on this side only that there is one.
func replyBody(e *HandshakeError) string {
	status := strconv.Itoa(e.Status) + " " + http.StatusText(e.Status)
	var v *handshake.Violation
	switch reject := rejection(e); {
	case reject != nil && reject.Header.Get("Content-Type") != "":
		return reject.Reason
	case reject != nil && reject.Reason != "":
		return reject.Reason + "\n"
	case reject != nil:
		return status + "\n"
	case errors.As(e.Err, &v) && e.Status < 500:
		s := status + "\n\n" + v.Detail
		if v.Section != "" {
			s += " (" + v.Section + ")"
		}
		s += ".\n"
		if v.Hint != "" {
			s += "Next step: " + v.Hint + "\n"
		}
		return s
	case e.Stage == StageCheck:
		return status + "\n\nThe server does not let this client in.\n"
	}
	return status + "\n\nThe server is not set up for this. Its operator finds the reason in the error of the handshake.\n"
}

// rejection returns the *Reject that e was made for, and nil when there is none.
func rejection(e *HandshakeError) *Reject {
	if e.Stage != StageCheck {
		return nil
	}
	r, _ := errors.AsType[*Reject](e.Err)
	return r
}
