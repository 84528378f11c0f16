package streams

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/handfast/handfast/hub"
)

// A fork is an independent stream: it begins with copies of the messages of its source up to an offset. After that it does not
// depend on its source, and is read, closed and deleted like any other stream. The records of both streams describe the relation.
// The source's record contains the names of its forks: a deleted stream that has forks no longer exists for clients, but its name
// cannot be reused. The fork's record contains the data for translating offsets of its source.

const (
	maxForks  = 32 << 10 // the maximum size of the names of a stream's forks, which are in its record
	maxCopied = 16 << 20 // the maximum size of the copies
	maxChain  = 64       // the maximum depth to which forks of forks are followed

	copyBatchCount = 64              // the maximum number of messages that are published together
	copyBatchBytes = 256 << 10       // the maximum number of bytes that are published together
	copyTimeout    = 5 * time.Minute // the timeout for all copies
)

// forking is the fork that a PUT requests.
type forking struct {
	Source string `json:"source"`       // the name of the source
	At     string `json:"at,omitempty"` // the offset in the request; "" means the end
	Sub    int64  `json:"sub,omitempty"`
}

// origin describes the source in the record of a fork.
type origin struct {
	forking

	ID     string `json:"id"`     // the ID of the source
	Tag    string `json:"tag"`    // the tag of the source's offsets
	Start  uint64 `json:"start"`  // the offset of the source after which the copies begin
	Offset uint64 `json:"offset"` // the offset of the source at which the copies end
	Copied uint64 `json:"copied"` // the number of copies
}

// parseFork returns the fork that a request to create a stream specifies, or nil if there is none. prefix precedes the name of a
// stream in a path.
func parseFork(h http.Header, prefix, name string) (*forking, error) {
	from, at, sub := h.Get(headerFork), h.Get(headerForkOffset), h.Get(headerForkSub)
	if from == "" {
		if at != "" || sub != "" {
			return nil, bad("%s and %s require %s", headerForkOffset, headerForkSub, headerFork)
		}
		return nil, nil
	}
	path, err := url.PathUnescape(from)
	source, below := strings.CutPrefix(path, prefix)
	if !below {
		source = strings.TrimPrefix(path, "/")
	}
	f := &forking{Source: source, At: at}
	switch {
	case err != nil || !validName(source):
		return nil, bad("%s is not the path of a stream", headerFork)
	case source == name:
		return nil, &problem{status: http.StatusConflict, text: "a stream cannot be a fork of itself"}
	case sub == "":
		return f, nil
	}
	var ok bool
	if f.Sub, ok = parseInteger(sub); !ok || len(sub) > 1 && sub[0] == '0' {
		return nil, bad("%s is not a number in decimal digits without leading zeros", headerForkSub)
	}
	if f.Sub > 0 && at == "" {
		return nil, bad("%s needs %s", headerForkSub, headerForkOffset)
	}
	return f, nil
}

// inheritance is the initial content of a fork.
type inheritance struct {
	origin
	lifetime

	kind string
	ps   []*hub.Publication // the copies
	part []byte             // the part of the next message that follows the copies, unless the content is JSON
}

// inherit adds the fork to the record of its source, and returns the initial content of the fork. The caller has locked and
// refreshed the source.
func inherit(ctx context.Context, s *stream, f *forking, name, kind string) (*inheritance, error) {
	if s.rec.deletedWithForks() {
		return nil, s.conflict("the source is deleted")
	}
	if kind != "" && s.exists && mediaType(kind) != mediaType(s.contentType()) {
		return nil, s.conflict("the source has a different content type")
	}
	h := &inheritance{origin: origin{forking: *f, ID: s.rec.ID, Tag: s.tag(), Start: s.floor}, lifetime: s.rec.lifetime, kind: s.contentType()}
	var err error
	if h.Offset, err = f.point(s); err != nil {
		return nil, err
	}
	if err := h.copyFrom(ctx, s); err != nil {
		return nil, err
	}
	return h, h.register(ctx, s, name)
}

