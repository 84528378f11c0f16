package streams

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/handfast/handfast/hub"
)

// recordApp is the application whose channels have the records of the streams of app. It has no clients.
func recordApp(app string) string { return app + "#streams" }

// tombstoneAge is how long it is remembered that a stream was deleted: until then its messages are gone from the engine.
const tombstoneAge = time.Hour

// record is what is kept of a stream in addition to its messages.
type record struct {
	ID   string `json:"id"` // of this life of the stream; "" if it began as a channel
	Type string `json:"type"`
	lifetime

	Touched time.Time   `json:"touched"` // the last read or write, as far as that matters
	Epoch   string      `json:"epoch"`   // of the channel when the stream was created
	Start   uint64      `json:"start"`   // the stream begins behind this offset of that epoch
	Closed  *closing    `json:"closed,omitempty"`
	Deleted bool        `json:"deleted,omitempty"`
	Forks   []string    `json:"forks,omitempty"`   // the names of its forks, of which some may be gone
	Fork    *origin     `json:"fork,omitempty"`    // nil if it is not a fork
	Filling bool        `json:"filling,omitempty"` // it is a fork, not all of which is copied
	State   *checkpoint `json:"state,omitempty"`
}

// closing is the end of a stream.
type closing struct {
	Epoch    string    `json:"epoch"`
	Offset   uint64    `json:"offset"`             // the final one
	Producer *producer `json:"producer,omitempty"` // that has closed it
}

// checkpoint is what the publications up to an offset say, so that they need not be read again.
type checkpoint struct {
	Epoch     string     `json:"epoch"`
	Offset    uint64     `json:"offset"`
	Seq       string     `json:"seq,omitempty"`       // the last Stream-Seq
	Producers []producer `json:"producers,omitempty"` // the last number of each, those used last at the end
}

// newRecordID returns an ID for a new stream.
func newRecordID() string { return rand.Text()[:12] }

// expired reports whether the stream has ended by itself.
func (r *record) expired(now time.Time) bool {
	return !r.Expires.IsZero() && !now.Before(r.Expires) || r.TTL != nil && !now.Before(r.until())
}

// until is when the stream ends if it is not read or written to; the zero time means never. An eighth of the TTL is added: a read is
// noted only when that much has passed since the last one that was noted.
func (r *record) until() time.Time {
	if r.TTL != nil {
		ttl := time.Duration(*r.TTL) * time.Second
		return r.Touched.Add(ttl + ttl/8)
	}
	return r.Expires
}

// stale reports whether a read or a write is to be noted.
func (r *record) stale(now time.Time) bool {
	return r.TTL != nil && now.Sub(r.Touched) > time.Duration(*r.TTL)*time.Second/8
}

// stored is a record as the engine has it.
type stored struct {
	record
	exists bool
	at     hub.Position
}

// readRecord returns the record of a stream. without is what the caller knows already.
func (s *Server) readRecord(ctx context.Context, name string, known stored) (stored, error) {
	page, err := s.Hub.History(ctx, recordApp(s.App), name, hub.HistoryQuery{Reverse: true, Limit: 1})
	if err != nil {
		return stored{}, fmt.Errorf("streams: read the record of a stream: %w", err)
	}
	if len(page.Publications) == 0 {
		return stored{at: page.Top}, nil
	}
	p := page.Publications[0]
	at := hub.Position{Epoch: page.Top.Epoch, Offset: p.Offset}
	if known.exists && known.at == at {
		return known, nil
	}
	r := stored{exists: true, at: at}
	if err := json.Unmarshal(p.Data, &r.record); err != nil {
		return stored{}, fmt.Errorf("streams: the record of a stream: %w", err)
	}
	return r, nil
}

// errChanged indicates that another node has changed a record meanwhile.
var errChanged = errors.New("streams: the record has changed")

// writeRecord replaces a record, unless it is another one than old by now.
func (s *Server) writeRecord(ctx context.Context, name string, old stored, next record) (stored, error) {
	data, err := json.Marshal(&next)
	if err != nil {
		return stored{}, fmt.Errorf("streams: encode the record of a stream: %w", err)
	}
	o := hub.PublishOptions{History: 1, Expect: &old.at.Offset, Record: true}
	if next.Deleted && len(next.Forks) == 0 {
		o.HistoryAge = tombstoneAge
	}
	done, err := s.Hub.Publish(ctx, recordApp(s.App), name, &hub.Publication{Data: data}, &o)
	switch {
	case errors.Is(err, hub.ErrConflict):
		return stored{}, errChanged
	case err != nil:
		return stored{}, fmt.Errorf("streams: write the record of a stream: %w", err)
	}
	return stored{record: next, exists: true, at: done.Position}, nil
}
