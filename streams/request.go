package streams

import (
	"errors"
	"fmt"
	"hash/fnv"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The header fields of the protocol.
const (
	headerNext     = "Stream-Next-Offset"
	headerUpToDate = "Stream-Up-To-Date"
	headerClosed   = "Stream-Closed"
	headerCursor   = "Stream-Cursor"
	headerTTL      = "Stream-TTL"
	headerExpires  = "Stream-Expires-At"
	headerSeq      = "Stream-Seq"
	headerProducer = "Producer-Id"
	headerEpoch    = "Producer-Epoch"
	headerNumber   = "Producer-Seq"
	headerExpected = "Producer-Expected-Seq"
	headerReceived = "Producer-Received-Seq"
	headerEncoding = "Stream-SSE-Data-Encoding"
	headerFork     = "Stream-Forked-From"

	headerForkOffset = "Stream-Fork-Offset"
	headerForkSub    = "Stream-Fork-Sub-Offset"
)

const (
	maxSafe       = 1<<53 - 1 // the largest number of a producer (PROTOCOL.md 5.2.1)
	maxProducerID = 128       // the maximum length of a producer's ID in bytes
	maxSeq        = 256       // the maximum length of a Stream-Seq in bytes
	maxType       = 255       // the maximum length of a content type in bytes
	maxTTL        = 10 * 365 * 24 * 3600
	defaultType   = "application/octet-stream"
)

// problem is an error with the status of its response.
type problem struct {
	status int
	text   string
	header http.Header // added to the response; may be nil
}

// ErrConflict indicates that a stream cannot be created or appended to because it is closed, or exists with another configuration.
var ErrConflict = errors.New("streams: the state of the stream does not allow the operation")

// Is reports whether the problem is a 409, for ErrConflict.
func (p *problem) Is(target error) bool {
	return target == ErrConflict && p.status == http.StatusConflict
}

// Error implements error.
func (p *problem) Error() string { return "streams: " + p.text }

func bad(format string, args ...any) *problem {
	return &problem{status: http.StatusBadRequest, text: fmt.Sprintf(format, args...)}
}

// producer is the idempotent producer in a request (PROTOCOL.md 5.2.1).
type producer struct {
	ID    string `json:"id"`
	Epoch int64  `json:"epoch"`
	Seq   int64  `json:"seq"`
}

// parseProducer returns the producer in a request, or nil if there is none.
func parseProducer(h http.Header) (*producer, error) {
	var values [3]string
	given := 0
	for i, name := range []string{headerProducer, headerEpoch, headerNumber} {
		if v, ok := h[name]; ok {
			values[i] = v[0]
			given++
		}
	}
	switch {
	case given == 0:
		return nil, nil
	case given < 3:
		return nil, bad("%s, %s and %s must be given together or not at all", headerProducer, headerEpoch, headerNumber)
	case values[0] == "":
		return nil, bad("%s is empty", headerProducer)
	case len(values[0]) > maxProducerID || !utf8.ValidString(values[0]):
		return nil, bad("%s is longer than %d bytes, or not valid UTF-8", headerProducer, maxProducerID)
	}
	p := &producer{ID: values[0]}
	for i, to := range []*int64{&p.Epoch, &p.Seq} {
		n, ok := parseInteger(values[i+1])
		if !ok {
			return nil, bad("%s is not an integer between 0 and 2^53-1", []string{headerEpoch, headerNumber}[i])
		}
		*to = n
	}
	return p, nil
}

// parseInteger parses a non-negative integer of at most 2^53-1 in decimal digits.
func parseInteger(s string) (int64, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n <= maxSafe
}

// lifetime is how long a stream exists: at most one of the fields is set.
type lifetime struct {
	TTL     *int64    `json:"ttl,omitempty"`    // seconds without a read or a write
	Expires time.Time `json:"expires,omitzero"` // regardless of reads and writes
}

// parseLifetime returns the lifetime in a request to create a stream.
func parseLifetime(h http.Header) (l lifetime, err error) {
	ttl, hasTTL := h[http.CanonicalHeaderKey(headerTTL)]
	expires, hasExpires := h[headerExpires]
	switch {
	case hasTTL && hasExpires:
		return l, bad("%s and %s cannot be used together", headerTTL, headerExpires)
	case hasTTL:
		n, ok := parseInteger(ttl[0])
		if !ok || len(ttl[0]) > 1 && ttl[0][0] == '0' || n > maxTTL {
			return l, bad("%s is not a number of seconds between 0 and %d, in decimal digits without leading zeros", headerTTL, maxTTL)
		}
		l.TTL = &n
	case hasExpires:
		t, err := time.Parse(time.RFC3339, expires[0])
		if err != nil {
			return l, bad("%s is not a time in RFC 3339 format", headerExpires)
		}
		l.Expires = t.UTC()
	}
	return l, nil
}

// equal reports whether two lifetimes are the same.
func (l lifetime) equal(o lifetime) bool {
	if (l.TTL == nil) != (o.TTL == nil) || l.TTL != nil && *l.TTL != *o.TTL {
		return false
	}
	return l.Expires.Equal(o.Expires)
}

// header adds the lifetime to the header of a response.
func (l lifetime) header(h http.Header) {
	if l.TTL != nil {
		h.Set(headerTTL, strconv.FormatInt(*l.TTL, 10))
	}
	if !l.Expires.IsZero() {
		h.Set(headerExpires, l.Expires.Format(time.RFC3339Nano))
	}
}

// parseType returns the content type of a request, or "" if there is none.
func parseType(h http.Header) (string, error) {
	t := strings.TrimSpace(h.Get("Content-Type"))
	if t == "" {
		return "", nil
	}
	if media, _, err := mime.ParseMediaType(t); err != nil || !strings.Contains(media, "/") || len(t) > maxType {
		return "", bad("the Content-Type is not a media type")
	}
	return t, nil
}

// mediaType returns a content type without its parameters, in lower case, for comparing content types.
func mediaType(t string) string {
	t, _, _ = strings.Cut(t, ";")
	return strings.ToLower(strings.TrimSpace(t))
}

// isTrue reports whether a header field has the value true; any other value is treated as if the field were missing (PROTOCOL.md 4.1).
func isTrue(h http.Header, name string) bool { return strings.EqualFold(h.Get(name), "true") }

// The modes of a read.
const (
	readOnce = ""
	readPoll = "long-poll"
	readSSE  = "sse"
)

// reading is the position and mode in a GET.
type reading struct {
	mode   string
	start  bool   // read from the beginning
	tail   bool   // read from the end: offset=now
	offset uint64 // the offset to read from, unless start or tail is set
	tag    string // identifies the incarnation of the stream to which the offset belongs
	cursor string
}

// parseReading parses the query of a GET.
func parseReading(q url.Values) (r reading, err error) {
	if live := q["live"]; len(live) > 0 {
		if r.mode = live[0]; r.mode != readPoll && r.mode != readSSE {
			return r, bad("live is neither long-poll nor sse")
		}
	}
	r.cursor = q.Get("cursor")
	offsets, given := q["offset"]
	switch {
	case !given && r.mode != readOnce:
		return r, bad("a live read requires an offset")
	case !given:
		r.start = true
		return r, nil
	case len(offsets) > 1:
		return r, bad("there is more than one offset")
	}
	switch offsets[0] {
	case "-1":
		r.start = true
	case "now":
		r.tail = true
	default:
		var ok bool
		if r.offset, r.tag, ok = parseOffset(offsets[0]); !ok {
			return r, bad("the offset is not valid")
		}
	}
	return r, nil
}

const (
	offsetDigits = 16
	tagDigits    = 8
)

// formatOffset formats an offset for clients, so that the order of the strings is that of the numbers.
func formatOffset(offset uint64, tag string) string {
	return fmt.Sprintf("%0*x_%s", offsetDigits, offset, tag)
}

// parseOffset parses an offset.
func parseOffset(s string) (offset uint64, tag string, ok bool) {
	number, tag, _ := strings.Cut(s, "_")
	if len(number) != offsetDigits || len(tag) != tagDigits || strings.Trim(number+tag, "0123456789abcdef") != "" {
		return 0, "", false
	}
	offset, err := strconv.ParseUint(number, 16, 64)
	return offset, tag, err == nil
}

// tagOf returns the tag for the offsets of an incarnation of a stream, by which offsets of another incarnation or epoch are
// recognized.
func tagOf(epoch, id string) string {
	h := fnv.New32a()
	h.Write([]byte(epoch + "\x00" + id)) //nolint:errcheck // writing to a hash cannot fail
	return fmt.Sprintf("%0*x", tagDigits, h.Sum32())
}

// The interval of cursors (PROTOCOL.md 10.1).
const cursorInterval = 20 * time.Second

var cursorEpoch = time.Date(2024, time.October, 9, 0, 0, 0, 0, time.UTC)

// nextCursor returns the cursor for a response, which is larger than that of the client. jitter is between 0 and 1.
func nextCursor(client string, now time.Time, jitter float64) string {
	current := int64(now.Sub(cursorEpoch) / cursorInterval)
	if n, ok := parseInteger(client); ok && n >= current {
		const seconds = 3600
		current = min(n, maxSafe-seconds) + 1 + int64(jitter*(seconds/float64(cursorInterval/time.Second)-1))
	}
	return strconv.FormatInt(current, 10)
}