// point returns the requested offset of the source.
func (f *forking) point(s *stream) (uint64, error) {
	at := f.At
	r := reading{start: at == "-1" || at != "" && strings.Trim(at, "0_") == "", tail: at == "" || at == "now"}
	if !r.start && !r.tail {
		var ok bool
		if r.offset, r.tag, ok = parseOffset(at); !ok {
			return 0, bad("%s is not an offset of the source", headerForkOffset)
		}
	}
	return s.locate(&r)
}

// copyFrom copies the messages of the source up to the fork's offset, and the requested part of the message after it.
func (h *inheritance) copyFrom(ctx context.Context, s *stream) error {
	from, bytes, left := s.floor, 0, h.Sub
	for from < h.Offset || left > 0 {
		c, err := s.chunk(ctx, from, from == s.floor)
		if err != nil {
			return err
		}
		for _, p := range c.ps {
			content := h.kindOf().content(p)
			switch {
			case content == nil, len(content) == 0 && p.Tags[tagClosed] != "": // the message only closes the source
				continue
			case p.Offset > h.Offset && left == 0:
				continue
			case p.Offset > h.Offset && h.kindOf() != kindJSON:
				n := min(left, int64(len(content)))
				h.part = append(h.part, content[:n]...)
				left -= n
			default:
				if p.Offset > h.Offset {
					left--
				} else {
					h.Copied++
				}
				h.ps = append(h.ps, inherited(p))
			}
			if bytes += len(content); bytes > maxCopied || len(h.ps) > s.server.history() {
				return &problem{status: http.StatusRequestEntityTooLarge, text: fmt.Sprintf("a fork begins with at most %d bytes and %d messages", maxCopied, s.server.history())}
			}
		}
		if c.to == from {
			break
		}
		from = c.to
	}
	if left > 0 {
		return bad("%s is beyond the end of the source", headerForkSub)
	}
	return nil
}

func (h *inheritance) kindOf() kind { return kindOf(h.kind) }

// inherited returns a copy of a message, without the tags of its producer.
func inherited(p *hub.Publication) *hub.Publication {
	q := &hub.Publication{Data: p.Data, Binary: p.Binary, Event: p.Event, User: p.User, Tags: maps.Clone(p.Tags)}
	for _, tag := range []string{tagClosed, tagSeq, tagProducer, tagEpoch, tagNumber} {
		delete(q.Tags, tag)
	}
	if len(q.Tags) == 0 {
		q.Tags = nil
	}
	return q
}

// register adds a fork to the record of its source. A source that was never created is only a channel, and has no record.
func (h *inheritance) register(ctx context.Context, s *stream, name string) error {
	for range maxConflicts {
		if s.implicit || slices.Contains(s.rec.Forks, name) {
			return nil
		}
		forks := s.rec.Forks
		if size(forks)+len(name) > maxForks {
			if forks = s.server.livingForks(ctx, s.rec.ID, forks); size(forks)+len(name) > maxForks {
				return s.conflict("the source has too many forks")
			}
		}
		next := s.rec.record
		next.Forks = append(slices.Clone(forks), name)
		rec, err := s.server.writeRecord(ctx, s.name, s.rec, next)
		if err == nil {
			s.rec = rec
			return nil
		}
		if !errors.Is(err, errChanged) {
			return err
		}
		if err := s.refresh(ctx); err != nil {
			return err
		}
		if !s.exists {
			return s.rec.absent()
		}
	}
	return errBusy
}

// size returns the total length of names.
func size(names []string) (n int) {
	for _, name := range names {
		n += len(name)
	}
	return n
}

// cleanUpDeleted checks whether a deleted stream still has forks, and updates the stream's record if all forks are gone.
func (s *Server) cleanUpDeleted(ctx context.Context, name string, rec stored) (stored, error) {
	if slices.ContainsFunc(rec.Forks, func(fork string) bool { return s.forkLives(ctx, fork, rec.ID, 0) }) {
		return rec, nil
	}
	next := rec.record
	next.Forks = nil
	after, err := s.writeRecord(ctx, name, rec, next)
	if errors.Is(err, errChanged) { // the next request will check again
		return rec, nil
	}
	return after, err
}

