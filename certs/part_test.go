package certs

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"
)

// A certificate that has expired, or is not valid yet, does not replace a valid one. If no certificate is in use, or there is no new
// certificate, there is nothing to compare.
func TestWorse(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	lasts := func(from, to time.Duration) *x509.Certificate {
		return &x509.Certificate{NotBefore: now.Add(from), NotAfter: now.Add(to)}
	}
	good, expired, early := lasts(0, 0), lasts(-time.Hour, -1), lasts(1, time.Hour)
	for _, tt := range []struct {
		name        string
		leaf, inUse *x509.Certificate
		want        string // "" means accepted
		again       time.Time
	}{
		{"nothing", nil, nil, "", time.Time{}},
		{"no new certificate for a valid one", nil, good, "", time.Time{}},
		{"the first is over", expired, nil, "", time.Time{}},
		{"both are valid", good, good, "", time.Time{}},
		{"over for over", expired, expired, "", time.Time{}},
		{"early for over", early, expired, "", time.Time{}},
		{"over for valid", expired, good, "expired on 2023-11-14T22:13:19Z", time.Time{}},
		{"early for valid", early, good, "not valid before 2023-11-14T22:13:20Z", early.NotBefore},
	} {
		p := part{leaf: tt.inUse, paths: []string{"cert.pem"}}
		err := p.checkValidity(tt.leaf, now)
		if (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) || !p.retryAt.Equal(tt.again) {
			t.Errorf("%s: %v, again at %v", tt.name, err, p.retryAt)
		}
	}
}
