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
	leaseEndTTL = time.Hour       // how long the end of a lease is stored
	renewingFor = 3 * time.Second // how long after its last attempt a node is considered to be renewing a lease

	// While the state stream has no leader, the entries of clients that have moved to another node wait to be stored. Each attempt waits
	// for up to retryInterval, so they may be stored this much later than the first renewal. A lease that ended before that would
	// remove users that are connected.
	slowRenewal   = retryInterval / 4     // a renewal that takes longer means that the stream had no leader
	recoveryGrace = retryInterval * 5 / 4 // how long after a slow renewal, and after its own expiry at most, a lease does not end
)

// nodeRecord is a record that all nodes receive: of a lease, or of a channel whose publications were all trimmed.
type nodeRecord struct {
	Lease   string `json:"lease,omitempty"`
	TTL     int64  `json:"ttl,omitempty"` // in milliseconds
	Over    bool   `json:"over,omitempty"`
	Channel string `json:"channel,omitempty"`
	Through uint64 `json:"through,omitempty"`
}

func (r nodeRecord) encode() []byte {
	data, _ := json.Marshal(r) //nolint:errcheck // encoding strings and numbers never fails
	return data
}

func emptiedRecord(channel string, through uint64) []byte {
	return nodeRecord{Channel: channel, Through: through}.encode()
}

// leases are the leases of all nodes, as this node has seen them.
type leases struct {
	engine *Engine

	mu        sync.Mutex
	all       map[string]*lease
	recovered time.Time // when a slow renewal by this node last succeeded
}

// lease is this node's information about a lease.
type lease struct {
	name     string
	seq      uint64 // the sequence of the last message
	ttl      time.Duration
	seen     time.Time // when the last renewal was seen
	ended    bool
	renewing time.Time  // when this node last began to renew the lease; zero if the renewal succeeded
	waiting  time.Time  // when this node began the first of the attempts that have not succeeded; zero if the last attempt succeeded
	ending   bool       // this node is trying to end the lease
	renewMu  sync.Mutex // held by the owner during a renewal
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

// state reports whether a lease has ended, and whether it is known.
func (l *leases) state(name string) (over, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x := l.all[name]
	return x != nil && x.ended, x != nil && x.seq > 0
}

// record records a message of a lease, and reports whether it is the first one that reports the end of the lease.
func (l *leases) record(r nodeRecord, seq uint64, now time.Time) (ended bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x := l.get(r.Lease)
	if seq <= x.seq {
		return false
	}
	ended = r.Over && !x.ended
	x.seq, x.ttl, x.seen, x.ended = seq, time.Duration(r.TTL)*time.Millisecond, now, x.ended || r.Over
	return ended
}

// restartTimers restarts the time of leases whose node is running but cannot renew them.
func (l *leases) restartTimers(now time.Time, names ...string) {
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
		if !x.renewing.IsZero() && !x.ended && now.Sub(x.renewing) < max(x.ttl, renewingFor) {
			names = append(names, name)
		}
	}
	return names
}

// restartAllTimers restarts the time of all leases, because this node was not receiving messages.
func (l *leases) restartAllTimers(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, x := range l.all {
		x.seen = now
	}
}

// receive receives a record for all nodes.
func (l *leases) receive(m *nats.Msg) {
	var r nodeRecord
	if json.Unmarshal(m.Data, &r) == nil {
		l.apply(r, number(m.Header, "Nats-Sequence"))
	}
}

// apply applies a record for all nodes.
func (l *leases) apply(r nodeRecord, seq uint64) {
	e := l.engine
	switch {
	case r.Channel != "":
		e.emptied.set(r.Channel, r.Through)
	case r.Lease != "" && l.record(r, seq, time.Now()):
		e.inbound.sink.LeaseEnded(r.Lease)
		if e.peers.hasPeers() {
			// Messages that the server of the ended node has not forwarded are lost.
			e.peers.scheduleGap()
		}
	}
}