// deletedWithForks reports whether the stream is deleted but still has forks.
func (r *record) deletedWithForks() bool { return r.Deleted && len(r.Forks) > 0 }

// livingForks returns the names in forks that still reserve the name of their source, whose ID is of. These are existing forks of
// the source, and deleted forks that have living forks themselves. If a record cannot be read, its stream is included.
func (s *Server) livingForks(ctx context.Context, of string, forks []string) []string {
	return slices.DeleteFunc(slices.Clone(forks), func(name string) bool { return !s.forkLives(ctx, name, of, 0) })
}

// forkLives reports whether living includes the stream with a name.
func (s *Server) forkLives(ctx context.Context, name, of string, depth int) bool {
	rec, err := s.readRecord(ctx, name, stored{})
	switch {
	case err != nil || depth == maxChain:
		return true
	case !rec.exists || rec.Filling:
		return false // a fork that is still being created does not reserve its source's name
	case rec.Fork == nil || rec.Fork.ID != of:
		return false
	case !rec.Deleted:
		return !rec.expired(time.Now())
	}
	return slices.ContainsFunc(rec.Forks, func(fork string) bool { return s.forkLives(ctx, fork, rec.ID, depth+1) })
}

// copying reports whether another request is copying the messages of the fork. After some time without progress, the node of that
// request is considered gone.
func (r *record) copying(now time.Time) bool {
	return r.Filling && now.Sub(r.Touched) < 2*engineTimeout
}

var errDeleted = &problem{status: http.StatusGone, text: "the stream has been deleted, but still has forks"}

// absent returns the error for a stream that does not exist.
func (r *record) absent() error {
	if r.deletedWithForks() {
		return errDeleted
	}
	return errNoStream
}

// locate translates an offset of the source to one of the fork, which begins after floor, and reports whether that is possible. f
// may be nil.
func (f *origin) locate(tag string, offset, floor uint64) (uint64, bool) {
	switch {
	case f == nil || tag != f.Tag:
		return 0, false
	case offset == f.Offset:
		return floor + f.Copied, true
	case offset <= f.Start:
		return floor, true
	case offset < f.Offset && f.Copied == f.Offset-f.Start: // all messages were copied; otherwise it is unknown which ones had expired
		return floor + offset - f.Start, true
	}
	return 0, false
}

// create creates a stream as the fork: the inherited messages, followed by the content of the request. The caller has locked and
// refreshed the stream. Until all messages are copied, the record is marked as incomplete, and the stream does not exist for clients.
func (h *inheritance) create(ctx context.Context, s *stream, a *addition) (*outcome, error) {
	next := record{Type: a.kind, lifetime: h.lifetime, Touched: time.Now(), Epoch: s.epoch, ID: newRecordID(), Start: s.top, Fork: &h.origin, Filling: true}
	room := s.maxData(&addition{})
	part, err := kindOf(a.kind).split(h.part, room, true)
	if len(h.part) == 0 {
		part, err = nil, nil
	}
	if err == nil && len(a.body) > 0 {
		_, err = kindOf(a.kind).split(a.body, s.maxData(a), true)
	}
	if err != nil {
		return nil, err
	}
	rec, err := s.server.writeRecord(ctx, s.name, s.rec, next)
	if err != nil {
		return nil, busy(err)
	}
	at, err := h.copyMessages(ctx, s, &rec, append(h.ps, part...))
	full := rec
	if err == nil {
		next.Epoch, next.Filling, next.Touched = at.Epoch, false, time.Now()
		full, err = s.server.writeRecord(ctx, s.name, rec, next)
	}
	if err != nil {
		s.server.abandon(ctx, s.name, rec, at)
		return nil, busy(err)
	}
	if err := s.adopt(ctx, full); err != nil {
		return nil, err
	}
	if err := s.fill(ctx, a); err != nil {
		return nil, err
	}
	return s.created(ctx, http.StatusCreated)
}

