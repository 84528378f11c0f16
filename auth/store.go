package auth

import (
	"context"
	"errors"
	"time"
)

// Store is what the nodes of one service know together: tickets that are still to be redeemed, and what was revoked.
// [NewMemoryStore] is one for a single node; the package redisstore has one that nodes share. It may be called by multiple
// goroutines concurrently. An error means that the Store does not know; its callers then reject clients.
type Store interface {
	// Put keeps value under key for ttl, or until it is taken. It does not hold on to value.
	Put(ctx context.Context, key string, value []byte, ttl time.Duration) error

	// Take returns the value under key and deletes it: of all nodes that ask for it, one gets it. It returns nil and no
	// error when there is none. The value is the caller's.
	Take(ctx context.Context, key string) ([]byte, error)

	// Revoke makes r known to all nodes. A later one with the same subject and the same ID replaces it, an earlier one
	// changes nothing.
	Revoke(ctx context.Context, r Revocation) error

	// Revoked reports whether a revocation covers id.
	Revoked(ctx context.Context, id *Identity) (bool, error)

	// Watch calls fn for every revocation that is kept, the oldest first, and then for each that comes, well within a
	// second, until ctx ends; what it missed while the Store was out of reach it makes up for. It may call fn twice for
	// the same revocation. It calls fn from one goroutine, and returns after the last call.
	Watch(ctx context.Context, fn func(Revocation))
}

// Revocation takes back what credentials gave. One with a Subject covers all credentials of that subject, one with an ID
// covers that credential, one with both covers that credential if it is of that subject.
type Revocation struct {
	Subject string    `json:"subject,omitempty"` // as in Identity
	ID      string    `json:"id,omitempty"`      // as in Identity
	At      time.Time `json:"at"`                // what was issued later is not covered; the zero time stands for now
}

// RevocationTTL is how long a Store keeps a revocation by default. Credentials should not be valid for longer, since a longer
// one is accepted again when its revocation is removed. An API key, a password, a certificate and a token without exp must
// therefore also be removed at their source (the file, the authority); a revocation closes the open connections.
const RevocationTTL = 24 * time.Hour

// ErrStoreFull indicates that a MemoryStore is full.
var ErrStoreFull = errors.New("the store is full")

var errRevokesNothing = errors.New("a revocation needs a subject or an ID")

// futureIssued is by how much a credential may seem to be issued in the future, since clocks differ.
const futureIssued = time.Minute

// Covers reports whether r takes id back. A credential that does not say when it was issued counts as issued before, and so
// does one that says it will be issued in more than a minute.
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
	return !id.Issued.Truncate(time.Microsecond).After(r.At) // as exactly as a Store keeps it
}

// CoversOpen is Covers for a connection that was open already when r was heard of: a revocation of just now covers it also
// if it seems to be issued after that, by no more than the clocks of nodes may differ.
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

// Normal returns r as a Store keeps it: with a time, in UTC and whole microseconds. It is an error if r says neither a
// subject nor an ID. It is for those who write a Store.
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

// Covering returns the revocations that can cover id, without their times. It is for those who write a Store: one that
// finds any of them with a time that is not before id was issued has to refuse id.
func Covering(id *Identity) []Revocation {
	list := []Revocation{{Subject: id.Subject}}
	if id.ID != "" {
		list = append(list, Revocation{ID: id.ID}, Revocation{Subject: id.Subject, ID: id.ID})
	}
	return list
}
