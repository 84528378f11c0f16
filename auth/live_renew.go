package auth

import (
	"errors"
	"time"
)

// Errors of [Session.Renew], in addition to [ErrRevoked].
var (
	// ErrOtherSubject indicates that the new credential belongs to another subject.
	ErrOtherSubject = errors.New("auth: the credential belongs to another subject")

	// ErrSessionClosed indicates that the session was closed by this server.
	ErrSessionClosed = errors.New("auth: the session is closed")
)

// Renew gives an open session another credential of its subject, which the caller has checked. From then on the expiry and
// revocations of the new credential apply. The warning is sent when half of the remaining time has passed, or later, so that a
// client with a short-lived credential does not renew continuously. If there is an error, nothing has changed.
func (s *Session) Renew(id *Identity) error {
	l := s.live
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.closeErr == nil && id.Subject != s.Identity.Subject {
		return ErrOtherSubject
	}
	return s.become(id)
}

// Become gives an open session a credential of any subject, for a client that was admitted without one and has authenticated since.
// It is like [Session.Renew], but changes the Subject and the Method of the Identity too: see [Session.Who].
func (s *Session) Become(id *Identity) error {
	l := s.live
	l.mu.Lock()
	defer l.mu.Unlock()
	return s.become(id)
}

// become replaces the identity of the session. The caller holds mu.
func (s *Session) become(id *Identity) error {
	l, now := s.live, time.Now()
	if s.closeErr != nil {
		return ErrSessionClosed
	}
	if err := l.checkRecent(id, now); err != nil {
		return err
	}
	l.unschedule(s)
	l.unlink(bySubject, s)
	l.unlink(byCredential, s)
	s.Identity = Identity{Subject: id.Subject, Method: id.Method, ID: id.ID, Issued: id.Issued, Expires: id.Expires}
	s.warned, s.lead = l.Expiring == nil, min(s.Warn, id.Expires.Sub(now)/2)
	l.link(bySubject, s)
	l.link(byCredential, s)
	l.schedule(s, now)
	return nil
}

// Who returns the present identity of the session, after [Session.Renew] and [Session.Become], without claims.
func (s *Session) Who() Identity {
	if s.live == nil { // the session was never admitted
		return s.Identity
	}
	s.live.mu.Lock()
	defer s.live.mu.Unlock()
	return s.Identity
}
