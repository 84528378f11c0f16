package auth

import (
	"context"
	"sync"
	"time"

	"github.com/handfast/handfast/websocket"
)

// CodeExpired is the close code of a session whose credential has expired or was revoked: 4401, after HTTP's 401. The client
// reconnects with a new credential.
const CodeExpired websocket.Code = 4401

// The close reasons for CodeExpired.
const (
	ReasonExpired = "token expired"
	ReasonRevoked = "credential revoked"
)

// Handle is the connection of a session, which can be ended: a [*websocket.Conn], a [websocket.Sender] or a tunnel.
type Handle interface {
	// Shut starts the closing handshake and does not wait for the peer.
	Shut(code websocket.Code, reason string) error

	// CloseNow ends the connection immediately.
	CloseNow() error
}

// Live closes sessions when their credentials expire or are revoked, on this node or another. Its exported fields must be set
// before the first session. The zero value is ready to use, and handles only expiry. A Live may be used by multiple goroutines
// concurrently.
type Live struct {
	// Store reports revocations, to [Live.Run]. If nil, there are no revocations.
	Store Store

	// Expiring, if not nil, is called on a goroutine of its own, Session.Warn before a session's credential expires.
	Expiring func(h Handle, left time.Duration)

	// Revoked, if not nil, is called after a revocation has closed sessions, with the number of sessions.
	Revoked func(r Revocation, n int)

	mu           sync.Mutex
	first        [kinds]map[string]*Session // the first session of each subject, and of each credential
	expiring     expiryHeap
	timer        *time.Timer                // fires when the next session in expiring is due
	recent       []recentRevocation         // in order of arrival
	recentCounts map[Revocation]recentCount // the same revocations, by subject and credential
}

// Session is one client, from its admission to its end. Its exported fields must be set before [Live.Admit] and not changed
// afterwards. [Session.Renew] and [Session.Become] change the Identity: see [Session.Who].
type Session struct {
	ID       string        // names the session, for the caller; may be empty
	Identity Identity      // the Claims are not used
	Warn     time.Duration // how long before the end Live.Expiring is called; 0 means never; see Session.Renew

	live     *Live
	links    [kinds]link
	lead     time.Duration         // time from the warning to the end: Warn, or less after a renewal
	index    int32                 // index in the heap, plus one; 0 if not in the heap
	warned   bool                  // the warning has been given, or none is due
	handle   Handle                // nil until Open
	closeErr *websocket.CloseError // the close frame with which this server closed the session
}

// recentRevocation is a revocation that a handshake in progress may have missed: the credential was checked before the
// revocation arrived, and the client is admitted after that.
type recentRevocation struct {
	revocation Revocation // the revocation without its time
	arrived    time.Time
}

// recentCount counts the entries of recent with the same subject and credential.
type recentCount struct {
	at time.Time // latest time of these entries
	n  int
}

const (
	// recentWindow is longer than the time in a handshake from the check of a credential to the admission.
	recentWindow = 20 * time.Second

	// maxRecent limits the list, because a store that is read again from its beginning reports all revocations. The oldest of them
	// cannot affect a handshake in progress.
	maxRecent = 10_000

	// revocationSkew is the maximum difference between the clocks of nodes.
	revocationSkew = 5 * time.Second
)

// Admit adds s to the sessions that can be found and closed. It must be called after the credential has been checked, at most 20
// seconds after the check began, and before the client is notified of its admission, so that no revocation misses an admitted
// client. A non-nil error means that the credential was revoked in the meantime. After a nil error the caller must call
// [Session.End].
func (l *Live) Admit(s *Session) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.checkRecent(&s.Identity, time.Now()); err != nil {
		return err
	}
	s.live, s.warned, s.lead = l, l.Expiring == nil, s.Warn
	l.link(bySubject, s)
	l.link(byCredential, s)
	return nil
}

// checkRecent returns an error if a recent revocation covers id: one that arrived after the credential was checked. The caller holds mu.
func (l *Live) checkRecent(id *Identity, now time.Time) error {
	l.trim(now)
	for _, r := range Covering(id) {
		if known, ok := l.recentCounts[r]; ok {
			r.At = known.at
			if r.Covers(id) {
				return ErrRevoked
			}
		}
	}
	return nil
}

// trim forgets revocations that are too old for a handshake to have missed. The caller holds mu.
func (l *Live) trim(now time.Time) {
	for len(l.recent) > 0 && now.Sub(l.recent[0].arrived) > recentWindow {
		l.dropOldest()
	}
}

// dropOldest forgets the revocation that arrived first. The caller holds mu.
func (l *Live) dropOldest() {
	revocation := l.recent[0].revocation
	l.recent = l.recent[1:]
	c := l.recentCounts[revocation]
	if c.n--; c.n == 0 {
		delete(l.recentCounts, revocation)
	} else {
		l.recentCounts[revocation] = c
	}
}

