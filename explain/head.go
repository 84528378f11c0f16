package explain

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
	"time"

	"github.com/handfast/handfast/internal/visible"
	"github.com/handfast/handfast/websocket/handshake"
)

// The limits for the kept and the displayed parts of a response. Package handshake limits the header.
const (
	maxBody     = 4 << 10 // kept bytes of a body
	maxShown    = 80      // displayed lines of a header
	maxLine     = 1 << 10 // displayed bytes of a line
	bodyTimeout = time.Second
	// arrivalTimeout is the wait for more bytes after an error, so that the report does not depend on how the network splits them.
	arrivalTimeout = 250 * time.Millisecond
)

// head is the received part of a response's header. Package handshake checks the rules; head keeps the lines for the report.
type head struct {
	in       handshake.Head
	response *handshake.Response // nil until the header is complete
	proto    string
	status   int
	reason   string
	fields   []Field    // the fields of the current response, in order
	lines    []headLine // the received lines, including those of interim responses
	cur      []byte     // the incomplete line
	rest     []byte     // the bytes that were received after the header
	body     []byte
	problem  *headProblem // why the header could not be read; nil if there is no problem
}

// headLine is one line of a head without its end.
type headLine struct {
	text  string
	field bool   // the line is a name, a colon and a value
	note  string // what is wrong with the line; "" if nothing is
}

// headProblem is the reason why a header could not be read.
type headProblem struct {
	fault  Fault
	clause string
	detail string
	note   string // the note on the invalid line
	err    error  // the error of the connection, if it ended the header
}

// readHead reads a response's header, within the limits. The rest of the result contains bytes that were read after the header.
func readHead(c net.Conn, deadline time.Time) *head {
	h := &head{}
	c.SetReadDeadline(deadline)
	chunk := make([]byte, 4096)
	for known := false; ; {
		n, err := c.Read(chunk)
		used, done := h.feed(chunk[:n])
		switch {
		case done:
			h.rest = bytes.Clone(chunk[used:n])
			return h
		case err != nil:
			h.ended(err)
			return h
		case !known && (h.problem != nil || h.foreign() && recognizable(h.cur)):
			known = true
			c.SetReadDeadline(earlier(deadline, time.Now().Add(arrivalTimeout)))
		}
	}
}

// earlier returns the earlier one of a and b.
func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// feed consumes bytes of b until the header ends. It returns their number, and whether reading is complete. It processes the bytes one by
// one, so that the result does not depend on how the network splits them.
func (h *head) feed(b []byte) (used int, done bool) {
	for used < len(b) && !done {
		used++
		done = h.take(b[used-1 : used])
	}
	return used, done
}

// foreign reports whether the received bytes are not the beginning of an HTTP/1 response.
func (h *head) foreign() bool { return len(h.lines) == 0 && !mayBeHTTP(h.cur) }

// take consumes a byte, and reports whether reading is complete: at the end of the final header, or of the displayed part of an invalid
// line.
func (h *head) take(c []byte) bool {
	h.cur = append(h.cur, c...)
	switch {
	case h.problem != nil: // read the rest of the invalid line for the report
		return h.shown()
	case h.foreign():
		if len(h.cur) < bannerSize(h.cur) {
			return false
		}
		h.notHTTP()
		return true
	}
	r, _, v := h.in.Feed(c)
	if v != nil {
		h.broken(v)
		return h.shown()
	}
	if c[0] != '\n' {
		return false
	}
	line := strings.TrimRight(string(h.cur), "\r\n")
	h.cur = nil
	switch {
	case h.status == 0:
		h.lines = append(h.lines, headLine{text: line})
		h.proto, h.reason = line[:len("HTTP/1.1")], strings.TrimSpace(line[len("HTTP/1.1 101"):])
		h.status, _ = strconv.Atoi(line[len("HTTP/1.1 "):len("HTTP/1.1 101")]) // three digits, as the rules require
	case line != "":
		h.lines = append(h.lines, h.field(line))
	case r != nil:
		h.response = r
		h.lines = append(h.lines, headLine{})
	default:
		h.lines = append(h.lines, headLine{note: "an interim response, which a client skips"})
		h.proto, h.status, h.reason, h.fields = "", 0, "", nil
	}
	return r != nil
}

// shown reports whether the displayed part of the invalid line has been received. If so, it keeps the line.
func (h *head) shown() bool {
	if h.problem.fault != FaultHeadTooLarge && !bytes.HasSuffix(h.cur, []byte("\n")) && len(h.cur) < 2*maxLine {
		return false
	}
	h.keepInvalidLine()
	return true
}

// keepInvalidLine keeps the received part of the invalid line.
func (h *head) keepInvalidLine() {
	h.lines = append(h.lines, headLine{text: strings.TrimSuffix(string(h.cur), "\n"), note: h.problem.note})
	h.cur = nil
}

