package natsengine

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/handfast/handfast/hub"
)

const (
	leaseKept   = time.Hour       // how long the end of a lease is stored
	renewLonger = 3 * time.Second // how long after its last attempt a node is considered to be renewing a lease
)

// watchedRecord is a record that all nodes receive: of a lease, or of a channel whose publications were all trimmed.
type watchedRecord struct {
	Lease   string `json:"lease,omitempty"`
	TTL     int64  `json:"ttl,omitempty"` // in milliseconds
	Over    bool   `json:"over,omitempty"`
	Channel string `json:"channel,omitempty"`
	Through uint64 `json:"through,omitempty"`
}

func (r watchedRecord) encode() []byte {
	data, _ := json.Marshal(r) //nolint:errcheck // encoding strings and numbers never fails
	return data
}

func emptiedRecord(channel string, through uint64) []byte {
	return watchedRecord{Channel: channel, Through: through}.encode()
}

// leases are the leases of all nodes, as this node has seen them.
type leases struct {
	engine *Engine

	mu  sync.Mutex
	all map[string]*lease
}

// lease is this node's information about a lease.
type lease struct {
	name   string
	seq    uint64 // the sequence of the last message
	ttl    time.Duration
	seen   time.Time // when the last renewal was seen
	over   bool
	asked  time.Time  // when this node last began to renew the lease; zero if the renewal succeeded
	ending bool       // this node is trying to end the lease
	turn   sync.Mutex // held by the owner during a renewal
}

func (l *leases) init(e *Engine) { l.engine, l.all = e, map[string]*lease{} }

// get returns the lease with that name, and creates it if necessary.
func (l *leases) get(name string) *lease {
	x := l.all[name]
	if x == nil {
		x = &lease{name: name}
		l.all[name] = x
	}
	return x
}

// is reports whether a lease has ended, and whether it is known.
func (l *leases) is(name string) (over, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x := l.all[name]
	return x != nil && x.over, x != nil && x.seq > 0
}

// note records a message of a lease, and reports whether it is the first one that reports the end of the lease.
func (l *leases) note(r watchedRecord, seq uint64, now time.Time) (ended bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x := l.get(r.Lease)
	if seq <= x.seq {
		return false
	}
	ended = r.Over && !x.over
	x.seq, x.ttl, x.seen, x.over = seq, time.Duration(r.TTL)*time.Millisecond, now, x.over || r.Over
	return ended
}

// excuse restarts the time of leases whose node is running but cannot renew them.
func (l *leases) excuse(now time.Time, names ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range names {
		if x := l.all[name]; x != nil {
			x.seen = now
		}
	}
}

// renewing returns the leases that this node is trying to renew.
func (l *leases) renewing(now time.Time) (names []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, x := range l.all {
		if !x.asked.IsZero() && !x.over && now.Sub(x.asked) < max(x.ttl, renewLonger) {
			names = append(names, name)
		}
	}
	return names
}

// excuseAll restarts the time of all leases, because this node was not receiving messages.
func (l *leases) excuseAll(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, x := range l.all {
		x.seen = now
	}
}

// watched receives a record for all nodes.
func (l *leases) watched(m *nats.Msg) {
	var r watchedRecord
	if json.Unmarshal(m.Data, &r) == nil {
		l.learn(r, number(m.Header, "Nats-Sequence"))
	}
}

// learn applies a record for all nodes.
func (l *leases) learn(r watchedRecord, seq uint64) {
	e := l.engine
	switch {
	case r.Channel != "":
		e.emptied.set(r.Channel, r.Through)
	case r.Lease != "" && l.note(r, seq, time.Now()):
		e.in.sink.LeaseEnded(r.Lease)
		if e.peers.others() {
			// Messages that the server of the ended node has not forwarded are lost.
			e.peers.miss()
		}
	}
}

// reread reads all records for all nodes, and the commands that were missed.
func (e *Engine) reread(ctx context.Context, s *store, again bool) error {
	there := map[string]bool{}
	for from := uint64(1); ; {
		items, more, err := s.batch(ctx, s.state, e.sub.watched(">"), from, pageSize)
		if err != nil {
			return err
		}
		for _, i := range items {
			from = i.seq + 1
			var r watchedRecord
			if json.Unmarshal(i.data, &r) == nil {
				there[r.Lease] = true
				e.leases.learn(r, i.seq)
			}
		}
		if more == 0 || len(items) == 0 {
			break
		}
	}
	for _, name := range e.leases.missing(there) {
		// The lease may be newer than the records that were read, or than the replica that they were read from.
		last, err := s.last(ctx, s.state, e.sub.lease(name))
		if err != nil {
			return err
		}
		if last == nil && e.leases.end(name) {
			e.in.sink.LeaseEnded(name)
		}
	}
	return e.commands.reread(ctx, s, again)
}

// missing returns the known leases that have not ended and are not contained in there.
func (l *leases) missing(there map[string]bool) (names []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, x := range l.all {
		if !there[name] && x.seq > 0 && !x.over {
			names = append(names, name)
		}
	}
	return names
}

