package auth

import (
	"context"
	"errors"
	"time"
)

// Store is the state that the nodes of one service share: tickets that can still be redeemed, and revocations. [NewMemoryStore]
// returns a Store for a single node; package redisstore provides a Store that nodes share. A Store may be used by multiple
// goroutines concurrently. An error means that the Store does not respond; its callers then reject clients.
type Store interface {
	// Put stores value under key for ttl, or until it is taken. Put does not keep the slice.
	Put(ctx context.Context, key string, value []byte, ttl time.Duration) error

	// Take returns the value under key and deletes it, so that only one node gets the value. If there is none, Take returns nil and
	// no error. The caller owns the value.
	Take(ctx context.Context, key string) ([]byte, error)

	// Revoke makes r known to all nodes. A later revocation with the same subject and the same ID replaces it, an earlier one
	// changes nothing.
	Revoke(ctx context.Context, r Revocation) error

	// Revoked reports whether a revocation covers id.
	Revoked(ctx context.Context, id *Identity) (bool, error)

	// Watch calls fn for every stored revocation, the oldest first, and then for each new one, within a second, until ctx ends.
	// After an interruption it catches up. It may call fn twice for the same revocation. It calls fn from one goroutine, and
	// returns after the last call.
	Watch(ctx context.Context, fn func(Revocation))
}

// Revocation revokes credentials. With only a Subject, it covers all credentials of that subject. With only an ID, it covers that
// credential. With both, it covers that credential if the credential is of that subject.
type Revocation struct {
	Subject string    `json:"subject,omitempty"` // as in Identity
	ID      string    `json:"id,omitempty"`      // as in Identity
	At      time.Time `json:"at"`                // credentials issued later are not covered; the zero time means now
}

// RevocationTTL is how long a Store keeps a revocation by default. Credentials should not be valid for longer, because a credential
// that outlives its revocation is accepted again. An API key, a password, a certificate and a token without exp must therefore also
// be removed at their source (the file, the CA); a revocation closes the open connections.
const RevocationTTL = 24 * time.Hour

// ErrStoreFull indicates that a MemoryStore is full.
var ErrStoreFull = errors.New("the store is full")

var errRevokesNothing = errors.New("a revocation needs a subject or an ID")

// futureIssued is how far in the future the issue time of a credential may be, because clocks differ.
const futureIssued = time.Minute

// Covers reports whether r revokes id. A credential without an issue time counts as issued before, and so does one with an issue
// time more than a minute in the future.
func (r Revocation) Covers(id *Identity) bool {
	if r.Subject == "" && r.ID == "" {
		return false
	}
	if r.Subject != "" && r.Subject != id.Subject || r.ID != "" && r.ID != id.ID {
		return false
	}
	if id.Issued.After(time.Now().Add(futureIssued)) {
		return true
	}
	return !id.Issued.Truncate(time.Microsecond).After(r.At) // with the precision of a Store
}

// CoversOpen is like Covers, for a connection that was open before r arrived. If r is at most 5 seconds old, it also covers a
// credential that was issued since, because clocks differ.
func (r Revocation) CoversOpen(id *Identity) bool {
	if r.Covers(id) {
		return true
	}
	now := time.Now()
	if age := now.Sub(r.At); age < 0 || age > revocationSkew {
		return false
	}
	r.At = now
	return r.Covers(id)
}

// Normal returns r in the form that a Store keeps: with a time, in UTC and whole microseconds. It returns an error if r has neither
// a subject nor an ID. Normal is for implementations of a Store.
func (r Revocation) Normal() (Revocation, error) {
	if r.Subject == "" && r.ID == "" {
		return r, errRevokesNothing
	}
	if r.At.IsZero() {
		r.At = time.Now()
	}
	r.At = r.At.UTC().Truncate(time.Microsecond)
	return r, nil
}

// Covering returns the revocations that can cover id, without their times. Covering is for implementations of a Store: a Store has
// to report id as revoked if it contains one of these revocations with a time that is not before id was issued.
func Covering(id *Identity) []Revocation {
	list := []Revocation{{Subject: id.Subject}}
	if id.ID != "" {
		list = append(list, Revocation{ID: id.ID}, Revocation{Subject: id.Subject, ID: id.ID})
	}
	return list
}
