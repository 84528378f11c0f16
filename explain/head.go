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
)

// The bounds on what a server may say before it answers.
const (
	maxHead      = 64 << 10 // bytes, of all heads together
	maxFields    = 256      // lines of one head
	maxInterim   = 8        // heads with a status of 1xx before the one that counts
	maxBody      = 4 << 10  // bytes of a body that are kept
	maxShown     = 80       // lines of one head that are shown
	maxLine      = 1 << 10  // bytes of a line that are shown
	bodyPatience = time.Second
)

// head is an answer's head as far as it came, and what is wrong with it.
type head struct {
	proto   string
	status  int
	reason  string
	fields  []Field
	lines   []headLine // as they came, interim answers included
	rest    []byte     // what came behind the head in the same read
	body    []byte
	problem *headProblem // nil: the head is whole

	size    int
	interim int
}

// headLine is one line of a head without its end.
type headLine struct {
	text  string
	field bool   // it is a field: name, colon, value
	note  string // what is wrong with it
}

// headProblem is why a head could not be read.
type headProblem struct {
	fault  Fault
	clause string
	detail string
	err    error // of the connection, when that ended it
}

// readHead reads an answer's head: no more than its bounds allow, and not behind it than one read may bring.
func readHead(c net.Conn, deadline time.Time) *head {
	h := &head{}
	c.SetReadDeadline(deadline)
	var buf []byte
	chunk := make([]byte, 4096)
	for {
		n, err := c.Read(chunk)
		buf = append(buf, chunk[:n]...)
		used, done := h.feed(buf)
		buf = buf[used:]
		switch {
		case done:
			h.rest = bytes.Clone(buf)
			return h
		case err != nil:
			h.ended(buf, err)
			return h
		}
	}
}

// feed takes whole lines from b and returns how much it took, and whether there is no more to be read.
func (h *head) feed(b []byte) (used int, done bool) {
	if len(h.lines) == 0 && len(b) > 0 && !mayBeHTTP(b) {
		if !tells(b) {
			return 0, false
		}
		h.problem = notHTTP(b)
		h.lines = append(h.lines, headLine{text: string(b), note: h.problem.detail})
		return 0, true
	}
	for h.problem == nil {
		end := bytes.IndexByte(b[used:], '\n')
		if h.size+len(b[used:]) > maxHead && (end < 0 || h.size+end >= maxHead) {
			h.wrong(FaultHeadTooLarge, "RFC 9110 §5.4", "the head of the answer is larger than 64 KiB")
			return used, true
		}
		if end < 0 {
			return used, false
		}
		line := b[used : used+end]
		used += end + 1
		h.size += end + 1
		if h.line(line) {
			return used, true
		}
	}
	return used, true
}

const bareLF = "it ends in a bare LF instead of CR LF"

// line reads one line and reports whether it ended the head that counts.
func (h *head) line(raw []byte) bool {
	line, crlf := bytes.CutSuffix(raw, []byte("\r"))
	if len(line) > 0 || h.status == 0 || !crlf {
		h.lines = append(h.lines, headLine{text: string(line)})
	}
	switch {
	case !crlf:
		h.wrong(FaultHeadBroken, "RFC 9112 §2.2", bareLF+", which some clients let pass and others do not")
	case bytes.IndexByte(line, '\r') >= 0:
		h.wrong(FaultHeadBroken, "RFC 9112 §2.2", "a bare CR stands in it")
	case h.status == 0:
		h.statusLine(string(line))
	case len(line) > 0:
		h.fieldLine(string(line))
	case h.status >= 200 || h.status == http.StatusSwitchingProtocols:
		h.lines = append(h.lines, headLine{})
		return true
	default:
		h.lines = append(h.lines, headLine{note: "an interim answer: the one that counts follows"})
		if h.interim++; h.interim > maxInterim {
			h.wrong(FaultHeadEndless, "RFC 9110 §15.2", "more than 8 interim answers (1xx) came before the one that counts")
		}
		h.proto, h.status, h.reason, h.fields = "", 0, "", nil
	}
	return h.problem != nil
}

// wrong notes what is wrong with the line read last.
func (h *head) wrong(f Fault, clause, detail string) {
	full := detail
	if n := len(h.lines); n > 0 && f == FaultHeadBroken {
		h.lines[n-1].note = detail
		full = fmt.Sprintf("line %d of the answer: %s", n, detail)
	}
	h.problem = &headProblem{fault: f, clause: clause, detail: full}
}

