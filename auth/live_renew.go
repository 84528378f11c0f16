package auth

import (
	"errors"
	"time"
)

// Errors of [Session.Renew], in addition to that of a credential that was revoked.
var (
	// ErrOtherSubject says that the new credential is another subject's.
	ErrOtherSubject = errors.New("auth: the credential is another subject's")

	// ErrSessionClosed says that the session was closed by this server.
	ErrSessionClosed = errors.New("auth: the session is closed")
)

// Renew gives an open session another credential of its subject, which the caller has checked: from now on that credential's
// expiry and revocation count, and the old one's no longer do. After an error nothing has changed.
func (s *Session) Renew(id *Identity) error {
	l := s.live
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	switch {
	case s.told != nil:
		return ErrSessionClosed
	case id.Subject != s.Identity.Subject:
		return ErrOtherSubject
	}
	if err := l.missed(id, now); err != nil {
		return err
	}
	l.unschedule(s)
	l.unlink(byCredential, s)
	s.Identity.ID, s.Identity.Issued, s.Identity.Expires = id.ID, id.Issued, id.Expires
	s.warned = l.Expiring == nil
	l.link(byCredential, s)
	l.schedule(s, now)
	return nil
}

// Credential returns the ID and the expiry of the session's credential, which [Session.Renew] may change.
func (s *Session) Credential() (id string, expires time.Time) {
	s.live.mu.Lock()
	defer s.live.mu.Unlock()
	return s.Identity.ID, s.Identity.Expires
}
