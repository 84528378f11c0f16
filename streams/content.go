package streams

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/handfast/handfast/hub"
)

// kind determines how the content of a stream is converted to publications and back.
type kind uint8

const (
	kindBinary kind = iota
	kindText
	kindJSON
)

// kindOf returns the kind of a content type.
func kindOf(contentType string) kind {
	switch t := mediaType(contentType); {
	case t == "application/json":
		return kindJSON
	case strings.HasPrefix(t, "text/"):
		return kindText
	}
	return kindBinary
}

// maxMessages is the maximum number of messages that one request may append.
const maxMessages = 10_000

var errTooBig = &problem{status: http.StatusRequestEntityTooLarge, text: "the body is too large for the stream"}

// split converts a body to publications, each with at most size bytes of data. empty allows an empty array.
func (k kind) split(body []byte, size int, empty bool) ([]*hub.Publication, error) {
	if size <= 0 {
		return nil, errTooBig
	}
	switch k {
	case kindJSON:
		return splitJSON(body, size, empty)
	case kindText:
		if utf8.Valid(body) {
			return splitText(body, size)
		}
	case kindBinary:
	}
	var all []*hub.Publication
	for len(body) > 0 {
		n := min(len(body), size)
		all = append(all, &hub.Publication{Data: body[:n:n], Binary: true})
		body = body[n:]
	}
	if len(all) > maxMessages {
		return nil, errTooBig
	}
	return all, nil
}

// splitJSON flattens one level of arrays (PROTOCOL.md 9.1.2).
func splitJSON(body []byte, size int, empty bool) ([]*hub.Publication, error) {
	var compact bytes.Buffer
	if err := json.Compact(&compact, body); err != nil || !utf8.Valid(body) {
		return nil, bad("the body is not valid JSON")
	}
	elements := []json.RawMessage{compact.Bytes()}
	if compact.Bytes()[0] == '[' {
		if err := json.Unmarshal(compact.Bytes(), &elements); err != nil {
			return nil, bad("the body is not valid JSON")
		}
		if len(elements) == 0 && !empty {
			return nil, bad("an empty array: there is nothing to append")
		}
	}
	if len(elements) > maxMessages {
		return nil, errTooBig
	}
	all := make([]*hub.Publication, len(elements))
	for i, e := range elements {
		if len(e) > size {
			return nil, errTooBig
		}
		all[i] = &hub.Publication{Data: e}
	}
	return all, nil
}

// splitText converts text to publications that are JSON strings.
func splitText(body []byte, size int) ([]*hub.Publication, error) {
	var all []*hub.Publication
	for n := size; len(body) > 0; n = size {
		n = min(n, len(body))
		for {
			for n > 0 && n < len(body) && !utf8.RuneStart(body[n]) {
				n--
			}
			if n == 0 || len(all) == maxMessages {
				return nil, errTooBig
			}
			if data := quote(body[:n]); len(data) <= size {
				all = append(all, &hub.Publication{Data: data})
				break
			}
			n /= 2
		}
		body = body[n:]
	}
	return all, nil
}

// quote returns text as a JSON string.
func quote(text []byte) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.Encode(string(text)) //nolint:errcheck // encoding a string cannot fail
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// content returns the content of a publication in a stream, or nil if the publication has no content. The caller must not modify
// the result.
func (k kind) content(p *hub.Publication) []byte {
	switch {
	case k == kindJSON && p.Binary || k == kindJSON && !utf8.Valid(p.Data):
		return []byte(`"` + base64.StdEncoding.EncodeToString(p.Data) + `"`)
	case k == kindJSON && len(p.Data) == 0 && p.Tags[tagClosed] != "":
		return nil // the publication only closes the stream
	case k == kindJSON && len(p.Data) == 0:
		return []byte("null")
	case k == kindJSON && json.Valid(p.Data):
		return p.Data
	case k == kindJSON:
		return quote(p.Data)
	case p.Binary:
		return p.Data
	}
	if len(p.Data) > 0 && p.Data[0] == '"' {
		var text string
		if json.Unmarshal(p.Data, &text) == nil {
			return []byte(text)
		}
	}
	return p.Data
}

// join returns the body of a response with the content of publications.
func (k kind) join(ps []*hub.Publication) []byte {
	var b []byte
	if k == kindJSON {
		b = append(b, '[')
	}
	for _, p := range ps {
		c := k.content(p)
		if k == kindJSON && c != nil && len(b) > 1 {
			b = append(b, ',')
		}
		b = append(b, c...)
	}
	if k == kindJSON {
		b = append(b, ']')
	}
	return b
}
