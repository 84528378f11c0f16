package natsengine

import (
	"context"
	"crypto/rand"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/hub/internal/record"
)

const (
	expiredTTL     = time.Hour // how long an expired publication stays stored, so that the last offset of the channel is known
	maxKnown       = 1 << 17   // the maximum number of channels that are remembered
	purgeThreshold = 64        // the number of publications that may exceed the limit before they are removed
)

// Publish implements [hub.Engine].
func (e *Engine) Publish(ctx context.Context, channel string, p *hub.Publication, o hub.PublishOptions) (done hub.Published, err error) {
	if p.Time.IsZero() {
		p.Time = time.Now()
	}
	x := &publishing{channel: channel, p: p, o: o, id: e.calls.messageID(channel, p)}
	err = e.call(ctx, func(s *store, epoch string) (err error) {
		done, err = x.publish(ctx, e, s, epoch)
		return err
	})
	return done, err
}

// publishing is one call of Publish, which may need several attempts.
type publishing struct {
	channel    string
	p          *hub.Publication
	o          hub.PublishOptions
	id         string // the message ID, by which the server detects duplicates
	claimValue string // the value with which this call claims the ID, for a publication that is not kept
	stored     bool   // this call has stored the publication
}

func (x *publishing) publish(ctx context.Context, e *Engine, s *store, epoch string) (hub.Published, error) {
	channel, p, o := x.channel, x.p, x.o
	header := nats.Header{}
	var until time.Time
	if p.Key != "" && !p.Removed && o.KeyTTL > 0 {
		until = p.Time.Add(o.KeyTTL)
		header[untilHeader] = []string{millis(until)}
	}
	if o.History <= 0 {
		return x.relay(ctx, e, s, epoch, header)
	}
	keep := limits{o.History, o.HistoryAge}
	header[limitsHeader] = []string{keep.String()}
	put := putOptions{id: x.id, header: header, expect: o.Expect}
	if o.HistoryAge > 0 {
		put.ttl = o.HistoryAge + expiredTTL
	}
	a, err := e.append(ctx, s, channel, record.AppendPublication(nil, p), put)
	if errors.Is(err, errWrongLast) {
		a, err = e.conflict(ctx, s, channel, put.id, *o.Expect)
	}
	at := hub.Position{Epoch: epoch, Offset: a.Seq}
	if errors.Is(err, hub.ErrConflict) {
		return hub.Published{Position: at}, err
	}
	if err != nil {
		return hub.Published{}, err
	}
	if a.Duplicate {
		e.inbound.send(e.sub.live(channel), nil) // an empty message reports a gap, because the publication may not have been republished
	}
	if !x.stored && (!a.Duplicate || p.ID == "") { // a duplicate without an ID is from an earlier attempt of this call
		x.stored = true
		p.Position = at
		e.trimming.count(channel, keep)
	}
	if p.Key != "" {
		kept := &keyed{p: p, offset: a.Seq, until: until, limits: keep}
		if err := e.applyKey(ctx, s, channel, kept); err != nil {
			return hub.Published{}, err
		}
		e.expiries.add(channel, kept, 0)
	}
	return hub.Published{Position: at, Duplicate: !x.stored}, nil
}

// calls creates IDs for calls of Publish.
type calls struct {
	node string
	n    atomic.Uint64
}

// messageID returns the ID by which the server detects duplicates. A publication without an ID gets one for this call, because the
// publication is sent again if no reply arrives.
func (c *calls) messageID(channel string, p *hub.Publication) string {
	if p.ID != "" {
		return hash(channel, p.ID)
	}
	return "~" + c.node + strconv.FormatUint(c.n.Add(1), 36)
}

// append stores a publication. If this node knows of no publication in the channel, append first tries to store it as the channel's first.
func (e *Engine) append(ctx context.Context, s *store, channel string, data []byte, o putOptions) (ack, error) {
	subject := e.sub.log(channel)
	if o.expect != nil && *o.expect == 0 || o.expect == nil && !e.knownChannels.has(channel) {
		zero := uint64(0)
		first := o
		first.expect, first.header = &zero, nats.Header{firstHeader: {"1"}}
		for k, v := range o.header {
			first.header[k] = v
		}
		a, err := s.put(ctx, subject, data, first)
		if err == nil || o.expect == nil && errors.Is(err, errWrongLast) {
			e.knownChannels.add(channel)
		}
		if o.expect != nil || !errors.Is(err, errWrongLast) {
			return a, err
		}
	}
	return s.put(ctx, subject, data, o)
}

