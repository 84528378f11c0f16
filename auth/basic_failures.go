package auth

import (
	"net/netip"
	"sync"
	"time"

	"github.com/handfast/handfast/internal/limit"
)

// basicAddressFactor is how many times as often an address may fail for all users together as for one.
const basicAddressFactor = 10

// basicFailures counts wrong passwords, by user and address and by address alone.
type basicFailures struct {
	limit int

	mu sync.Mutex
	windows[basicSource]
}

// basicSource is where attempts come from; user is "" for all users together.
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

// blocked returns for how long no more attempts are taken, 0 if they are.
func (f *basicFailures) blocked(user, address string) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.wait(basicSources(user, address))
}

// wait is blocked with f.mu held.
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

// begin counts an attempt as failed, unless there were too many: then it returns how long to wait. undo takes it back.
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

// undo takes back what begin counted.
func (f *basicFailures) undo(user, address string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range basicSources(user, address) {
		f.sub(s)
	}
}