// statusLine: HTTP-version SP status-code SP [ reason-phrase ] (RFC 9112 §4).
func (h *head) statusLine(line string) {
	const clause = "RFC 9112 §4"
	proto, rest, _ := strings.Cut(line, " ")
	code, reason, _ := strings.Cut(rest, " ")
	h.proto = proto
	version, ok := strings.CutPrefix(proto, "HTTP/1.")
	if !ok || len(version) != 1 || version[0] < '0' || version[0] > '9' {
		h.wrong(FaultHeadBroken, clause, "the status line does not begin with HTTP/1.1 and a space")
		return
	}
	n, err := strconv.ParseUint(code, 10, 16)
	if err != nil || len(code) != 3 || n < 100 {
		h.wrong(FaultHeadBroken, clause, "the status is not a number of three digits")
		return
	}
	if !isValue(reason) {
		h.wrong(FaultHeadBroken, clause, "a control byte stands in the status line")
		return
	}
	h.status, h.reason = int(n), strings.TrimSpace(reason)
}

// fieldLine: field-name ":" OWS field-value OWS (RFC 9112 §5).
func (h *head) fieldLine(line string) {
	if line[0] == ' ' || line[0] == '\t' { // RFC 9112 §5.2: a line that goes on; a user agent replaces the fold by spaces
		if len(h.fields) == 0 || !isValue(line) {
			h.wrong(FaultHeadBroken, "RFC 9112 §5.2", "it continues a field, but there is none before it")
			return
		}
		last := &h.fields[len(h.fields)-1]
		last.Value = strings.TrimSpace(last.Value + " " + strings.TrimSpace(line))
		return
	}
	name, value, ok := strings.Cut(line, ":")
	switch {
	case !ok:
		h.wrong(FaultHeadBroken, "RFC 9112 §5", "a field has a name, a colon and a value; there is no colon")
	case isToken(strings.TrimRight(name, " \t")) && !isToken(name):
		h.wrong(FaultHeadBroken, "RFC 9112 §5.1", "white space stands before the colon")
	case !isToken(name):
		h.wrong(FaultHeadBroken, "RFC 9112 §5.1", "the name of the field is not a token")
	case !isValue(value):
		h.wrong(FaultHeadBroken, "RFC 9110 §5.5", "a control byte stands in the value")
	case len(h.fields) == maxFields:
		h.wrong(FaultHeadTooLarge, "RFC 9110 §5.4", "the head of the answer has more than 256 lines")
	default:
		h.fields = append(h.fields, Field{name, strings.Trim(value, " \t")})
		h.lines[len(h.lines)-1].field = true
	}
}

// ended notes that the connection ended, or was silent, before the head was whole.
func (h *head) ended(left []byte, err error) {
	some := len(h.lines) > 0 || len(left) > 0
	if len(left) > 0 {
		h.lines = append(h.lines, headLine{text: string(left), note: "it has no end"})
	}
	p := &headProblem{err: err, detail: brief(err)}
	switch {
	case isReset(err):
		p.fault, p.detail = FaultReset, "the connection was broken off (RST) before the answer was whole"
		if !some {
			p.detail = "the connection was broken off (RST) without an answer"
		}
	case len(h.lines) == 1 && len(left) > 0 && !mayBeHTTP(left):
		p = notHTTP(left)
		h.lines[0].note = p.detail
	case some && isTimeout(err):
		p.fault, p.clause, p.detail = FaultHeadEndless, "RFC 9112 §2.1", "the head of the answer began, and its empty line did not come in time"
	case some && isEOF(err):
		p.fault, p.clause, p.detail = FaultHeadEndless, "RFC 9112 §2.1", "the connection was closed within the head of the answer"
	case isTimeout(err):
		p.fault, p.detail = FaultNoResponse, "nothing came in time"
	case isEOF(err):
		p.fault, p.detail = FaultClosedUnanswered, "the connection was closed without an answer"
	}
	h.problem = p
}

const httpPrefix = "HTTP/"

// mayBeHTTP reports whether b is, or may become, the beginning of an answer in HTTP/1.
func mayBeHTTP(b []byte) bool {
	n := min(len(b), len(httpPrefix))
	return string(b[:n]) == httpPrefix[:n]
}

