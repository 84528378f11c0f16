// Package limit limits the resources used by clients: rates with a token bucket, numbers with a count, calls with a queue. Clients
// are distinguished by address, and memory use is bounded however many addresses there are.
package limit

import (
	"math"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// Key returns the key of an address for a limit: the address itself, or the /64 of an IPv6 address, because one host can use a
// whole /64 (RFC 4291 §2.5.4, RFC 6177 §2).
func Key(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	p, err := addr.Prefix(bits)
	if err != nil { // the zero Addr: all clients without an address share one limit
		return netip.Prefix{}
	}
	return p
}

// RetryAfter returns d as the value of a Retry-After field (RFC 9110 §10.2.3): whole seconds, rounded up, at least one.
func RetryAfter(d time.Duration) string { return strconv.Itoa(max(1, int(math.Ceil(d.Seconds())))) }

// maxKeys limits the table of a Rate. A full bucket needs no entry.
const maxKeys = 64 << 10

// maxExamined is the number of entries that are examined to make room for another.
const maxExamined = 16

// Rate has one token bucket for each key. The zero value is ready to use; its methods are safe for concurrent use.
type Rate struct {
	mu   sync.Mutex
	full map[netip.Prefix]Bucket // only buckets that are not full
}

// Allow takes a token from the bucket of key, to which perSecond tokens are added up to burst. If there is no token, it returns
// false, and the time until there is one. A perSecond of zero or less means no limit. The parameters may differ between calls: a
// bucket stores the time that it needs to fill up.
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

// Bucket is one token bucket: it stores the time when it will be full. The zero value is full. It is not safe for concurrent use.
type Bucket struct {
	full int64 // when the bucket will be full, in nanoseconds after start; 0 if no token was ever taken
}

// start is a reference point on the monotonic clock.
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

// Take takes an amount from a bucket. Both are expressed as times: cost is the time in which the bucket fills by the amount, and
// most the time in which an empty bucket fills up. If the bucket contains less than the amount, nothing is taken, and the result is
// the time until it contains enough.
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

// makeRoom removes full buckets, or, if it finds none, the fullest of the examined buckets. The iteration order of a map is random,
// so an attacker cannot choose which bucket that is.
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
		if seen++; seen == maxExamined {
			break
		}
	}
	if !freed {
		delete(l.full, fullest)
	}
}
