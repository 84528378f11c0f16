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

// recordApp returns the application whose channels contain the records of the streams of app. The application for records has no
// clients.
func recordApp(app string) string { return app + "#streams" }

// tombstoneAge is how long the record of a deleted stream is kept. By then the engine has no messages of the deleted stream left.
const tombstoneAge = time.Hour

// record is the stored data about a stream in addition to its messages.
type record struct {
	ID   string `json:"id"` // the ID of this incarnation of the stream; "" if the stream was not created
	Type string `json:"type"`
	lifetime

	Touched time.Time   `json:"touched"` // the time of the last recorded read or write
	Epoch   string      `json:"epoch"`   // the epoch of the channel when the stream was created
	Start   uint64      `json:"start"`   // the stream begins after this offset of Epoch
	Closed  *closing    `json:"closed,omitempty"`
	Deleted bool        `json:"deleted,omitempty"`
	Forks   []string    `json:"forks,omitempty"`   // the names of the stream's forks, some of which may be deleted
	Fork    *origin     `json:"fork,omitempty"`    // nil if the stream is not a fork
	Filling bool        `json:"filling,omitempty"` // the stream is a fork whose messages are not all copied yet
	State   *checkpoint `json:"state,omitempty"`
}

// closing records that a stream was closed.
type closing struct {
	Epoch    string    `json:"epoch"`
	Offset   uint64    `json:"offset"`             // the final offset
	Producer *producer `json:"producer,omitempty"` // the producer that has closed the stream
}

// checkpoint is the state after the publications up to an offset, so that they need not be read again.
type checkpoint struct {
	Epoch     string     `json:"epoch"`
	Offset    uint64     `json:"offset"`
	Seq       string     `json:"seq,omitempty"`       // the last Stream-Seq
	Producers []producer `json:"producers,omitempty"` // the last number of each producer, ordered by last use
}

// newRecordID returns an ID for a new stream.
func newRecordID() string { return rand.Text()[:12] }

// expired reports whether the lifetime of the stream is over.
func (r *record) expired(now time.Time) bool {
	return !r.Expires.IsZero() && !now.Before(r.Expires) || r.TTL != nil && !now.Before(r.until())
}

// until returns the time when the stream expires if it is not read or written to; the zero time means never. An eighth of the TTL
// is added, because a read is recorded only if an eighth has passed since the last recorded one.
func (r *record) until() time.Time {
	if r.TTL != nil {
		ttl := time.Duration(*r.TTL) * time.Second
		return r.Touched.Add(ttl + ttl/8)
	}
	return r.Expires
}

// stale reports whether a read or a write must be recorded.
func (r *record) stale(now time.Time) bool {
	return r.TTL != nil && now.Sub(r.Touched) > time.Duration(*r.TTL)*time.Second/8
}

// stored is a record with its position in the engine.
type stored struct {
	record
	exists bool
	at     hub.Position
}

// readRecord returns the record of a stream. known is the last record that the caller has seen.
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

// errChanged indicates that another node has changed a record in the meantime.
var errChanged = errors.New("streams: the record has changed")

// writeRecord replaces the record old, and returns errChanged if that is no longer the current one.
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