// tells reports whether b, which does not begin as HTTP does, is enough to see what it is: a line, the header of an HTTP/2
// frame, in which a line end would say nothing, or of a TLS record.
func tells(b []byte) bool {
	return len(b) >= 9 || len(b) >= 2 && (b[0] == 0x15 || b[0] == 0x16) || len(b) > 0 && b[0] != 0 && bytes.IndexByte(b, '\n') >= 0
}

// notHTTP says what an answer is that does not begin as HTTP/1 does.
func notHTTP(b []byte) *headProblem {
	p := &headProblem{fault: FaultNotHTTP, clause: "RFC 9112 §4", detail: "the answer is not HTTP"}
	s := string(b[:min(len(b), seenBytes)])
	switch {
	case len(b) >= 2 && (b[0] == 0x15 || b[0] == 0x16) && b[1] == 3:
		p.fault, p.detail = FaultPlainToTLS, "the answer is a TLS record"
	case len(b) >= 9 && b[3] == 4 && b[0] == 0 && (int(b[1])<<8|int(b[2]))%6 == 0: // RFC 9113 §3.4: SETTINGS come first
		p.fault, p.clause, p.detail = FaultHTTP2Only, "RFC 9113 §3.4", "the answer is an HTTP/2 SETTINGS frame"
	case strings.HasPrefix(s, "GET "):
		p.detail = "the server sends back what it is sent"
	case strings.HasPrefix(s, "SSH-"):
		p.detail = "an SSH server answers"
	case strings.HasPrefix(s, "220") && strings.Contains(s, "FTP"):
		p.detail = "an FTP server answers"
	case strings.HasPrefix(s, "220"):
		p.detail = "a mail server (SMTP) answers"
	case strings.HasPrefix(s, "* OK"), strings.HasPrefix(s, "+OK"):
		p.detail = "a mail server (IMAP or POP3) answers"
	case strings.HasPrefix(s, "-ERR"), strings.HasPrefix(s, "-DENIED"):
		p.detail = "a Redis server answers"
	case len(b) > 5 && b[3] == 0 && b[4] == 10:
		p.detail = "a MySQL server answers"
	case strings.HasPrefix(s, "RFB "):
		p.detail = "a VNC server answers"
	case strings.HasPrefix(strings.TrimSpace(s), "<"):
		p.detail = "the answer is a page or a document without any head"
	}
	return p
}

// values returns the values of a field.
func (h *head) values(name string) []string {
	return (&Response{Header: h.fields}).Values(name)
}

// value returns the first value of a field.
func (h *head) value(name string) string { return (&Response{Header: h.fields}).Value(name) }

// statusText returns the status and its registered name; the server's own words are not repeated.
func (h *head) statusText() string {
	return strings.TrimSpace(strconv.Itoa(h.status) + " " + http.StatusText(h.status))
}

// readBody reads the start of the body, for no longer than it is worth waiting for.
func (h *head) readBody(c net.Conn, deadline time.Time) {
	if h.status == http.StatusNoContent || h.status == http.StatusNotModified || h.status < 200 {
		return
	}
	c.SetReadDeadline(deadline)
	var body io.Reader = io.MultiReader(bytes.NewReader(h.rest), c)
	limit := int64(2 * maxBody) // twice, so that no secret is cut where the shown part ends
	if len(h.values("Transfer-Encoding")) > 0 {
		body = httputil.NewChunkedReader(body)
	} else if n, err := strconv.ParseUint(h.value("Content-Length"), 10, 63); err == nil {
		limit = min(limit, int64(n))
	}
	h.body, _ = io.ReadAll(io.LimitReader(body, limit)) //nolint:errcheck // what has arrived is what there is to tell
}

// showHead returns the lines of a head as they may be shown.
func (t *tracer) showHead(h *head) []Line {
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
		lines = append(lines, Line{cut(oneLine(t.hide.text(text)), maxLine), l.note})
	}
	return lines
}

// response returns a head as the report has it.
func (t *tracer) response(h *head) *Response {
	r := &Response{Proto: visible.Text(h.proto), Status: h.status, Reason: visible.Text(t.hide.text(h.reason))}
	for _, f := range h.fields {
		r.Header = append(r.Header, Field{f.Name, visible.Text(t.hide.value(f.Name, f.Value))})
	}
	body := strings.ReplaceAll(t.hide.text(string(h.body)), "\r\n", "\n")
	r.Body = cut(visible.Text(body), maxBody)
	return r
}
