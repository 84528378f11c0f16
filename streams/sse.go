package streams

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"time"
)

// keepAlive is the interval between comments in an idle event stream, which keep intermediaries from considering the connection dead.
const keepAlive = 15 * time.Second

// control is the event that follows data (PROTOCOL.md 5.8).
type control struct {
	Next     string `json:"streamNextOffset"`
	Cursor   string `json:"streamCursor,omitempty"`
	UpToDate bool   `json:"upToDate,omitempty"`
	Closed   bool   `json:"streamClosed,omitempty"`
}

// serveSSE responds with events until the stream is closed, or until Server.SSE has passed.
func (l *live) serveSSE(w http.ResponseWriter, r *http.Request) error {
	limit := l.SSE
	if limit <= 0 {
		limit = defaultSSE
	}
	c, err := l.next(r.Context())
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache, no-store")
	h.Set("X-Accel-Buffering", "no") // prevents nginx from buffering the response
	if l.kind == kindBinary {
		h.Set(headerEncoding, "base64")
	}
	flush := http.NewResponseController(w)
	over := time.NewTimer(limit)
	defer over.Stop()
	idle := time.NewTicker(keepAlive)
	defer idle.Stop()
	cursor := l.q.cursor
	for first := true; ; first = false {
		if len(c.ps) > 0 || first || c.closed {
			cursor = nextCursor(cursor, time.Now(), rand.Float64()) // the jitter need not be secret
			writable(w)
			if _, err := w.Write(l.events(c, cursor)); err != nil || flush.Flush() != nil {
				return nil
			}
		}
		if l.from, l.start = c.to, false; c.closed {
			return nil
		}
		for c.tail {
			select {
			case <-idle.C:
				writable(w)
				if _, err := w.Write([]byte(": \n\n")); err != nil || flush.Flush() != nil {
					return nil
				}
				continue
			case <-c.changed:
			case <-over.C:
				return nil
			case <-r.Context().Done():
				return nil
			case <-l.stop:
				return nil
			}
			break
		}
		if c, err = l.next(r.Context()); err != nil {
			return nil // the client reconnects, and then gets the error
		}
	}
}

// events returns a chunk in the format of server-sent events.
func (l *live) events(c *chunk, cursor string) []byte {
	var b bytes.Buffer
	if len(c.ps) > 0 {
		data := l.kind.join(c.ps)
		if l.kind == kindBinary {
			data = base64.StdEncoding.AppendEncode(nil, data)
		}
		if l.kind != kindJSON || len(data) > len("[]") {
			event(&b, "data", data)
		}
	}
	next := control{Next: formatOffset(c.to, c.tag), Cursor: cursor, UpToDate: c.tail, Closed: c.closed}
	if c.closed {
		next.Cursor = ""
	}
	text, _ := json.Marshal(next) // encoding strings and booleans does not fail
	event(&b, "control", text)
	return b.Bytes()
}

// event writes one event. Every kind of line end starts another line of data, as the format of events requires.
func event(b *bytes.Buffer, name string, data []byte) {
	b.WriteString("event: " + name + "\n")
	line := func(text []byte) {
		b.WriteString("data:")
		if len(text) > 0 && text[0] == ' ' { // a reader removes one leading space
			b.WriteByte(' ')
		}
		b.Write(text)
		b.WriteByte('\n')
	}
	for {
		i := bytes.IndexAny(data, "\r\n")
		if i < 0 {
			break
		}
		line(data[:i])
		if data[i] == '\r' && i+1 < len(data) && data[i+1] == '\n' {
			i++
		}
		data = data[i+1:]
	}
	line(data)
	b.WriteByte('\n')
}
