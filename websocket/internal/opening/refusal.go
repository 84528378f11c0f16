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

// Refusal is the reason why a client is refused, with the reply, which is the same in every server.
type Refusal struct {
	Stage   handshake.Stage
	Section string      // the violated clause; "" if there is none
	Status  int         // of the reply
	Header  http.Header // further fields of the reply; may be nil
	Hint    string      // the next step, for a person; "" if there is none
	Err     error       // what happened

	text    string // the body, if the application has chosen it
	picked  bool   // the application has chosen the reply
	excuse  string // a sentence for the client about a fault of the server; "" if none is safe to show
	typeSet bool   // Header has the body's Content-Type
}

// Violated returns the refusal of a request that violates a rule.
func Violated(v *handshake.Violation) *Refusal {
	return &Refusal{Stage: v.Stage, Section: v.Section, Status: v.Status, Header: v.Header, Hint: v.Hint, Err: v}
}

// Denied returns the refusal of a client because of an error of the application, which the client does not see.
func Denied(err error) *Refusal {
	return &Refusal{Stage: handshake.StageCheck, Status: http.StatusForbidden, Err: err}
}

// Rejected returns the refusal of a client with a reply of the application: a status from 300 to 599, 0 for 403, any other being a
// mistake that becomes 500; additional fields; and the body, "" for the name of the status. It is plain text unless h has a
// Content-Type.
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

// Unparsable returns the refusal of a request that net/http cannot parse, so that the application's check cannot be called.
func Unparsable(err error) *Refusal {
	return &Refusal{Stage: handshake.StageRequest, Status: http.StatusBadRequest, Err: err}
}

// Faulty returns the refusal of a client because of a fault on the server's side. excuse is a sentence that is safe to show to the
// client, "" for none.
func Faulty(stage handshake.Stage, err error, hint, excuse string) *Refusal {
	return &Refusal{Stage: stage, Status: http.StatusInternalServerError, Err: err, Hint: hint, excuse: excuse}
}

func mistake(stage handshake.Stage, err error, hint string) *Refusal {
	return Faulty(stage, err, hint, "")
}

// Error returns the text of f.Err.
func (f *Refusal) Error() string { return f.Err.Error() }

// Unwrap returns f.Err.
func (f *Refusal) Unwrap() error { return f.Err }

// Reply sets the fields of the reply to a request of HTTP/major in h, including the Date, and returns its body. A reply to a HEAD
// request must be sent without the body.
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
		// A proxy that expected the upgrade to succeed would tunnel what follows: it must not be parsed as another request. A 426
		// names its protocol for this connection (RFC 9110 §7.8), on a line of its own.
		h["Connection"] = []string{"close"}
		if h.Get("Upgrade") != "" {
			h["Connection"] = []string{"close", "Upgrade"}
		}
	}
	if f.Status == http.StatusNotModified { // RFC 9110 §15.4.5: no content, and no content fields
		h.Del("Content-Type")
		h.Del("Content-Length")
		return ""
	}
	return body
}

// Append appends the whole reply to the HTTP/1 request that o describes, as net/http would write it. It also returns the body,
// which may not be part of the reply.
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

// StatusLine formats a status for the status line, as net/http does.
func StatusLine(status int) string {
	if text := http.StatusText(status); text != "" {
		return strconv.Itoa(status) + " " + text
	}
	return strconv.Itoa(status) + " status code " + strconv.Itoa(status)
}

// body returns the text for the client: what is wrong and which clause it violates, and the next step. An error of the application
// is not shown unless it has chosen the reply; for a fault of the server only the safe sentence is shown.
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