// end records that a lease has ended, and reports whether it was not yet known to have ended.
func (l *leases) end(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	x := l.get(name)
	was := x.over
	x.over = true
	return !was
}

// look ends the leases that were not renewed in time.
func (l *leases) look(ctx context.Context, helpers *sync.WaitGroup, now time.Time) {
	if !l.engine.peers.hears() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, x := range l.all {
		switch {
		case x.over && now.Sub(x.seen) > leaseKept:
			delete(l.all, name)
		case !x.over && !x.ending && x.seq > 0 && now.Sub(x.seen) > x.ttl:
			x.ending = true
			seq := x.seq
			helpers.Go(func() { l.endLease(ctx, name, seq) })
		}
	}
}

// endLease ends a lease, unless its last message is no longer the one with sequence seq.
func (l *leases) endLease(ctx context.Context, name string, seq uint64) {
	e := l.engine
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	err := e.call(ctx, func(s *store, _ string) error {
		_, err := s.put(ctx, e.sub.lease(name), watchedRecord{Lease: name, Over: true}.encode(), putting{expect: &seq, ttl: leaseKept})
		if !errors.Is(err, errWrongLast) {
			if err == nil {
				e.leases.forget(ctx, s, name)
			}
			return err
		}
		now, err := s.last(ctx, s.state, e.sub.lease(name))
		var r watchedRecord
		if err == nil && now != nil && json.Unmarshal(now.data, &r) == nil {
			e.leases.learn(r, now.seq)
		}
		return err
	})
	e.leases.mu.Lock()
	defer e.leases.mu.Unlock()
	if x := e.leases.all[name]; x != nil {
		x.ending = false
		if err != nil {
			x.seen = time.Now() // without a leader, the nodes cannot renew their leases either
		}
	}
}

// forget removes the data stored under a lease.
func (l *leases) forget(ctx context.Context, s *store, name string) {
	e := l.engine
	e.entries.forget(token(name))
	s.purge(ctx, s.state, e.sub.state("e", "*.*."+token(name)+".*"), 0, 0) //nolint:errcheck // data under an ended lease is ignored, and a reader removes it
	s.purge(ctx, s.state, e.sub.state("o", "*.*."+token(name)), 0, 0)      //nolint:errcheck // data under an ended lease is ignored, and a reader removes it
}

// Lease implements [hub.Presence].
func (e *Engine) Lease(ctx context.Context, name string, ttl time.Duration) error {
	l := &e.leases
	l.mu.Lock()
	x := l.get(name)
	x.asked = time.Now()
	l.mu.Unlock()
	return e.call(ctx, func(s *store, _ string) error { return l.renew(ctx, s, x, ttl) })
}

// renew acquires or renews a lease.
func (l *leases) renew(ctx context.Context, s *store, x *lease, ttl time.Duration) error {
	e, name := l.engine, x.name
	x.turn.Lock()
	defer x.turn.Unlock()
	r := watchedRecord{Lease: name, TTL: ttl.Milliseconds()}
	for {
		l.mu.Lock()
		seq, over := x.seq, x.over
		l.mu.Unlock()
		if over {
			return hub.ErrLeaseEnded
		}
		a, err := s.put(ctx, e.sub.lease(name), r.encode(), putting{expect: &seq})
		if err == nil {
			l.note(r, a.Seq, time.Now())
			l.mu.Lock()
			x.asked = time.Time{}
			l.mu.Unlock()
			return nil
		}
		if !errors.Is(err, errWrongLast) {
			return err
		}
		// The last message is a renewal whose reply was lost, or the end of the lease.
		last, err := s.last(ctx, s.state, e.sub.lease(name))
		if err != nil {
			return err
		}
		if last == nil {
			return hub.ErrLeaseEnded
		}
		var now watchedRecord
		if err := json.Unmarshal(last.data, &now); err != nil {
			return err
		}
		e.leases.learn(now, last.seq)
	}
}

// Release implements [hub.Presence].
func (e *Engine) Release(ctx context.Context, name string) error {
	r := watchedRecord{Lease: name, Over: true}
	return e.call(ctx, func(s *store, _ string) error {
		a, err := s.put(ctx, e.sub.lease(name), r.encode(), putting{ttl: leaseKept})
		if err != nil {
			return err
		}
		e.leases.learn(r, a.Seq)
		e.leases.forget(ctx, s, name)
		return nil
	})
}

// holds returns hub.ErrLeaseEnded if a lease has ended.
func (l *leases) holds(ctx context.Context, s *store, name string) error {
	e := l.engine
	over, known := e.leases.is(name)
	if !known {
		last, err := s.last(ctx, s.state, e.sub.lease(name))
		if err != nil {
			return err
		}
		var r watchedRecord
		over = last == nil || json.Unmarshal(last.data, &r) != nil || r.Over
		if last != nil {
			e.leases.learn(r, last.seq)
		}
	}
	if over {
		return hub.ErrLeaseEnded
	}
	return nil
}
