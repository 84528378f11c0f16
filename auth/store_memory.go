package auth

import (
	"container/list"
	"context"
	"iter"
	"slices"
	"sync"
	"time"
)

// MemoryStore is a [Store] of one process. Make it with [NewMemoryStore]. It has no goroutine and need not be closed.
type MemoryStore struct {
	ttl time.Duration
	max int

	mu      sync.Mutex
	values  map[string]memoryValue
	bytes   int       // size of values, including keys
	sweepAt int       // number of values at which expired values are removed
	soonest time.Time // lower bound of the earliest expiry
	sweeps  int       // number of sweeps, for tests

	// The revocations, oldest first. Each is kept for ttl after it was added, so that the order is also that of their removal.
	order   list.List // of *memoryRevocation
	byName  map[Revocation]*list.Element
	last    uint64        // number of the newest revocation
	changed chan struct{} // closed when there is a newer revocation
}

// memoryMaxBytes limits the values, including keys.
const memoryMaxBytes = 64 << 20

type memoryValue struct {
	value []byte
	until time.Time
}

type memoryRevocation struct {
	Revocation
	number uint64
	until  time.Time
}

// MemoryStoreOptions configure a [MemoryStore].
type MemoryStoreOptions struct {
	// TTL is how long a revocation is kept; 0 means RevocationTTL. No credential should live longer.
	TTL time.Duration

	// Max is the maximum number of values, and of revocations; 0 means 100,000. Further ones are refused with ErrStoreFull, and so
	// are values beyond 64 MiB in total.
	Max int
}

// NewMemoryStore returns an empty store.
func NewMemoryStore(o MemoryStoreOptions) *MemoryStore {
	return &MemoryStore{
		ttl:     orDefault(o.TTL, RevocationTTL),
		max:     orDefault(o.Max, 100_000),
		values:  map[string]memoryValue{},
		sweepAt: 1024,
		byName:  map[Revocation]*list.Element{},
		changed: make(chan struct{}),
	}
}

// orDefault returns v, or def if v is zero or negative.
func orDefault[T int | int64 | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}

// Put implements [Store].
func (s *MemoryStore) Put(_ context.Context, key string, value []byte, ttl time.Duration) error {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(key)
	full := func() bool { return len(s.values) >= s.max || s.bytes+len(key)+len(value) > memoryMaxBytes }
	if (len(s.values) >= s.sweepAt || full()) && !now.Before(s.soonest) {
		s.sweep(now)
	}
	if full() {
		return ErrStoreFull
	}
	until := now.Add(ttl)
	if len(s.values) == 0 || until.Before(s.soonest) {
		s.soonest = until
	}
	s.values[key] = memoryValue{value: slices.Clone(value), until: until}
	s.bytes += len(key) + len(value)
	return nil
}

// sweep removes expired values. The caller holds s.mu.
func (s *MemoryStore) sweep(now time.Time) {
	s.sweeps++
	s.soonest = time.Time{}
	for k, v := range s.values {
		if !now.Before(v.until) {
			s.drop(k)
		} else if s.soonest.IsZero() || v.until.Before(s.soonest) {
			s.soonest = v.until
		}
	}
	s.sweepAt = max(1024, 2*len(s.values))
}

// drop deletes a value. The caller holds s.mu.
func (s *MemoryStore) drop(key string) {
	if v, ok := s.values[key]; ok {
		delete(s.values, key)
		s.bytes -= len(key) + len(v.value)
	}
}

// Take implements [Store].
func (s *MemoryStore) Take(_ context.Context, key string) ([]byte, error) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.values[key]
	if !ok {
		return nil, nil
	}
	s.drop(key)
	if !now.Before(v.until) {
		return nil, nil
	}
	return v.value, nil
}

// Revoke implements [Store].
func (s *MemoryStore) Revoke(_ context.Context, r Revocation) error {
	r, err := r.Normal()
	if err != nil {
		return err
	}
	name := Revocation{Subject: r.Subject, ID: r.ID}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget()
	if e, ok := s.byName[name]; ok {
		if !r.At.After(e.Value.(*memoryRevocation).At) {
			return nil
		}
		s.order.Remove(e)
		delete(s.byName, name)
	}
	if s.order.Len() >= s.max {
		return ErrStoreFull
	}
	s.last++
	s.byName[name] = s.order.PushBack(&memoryRevocation{Revocation: r, number: s.last, until: time.Now().Add(s.ttl)})
	close(s.changed)
	s.changed = make(chan struct{})
	return nil
}

// forget removes revocations older than the TTL. The caller holds s.mu.
func (s *MemoryStore) forget() {
	now := time.Now()
	for e := s.order.Front(); e != nil; e = s.order.Front() {
		r := e.Value.(*memoryRevocation)
		if now.Before(r.until) {
			return
		}
		s.order.Remove(e)
		delete(s.byName, Revocation{Subject: r.Subject, ID: r.ID})
	}
}

// Revoked implements [Store]; its error is always nil.
func (s *MemoryStore) Revoked(_ context.Context, id *Identity) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget()
	for _, name := range Covering(id) {
		if e, ok := s.byName[name]; ok && e.Value.(*memoryRevocation).Covers(id) {
			return true, nil
		}
	}
	return false, nil
}

// Watch implements [Store].
func (s *MemoryStore) Watch(ctx context.Context, fn func(Revocation)) {
	var seen uint64
	for {
		list, newest, changed := s.after(seen)
		seen = newest
		for _, r := range list {
			if ctx.Err() != nil {
				return
			}
			fn(r)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// after returns the revocations with a higher number, the number of the newest, and a channel that is closed when there are more.
func (s *MemoryStore) after(number uint64) ([]Revocation, uint64, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget()
	var newer []Revocation
	for e := s.order.Back(); e != nil && e.Value.(*memoryRevocation).number > number; e = e.Prev() {
		newer = append(newer, e.Value.(*memoryRevocation).Revocation)
	}
	slices.Reverse(newer)
	return newer, s.last, s.changed
}

// Revocations yields the present revocations, the oldest first.
func (s *MemoryStore) Revocations() iter.Seq[Revocation] {
	list, _, _ := s.after(0)
	return slices.Values(list)
}
