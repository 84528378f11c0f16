package streams

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/handfast/handfast/hub"
)

// The tags of publications that belong to a stream.
const (
	tagClosed   = "stream-closed" // "true": the stream ends with this publication
	tagSeq      = "stream-seq"
	tagProducer = "producer-id"
	tagEpoch    = "producer-epoch"
	tagNumber   = "producer-seq"
)

const (
	checkEvery   = 256 // the number of publications after which a checkpoint is written
	maxProducers = 128 // the maximum number of producers of one stream that are remembered
	pageCount    = 512 // the maximum number of publications in one page
	recentCount  = 256 // the maximum number of publications that are kept for live reads
	recentBytes  = 256 << 10
)

// stream is the state of a stream on this node. lock guards all fields after it.
type stream struct {
	server *Server
	name   string
	refs   int           // the number of requests that use the stream; guarded by the server's lock
	lock   chan struct{} // holds a value while the stream is locked

	rec         stored
	exists      bool
	implicit    bool // the stream exists only as a channel
	epoch       string
	top         uint64 // all publications up to this offset were processed
	floor       uint64 // publications up to this offset are not part of the stream
	closed      *closing
	seq         string
	writers     []producer // ordered by last use
	unsaved     int        // publications since the checkpoint
	recent      []*hub.Publication
	bytes       int           // the size of recent
	recentFloor uint64        // recent has all publications after this offset
	changed     chan struct{} // closed when the stream has changed
	feed        *feed         // nil without live reads
}

