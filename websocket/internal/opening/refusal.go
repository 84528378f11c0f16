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

// Refusal is the reason why a client is rejected, with the response, which is the same in every server.
type Refusal struct {
	Stage   handshake.Stage
	Section string      // the violated clause; "" if there is none
	Status  int         // status of the response
	Header  http.Header // additional fields of the response; may be nil
	Hint    string      // the next step, in a sentence for the user; "" if there is none
	Err     error       // the cause

	text       string // the body, if the application has set it
	fromApp    bool   // the application has chosen the response
	publicText string // a sentence for the client about an error of the server; "" if none may be disclosed
	typeSet    bool   // Header contains the Content-Type of the body
}

// Violated returns the refusal of a request that violates a rule.
func Violated(v *handshake.Violation) *Refusal {
	return &Refusal{Stage: v.Stage, Section: v.Section, Status: v.Status, Header: v.Header, Hint: v.Hint, Err: v}
}

// Denied returns the refusal of a client because of an error of the application, which is not disclosed to the client.
func Denied(err error) *Refusal {
	return &Refusal{Stage: handshake.StageCheck, Status: http.StatusForbidden, Err: err}
}

// Rejected returns the refusal of a client with a response chosen by the application. status is 300 to 599, or 0 for 403. Any other
// status is a mistake, which results in 500. h contains additional fields. body is the body, or "" for the name of the status. The
// body is plain text unless h contains a Content-Type.
func Rejected(err error, status int, h http.Header, text string) *Refusal {
	switch {
	case status == 0:
		status = http.StatusForbidden
	case status < 300 || status > 599:
		status = http.StatusInternalServerError
	}
	typed := h.Get("Content-Type") != ""
	return &Refusal{Stage: handshake.StageCheck, Status: status, Header: h, Err: err, text: text, fromApp: true, typeSet: typed}
}

// Unparsable returns the refusal of a request that net/http cannot parse, so that the application's check cannot be called.
func Unparsable(err error) *Refusal {
	return &Refusal{Stage: handshake.StageRequest, Status: http.StatusBadRequest, Err: err}
}

// Faulty returns the refusal of a client because of an error on the server's side. publicText is a sentence that may be disclosed to
// the client, or "".
func Faulty(stage handshake.Stage, err error, hint, publicText string) *Refusal {
	return &Refusal{Stage: stage, Status: http.StatusInternalServerError, Err: err, Hint: hint, publicText: publicText}
}

func configError(stage handshake.Stage, err error, hint string) *Refusal {
	return Faulty(stage, err, hint, "")
}

// Error returns the message of f.Err.
func (f *Refusal) Error() string { return f.Err.Error() }

// Unwrap returns f.Err.
func (f *Refusal) Unwrap() error { return f.Err }

// Reply sets in h the fields of the response to a request of HTTP/major, including the Date, and returns the body. A response to a
// HEAD request must be sent without the body.
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
		// A proxy that expected the upgrade to succeed would tunnel the following bytes, which must not be parsed as another request. RFC
		// 9110 §7.8: Connection must list the Upgrade field of a 426.
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

// Append appends the whole response to the HTTP/1 request that o describes, as net/http would write it. It also returns the body, which is
// not part of the response to a HEAD request.
func (f *Refusal) Append(dst []byte, o *handshake.Opening, now time.Time) (reply []byte, body string) {
	h := http.Header{}
	body = f.Reply(h, 1, now)
	version := "HTTP/1.1 "
	if o.Major == 1 && o.Minor == 0 {
		version = "HTTP/1.0 "
	}
	b := bytes.NewBuffer(dst)
	b.WriteString(version + StatusLine(f.Status) + "\r\n")
	h.Write(b) //nolint:errcheck // writing to a bytes.Buffer never fails
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

// body returns the text for the client: the error, the violated clause, and the next step. An error of the application is not disclosed
// unless the application has chosen the response. For an error of the server only publicText is disclosed.
func (f *Refusal) body() string {
	status := strconv.Itoa(f.Status)
	if text := http.StatusText(f.Status); text != "" {
		status += " " + text
	}
	var v *handshake.Violation
	switch {
	case f.typeSet:
		return f.text
	case f.fromApp && f.text != "":
		return f.text + "\n"
	case f.fromApp:
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
	case f.publicText != "":
		return status + "\n\n" + f.publicText + "\n"
	}
	return status + "\n\nServer misconfiguration; see the server log.\n"
}
