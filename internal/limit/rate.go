// Package limit bounds what clients may take: a rate by a token bucket, a number by a count, calls that wait by a number of
// turns. Clients are distinguished by address; memory is bounded however many addresses there are.
package limit

import (
	"math"
	"net/netip"
	"sync"
	"time"
)

// Key returns what stands for an address in a limit: the address itself, or the /64 of IPv6, since a host there
// has all of it to send from (RFC 4291 §2.5.4, RFC 6177 §2).
func Key(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	p, err := addr.Prefix(bits)
	if err != nil { // the zero Addr: all who have no address share one limit
		return netip.Prefix{}
	}
	return p
}

// maxKeys bounds the table of a Rate. A bucket that is full again needs no place in it.
const maxKeys = 64 << 10

// looks is how many entries are looked at to make room for another.
const looks = 16

// Rate is one token bucket for each key. The zero value is ready; its methods may be called from any goroutine.
type Rate struct {
	mu   sync.Mutex
	full map[netip.Prefix]Bucket // those that are not full
}

// Allow takes a token from the bucket of key, to which perSecond tokens are added up to burst. Without a token it returns
// false, and how long it takes until there is one. A perSecond of zero or less means no limit. The bounds may differ from
// call to call: a bucket keeps the time that it has run up.
func (l *Rate) Allow(key netip.Prefix, now time.Time, perSecond float64, burst int) (ok bool, wait time.Duration) {
	if perSecond <= 0 {
		return true, 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	b, known := l.full[key]
	if ok, wait = b.Allow(now, perSecond, burst); !ok {
		return false, wait
	}
	if !known && len(l.full) >= maxKeys {
		l.makeRoom(now)
	}
	if l.full == nil {
		l.full = map[netip.Prefix]Bucket{}
	}
	l.full[key] = b
	return true, 0
}

// Bucket is one token bucket: it remembers when it will be full. The zero value is full. It needs a lock of its owner.
type Bucket struct {
	full int64 // when it is full again, in nanoseconds after start; 0 if it has been so from the beginning
}

// start is a point on the monotonic clock.
var start = time.Now()

// Allow takes a token, as [Rate.Allow] does.
func (b *Bucket) Allow(now time.Time, perSecond float64, burst int) (ok bool, wait time.Duration) {
	if perSecond <= 0 {
		return true, 0
	}
	cost := time.Duration(float64(time.Second) / perSecond)
	wait = b.Take(now, cost, cost*time.Duration(max(burst, 1)))
	return wait == 0, wait
}

// Take takes what is worth cost, a time in which the bucket fills by as much, from a bucket that holds what is worth most. When there is
// less in it, nothing is taken, and the result is how long it takes until there is enough.
func (b *Bucket) Take(now time.Time, cost, most time.Duration) (wait time.Duration) {
	at, full := int64(now.Sub(start)), b.full
	if full == 0 || full < at {
		full = at
	}
	full += int64(cost)
	if over := time.Duration(full-at) - most; over > 0 {
		return over
	}
	b.full = full
	return 0
}

// makeRoom forgets buckets that are full, and if it finds none the fullest of those that it has looked at. A map is gone
// through in a random order, so an attacker cannot choose whose bucket that is.
func (l *Rate) makeRoom(now time.Time) {
	var fullest netip.Prefix
	at, soonest := int64(now.Sub(start)), int64(math.MaxInt64)
	seen, freed := 0, false
	for key, b := range l.full {
		if b.full <= at {
			delete(l.full, key)
			freed = true
		} else if b.full < soonest {
			fullest, soonest = key, b.full
		}
		if seen++; seen == looks {
			break
		}
	}
	if !freed {
		delete(l.full, fullest)
	}
}