// reread reads all records for all nodes, and the commands that were missed.
func (e *Engine) reread(ctx context.Context, s *store, again bool) error {
	there := map[string]bool{}
	for from := uint64(1); ; {
		items, more, err := s.batch(ctx, s.state, e.sub.nodeRecord(">"), from, pageSize)
		if err != nil {
			return err
		}
		for _, i := range items {
			from = i.seq + 1
			var r nodeRecord
			if json.Unmarshal(i.data, &r) == nil {
				there[r.Lease] = true
				e.leases.apply(r, i.seq)
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
			e.inbound.sink.LeaseEnded(name)
		}
	}
	return e.commands.reread(ctx, s, again)
}

// missing returns the known leases that have not ended and are not contained in there.
func (l *leases) missing(there map[string]bool) (names []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, x := range l.all {
		if !there[name] && x.seq > 0 && !x.ended {
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
	was := x.ended
	x.ended = true
	return !was
}

// endExpired ends the leases that were not renewed in time.
func (l *leases) endExpired(ctx context.Context, helpers *sync.WaitGroup, now time.Time) {
	if !l.engine.peers.receivesOwn() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	recovering := l.recovering(now)
	for name, x := range l.all {
		switch {
		case x.ended && now.Sub(x.seen) > leaseEndTTL:
			delete(l.all, name)
		case x.isDue(now, recovering):
			x.ending = true
			seq := x.seq
			helpers.Go(func() { l.endLease(ctx, name, seq) })
		}
	}
}

// isDue reports whether a lease must be ended. The caller holds the lock of the leases.
func (x *lease) isDue(now time.Time, recovering bool) bool {
	late := now.Sub(x.seen) - x.ttl
	return !x.ended && !x.ending && x.seq > 0 && late > 0 && (!recovering || late > recoveryGrace)
}

// recovering reports whether this node's renewals are slow, or were slow until recently. The caller holds l.mu.
func (l *leases) recovering(now time.Time) bool {
	for _, x := range l.all {
		if wait := now.Sub(x.waiting); !x.ended && wait > slowRenewal && wait < requestTimeout {
			return true
		}
	}
	return now.Sub(l.recovered) < recoveryGrace
}

// endLease ends a lease, unless its last message is no longer the one with sequence seq.
func (l *leases) endLease(ctx context.Context, name string, seq uint64) {
	e := l.engine
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	err := e.call(ctx, func(s *store, _ string) error {
		_, err := s.put(ctx, e.sub.lease(name), nodeRecord{Lease: name, Over: true}.encode(), putOptions{expect: &seq, ttl: leaseEndTTL})
		if !errors.Is(err, errWrongLast) {
			if err == nil {
				e.leases.removeData(ctx, s, name)
			}
			return err
		}
		now, err := s.last(ctx, s.state, e.sub.lease(name))
		var r nodeRecord
		if err == nil && now != nil && json.Unmarshal(now.data, &r) == nil {
			e.leases.apply(r, now.seq)
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

// removeData removes the data stored under a lease.
func (l *leases) removeData(ctx context.Context, s *store, name string) {
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
	x.renewing = time.Now()
	if x.waiting.IsZero() {
		x.waiting = x.renewing
	}
	l.mu.Unlock()
	return e.call(ctx, func(s *store, _ string) error { return l.renew(ctx, s, x, ttl) })
}

// renew acquires or renews a lease.
func (l *leases) renew(ctx context.Context, s *store, x *lease, ttl time.Duration) error {
	e, name := l.engine, x.name
	x.renewMu.Lock()
	defer x.renewMu.Unlock()
	r := nodeRecord{Lease: name, TTL: ttl.Milliseconds()}
	for {
		l.mu.Lock()
		seq, over := x.seq, x.ended
		l.mu.Unlock()
		if over {
			return hub.ErrLeaseEnded
		}
		a, err := s.put(ctx, e.sub.lease(name), r.encode(), putOptions{expect: &seq})
		if err == nil {
			now := time.Now()
			l.record(r, a.Seq, now)
			l.renewed(x, now)
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
		var now nodeRecord
		if err := json.Unmarshal(last.data, &now); err != nil {
			return err
		}
		e.leases.apply(now, last.seq)
	}
}

// renewed records the success of a renewal.
func (l *leases) renewed(x *lease, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(x.waiting) > slowRenewal {
		l.recovered = now
	}
	x.renewing, x.waiting = time.Time{}, time.Time{}
}

// Release implements [hub.Presence].
func (e *Engine) Release(ctx context.Context, name string) error {
	r := nodeRecord{Lease: name, Over: true}
	return e.call(ctx, func(s *store, _ string) error {
		a, err := s.put(ctx, e.sub.lease(name), r.encode(), putOptions{ttl: leaseEndTTL})
		if err != nil {
			return err
		}
		e.leases.apply(r, a.Seq)
		e.leases.removeData(ctx, s, name)
		return nil
	})
}

// checkHeld returns hub.ErrLeaseEnded if a lease has ended.
func (l *leases) checkHeld(ctx context.Context, s *store, name string) error {
	e := l.engine
	over, known := e.leases.state(name)
	if !known {
		last, err := s.last(ctx, s.state, e.sub.lease(name))
		if err != nil {
			return err
		}
		var r nodeRecord
		over = last == nil || json.Unmarshal(last.data, &r) != nil || r.Over
		if last != nil {
			e.leases.apply(r, last.seq)
		}
	}
	if over {
		return hub.ErrLeaseEnded
	}
	return nil
}
