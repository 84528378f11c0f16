package gateway

import (
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/observe"
)

// maxRevoked is the maximum length of a name in a revocation; no credential has a longer name.
const maxRevoked = 1024

// revokeByOperator revokes all credentials of a user, or a single credential, on all nodes: their connections are closed, and
// credentials that were issued before are no longer accepted.
func (s *operator) revokeByOperator(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	if err := r.ParseForm(); err != nil {
		badRequest(w, "the form cannot be read")
		return
	}
	v := auth.Revocation{Subject: r.Form.Get("user"), ID: r.Form.Get("credential")}
	for _, name := range []string{v.Subject, v.ID} {
		if len(name) > maxRevoked || !utf8.ValidString(name) || strings.ContainsFunc(name, func(c rune) bool { return c < ' ' }) {
			badRequest(w, "user and credential must have at most %d bytes of UTF-8 without control characters", maxRevoked)
			return
		}
	}
	v, err := v.Normal()
	if err != nil {
		badRequest(w, "user or credential is required")
		return
	}
	if err := s.store.Revoke(r.Context(), v); err != nil {
		s.rec.log.Warn(observe.EventAdmin, observe.KeyUser, v.Subject, observe.KeyError, err)
		plain(w, http.StatusServiceUnavailable, "the store did not accept the revocation: try again\n")
		return
	}
	s.rec.audit.log(observe.AuditRevoked, observe.KeyUser, v.Subject, observe.KeyCredential, v.ID)
	writeJSON(w, v)
}