// Open assigns a connection to s. It returns false if s was closed before: then Open has shut h with the code and reason of
// that close, and h must not be served.
func (s *Session) Open(h Handle) bool {
	l := s.live
	l.mu.Lock()
	s.handle = h
	closeErr := s.closeErr
	if closeErr == nil {
		l.schedule(s, time.Now())
	}
	l.mu.Unlock()
	if closeErr != nil {
		_ = h.Shut(closeErr.Code, closeErr.Reason) // the connection may have ended by itself
	}
	return closeErr == nil
}

// Close closes the session with a code and a reason, without waiting. It returns false if the session was closed before; only the
// first call's code and reason are used. A session that is not open yet is closed by Open.
func (s *Session) Close(code websocket.Code, reason string) bool {
	s.live.mu.Lock()
	h, first := s.handle, s.closeErr == nil
	if first {
		s.closeErr = &websocket.CloseError{Code: code, Reason: reason}
	}
	s.live.mu.Unlock()
	if first && h != nil {
		_ = h.Shut(code, reason) // the connection may have ended by itself
	}
	return first
}

// Told returns the code and reason with which this server closed the session, and false if it did not.
func (s *Session) Told() (code websocket.Code, reason string, ok bool) {
	s.live.mu.Lock()
	defer s.live.mu.Unlock()
	if s.closeErr == nil {
		return 0, "", false
	}
	return s.closeErr.Code, s.closeErr.Reason, true
}

// Handle returns the connection, or nil before Open.
func (s *Session) Handle() Handle {
	s.live.mu.Lock()
	defer s.live.mu.Unlock()
	return s.handle
}

// End forgets the session. It must be called once after Admit, whether the session was opened or not.
func (s *Session) End() {
	l := s.live
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unlink(bySubject, s)
	l.unlink(byCredential, s)
	l.unschedule(s)
}

// Run closes the sessions that revocations cover, within a second of each, until ctx ends. Expiry works without Run.
func (l *Live) Run(ctx context.Context) {
	if l.Store == nil {
		<-ctx.Done()
		return
	}
	l.Store.Watch(ctx, l.revoke)
}

// revoke closes the sessions that r covers.
func (l *Live) revoke(r Revocation) {
	now := time.Now()
	l.mu.Lock()
	l.trim(now)
	if len(l.recent) == maxRecent {
		l.dropOldest()
	}
	if l.recentCounts == nil {
		l.recentCounts = map[Revocation]recentCount{}
	}
	revocation := Revocation{Subject: r.Subject, ID: r.ID}
	c := l.recentCounts[revocation]
	c.n++
	if r.At.After(c.at) {
		c.at = r.At
	}
	l.recentCounts[revocation] = c
	l.recent = append(l.recent, recentRevocation{revocation, now})
	l.mu.Unlock()
	n := 0
	for _, s := range l.covered(r) {
		if s.Close(CodeExpired, ReasonRevoked) {
			n++
		}
	}
	if n > 0 && l.Revoked != nil {
		l.Revoked(r, n)
	}
}

// covered returns the sessions that r covers.
func (l *Live) covered(r Revocation) []*Session {
	if r.ID != "" {
		return l.matching(byCredential, r.ID, r.CoversOpen)
	}
	return l.matching(bySubject, r.Subject, r.CoversOpen)
}

// Sessions returns the sessions of a subject, in no order.
func (l *Live) Sessions(subject string) []*Session { return l.sessions(bySubject, subject) }

func (l *Live) sessions(k kind, key string) []*Session {
	return l.matching(k, key, func(*Identity) bool { return true })
}

// matching returns the sessions that have the key, and whose identity satisfies match.
func (l *Live) matching(k kind, key string, match func(*Identity) bool) []*Session {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []*Session
	for s := l.first[k][key]; s != nil; s = s.links[k].next {
		if match(&s.Identity) {
			list = append(list, s)
		}
	}
	return list
}

// kind is a kind of key by which sessions are found.
type kind int

const (
	bySubject kind = iota
	byCredential
	kinds
)

// link is a session's place in the list of those with the same key.
type link struct{ next, prev *Session }

// key returns the key of s, or "" if it has none.
func (k kind) key(s *Session) string {
	if k == bySubject {
		return s.Identity.Subject
	}
	return s.Identity.ID
}

// link adds s to the front of the list for its key. The caller holds mu.
func (l *Live) link(k kind, s *Session) {
	key := k.key(s)
	if key == "" {
		return
	}
	if l.first[k] == nil {
		l.first[k] = map[string]*Session{}
	}
	if next := l.first[k][key]; next != nil {
		s.links[k].next, next.links[k].prev = next, s
	}
	l.first[k][key] = s
}

// unlink removes s from the list for its key. The caller holds mu.
func (l *Live) unlink(k kind, s *Session) {
	key, at := k.key(s), s.links[k]
	if at.next != nil {
		at.next.links[k].prev = at.prev
	}
	switch {
	case at.prev != nil:
		at.prev.links[k].next = at.next
	case l.first[k][key] != s: // s was never linked, or is already unlinked
	case at.next != nil:
		l.first[k][key] = at.next
	default:
		delete(l.first[k], key)
	}
	s.links[k] = link{}
}
