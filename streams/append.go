package streams

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/handfast/handfast/hub"
)

// maxConflicts is the maximum number of attempts to append while other nodes publish first.
const maxConflicts = 32

// addition is the content of a PUT or a POST.
type addition struct {
	body     []byte
	kind     string // the content type; "" if there is none
	close    bool
	seq      string
	producer *producer
	user     string
	trace    string // the traceparent of the request
}

// outcome is the response to an append request.
type outcome struct {
	status int
	header http.Header
}

// add appends to the stream. The caller has locked and refreshed the stream.
func (s *stream) add(ctx context.Context, a *addition) (*outcome, error) {
	for range maxConflicts {
		if !s.exists {
			return nil, s.rec.absent()
		}
		if done, err := s.decide(a); done != nil || err != nil {
			return done, err
		}
		ps, err := s.messages(a)
		if err != nil {
			return nil, err
		}
		err = s.publish(hub.WithTraceparent(ctx, a.trace), ps)
		if errors.Is(err, hub.ErrConflict) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := s.writeCheckpoint(ctx); err != nil {
			return nil, err
		}
		o := &outcome{status: http.StatusNoContent, header: s.head()}
		if a.producer != nil {
			if len(a.body) > 0 {
				o.status = http.StatusOK
			}
			a.producer.header(o.header, a.producer.Seq)
		}
		return o, s.touch(ctx)
	}
	return nil, errBusy
}

var (
	errNoStream = &problem{status: http.StatusNotFound, text: "there is no such stream"}
	errBusy     = &problem{status: http.StatusServiceUnavailable, text: "too many concurrent appends to this stream", header: http.Header{"Retry-After": {"1"}}}
)

// head returns the header fields that are in every response about the stream.
func (s *stream) head() http.Header {
	h := http.Header{}
	h.Set(headerNext, s.next(s.end()))
	if s.closed != nil {
		h.Set(headerClosed, "true")
	}
	return h
}

// decide decides on an addition, in the order of PROTOCOL.md 5.2. If both results are nil, the addition must be published.
func (s *stream) decide(a *addition) (*outcome, error) {
	if s.closed != nil {
		return s.decideClosed(a)
	}
	if len(a.body) > 0 && mediaType(a.kind) != mediaType(s.contentType()) {
		return nil, s.conflict("the stream has a different content type")
	}
	if a.producer != nil {
		if done, err := s.decideProducer(a); done != nil || err != nil {
			return done, err
		}
	}
	if a.seq != "" && a.seq <= s.seq {
		return nil, s.conflict(headerSeq + " is not larger than that of the last append")
	}
	return nil, nil
}

func (s *stream) conflict(text string) *problem {
	return &problem{status: http.StatusConflict, text: text, header: s.head()}
}

// decideClosed decides on an addition to a closed stream.
func (s *stream) decideClosed(a *addition) (*outcome, error) {
	if a.producer != nil && a.producer.Epoch < s.producerState(a.producer.ID).Epoch {
		return s.decideProducer(a)
	}
	by := s.closed.Producer
	same := by != nil && a.producer != nil && *by == *a.producer
	if !same && (len(a.body) > 0 || !a.close) {
		return nil, s.conflict("the stream is closed")
	}
	o := &outcome{status: http.StatusNoContent, header: s.head()}
	if same {
		a.producer.header(o.header, a.producer.Seq)
	}
	return o, nil
}

// producerState returns the last state of a producer, with the epoch -1 if the producer is unknown.
func (s *stream) producerState(id string) producer {
	for _, w := range s.writers {
		if w.ID == id {
			return w
		}
	}
	return producer{ID: id, Epoch: -1}
}

// decideProducer decides on an addition by the epoch and the number of its producer.
func (s *stream) decideProducer(a *addition) (*outcome, error) {
	last := s.producerState(a.producer.ID)
	switch {
	case a.producer.Epoch < last.Epoch:
		p := &problem{status: http.StatusForbidden, text: "the producer has a newer epoch", header: s.head()}
		p.header.Set(headerEpoch, strconv.FormatInt(last.Epoch, 10))
		return nil, p
	case a.producer.Epoch > last.Epoch && a.producer.Seq != 0 && last.Epoch >= 0:
		return nil, bad("a new epoch must begin with %s 0", headerNumber)
	case a.producer.Epoch > last.Epoch:
		last.Seq = -1
	case a.producer.Seq <= last.Seq:
		o := &outcome{status: http.StatusNoContent, header: s.head()}
		a.producer.header(o.header, last.Seq)
		return o, nil
	}
	if a.producer.Seq != last.Seq+1 {
		p := s.conflict("a producer number is missing")
		p.header.Set(headerExpected, strconv.FormatInt(last.Seq+1, 10))
		p.header.Set(headerReceived, strconv.FormatInt(a.producer.Seq, 10))
		return nil, p
	}
	return nil, nil
}

// header adds the producer's epoch and the number seq to the header of a response.
func (p *producer) header(h http.Header, seq int64) {
	h.Set(headerEpoch, strconv.FormatInt(p.Epoch, 10))
	h.Set(headerNumber, strconv.FormatInt(seq, 10))
}

