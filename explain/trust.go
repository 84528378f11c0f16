package explain

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The clauses about a chain of certificates.
const (
	clauseValidity = "RFC 5280 §4.1.2.5"
	clauseName     = "RFC 9525 §6"
	clausePath     = "RFC 5280 §6.1"
)

// trustProblem is one reason why a chain is not trusted.
type trustProblem struct {
	fault  Fault
	clause string
	detail string
}

// judgeChain describes the chain that the server sent, and finds everything that is wrong with it: its time, its name, its
// issuer, each by itself.
func (sec *secure) judgeChain() {
	chain := sec.state.PeerCertificates
	sec.info.Chain = nil
	for _, c := range chain {
		sec.info.Chain = append(sec.info.Chain, newCertificate(c))
	}
	if len(chain) == 0 {
		return
	}
	now := time.Now()
	if sec.cfg.Time != nil {
		now = sec.cfg.Time()
	}
	leaf := chain[0]
	sec.judgeTime(leaf, now)
	if err := leaf.VerifyHostname(sec.cfg.ServerName); err != nil {
		sec.problem(FaultCertName, clauseName, nameDetail(leaf, sec.cfg.ServerName))
	}
	path, err := sec.path(now, nil)
	sec.judgePath(err)
	switch {
	case len(sec.problems) > 0 && sec.insecure:
		sec.info.Reason = "trust was not asked for; it would fail: " + sec.problems[0].detail
	case len(sec.problems) > 0:
		sec.info.Reason = sec.problems[0].detail
	default:
		sec.info.Trusted = true
		sec.info.Reason = "the chain leads to " + nameOf(path[len(path)-1].Subject) + ", which is trusted here"
	}
}

func (sec *secure) problem(f Fault, clause, detail string) {
	sec.problems = append(sec.problems, trustProblem{f, clause, detail})
}

// judgeTime looks at the validity of the server's own certificate.
func (sec *secure) judgeTime(leaf *x509.Certificate, now time.Time) {
	switch {
	case now.After(leaf.NotAfter):
		sec.problem(FaultCertExpired, clauseValidity, fmt.Sprintf("the certificate expired on %s, %s ago",
			day(leaf.NotAfter), days(now.Sub(leaf.NotAfter))))
	case now.Before(leaf.NotBefore):
		sec.problem(FaultCertNotYet, clauseValidity, fmt.Sprintf("the certificate is valid from %s on, in %s",
			day(leaf.NotBefore), days(leaf.NotBefore.Sub(now))))
	}
}

// path looks for a way from the server's certificate to an authority. The leaf's own time is not looked at: that has been
// done. more are certificates that the server did not send.
func (sec *secure) path(now time.Time, more []*x509.Certificate) ([]*x509.Certificate, error) {
	chain := sec.state.PeerCertificates
	leaf := chain[0]
	switch {
	case now.After(leaf.NotAfter):
		now = leaf.NotAfter
	case now.Before(leaf.NotBefore):
		now = leaf.NotBefore
	}
	between := x509.NewCertPool()
	for _, c := range slices.Concat(chain[1:], more) {
		between.AddCert(c)
	}
	paths, err := leaf.Verify(x509.VerifyOptions{Roots: sec.cfg.RootCAs, Intermediates: between, CurrentTime: now})
	if err != nil {
		return nil, err
	}
	return paths[0], nil
}

// judgePath says why there is no way to an authority.
func (sec *secure) judgePath(err error) {
	if err == nil {
		return
	}
	chain := sec.state.PeerCertificates
	leaf, last := chain[0], chain[len(chain)-1]
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		switch {
		case e.Reason == x509.Expired && e.Cert != nil && e.Cert != leaf:
			sec.problem(FaultCertExpired, clauseValidity, fmt.Sprintf("the certificate of the authority %s is out of its time: %s to %s",
				nameOf(e.Cert.Subject), day(e.Cert.NotBefore), day(e.Cert.NotAfter)))
		default:
			sec.problem(FaultCertOther, clausePath, strings.TrimPrefix(err.Error(), "x509: "))
		}
		return
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); !ok {
		sec.problem(FaultCertOther, clausePath, strings.TrimPrefix(err.Error(), "x509: "))
		return
	}
	switch {
	case selfSigned(leaf):
		sec.problem(FaultCertSelfSigned, clausePath, "the certificate is signed by itself, and not trusted here")
	case selfSigned(last):
		sec.problem(FaultCertUnknown, clausePath, "the authority "+nameOf(last.Subject)+" is not trusted here")
	case sec.kin(last):
		sec.problem(FaultCertIntermediate, clausePath, "the server does not send the certificate of "+nameOf(last.Issuer)+
			", and an authority of the same organization is trusted here")
	default:
		sec.problem(FaultCertUnknown, clausePath, "the issuer "+nameOf(last.Issuer)+" is not trusted here")
	}
}