// copyMessages publishes the copies in batches, each within engineTimeout. It updates the record to show its progress, and sets rec
// to the record that it has written last. It returns the position of the last copy, even with an error.
func (h *inheritance) copyMessages(ctx context.Context, s *stream, rec *stored, ps []*hub.Publication) (hub.Position, error) {
	at := hub.Position{Epoch: s.epoch, Offset: s.top}
	ctx, cancel := context.WithTimeout(ctx, copyTimeout)
	defer cancel()
	for len(ps) > 0 {
		n, bytes := 0, 0
		for n < len(ps) && n < copyBatchCount && (n == 0 || bytes+ps[n].Size() <= copyBatchBytes) {
			ps[n].Expires = h.Expires
			bytes += ps[n].Size()
			n++
		}
		if err := h.copyBatch(ctx, s, rec, ps[:n], &at); err != nil {
			return at, err
		}
		ps = ps[n:]
	}
	return at, nil
}

// copyBatch publishes a batch of messages after the position *at, and sets *at to the position of the last message.
func (*inheritance) copyBatch(ctx context.Context, s *stream, rec *stored, ps []*hub.Publication, at *hub.Position) (err error) {
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	if time.Since(rec.Touched) > engineTimeout/2 {
		next := rec.record
		next.Touched = time.Now()
		if *rec, err = s.server.writeRecord(ctx, s.name, *rec, next); err != nil {
			return err
		}
	}
	expect := at.Offset
	n, last, err := s.server.Hub.PublishAll(ctx, s.server.App, s.name, ps, hub.PublishOptions{History: s.server.history(), Expect: &expect})
	if n > 0 {
		*at = last
	}
	if errors.Is(err, hub.ErrTooBig) {
		return errTooBig
	}
	return err
}

// abandon deletes an incomplete fork up to a position, unless another request has begun to create it in the meantime. It ignores
// the cancellation of ctx, because the failed request may have been canceled.
func (s *Server) abandon(ctx context.Context, name string, rec stored, to hub.Position) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), engineTimeout)
	defer cancel()
	s.deleteEmpty(ctx, name, rec, to) //nolint:errcheck // if this fails, the record still marks the fork as incomplete
}

// busy returns errBusy if a stream was changed while it was being created.
func busy(err error) error {
	if errors.Is(err, errChanged) || errors.Is(err, hub.ErrConflict) {
		return errBusy
	}
	return err
}

// putFork creates a stream as a fork, unless it already is that fork. l is the lifetime in the request, or nil if there is none.
func (s *Server) putFork(ctx context.Context, name string, a *addition, f *forking, l *lifetime) (o *outcome, err error) {
	match := func(x *stream) error {
		switch was := x.rec.Fork; {
		case x.rec.copying(time.Now()):
			return errBusy
		case x.rec.deletedWithForks(), x.exists && (x.implicit || was == nil || was.forking != *f || a.close != (x.closed != nil)),
			x.exists && (a.kind != "" && mediaType(a.kind) != mediaType(x.rec.Type) || l != nil && !x.rec.equal(*l)):
			return x.conflict("the stream already exists, with a different configuration")
		case x.exists:
			o, err = x.created(ctx, http.StatusOK)
			return err
		}
		return nil
	}
	err = s.with(ctx, name, func(_ context.Context, x *stream) error { return match(x) })
	if o != nil || err != nil {
		return o, err
	}
	var h *inheritance
	err = s.with(ctx, f.Source, func(ctx context.Context, x *stream) error { // only the source is locked here, to avoid a deadlock
		h, err = inherit(ctx, x, f, name, a.kind)
		return err
	})
	if err != nil {
		return nil, err
	}
	a.kind = h.kind
	if l != nil {
		h.lifetime = *l
	}
	err = s.withTimeout(ctx, copyTimeout+engineTimeout, name, func(ctx context.Context, x *stream) error {
		if err := match(x); o != nil || err != nil {
			return err
		}
		o, err = h.create(ctx, x, a)
		return err
	})
	return o, err
}
