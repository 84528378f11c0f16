package auth

import (
	"net/netip"
	"sync"
	"time"

	"github.com/handfast/handfast/internal/limit"
)

// basicAddressFactor is the limit of an address for all users together, as a multiple of the limit for one user.
const basicAddressFactor = 10

// basicFailures counts wrong passwords, both per user and address and per address.
type basicFailures struct {
	limit int

	mu sync.Mutex
	windows[basicSource]
}

// basicSource is the source of attempts; user is "" for all users together.
type basicSource struct{ user, address string }

func newBasicFailures(window time.Duration, limit, max int) *basicFailures {
	return &basicFailures{limit: limit, windows: newWindows[basicSource](window, max)}
}

// basicSources returns the two sources of an attempt.
func basicSources(user, address string) [2]basicSource {
	if a, err := netip.ParseAddr(address); err == nil {
		address = limit.Key(a).String()
	}
	return [2]basicSource{{user: user, address: address}, {address: address}}
}

// blocked returns how long further attempts are rejected; 0 means that they are accepted.
func (f *basicFailures) blocked(user, address string) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.wait(basicSources(user, address))
}

// wait returns how long further attempts from sources are rejected. The caller holds f.mu.
func (f *basicFailures) wait(sources [2]basicSource) time.Duration {
	now := time.Now()
	var longest time.Duration
	for _, s := range sources {
		limit := f.limit
		if s.user == "" {
			limit *= basicAddressFactor
		}
		if n, until := f.at(s, now); n >= limit {
			longest = max(longest, until.Sub(now))
		}
	}
	return longest
}

// begin counts an attempt as failed and returns 0. If the limit is reached, it counts nothing and returns how long to wait.
func (f *basicFailures) begin(user, address string) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	sources := basicSources(user, address)
	if wait := f.wait(sources); wait > 0 {
		return wait
	}
	for _, s := range sources {
		f.add(s, time.Now())
	}
	return 0
}

// undo reverses begin.
func (f *basicFailures) undo(user, address string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range basicSources(user, address) {
		f.sub(s)
	}
}
