package streams

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/handfast/handfast/hub"
)

// chunkBytes is the maximum size of one response, except for a single larger message.
const chunkBytes = 1 << 20

// chunk is a part of a stream.
type chunk struct {
	ps     []*hub.Publication
	kind   kind
	typ    string
	tag    string
	from   uint64
	to     uint64 // the offset to continue from
	tail   bool   // no data follows the chunk yet
	closed bool   // no data will ever follow the chunk

	changed chan struct{} // closed when there may be more to read
}

// errGone is the response to an offset before the messages that are still kept.
var errGone = &problem{status: http.StatusGone, text: "the messages after this offset are no longer kept: start with offset=-1"}

// locate converts the position in a request to an offset. The caller has locked and refreshed the stream.
func (s *stream) locate(r *reading) (uint64, error) {
	switch {
	case !s.exists:
		return 0, s.rec.absent()
	case r.start:
		return s.floor, nil
	case r.tail:
		return s.end(), nil
	case r.tag != s.tag():
		if at, ok := s.rec.Fork.locate(r.tag, r.offset, s.floor); ok {
			return at, nil
		}
		return 0, errGone
	case r.offset > s.end():
		return 0, bad("the offset is beyond the end of the stream")
	}
	return max(r.offset, s.floor), nil
}

// chunk returns the data after an offset. The caller has locked and refreshed the stream.
func (s *stream) chunk(ctx context.Context, from uint64, start bool) (*chunk, error) {
	c := &chunk{kind: s.kind(), typ: s.contentType(), tag: s.tag(), from: from, to: from, changed: s.changed}
	end := s.end()
	var all []*hub.Publication
	more := true
	switch {
	case from >= end:
		more = false
	case from >= s.recentFloor:
		i, _ := slices.BinarySearchFunc(s.recent, from+1, func(p *hub.Publication, offset uint64) int {
			return int(int64(p.Offset) - int64(offset))
		})
		all = s.recent[i:]
	default:
		q := hub.HistoryQuery{Since: &hub.Position{Epoch: s.epoch, Offset: from}, Limit: pageCount, Bytes: chunkBytes}
		page, err := s.server.Hub.History(ctx, s.server.App, s.name, q)
		if err == nil && page.Err != nil {
			if !start {
				return nil, errGone
			}
			q.Since = nil // reads from the oldest message
			page, err = s.server.Hub.History(ctx, s.server.App, s.name, q)
		}
		if err != nil {
			return nil, fmt.Errorf("streams: read the channel: %w", err)
		}
		all = page.Publications
	}
	room, now := hub.NewRoom(chunkBytes), time.Now()
	for _, p := range all {
		if p.Offset <= from || p.Offset > end {
			continue
		}
		if !p.Expired(now) {
			if !room.Take(p.Size()) {
				break
			}
			c.ps = append(c.ps, p)
		}
		c.to = p.Offset
	}
	if len(all) == 0 && more {
		c.to = end // the remaining messages have expired
	}
	c.to = min(max(c.to, from), max(end, from))
	c.tail = c.to >= end
	c.closed = c.tail && s.closed != nil
	return c, nil
}

// header returns the header fields of a response with the chunk.
func (c *chunk) header() http.Header {
	h := http.Header{}
	h.Set(headerNext, formatOffset(c.to, c.tag))
	if c.tail {
		h.Set(headerUpToDate, "true")
	}
	if c.closed {
		h.Set(headerClosed, "true")
	}
	return h
}

// etag returns the chunk's entity tag (PROTOCOL.md 10.1).
func (c *chunk) etag() string {
	end := ""
	if c.closed {
		end = ":c"
	}
	return fmt.Sprintf(`"%s:%x:%x%s"`, c.tag, c.from, c.to, end)
}

// get reads a stream (PROTOCOL.md 5.6 to 5.8).
func (s *Server) get(w http.ResponseWriter, r *http.Request, name string, c Client) error {
	q, err := parseReading(r.URL.Query())
	if err != nil {
		return err
	}
	if q.mode != readOnce {
		if err := c.permit(name, actionSubscribe); err != nil {
			return err
		}
	}
	if q.mode == readOnce || q.start {
		if err := c.permit(name, actionHistory); err != nil {
			return err
		}
	}
	if q.mode != readOnce {
		return s.liveRead(w, r, name, &q)
	}
	var part *chunk
	err = s.with(r.Context(), name, func(ctx context.Context, x *stream) error {
		from, err := x.locate(&q)
		if err != nil {
			return err
		}
		if part, err = x.chunk(ctx, from, q.start); err != nil {
			return err
		}
		return x.touch(ctx)
	})
	if err != nil {
		return err
	}
	maps.Copy(w.Header(), part.header())
	w.Header().Set("Content-Type", part.typ)
	if q.tail {
		w.Header().Set("Cache-Control", "no-store")
		part.answer(w)
		return nil
	}
	cache := "private, no-cache" // more data may follow, so a cached response must be revalidated
	if !part.tail {
		cache = "private, max-age=60, stale-while-revalidate=300"
	}
	w.Header().Set("Cache-Control", cache)
	w.Header().Set("ETag", part.etag())
	if matches(r.Header.Get("If-None-Match"), part.etag()) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	part.answer(w)
	return nil
}