// field keeps a valid line of the header: a field, or the continuation of the previous field.
func (h *head) field(line string) headLine {
	if n := len(h.fields); n > 0 && (line[0] == ' ' || line[0] == '\t') {
		last := &h.fields[n-1]
		last.Value = strings.TrimSpace(last.Value + " " + strings.TrimSpace(line))
		return headLine{text: line}
	}
	name, value, _ := strings.Cut(line, ":")
	h.fields = append(h.fields, Field{name, strings.Trim(value, " \t")})
	return headLine{text: line, field: true}
}

// clauseInterim is the clause that defines interim responses, and onlyInterim is the beginning of the detail if only interim responses
// were received.
const (
	clauseInterim = "RFC 9110 §15.2"
	onlyInterim   = "only interim responses (1xx) were received"
)

const bareLF = "the line ends in a bare LF instead of CR LF"

// broken records which rule the current line violates.
func (h *head) broken(v *handshake.Violation) {
	p := &headProblem{fault: FaultHeadBroken, clause: v.Section, detail: v.Detail}
	h.problem = p
	switch v.Section {
	case "RFC 9110 §5.4":
		p.fault = FaultHeadTooLarge
		return
	case clauseInterim:
		p.fault, p.detail = FaultHeadEndless, onlyInterim+": "+p.detail
		return
	case "RFC 9112 §2.2":
		if bytes.HasSuffix(h.cur, []byte("\n")) && bytes.IndexByte(h.cur, '\r') < 0 {
			p.detail = bareLF + ", which some clients accept and others reject"
		}
	}
	p.note = p.detail
	p.detail = fmt.Sprintf("line %d of the response: %s", len(h.lines)+1, p.detail)
}

// ended records that the connection ended, or was silent, before the header was complete.
func (h *head) ended(err error) {
	if h.problem != nil {
		h.keepInvalidLine()
		return
	}
	left := h.cur
	some := len(h.lines) > 0 || len(left) > 0
	if h.foreign() && (recognizable(left) || !isReset(err)) {
		h.notHTTP()
		return
	}
	if len(left) > 0 {
		h.lines = append(h.lines, headLine{text: string(left), note: "not terminated"})
	}
	p := &headProblem{err: err, detail: shortError(err)}
	interim := some && h.status == 0 && len(left) == 0
	switch {
	case interim && isReset(err):
		p.fault, p.clause, p.detail = FaultReset, clauseInterim, onlyInterim+"; then the connection was reset (RST)"
	case interim && isTimeout(err):
		p.fault, p.clause, p.detail = FaultHeadEndless, clauseInterim, onlyInterim+"; then nothing was received in time"
	case interim && isEOF(err):
		p.fault, p.clause, p.detail = FaultHeadEndless, clauseInterim, onlyInterim+"; then the connection was closed"
	case isReset(err):
		p.fault, p.detail = FaultReset, "the connection was reset (RST) before the response was complete"
		if !some {
			p.detail = "the connection was reset (RST) without a response"
		}
	case some && isTimeout(err):
		p.fault, p.clause, p.detail = FaultHeadEndless, "RFC 9112 §2.1", "the response head was not complete in time: its empty line is missing"
	case some && isEOF(err):
		p.fault, p.clause, p.detail = FaultHeadEndless, "RFC 9112 §2.1", "the connection was closed in the middle of the response head"
	case isTimeout(err):
		p.fault, p.detail = FaultNoResponse, "nothing was received in time"
	case isEOF(err):
		p.fault, p.detail = FaultClosedUnanswered, "the connection was closed without a response"
	}
	h.problem = p
}

const httpPrefix = "HTTP/"

// mayBeHTTP reports whether b is, or may become, the beginning of an HTTP/1 response.
func mayBeHTTP(b []byte) bool {
	n := min(len(b), len(httpPrefix))
	return string(b[:n]) == httpPrefix[:n]
}

// recognizable reports whether b, which does not begin like HTTP, suffices to recognize the protocol: b is a line, or the header of a TLS
// record or of an HTTP/2 frame. The header of a frame may contain the byte of a line end.
func recognizable(b []byte) bool {
	return len(b) >= 9 || len(b) >= 2 && (b[0] == 0x15 || b[0] == 0x16) || len(b) > 0 && b[0] != 0 && bytes.IndexByte(b, '\n') >= 0
}

// bannerSize returns the number of bytes to read of a response that does not begin like HTTP/1: a header of a binary protocol, or twice
// the displayed part of a text, so that a secret at the end of the displayed part is complete and can be redacted.
func bannerSize(b []byte) int {
	switch b[0] {
	case 0:
		return len("\x00\x00\x00\x04\x00\x00\x00\x00\x00") // the header of an HTTP/2 frame
	case 0x15, 0x16:
		return len("\x15\x03\x01\x00\x02\x02\x46") // a TLS alert
	}
	return 2 * maxLine
}

