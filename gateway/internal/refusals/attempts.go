package refusals

import (
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/handfast/handfast/internal/limit"
)

// Outcome is the outcome of a handshake: the content of the reply. A browser hides the status and the body of a failed WebSocket handshake
// from the page that made it.
type Outcome struct {
	Status     int    `json:"status"` // 101: the client was admitted
	Stage      string `json:"stage,omitempty"`
	Reason     string `json:"reason,omitempty"`
	Hint       string `json:"hint,omitempty"` // the next step
	Clause     string `json:"clause,omitempty"`
	RetryAfter string `json:"retry_after,omitempty"`
}

const (
	maxAttempts  = 256         // the number of outcomes that are kept
	maxPerClient = 8           // the number of outcomes of one client, so that one client cannot displace those of all others
	attemptTTL   = time.Minute // short, because the page asks immediately
)

// attempt is the outcome of a handshake with a key.
type attempt struct {
	client  netip.Prefix
	key     string
	at      time.Time
	outcome Outcome
}

// Attempts stores the outcomes of handshakes for the clients that made them: at most 256, and each for a minute. Reading an outcome
// requires the key of the handshake and the same client address. The zero value is ready to use; the methods may be called from any
// goroutine.
type Attempts struct {
	mu   sync.Mutex
	list []attempt // oldest first
}

// AttemptKey returns key if it has the form of a key for an attempt: 22 to 64 letters, digits, - and _, which is enough for 128
// random bits. Otherwise it returns "".
func AttemptKey(key string) string {
	if len(key) < 22 || len(key) > 64 || strings.ContainsFunc(key, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_')
	}) {
		return ""
	}
	return key
}

// Add stores the outcome of a handshake, and replaces an earlier one with the same key. Without a key it does nothing.
func (a *Attempts) Add(client netip.Addr, key string, o Outcome, now time.Time) {
	if key == "" {
		return
	}
	for _, s := range []*string{&o.Reason, &o.Hint} {
		*s = cut(*s)
	}
	one := attempt{limit.Key(client), strings.Clone(key), now, o}
	a.mu.Lock()
	defer a.mu.Unlock()
	first, same, mine := -1, -1, 0
	for i := range a.list {
		if a.list[i].client != one.client {
			continue
		}
		if mine++; first < 0 {
			first = i
		}
		if a.list[i].key == key {
			same = i
		}
	}
	switch {
	case same >= 0:
		a.drop(same)
	case mine >= maxPerClient:
		a.drop(first)
	case len(a.list) >= maxAttempts:
		a.drop(0)
	}
	a.list = append(a.list, one)
}

func (a *Attempts) drop(i int) { a.list = append(a.list[:i], a.list[i+1:]...) }

// Find returns the outcome of the client's handshake with that key, and reports whether it was found.
func (a *Attempts) Find(client netip.Addr, key string, now time.Time) (Outcome, bool) {
	from := limit.Key(client)
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, one := range a.list {
		if one.key == key && one.client == from && now.Sub(one.at) < attemptTTL {
			return one.outcome, true
		}
	}
	return Outcome{}, false
}