// conflict determines why a publication was rejected. An earlier attempt may have stored it: then it directly follows the expected offset,
// and is a duplicate. Otherwise another publication was last, and conflict returns the last sequence with ErrConflict.
func (e *Engine) conflict(ctx context.Context, s *store, channel, id string, expect uint64) (ack, error) {
	items, _, err := s.batch(ctx, s.log, e.sub.log(channel), expect+1, 1)
	if err != nil {
		return ack{}, err
	}
	if len(items) > 0 && items[0].header.Get("Nats-Msg-Id") == id {
		return ack{Seq: items[0].seq, Duplicate: true}, nil
	}
	top, err := s.last(ctx, s.log, e.sub.log(channel))
	if err != nil {
		return ack{}, err
	}
	if top == nil {
		return ack{}, hub.ErrConflict
	}
	return ack{Seq: top.seq}, hub.ErrConflict
}

// relay publishes a publication that is not kept.
func (x *publishing) relay(ctx context.Context, e *Engine, s *store, epoch string, header nats.Header) (hub.Published, error) {
	channel, p, o := x.channel, x.p, x.o
	at := hub.Position{Epoch: epoch}
	if o.Expect != nil {
		return hub.Published{}, hub.ErrUnsupported
	}
	if p.ID != "" {
		if x.claimValue == "" {
			x.claimValue = rand.Text()
		}
		first, err := s.claim(ctx, e.sub.claim("id "+x.id), x.claimValue, hub.Idempotency)
		if err != nil || !first {
			return hub.Published{Position: at, Duplicate: err == nil}, err
		}
	}
	p.Position, p.Previous = at, 0
	if p.Key != "" {
		k := &keyed{p: p, limits: limits{age: o.HistoryAge}}
		if !p.Removed && o.KeyTTL > 0 {
			k.until = p.Time.Add(o.KeyTTL)
		}
		if err := e.applyKey(ctx, s, channel, k); err != nil {
			return hub.Published{}, err
		}
		e.expiries.add(channel, k, 0)
	}
	m := &nats.Msg{Subject: e.sub.live(channel), Header: header, Data: record.AppendPublication(nil, p)}
	if err := s.nc.PublishMsg(m); err != nil {
		return hub.Published{}, sendError(err)
	}
	return hub.Published{Position: at}, nil
}

// nameSet remembers a limited number of names.
type nameSet struct {
	mu  sync.Mutex
	all map[string]struct{}
}

func (m *nameSet) has(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.all[name]
	return ok
}

func (m *nameSet) add(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.all) >= maxKnown || m.all == nil {
		m.all = map[string]struct{}{}
	}
	m.all[name] = struct{}{}
}

// trimQueue tracks the channels that exceed their limits. It counts the publications that this node has made.
type trimQueue struct {
	mu   sync.Mutex
	more map[string]int
	due  map[string]int // the number of publications to keep, by channel
}

func (t *trimQueue) count(channel string, l limits) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.more == nil || len(t.more) >= maxKnown {
		t.more = map[string]int{}
	}
	t.more[channel]++
	if t.more[channel] >= max(purgeThreshold, l.size) {
		t.more[channel] = 0
		if t.due == nil {
			t.due = map[string]int{}
		}
		t.due[channel] = l.size + 1 // one more, because a client's position may be that of the publication before the oldest
	}
}

func (t *trimQueue) take() map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	due := t.due
	t.due = nil
	return due
}

// keepTrimming removes the publications of channels that exceed their limits.
func (e *Engine) keepTrimming(ctx context.Context) {
	for sleep(ctx, tick) {
		for channel, keep := range e.trimming.take() {
			s, _, err := e.link.ready(ctx)
			if err != nil {
				return
			}
			s.purge(ctx, s.log, e.sub.log(channel), 0, keep) //nolint:errcheck // if this purge fails, the next purge removes the publications
		}
	}
}
