package opening

import (
	"net/http"
	"strings"
	"unsafe"

	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/internal/header"
)

// Verdict classifies the bytes received so far.
type Verdict uint8

// The verdicts. All except More are final.
const (
	More    Verdict = iota // the beginning of a header
	Upgrade                // a complete header of a WebSocket request
	Other                  // another HTTP request; the header may be incomplete
	Bad                    // not a valid request; the only possible response is an error
)

// Limits limit a header.
type Limits struct {
	Bytes int // number of bytes in the whole header; 0 means DefaultBytes
	Lines int // number of header fields; 0 means DefaultLines
}

// The default limits. A browser's header has 500 to 4,000 bytes, most of them cookies, in about 15 lines.
const (
	DefaultBytes = 16 << 10
	DefaultLines = 100
)

// Head is the header of one request while it is being received. It stores positions in the caller's buffer instead of bytes.
type Head struct {
	limits Limits
	parseState
	fields  []field // the fields that the rules need
	opening handshake.Opening
	values  []string // reusable memory for the lists of opening
}

// parseState is the result of parsing so far.
type parseState struct {
	verdict   Verdict
	violation *handshake.Violation

	line    int // beginning of the incomplete line
	scanned int // number of bytes already searched for the end of that line
	lines   int // number of header lines so far

	method, target span
	major, minor   byte
	content        bool
	lengthDigits   int    // number of digits of a Content-Length of 0; 0 if there is none
	kinds          uint32 // a bit for each kind in fields
}

type span struct{ from, to int }

func (s span) slice(text string) string { return text[s.from:s.to] }

// field is a header line that the rules need.
type field struct {
	kind  kind
	value span
}

// Reset prepares h for another request with these limits. It retains its memory, but no string of the previous request.
func (h *Head) Reset(limits Limits) {
	if limits.Bytes <= 0 {
		limits.Bytes = DefaultBytes
	}
	if limits.Lines <= 0 {
		limits.Lines = DefaultLines
	}
	h.opening.Reset()
	clear(h.values)
	h.limits, h.parseState = limits, parseState{}
	h.fields, h.values = h.fields[:0], h.values[:0]
}

