package auth

import (
	"container/list"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"sync"
	"time"
)

// digest represents a remembered credential: a hash with a key that only this process has.
type digest [sha256.Size]byte

// memo caches results of expensive operations, for a short time and in limited number; the least recently used one is evicted
// first. Concurrent callers with the same key wait for one result.
type memo[V any] struct {
	key [32]byte
	max int

	mu      sync.Mutex
	entries map[digest]*list.Element
	order   list.List // of *memoEntry[V], the most recently used one first
	flights map[digest]*flight[V]
}

type memoEntry[V any] struct {
	key   digest
	value V
	until time.Time
}

// flight is a computation in progress for one key. value and err are set before done is closed.
type flight[V any] struct {
	done  chan struct{}
	value V
	err   error
}

var errComputeInterrupted = errors.New("the check was interrupted")

// newMemo returns a memo for at most max results.
func newMemo[V any](max int) *memo[V] {
	m := &memo[V]{max: max, entries: map[digest]*list.Element{}, flights: map[digest]*flight[V]{}}
	rand.Read(m.key[:]) // never fails
	return m
}

// digest hashes the parts of a key. The lengths of the parts are included, so that different lists of parts have different
// hashes.
func (m *memo[V]) digest(parts ...string) digest {
	h := hmac.New(sha256.New, m.key[:])
	var n [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write([]byte(p))
	}
	return digest(h.Sum(nil))
}

// do returns a cached result, or the result of compute, which runs in the goroutine of this or of another caller with the same
// key. compute also returns how long its value may be cached; errors are not cached. A caller that waits for another's result
// stops waiting when ctx is done; a caller that runs compute continues until it returns, because others may wait.
func (m *memo[V]) do(ctx context.Context, q digest, compute func() (V, time.Duration, error)) (V, error) {
	m.mu.Lock()
	if v, ok := m.get(q); ok {
		m.mu.Unlock()
		return v, nil
	}
	if f, ok := m.flights[q]; ok {
		m.mu.Unlock()
		select {
		case <-f.done:
			return f.value, f.err
		case <-ctx.Done():
			var none V
			return none, context.Cause(ctx)
		}
	}
	f := &flight[V]{done: make(chan struct{}), err: errComputeInterrupted}
	m.flights[q] = f
	m.mu.Unlock()

	var ttl time.Duration
	defer func() { // runs even if compute panics; the waiting callers then get errComputeInterrupted
		m.mu.Lock()
		delete(m.flights, q)
		if f.err == nil && ttl > 0 {
			m.put(q, f.value, ttl)
		}
		m.mu.Unlock()
		close(f.done)
	}()
	f.value, ttl, f.err = compute()
	return f.value, f.err
}

// get returns a cached result. The caller holds m.mu.
func (m *memo[V]) get(q digest) (V, bool) {
	var none V
	e, ok := m.entries[q]
	if !ok {
		return none, false
	}
	a := e.Value.(*memoEntry[V])
	if !time.Now().Before(a.until) {
		m.order.Remove(e)
		delete(m.entries, q)
		return none, false
	}
	m.order.MoveToFront(e)
	return a.value, true
}

// put caches a result, and evicts the least recently used one if there is no room. The caller holds m.mu.
func (m *memo[V]) put(q digest, v V, ttl time.Duration) {
	if m.order.Len() >= m.max {
		last := m.order.Back()
		m.order.Remove(last)
		delete(m.entries, last.Value.(*memoEntry[V]).key)
	}
	m.entries[q] = m.order.PushFront(&memoEntry[V]{key: q, value: v, until: time.Now().Add(ttl)})
}

// len returns the number of cached results.
func (m *memo[V]) len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.order.Len()
}
