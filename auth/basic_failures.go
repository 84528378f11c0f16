package auth

import (
	"container/list"
	"net/netip"
	"sync"
	"time"
)

// basicAddressFactor is how many times as often an address may fail for all users together as for one.
const basicAddressFactor = 10

// basicFailures counts wrong passwords, by user and address and by address alone, in windows that begin with the first
// one. When there is no room the window that began first is forgotten.
type basicFailures struct {
	window     time.Duration
	limit, max int

	mu    sync.Mutex
	count map[basicSource]*list.Element
	order list.List // of *basicCount, by beginning; since all windows are equally long, by end as well
}

// basicSource is where attempts come from; user is "" for all users together.
type basicSource struct{ user, address string }

type basicCount struct {
	source basicSource
	n      int
	until  time.Time
}

func newBasicFailures(window time.Duration, limit, max int) *basicFailures {
	return &basicFailures{window: window, limit: limit, max: max, count: map[basicSource]*list.Element{}}
}

// basicSources returns the two sources of an attempt. An IPv6 host has its whole /64 to send from (RFC 6177 §2).
func basicSources(user, address string) [2]basicSource {
	if a, err := netip.ParseAddr(address); err == nil {
		a = a.Unmap().WithZone("")
		if a.Is6() {
			if p, err := a.Prefix(64); err == nil {
				a = p.Addr()
			}
		}
		address = a.String()
	}
	return [2]basicSource{{user: user, address: address}, {address: address}}
}

// blocked returns for how long no more attempts are taken, 0 if they are.
func (f *basicFailures) blocked(user, address string) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.wait(basicSources(user, address))
}

// wait is blocked with f.mu held.
func (f *basicFailures) wait(sources [2]basicSource) time.Duration {
	now := time.Now()
	f.forget(now)
	var longest time.Duration
	for _, s := range sources {
		limit := f.limit
		if s.user == "" {
			limit *= basicAddressFactor
		}
		if e, ok := f.count[s]; ok && e.Value.(*basicCount).n >= limit {
			longest = max(longest, e.Value.(*basicCount).until.Sub(now))
		}
	}
	return longest
}

// begin counts an attempt as failed, unless there were too many: then it returns how long to wait. undo takes it back.
func (f *basicFailures) begin(user, address string) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	sources := basicSources(user, address)
	if wait := f.wait(sources); wait > 0 {
		return wait
	}
	for _, s := range sources {
		e, ok := f.count[s]
		if !ok {
			if f.order.Len() >= f.max {
				f.drop(f.order.Front())
			}
			e = f.order.PushBack(&basicCount{source: s, until: time.Now().Add(f.window)})
			f.count[s] = e
		}
		e.Value.(*basicCount).n++
	}
	return 0
}

// undo takes back what begin counted.
func (f *basicFailures) undo(user, address string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range basicSources(user, address) {
		e, ok := f.count[s]
		if !ok {
			continue
		}
		if c := e.Value.(*basicCount); c.n > 1 {
			c.n--
		} else {
			f.drop(e)
		}
	}
}

// forget drops the windows that are over. f.mu is held.
func (f *basicFailures) forget(now time.Time) {
	for e := f.order.Front(); e != nil && !now.Before(e.Value.(*basicCount).until); e = f.order.Front() {
		f.drop(e)
	}
}

func (f *basicFailures) drop(e *list.Element) {
	f.order.Remove(e)
	delete(f.count, e.Value.(*basicCount).source)
}