// answer writes the chunk as the response.
func (c *chunk) answer(w http.ResponseWriter) {
	writable(w)
	w.Write(c.kind.join(c.ps)) //nolint:errcheck // this fails only if the client has disconnected
}

// matches reports whether an If-None-Match contains a tag (RFC 9110 13.1.2).
func matches(header, tag string) bool {
	for one := range strings.SplitSeq(header, ",") {
		if one = strings.TrimPrefix(strings.TrimSpace(one), "W/"); one == tag || one == "*" {
			return true
		}
	}
	return false
}

var errTooManyLive = &problem{
	status: http.StatusServiceUnavailable, text: "too many clients wait for messages", header: http.Header{"Retry-After": {"5"}},
}

// liveRead serves a read that waits for messages.
func (s *Server) liveRead(w http.ResponseWriter, r *http.Request, name string, q *reading) error {
	x, err := s.acquire(name)
	if err != nil {
		return err
	}
	defer s.release(x)
	if !s.beginLive() {
		return errTooManyLive
	}
	defer s.endLive()
	l := &live{Server: s, stream: x, q: q, start: q.start}
	if err := l.begin(r.Context()); err != nil {
		return err
	}
	defer x.unfollow()
	if q.mode == readSSE {
		return l.serveSSE(w, r)
	}
	return l.servePoll(w, r)
}

// beginLive counts a live read, and reports false if there are too many.
func (s *Server) beginLive() bool {
	most := s.MaxLive
	if most <= 0 {
		most = defaultMaxLive
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live >= most {
		return false
	}
	s.live++
	return true
}

func (s *Server) endLive() {
	s.mu.Lock()
	s.live--
	s.mu.Unlock()
}

// live is a live read. It must not be used concurrently.
type live struct {
	*Server
	stream *stream
	q      *reading
	from   uint64 // the next data follows this offset
	start  bool   // from is the beginning of the stream
	tag    string
	kind   kind
	typ    string
}

// begin follows the stream and determines the first offset. If begin returns nil, the caller must unfollow the stream.
func (l *live) begin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	x := l.stream
	if err := x.acquireLock(ctx); err != nil {
		return err
	}
	defer x.releaseLock()
	if err := x.refresh(ctx); err != nil {
		return err
	}
	from, err := x.locate(l.q)
	if err != nil {
		return err
	}
	if err := x.follow(ctx); err != nil {
		return err
	}
	if err := x.refresh(ctx); err != nil { // the feed did not report changes from before its subscription
		x.drop()
		return err
	}
	l.from, l.tag, l.kind, l.typ = from, x.tag(), x.kind(), x.contentType()
	if l.q.tail {
		l.from = x.end()
	}
	if err := x.touch(ctx); err != nil {
		x.drop()
		return err
	}
	return nil
}

// next returns the next chunk, without waiting.
func (l *live) next(ctx context.Context) (*chunk, error) {
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	x := l.stream
	if err := x.acquireLock(ctx); err != nil {
		return nil, err
	}
	defer x.releaseLock()
	if !x.exists || x.tag() != l.tag {
		return nil, x.rec.absent()
	}
	return x.chunk(ctx, l.from, l.start)
}

// wait waits until there may be more to read after c. It reports false at the timeout, or if the request is canceled or the server
// is closed.
func (l *live) wait(ctx context.Context, c *chunk, over <-chan time.Time) bool {
	select {
	case <-c.changed:
		return true
	case <-over:
	case <-ctx.Done():
	case <-l.stop:
	}
	return false
}

// servePoll responds with the next messages, or with 204 if there are none for a while (PROTOCOL.md 5.7).
func (l *live) servePoll(w http.ResponseWriter, r *http.Request) error {
	limit := l.LongPoll
	if limit <= 0 {
		limit = defaultPoll
	}
	over := time.NewTimer(limit)
	defer over.Stop()
	for waiting := true; ; {
		c, err := l.next(r.Context())
		if err != nil {
			return err
		}
		if len(c.ps) == 0 && !c.closed && waiting {
			l.from = c.to
			waiting = l.wait(r.Context(), c, over.C)
			continue
		}
		h := w.Header()
		maps.Copy(h, c.header())
		h.Set(headerCursor, nextCursor(l.q.cursor, time.Now(), rand.Float64())) // the jitter need not be secret
		h.Set("Cache-Control", "no-store")
		if len(c.ps) == 0 {
			writable(w)
			w.WriteHeader(http.StatusNoContent)
			return nil
		}
		h.Set("Content-Type", c.typ)
		h.Set("ETag", c.etag())
		c.answer(w)
		return nil
	}
}

// writable sets a new timeout for the next write, regardless of how long the request has waited.
func writable(w http.ResponseWriter) {
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout)) //nolint:errcheck // if this fails, the timeout of the http.Server applies
}