// kin reports whether an authority that is trusted belongs to the organization that issued c.
func (sec *secure) kin(c *x509.Certificate) bool {
	if sec.cfg.RootCAs == nil || len(c.Issuer.Organization) == 0 {
		return false
	}
	//nolint:staticcheck // it leaves out what the system alone knows, which only makes this less certain
	for _, raw := range sec.cfg.RootCAs.Subjects() {
		var name pkix.RDNSequence
		if _, err := asn1.Unmarshal(raw, &name); err != nil {
			continue
		}
		var subject pkix.Name
		subject.FillFromRDNSequence(&name)
		if slices.Equal(subject.Organization, c.Issuer.Organization) {
			return true
		}
	}
	return false
}

// trustRules are the rules about the chain, and whether each held.
func (sec *secure) trustRules() []Check {
	check := func(clause, text, good string, faults ...Fault) Check {
		for _, p := range sec.problems {
			if slices.Contains(faults, p.fault) {
				return Check{clause, text, false, p.detail}
			}
		}
		return Check{clause, text, true, good}
	}
	leaf := sec.info.Chain[0]
	return []Check{
		check(clauseValidity, "today lies in the time for which the certificate is valid",
			"until "+day(leaf.NotAfter), FaultCertExpired, FaultCertNotYet),
		check(clauseName, "the certificate is for "+sec.cfg.ServerName, strings.Join(shortList(leaf.Names), ", "), FaultCertName),
		check(clausePath, "the chain leads to an authority that is trusted here", sec.info.Reason,
			FaultCertUnknown, FaultCertSelfSigned, FaultCertIntermediate, FaultCertOther),
	}
}

// newCertificate describes c.
func newCertificate(c *x509.Certificate) Certificate {
	out := Certificate{
		Subject: nameOf(c.Subject), Issuer: nameOf(c.Issuer), NotBefore: c.NotBefore, NotAfter: c.NotAfter,
		Key: keyName(c), CA: c.IsCA, SelfSigned: selfSigned(c),
	}
	sum := sha256.Sum256(c.Raw)
	out.SHA256 = hex.EncodeToString(sum[:])
	for _, n := range c.DNSNames {
		out.Names = append(out.Names, oneLine(n))
	}
	for _, a := range c.IPAddresses {
		out.Names = append(out.Names, a.String())
	}
	return out
}

// describeCertificate writes a certificate in one line.
func describeCertificate(c *Certificate) string {
	parts := []string{c.Subject}
	if len(c.Names) > 0 {
		parts = append(parts, "for "+strings.Join(shortList(c.Names), ", "))
	}
	if c.SelfSigned {
		parts = append(parts, "signed by itself")
	} else {
		parts = append(parts, "by "+c.Issuer)
	}
	return strings.Join(append(parts, "valid "+day(c.NotBefore)+" to "+day(c.NotAfter), c.Key), "; ")
}

// shortList bounds a list of names that is read by people.
func shortList(names []string) []string {
	const most = 6
	if len(names) <= most {
		return slices.Clone(names)
	}
	return append(slices.Clone(names[:most]), fmt.Sprintf("and %d more", len(names)-most))
}

// nameDetail says for whom a certificate is, when it is not for name.
func nameDetail(c *x509.Certificate, name string) string {
	names := newCertificate(c).Names
	if len(names) == 0 {
		return "the certificate names no host at all, so it is not for " + name
	}
	return "the certificate is for " + strings.Join(shortList(names), ", ") + ", not for " + name
}

// selfSigned reports whether c is its own issuer.
func selfSigned(c *x509.Certificate) bool {
	return string(c.RawSubject) == string(c.RawIssuer) &&
		c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

// nameOf writes a distinguished name as people know it: the common name, and else all of it.
func nameOf(n pkix.Name) string {
	if n.CommonName != "" {
		return oneLine(n.CommonName)
	}
	if s := n.String(); s != "" {
		return oneLine(s)
	}
	return "(no name)"
}

// keyName names the kind and the size of a certificate's key.
func keyName(c *x509.Certificate) string {
	switch k := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return c.PublicKeyAlgorithm.String()
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02") }

// days writes a long time.
func days(d time.Duration) string {
	switch hours := int(d.Hours()); {
	case hours >= 48:
		return fmt.Sprintf("%d days", hours/24)
	case hours >= 2:
		return fmt.Sprintf("%d hours", hours)
	}
	return fmt.Sprintf("%d minutes", int(d.Minutes()))
}
