package opening

import (
	"bytes"
	"errors"
	"maps"
	"net/http"
	"strconv"
	"time"

	"github.com/handfast/handfast/websocket/handshake"
)

// Refusal says why a client is refused, and what it is answered. The reply is the same whichever server makes it.
type Refusal struct {
	Stage   handshake.Stage
	Section string      // the clause that was broken; "" when none was
	Status  int         // of the reply
	Header  http.Header // further fields of the reply; may be nil
	Hint    string      // the next step, for a person; "" when none is known
	Err     error       // what happened

	text    string // the body, when the application has picked it
	picked  bool   // the application has picked the reply
	excuse  string // a sentence for the client about a fault of the server's; "" when there is nothing safe to show
	typeSet bool   // Header has the body's Content-Type
}

// Violated is the refusal of a request that breaks a rule.
func Violated(v *handshake.Violation) *Refusal {
	return &Refusal{Stage: v.Stage, Section: v.Section, Status: v.Status, Header: v.Header, Hint: v.Hint, Err: v}
}

// Denied is the refusal of a client for an error of the application's, which the client does not see.
func Denied(err error) *Refusal {
	return &Refusal{Stage: handshake.StageCheck, Status: http.StatusForbidden, Err: err}
}

// Rejected is the refusal of a client with a reply that the application picks: a status from 300 to 599, 0 for 403, any
// other being a mistake that becomes 500; further fields; and the body, "" for the name of the status. It is plain text
// unless h has a Content-Type.
func Rejected(err error, status int, h http.Header, text string) *Refusal {
	switch {
	case status == 0:
		status = http.StatusForbidden
	case status < 300 || status > 599:
		status = http.StatusInternalServerError
	}
	typed := h.Get("Content-Type") != ""
	return &Refusal{Stage: handshake.StageCheck, Status: status, Header: h, Err: err, text: text, picked: true, typeSet: typed}
}

// Unparsable is the refusal of a request that net/http cannot parse, so that the application cannot be asked about it.
func Unparsable(err error) *Refusal {
	return &Refusal{Stage: handshake.StageRequest, Status: http.StatusBadRequest, Err: err}
}

// Faulty is the refusal of a client for a fault on the server's side. excuse is a sentence that is safe to show to the
// client, "" for none.
func Faulty(stage handshake.Stage, err error, hint, excuse string) *Refusal {
	return &Refusal{Stage: stage, Status: http.StatusInternalServerError, Err: err, Hint: hint, excuse: excuse}
}

func mistake(stage handshake.Stage, err error, hint string) *Refusal {
	return Faulty(stage, err, hint, "")
}

// Error returns what happened.
func (f *Refusal) Error() string { return f.Err.Error() }

// Unwrap returns f.Err.
func (f *Refusal) Unwrap() error { return f.Err }

// Reply puts the fields of the reply to a request of HTTP/major into h, the time of the reply included, and returns its
// body. A reply to a HEAD request goes out without the body.
func (f *Refusal) Reply(h http.Header, major int, now time.Time) (body string) {
	body = f.body()
	maps.Copy(h, f.Header)
	if !f.typeSet {
		h.Set("Content-Type", "text/plain; charset=utf-8")
	}
	h.Set("X-Content-Type-Options", "nosniff")
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	// RFC 9110 §6.6.1: an origin server with a clock sends the Date.
	h.Set("Date", now.UTC().Format(http.TimeFormat))
	if major == 1 {
		// A proxy that took the upgrade for granted would tunnel what follows: it must not be read as another request. A
		// 426 names its protocol for this connection (RFC 9110 §7.8), and that goes on a line of its own.
		h["Connection"] = []string{"close"}
		if h.Get("Upgrade") != "" {
			h["Connection"] = []string{"close", "Upgrade"}
		}
	}
	if f.Status == http.StatusNotModified { // RFC 9110 §15.4.5: no content, and no fields about content
		h.Del("Content-Type")
		h.Del("Content-Length")
		return ""
	}
	return body
}

// Append appends the whole reply to a request of HTTP/1 that o describes, as net/http would write it. It returns the body
// too, whether it is part of the reply or not.
func (f *Refusal) Append(dst []byte, o *handshake.Opening, now time.Time) (reply []byte, body string) {
	h := http.Header{}
	body = f.Reply(h, 1, now)
	version := "HTTP/1.1 "
	if o.Major == 1 && o.Minor == 0 {
		version = "HTTP/1.0 "
	}
	b := bytes.NewBuffer(dst)
	b.WriteString(version + StatusLine(f.Status) + "\r\n")
	h.Write(b) //nolint:errcheck // into memory
	b.WriteString("\r\n")
	if o.Method != http.MethodHead { // RFC 9110 §9.3.2: "the server MUST NOT send content in the response"
		b.WriteString(body)
	}
	return b.Bytes(), body
}

// StatusLine returns a status as it is on the status line, as net/http has it.
func StatusLine(status int) string {
	if text := http.StatusText(status); text != "" {
		return strconv.Itoa(status) + " " + text
	}
	return strconv.Itoa(status) + " status code " + strconv.Itoa(status)
}

// body is what the client gets to read: what is wrong by which clause, and the next step. An error of the application's
// is not shown unless it picked the reply, and of a fault on this side only what is safe to show.
func (f *Refusal) body() string {
	status := strconv.Itoa(f.Status)
	if text := http.StatusText(f.Status); text != "" {
		status += " " + text
	}
	var v *handshake.Violation
	switch {
	case f.typeSet:
		return f.text
	case f.picked && f.text != "":
		return f.text + "\n"
	case f.picked:
		return status + "\n"
	case errors.As(f.Err, &v) && f.Status != http.StatusInternalServerError:
		s := status + "\n\n" + v.Detail
		if v.Section != "" {
			s += " (" + v.Section + ")"
		}
		s += ".\n"
		if v.Hint != "" {
			s += "Next step: " + v.Hint + "\n"
		}
		return s
	case f.Stage == handshake.StageCheck:
		return status + "\n\nAccess denied.\n"
	case f.Stage == handshake.StageRequest && f.Status == http.StatusBadRequest:
		return status + "\n\nThe request cannot be parsed.\n"
	case f.excuse != "":
		return status + "\n\n" + f.excuse + "\n"
	}
	return status + "\n\nServer misconfiguration; see the server log.\n"
}