// messages returns the publications of an addition.
func (s *stream) messages(a *addition) ([]*hub.Publication, error) {
	var ps []*hub.Publication
	if len(a.body) > 0 {
		var err error
		if ps, err = s.kind().split(a.body, s.maxData(a), false); err != nil {
			return nil, err
		}
	}
	if len(ps) == 0 {
		ps = []*hub.Publication{{}} // a message without data that closes the stream
	}
	for i, p := range ps {
		p.User = a.user
		if p.Expires = s.rec.Expires; a.producer != nil && len(ps) > 1 {
			p.ID = a.messageID(s.rec.ID, i)
		}
	}
	ps[len(ps)-1].Tags = a.tags()
	return ps, nil
}

// messageID returns the ID of message i in a producer's request to the stream with the given ID.
func (a *addition) messageID(stream string, i int) string {
	return fmt.Sprintf("%s/%s/%d/%d/%d", stream, a.producer.ID, a.producer.Epoch, a.producer.Seq, i)
}

// maxData returns the maximum size of the data of one message, given the other content that is published with it.
func (s *stream) maxData(a *addition) int {
	p := hub.Publication{Tags: a.tags()}
	if a.producer != nil {
		p.ID = a.messageID(newRecordID(), maxMessages) // the ID of a stream that does not exist yet is unknown, but has this length
	}
	return s.server.Hub.Namespace(s.server.App, s.name).MaxData - p.Size()
}

// publish publishes messages consecutively. If another node has published first, it refreshes the stream. Then it returns
// ErrConflict if no message was published yet, and otherwise continues.
func (s *stream) publish(ctx context.Context, ps []*hub.Publication) error {
	for i, p := range ps {
		for tries := 0; ; tries++ {
			expect, fresh := s.top, *p
			o := hub.PublishOptions{History: s.server.history(), Expect: &expect}
			done, err := s.server.Hub.Publish(ctx, s.server.App, s.name, &fresh, &o)
			if err == nil {
				if !done.Duplicate {
					taken := fresh // Publish has set the expiry that the namespace specifies
					taken.Position = done.Position
					s.apply(&taken)
					s.notify()
				}
				break
			}
			switch {
			case errors.Is(err, hub.ErrTooBig):
				return errTooBig
			case !errors.Is(err, hub.ErrConflict):
				return fmt.Errorf("streams: publish: %w", err)
			case tries == maxConflicts:
				return errBusy
			}
			if err := s.refresh(ctx); err != nil {
				return err
			}
			switch {
			case i == 0:
				return hub.ErrConflict
			case s.closed != nil:
				return s.conflict("the stream was closed meanwhile")
			case !s.exists:
				return s.rec.absent()
			}
		}
	}
	return nil
}

// create creates the stream, unless it already exists with the same configuration. The caller has locked and refreshed the stream.
func (s *stream) create(ctx context.Context, a *addition, l lifetime) (*outcome, error) {
	for range maxConflicts {
		if s.rec.deletedWithForks() {
			return nil, s.conflict("the stream has been deleted, but still has forks")
		}
		if s.rec.copying(time.Now()) {
			return nil, errBusy
		}
		if s.exists && !(s.implicit && mediaType(a.kind) == "application/json") {
			if s.implicit || s.rec.Fork != nil || mediaType(s.rec.Type) != mediaType(a.kind) || !s.rec.equal(l) || a.close != (s.closed != nil) {
				return nil, s.conflict("the stream already exists, with a different configuration")
			}
			return s.created(ctx, http.StatusOK)
		}
		next := record{Type: a.kind, lifetime: l, Touched: time.Now(), Epoch: s.epoch}
		if !s.implicit {
			next.ID, next.Start = newRecordID(), s.top
		}
		if len(a.body) > 0 { // checks the content before anything is stored
			if _, err := kindOf(a.kind).split(a.body, s.maxData(a), true); err != nil {
				return nil, err
			}
		}
		rec, err := s.server.writeRecord(ctx, s.name, s.rec, next)
		switch {
		case errors.Is(err, errChanged):
			if err := s.refresh(ctx); err != nil {
				return nil, err
			}
			continue
		case err != nil:
			return nil, err
		}
		if err := s.adopt(ctx, rec); err != nil {
			return nil, err
		}
		if err := s.fill(ctx, a); err != nil {
			return nil, err
		}
		return s.created(ctx, http.StatusCreated)
	}
	return nil, errBusy
}

// fill appends the initial content of a new stream.
func (s *stream) fill(ctx context.Context, a *addition) error {
	if s.kind() == kindJSON && len(a.body) > 0 {
		if ps, _ := s.kind().split(a.body, len(a.body), true); len(ps) == 0 { // an empty JSON array
			a.body = nil
		}
	}
	if len(a.body) == 0 && !a.close {
		return nil
	}
	_, err := s.add(ctx, a)
	return err
}

// created returns the response to a PUT.
func (s *stream) created(ctx context.Context, status int) (*outcome, error) {
	o := &outcome{status: status, header: s.head()}
	o.header.Set("Content-Type", s.rec.Type)
	s.rec.header(o.header)
	return o, s.touch(ctx)
}

// remove deletes the stream. The caller has locked and refreshed the stream.
func (s *stream) remove(ctx context.Context) error {
	if !s.exists {
		return s.rec.absent()
	}
	rec, err := s.deleteExpired(ctx, s.rec)
	if err != nil {
		return err
	}
	return s.adopt(ctx, rec)
}
