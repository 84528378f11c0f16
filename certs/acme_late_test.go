package certs

import (
	"crypto/x509"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A certificate whose renewal is overdue is reported once a day, with the CA's problem.
func TestACMELateRenewal(t *testing.T) {
	ca := newIssuer(t)
	start := time.Now()
	made := ca.issue([]string{"www.example.com"}, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = start.Add(-time.Hour), start.AddDate(0, 0, 90)
	})
	pair := made.pair(t)
	p, reported := openProvider(t, Options{ACME: &ACME{Hosts: []string{"www.example.com"}, AgreeTerms: true,
		Cache: filepath.Join(t.TempDir(), "cache")}})
	h := p.acme.hosts[0]
	p.acme.use(h, &pair)
	if e := reported.wait(t); e.Kind != EventLoaded || !e.New.Equal(made.leaf) {
		t.Fatalf("reported: %v", e)
	}
	p.acme.use(h, &pair) // using the same certificate again reports nothing
	p.acme.transport.record("www.example.com", "urn:ietf:params:acme:error:dns", errors.New("http-01: no such name"))
	late := made.leaf.NotAfter.Add(-15 * 24 * time.Hour)
	for _, now := range []time.Time{start, start.AddDate(0, 0, 60), late.Add(-1)} {
		p.acme.checkOverdue(h, now)
	}
	if len(reported) != 0 {
		t.Fatalf("reported: %v", reported.wait(t))
	}
	for _, after := range []time.Duration{0, time.Hour, 24*time.Hour - 1, 24 * time.Hour} {
		p.acme.checkOverdue(h, late.Add(after))
	}
	for range 2 {
		e := reported.wait(t)
		fault, ok := errors.AsType[*Error](e.Err)
		if !ok || !strings.Contains(e.Err.Error(), "no such name") || !strings.Contains(fault.Hint, "A or AAAA record") {
			t.Errorf("reported: %v", e)
		}
	}
	if info := p.Certificates()[0]; len(reported) != 0 || info.Err == nil || !info.Cert.Equal(made.leaf) {
		t.Errorf("%d additional events, %+v", len(reported), info)
	}
}