// View returns b as a string without a copy. It is valid until b is written to.
func View(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// Parse parses b, which contains everything received from the beginning of a request on. The violation is only set if the verdict
// is Bad.
func (h *Head) Parse(b []byte) (Verdict, *handshake.Violation) {
	if h.verdict != More {
		return h.verdict, h.violation
	}
	text := View(b)
	if h.scanned == 0 && len(text) > 0 && !header.IsToken(text[:1]) {
		return h.reject(notHTTP(text[0]))
	}
	for h.verdict == More {
		i := strings.IndexByte(text[h.scanned:], '\n')
		if i < 0 {
			h.scanned = len(text)
		}
		if h.scanned+max(i, 0) >= h.limits.Bytes {
			return h.reject(tooLarge("the request head is longer than the server accepts"))
		}
		if i < 0 {
			return More, nil
		}
		line := span{h.line, h.scanned + i}
		h.scanned += i + 1
		h.line = h.scanned
		if v := h.parseLine(text, line); v != nil {
			return h.reject(v)
		}
	}
	return h.verdict, nil
}

func (h *Head) reject(v *handshake.Violation) (Verdict, *handshake.Violation) {
	h.verdict, h.violation = Bad, v
	return Bad, v
}

// parseLine parses one line, without its line feed.
func (h *Head) parseLine(text string, line span) *handshake.Violation {
	if line.to == line.from || text[line.to-1] != '\r' {
		// RFC 9112 §2.2: a recipient "MAY recognize a single LF as a line terminator". Two recipients that differ in this respect may see
		// different requests, so a bare LF is not accepted.
		return malformed("RFC 9112 §2.2", "a line of the request head does not end in CR LF")
	}
	line.to--
	switch {
	case h.method.to == 0:
		return h.requestLine(text, line)
	case line.from < line.to:
		return h.fieldLine(text, line)
	}
	h.verdict = Other
	o := &h.opening // contains only the fields that IsUpgrade needs
	o.Method, o.Major, o.Minor = h.method.slice(text), int(h.major), int(h.minor)
	o.Upgrade = h.fieldValues(kindUpgrade, text)
	if o.IsUpgrade() {
		h.verdict = Upgrade
	}
	o.Method, o.Upgrade = "", nil // the strings refer to the caller's buffer
	clear(h.values)
	h.values = h.values[:0]
	return nil
}

// Target returns the request's target. text is the header passed to Parse.
func (h *Head) Target(text string) string { return h.target.slice(text) }

// Len returns the length of the header, including the empty line, if the verdict is Upgrade. After Other the header may be longer.
func (h *Head) Len() int { return h.line }

// requestLine parses method SP request-target SP HTTP-version (RFC 9112 §3), separated by single spaces.
func (h *Head) requestLine(text string, line span) *handshake.Violation {
	method, rest, _ := strings.Cut(line.slice(text), " ")
	target, version, _ := strings.Cut(rest, " ")
	if !header.IsToken(method) || !validVersion(version) { // without two spaces the version is empty
		return malformed("RFC 9112 §3", "the request line is not a method, a target and an HTTP version")
	}
	if !validTarget(target) {
		return malformed("RFC 9112 §3.2", "the target in the request line is not a path or a URI")
	}
	h.method = span{line.from, line.from + len(method)}
	h.target = span{h.method.to + 1, h.method.to + 1 + len(target)}
	h.major, h.minor = version[5]-'0', version[7]-'0'
	// A request that cannot become an upgrade is left to the HTTP server, including the HTTP/2 preface ("PRI * HTTP/2.0") and
	// requests that exceed its limits. RFC 9110 §7.8: the Upgrade field of an HTTP/1.0 request must be ignored.
	if method != http.MethodGet || h.major != 1 || h.minor == 0 {
		h.verdict = Other
	}
	return nil
}

// validVersion reports whether s is HTTP-name "/" DIGIT "." DIGIT (RFC 9112 §2.3), with "HTTP" in capitals.
func validVersion(s string) bool {
	return len(s) == len("HTTP/1.1") && s[:5] == "HTTP/" && isDigit(s[5]) && s[6] == '.' && isDigit(s[7])
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isHex(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

// validTarget reports whether net/url can parse the target: it contains no space or control byte, and in a path two hex digits
// follow each percent sign. A target that is not a path is checked when its authority is parsed.
func validTarget(s string) bool {
	path := true
	for i := range len(s) {
		switch c := s[i]; {
		case c <= ' ' || c == 0x7f:
			return false
		case c == '?':
			path = false
		case c == '%' && path && (i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2])):
			return false
		}
	}
	return s != ""
}

// notHTTP describes a request that does not begin like HTTP.
func notHTTP(first byte) *handshake.Violation {
	v := malformed("RFC 9112 §3", "this is not an HTTP request")
	switch first {
	case 0x16: // a TLS handshake record
		v.Detail, v.Hint = "the client speaks TLS, and this port does not", "use ws:// or http://, or the port for TLS"
	case '\r', '\n':
		v.Detail = "the request begins with an empty line"
	case ' ', '\t':
		v.Detail = "the request begins with white space"
	}
	return v
}

func malformed(section, detail string) *handshake.Violation {
	return &handshake.Violation{
		Stage: handshake.StageRequest, Section: section, Status: http.StatusBadRequest, Detail: detail,
	}
}

// tooLarge returns the violation for RFC 6585 §5: "the server is unwilling to process the request because its header
// fields are too large".
func tooLarge(detail string) *handshake.Violation {
	return &handshake.Violation{
		Stage: handshake.StageRequest, Section: "RFC 6585 §5", Status: http.StatusRequestHeaderFieldsTooLarge,
		Detail: detail, Hint: "cookies are the most frequent cause",
	}
}