// acquireLock locks the stream.
func (s *stream) acquireLock(ctx context.Context) error {
	select {
	case s.lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// releaseLock unlocks the stream.
func (s *stream) releaseLock() { <-s.lock }

// contentType returns the content type of the stream.
func (s *stream) contentType() string {
	if s.implicit {
		return "application/json"
	}
	return s.rec.Type
}

func (s *stream) kind() kind { return kindOf(s.contentType()) }

// tag returns the tag of the stream's offsets.
func (s *stream) tag() string {
	if s.implicit { // the ID in the record is that of a deleted stream
		return tagOf(s.epoch, "")
	}
	return tagOf(s.epoch, s.rec.ID)
}

// end returns the offset of the end of the stream.
func (s *stream) end() uint64 {
	if s.closed != nil {
		return s.closed.Offset
	}
	return max(s.top, s.floor)
}

// next formats an offset of the stream for the client.
func (s *stream) next(offset uint64) string { return formatOffset(offset, s.tag()) }

// notify wakes live reads.
func (s *stream) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// refresh updates the state of the stream. The caller has locked the stream.
func (s *stream) refresh(ctx context.Context) error {
	rec, err := s.server.readRecord(ctx, s.name, s.rec)
	if err != nil {
		return err
	}
	if rec.exists && !rec.Deleted && rec.expired(time.Now()) {
		if rec, err = s.deleteExpired(ctx, rec); err != nil {
			return err
		}
	}
	was := s.implicit
	if err := s.adopt(ctx, rec); err != nil || was || !s.implicit {
		return err
	}
	// The stream seems to be only a channel. But if a fork was created after the record was read, the publications may be the first
	// messages of that fork.
	again, err := s.server.readRecord(ctx, s.name, s.rec)
	if err != nil || again.at == rec.at {
		return err
	}
	return s.adopt(ctx, again)
}

// adopt updates the state from a record, and from the publications since the last update.
func (s *stream) adopt(ctx context.Context, rec stored) (err error) {
	if rec.at != s.rec.at || rec.ID != s.rec.ID {
		if rec.ID != s.rec.ID || !rec.exists || rec.Deleted || s.rec.Filling {
			s.reset("")
		}
		if rec.Closed != nil && s.closed == nil && rec.Closed.Epoch == s.epoch {
			s.closed = rec.Closed
		}
		s.rec = rec
		s.notify()
	}
	s.exists, s.implicit = rec.exists && !rec.Deleted && !rec.Filling, false
	if s.exists {
		s.server.watch(s.name, rec.until())
		return s.catchUp(ctx)
	}
	if rec.deletedWithForks() {
		if s.rec, err = s.server.cleanUpDeleted(ctx, s.name, s.rec); err != nil || s.rec.deletedWithForks() {
			return err
		}
	}
	page, err := s.server.Hub.History(ctx, s.server.App, s.name, hub.HistoryQuery{Limit: 1})
	if err == nil && rec.Deleted && rec.Epoch == page.Top.Epoch && len(page.Publications) > 0 && page.Publications[0].Offset <= rec.Start {
		if err := s.server.trim(ctx, s.name, rec.Start); err != nil { // the node that deleted the stream ended before it had deleted the messages
			return err
		}
		page, err = s.server.Hub.History(ctx, s.server.App, s.name, hub.HistoryQuery{Limit: 1})
	}
	if err != nil {
		return fmt.Errorf("streams: read the channel: %w", err)
	}
	if len(page.Publications) == 0 || s.rec.Filling {
		s.reset(page.Top.Epoch)
		s.top = page.Top.Offset
		return nil
	}
	s.exists, s.implicit = true, true
	if s.epoch != page.Top.Epoch { // earlier messages do not matter
		s.reset(page.Top.Epoch)
		s.top, s.recentFloor = page.Top.Offset, page.Top.Offset
	}
	return s.catchUp(ctx)
}

// reset clears the state that is derived from publications.
func (s *stream) reset(epoch string) {
	s.epoch, s.top, s.floor, s.closed, s.seq, s.writers, s.unsaved = epoch, 0, 0, nil, "", nil, 0
	s.recent, s.bytes, s.recentFloor = nil, 0, 0
}

// catchUp processes the publications since the last update.
func (s *stream) catchUp(ctx context.Context) error {
	before := s.top
	defer func() {
		if s.top != before {
			s.notify()
		}
	}()
	for range 1 << 20 {
		since := s.since()
		page, err := s.server.Hub.History(ctx, s.server.App, s.name, hub.HistoryQuery{Since: since, Limit: pageCount, Bytes: chunkBytes})
		switch {
		case err != nil:
			return fmt.Errorf("streams: read the channel: %w", err)
		case page.Top.Epoch != s.epoch:
			s.begin(page.Top)
			continue
		case page.Err != nil: // messages that are no longer kept are skipped
			s.skip(s.oldest(ctx, page.Top.Offset))
			s.recent, s.bytes, s.recentFloor = nil, 0, s.top
			continue
		}
		for _, p := range page.Publications {
			s.apply(p)
		}
		if len(page.Publications) == 0 {
			s.skip(page.Top.Offset)
		}
		if s.top >= page.Top.Offset {
			return s.writeCheckpoint(ctx)
		}
	}
	return errors.New("streams: messages are published faster than they can be read")
}

// since returns the position to continue from; nil means the beginning.
func (s *stream) since() *hub.Position {
	if s.epoch == "" {
		return nil
	}
	return &hub.Position{Epoch: s.epoch, Offset: s.top}
}

// begin initializes the state for an epoch of the channel from the record.
func (s *stream) begin(top hub.Position) {
	s.reset(top.Epoch)
	if s.rec.Epoch == top.Epoch {
		s.floor = s.rec.Start
		s.top = s.floor
	}
	if c := s.rec.State; c != nil && c.Epoch == top.Epoch && c.Offset <= top.Offset {
		s.top, s.seq, s.writers = c.Offset, c.Seq, slices.Clone(c.Producers)
	}
	s.recentFloor = s.top
	if c := s.rec.Closed; c != nil {
		closed := *c
		if closed.Epoch != top.Epoch { // the messages are lost
			closed.Offset = top.Offset
		}
		s.closed = &closed
	}
}

// oldest returns the offset before the oldest publication that is kept.
func (s *stream) oldest(ctx context.Context, top uint64) uint64 {
	page, err := s.server.Hub.History(ctx, s.server.App, s.name, hub.HistoryQuery{Limit: 1})
	if err != nil || len(page.Publications) == 0 {
		return top
	}
	return page.Publications[0].Offset - 1
}

// skip advances to an offset, because earlier publications have expired or are not kept.
func (s *stream) skip(offset uint64) {
	s.top = max(s.top, offset)
}

// apply processes the next publication.
func (s *stream) apply(p *hub.Publication) {
	if p.Offset <= s.top {
		return
	}
	s.top = p.Offset
	if s.closed != nil && s.top > s.closed.Offset {
		return // the publication follows the end of the stream
	}
	s.unsaved++
	s.recent = append(s.recent, p)
	s.bytes += p.Size()
	for len(s.recent) > recentCount || s.bytes > recentBytes && len(s.recent) > 1 {
		s.bytes -= s.recent[0].Size()
		s.recentFloor = s.recent[0].Offset
		s.recent[0] = nil
		s.recent = s.recent[1:]
	}
	if seq := p.Tags[tagSeq]; seq > s.seq {
		s.seq = seq
	}
	by := producerOf(p)
	if by != nil {
		s.writers = slices.DeleteFunc(s.writers, func(w producer) bool { return w.ID == by.ID })
		if len(s.writers) == maxProducers {
			s.writers = s.writers[1:]
		}
		s.writers = append(s.writers, *by)
	}
	if p.Tags[tagClosed] != "" {
		s.closed = &closing{Epoch: s.epoch, Offset: p.Offset, Producer: by}
	}
}

// producerOf returns the producer of a publication, or nil if it has none.
func producerOf(p *hub.Publication) *producer {
	by := &producer{ID: p.Tags[tagProducer]}
	var ok1, ok2 bool
	by.Epoch, ok1 = parseInteger(p.Tags[tagEpoch])
	by.Seq, ok2 = parseInteger(p.Tags[tagNumber])
	if by.ID == "" || !ok1 || !ok2 {
		return nil
	}
	return by
}

// writeCheckpoint writes a checkpoint if one is due, and the end of the stream if the record does not contain it yet.
func (s *stream) writeCheckpoint(ctx context.Context) error {
	if s.implicit || (s.closed == nil || s.rec.Closed != nil) && s.unsaved < checkEvery {
		return nil
	}
	return s.save(ctx, func(*record) {})
}

// save writes the record again, modified by change. If another node has written the record in the meantime, the other node's record
// is kept: it contains the same state, and the next request checks again.
func (s *stream) save(ctx context.Context, change func(*record)) error {
	next := s.rec.record
	next.State = &checkpoint{Epoch: s.epoch, Offset: s.top, Seq: s.seq, Producers: s.writers}
	next.Closed = s.closed
	change(&next)
	rec, err := s.server.writeRecord(ctx, s.name, s.rec, next)
	if errors.Is(err, errChanged) {
		return nil
	}
	if err != nil {
		return err
	}
	s.rec, s.unsaved = rec, 0
	s.server.watch(s.name, rec.until())
	return nil
}

// touch records a read or a write, for the TTL.
func (s *stream) touch(ctx context.Context) error {
	now := time.Now()
	if s.implicit || !s.rec.stale(now) {
		return nil
	}
	return s.save(ctx, func(r *record) { r.Touched = now })
}

// deleteExpired replaces the record of an expired stream with a tombstone, and deletes its messages.
func (s *stream) deleteExpired(ctx context.Context, rec stored) (stored, error) {
	page, err := s.server.Hub.History(ctx, s.server.App, s.name, hub.HistoryQuery{})
	if err != nil {
		return rec, fmt.Errorf("streams: read the channel: %w", err)
	}
	return s.server.deleteEmpty(ctx, s.name, rec, page.Top)
}

// deleteEmpty does the same as deleteExpired for a stream whose last message is at the position top or before.
func (s *Server) deleteEmpty(ctx context.Context, name string, rec stored, top hub.Position) (stored, error) {
	buried, err := s.writeRecord(ctx, name, rec, s.tombstone(ctx, rec, top))
	if errors.Is(err, errChanged) {
		return s.readRecord(ctx, name, rec)
	}
	if err != nil {
		return rec, err
	}
	if err := s.trim(ctx, name, top.Offset); err != nil {
		return rec, err
	}
	return buried, nil
}

// tombstone returns the record of a deleted stream that contained the channel up to top.
func (s *Server) tombstone(ctx context.Context, rec stored, top hub.Position) record {
	r := record{ID: rec.ID, Deleted: true, Touched: time.Now(), Epoch: top.Epoch, Start: top.Offset, Fork: rec.Fork}
	if len(rec.Forks) > 0 {
		r.Forks = s.livingForks(ctx, rec.ID, rec.Forks)
	}
	return r
}

// trim deletes the messages of a stream up to an offset.
func (s *Server) trim(ctx context.Context, name string, upTo uint64) error {
	if err := s.Hub.Trim(ctx, s.App, name, upTo); err != nil {
		return fmt.Errorf("streams: drop the messages: %w", err)
	}
	return nil
}

// tags returns the tags of the last publication of a request.
func (a *addition) tags() map[string]string {
	t := map[string]string{}
	if a.close {
		t[tagClosed] = "true"
	}
	if a.seq != "" {
		t[tagSeq] = a.seq
	}
	if a.producer != nil {
		t[tagProducer] = a.producer.ID
		t[tagEpoch] = strconv.FormatInt(a.producer.Epoch, 10)
		t[tagNumber] = strconv.FormatInt(a.producer.Seq, 10)
	}
	if len(t) == 0 {
		return nil
	}
	return t
}