// notHTTP records that the response is not HTTP/1.
func (h *head) notHTTP() {
	h.problem = notHTTP(h.cur)
	h.lines = append(h.lines, headLine{text: string(h.cur), note: h.problem.detail})
}

// notHTTP describes a response that does not begin like HTTP/1.
func notHTTP(b []byte) *headProblem {
	p := &headProblem{fault: FaultNotHTTP, clause: "RFC 9112 §4", detail: "the response is not HTTP"}
	s := string(b[:min(len(b), seenBytes)])
	switch {
	case len(b) >= 2 && (b[0] == 0x15 || b[0] == 0x16) && b[1] == 3:
		p.fault, p.detail = FaultPlainToTLS, "the response is a TLS record"
	case len(b) >= 9 && b[3] == 4 && b[0] == 0 && (int(b[1])<<8|int(b[2]))%6 == 0: // RFC 9113 §3.4: the first frame is SETTINGS
		p.fault, p.clause, p.detail = FaultHTTP2Only, "RFC 9113 §3.4", "the response is an HTTP/2 SETTINGS frame"
	case strings.HasPrefix(s, "GET "):
		p.detail = "the server echoes the request"
	case strings.HasPrefix(s, "SSH-"):
		p.detail = "an SSH server responded"
	case strings.HasPrefix(s, "220") && strings.Contains(s, "FTP"):
		p.detail = "an FTP server responded"
	case strings.HasPrefix(s, "220"):
		p.detail = "a mail server (SMTP) responded"
	case strings.HasPrefix(s, "* OK"), strings.HasPrefix(s, "+OK"):
		p.detail = "a mail server (IMAP or POP3) responded"
	case strings.HasPrefix(s, "-ERR"), strings.HasPrefix(s, "-DENIED"):
		p.detail = "a Redis server responded"
	case len(b) > 4 && b[3] == 0 && b[4] == 10:
		p.detail = "a MySQL server responded"
	case strings.HasPrefix(s, "RFB "):
		p.detail = "a VNC server responded"
	case strings.HasPrefix(strings.TrimSpace(s), "<"):
		p.detail = "the response is a page or a document without a head"
	}
	return p
}

// values returns the values of all fields with a name.
func (h *head) values(name string) []string {
	return (&Response{Header: h.fields}).Values(name)
}

// value returns the first value of a field, or "" if there is none.
func (h *head) value(name string) string { return (&Response{Header: h.fields}).Value(name) }

// statusText returns the status and its registered name instead of the server's reason phrase.
func (h *head) statusText() string {
	return strings.TrimSpace(strconv.Itoa(h.status) + " " + http.StatusText(h.status))
}

// readBody reads the beginning of the body, for a limited time.
func (h *head) readBody(c net.Conn, deadline time.Time) {
	if h.status == http.StatusNoContent || h.status == http.StatusNotModified || h.status < 200 {
		return
	}
	c.SetReadDeadline(deadline)
	var body io.Reader = io.MultiReader(bytes.NewReader(h.rest), c)
	limit := int64(2 * maxBody) // more than is displayed, so that a secret at the end is complete and can be redacted
	if len(h.values("Transfer-Encoding")) > 0 {
		body = httputil.NewChunkedReader(body)
	} else if n, err := strconv.ParseUint(h.value("Content-Length"), 10, 63); err == nil {
		limit = min(limit, int64(n))
	}
	h.body, _ = io.ReadAll(io.LimitReader(body, limit)) //nolint:errcheck // the received part is displayed in any case
	h.decodeBody()
}

// showHead returns the lines of a header for display.
func (t *run) showHead(h *head) []Line {
	lines := make([]Line, 0, min(len(h.lines), maxShown+1))
	for i, l := range h.lines {
		if i >= maxShown && l.note == "" {
			if i == maxShown {
				lines = append(lines, Line{"…", count(len(h.lines)-maxShown, "more line", "more lines")})
			}
			continue
		}
		text := l.text
		if name, value, ok := strings.Cut(text, ":"); ok && l.field {
			text = name + ": " + t.hide.value(name, strings.Trim(value, " \t"))
		}
		lines = append(lines, Line{visible.Cut(oneLine(t.hide.text(text)), maxLine), l.note})
	}
	return lines
}

// response converts the head and the body to a Response for the report, without secrets.
func (t *run) response(h *head) *Response {
	r := &Response{Proto: visible.Text(h.proto), Status: h.status, Reason: visible.Text(t.hide.text(h.reason))}
	for _, f := range h.fields {
		r.Header = append(r.Header, Field{f.Name, visible.Text(t.hide.value(f.Name, f.Value))})
	}
	body := strings.ReplaceAll(t.hide.text(string(h.body)), "\r\n", "\n")
	r.Body = visible.Cut(visible.Text(body), maxBody)
	return r
}
