// Package chain verifies and describes the certificates that a server presents. It reports every problem that a client with given
// trusted CAs would find, rather than only the first.
package chain

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind is a kind of problem with a chain.
type Kind string

// The kinds of problems.
const (
	Expired    Kind = "expired"
	NotYet     Kind = "not yet valid"
	Name       Kind = "name"        // the certificate is for other names
	SelfSigned Kind = "self-signed" // the certificate is self-signed and not trusted
	Unknown    Kind = "unknown"     // the CA is not trusted
	Incomplete Kind = "incomplete"  // a certificate between the chain and a trusted CA is missing
	Usage      Kind = "usage"       // the certificate is not for servers
	Order      Kind = "order"       // the certificates are in the wrong order

	Signature   Kind = "signature"    // a signature algorithm is insecure, such as one with SHA-1
	NoAuthority Kind = "no authority" // an issuer may not sign certificates
	Other       Kind = "other"
)

// Problem is one problem with a chain. Names in Detail are unmodified, including control characters.
type Problem struct {
	Kind   Kind
	Clause string // the violated rule
	Detail string // the problem in words, without a full stop
}

// The clauses about a chain of certificates.
const (
	ClauseValidity = "RFC 5280 §4.1.2.5"
	ClauseName     = "RFC 9525 §6"
	ClausePath     = "RFC 5280 §6.1"
	ClauseOrder    = "RFC 8446 §4.4.2"
)

// Options configure how a chain is verified.
type Options struct {
	Name   string         // the host that the first certificate must be for; "" means any
	Roots  *x509.CertPool // the trusted CAs; nil means the system's
	Now    time.Time
	AnyUse bool // the first certificate need not be for servers
}

// Judge returns all problems of a chain, which must not be empty. It checks the validity period, the name and the path to a CA
// independently. path is nil if there is no path.
func Judge(chain []*x509.Certificate, o Options) (path []*x509.Certificate, problems []Problem) {
	leaf := chain[0]
	if p := validityProblem(leaf, o.Now); p != nil {
		problems = append(problems, *p)
	}
	if o.Name != "" && leaf.VerifyHostname(o.Name) != nil {
		problems = append(problems, Problem{Name, ClauseName, nameDetail(leaf, o.Name)})
	}
	path, err := Path(chain, nil, o)
	if err != nil {
		if p := pathProblem(chain, o, err); p != nil {
			problems = append(problems, *p)
		}
	}
	return path, problems
}

// Path looks for a path from the first certificate to a CA, ignoring the validity period of the first certificate. more are
// certificates that the server has not sent.
func Path(chain, more []*x509.Certificate, o Options) ([]*x509.Certificate, error) {
	leaf := chain[0]
	now := o.Now
	switch {
	case now.After(leaf.NotAfter):
		now = leaf.NotAfter
	case now.Before(leaf.NotBefore):
		now = leaf.NotBefore
	}
	opts := x509.VerifyOptions{Roots: o.Roots, Intermediates: x509.NewCertPool(), CurrentTime: now}
	if o.AnyUse {
		opts.KeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
	}
	for _, c := range slices.Concat(chain[1:], more) {
		opts.Intermediates.AddCert(c)
	}
	paths, err := leaf.Verify(opts)
	if err != nil {
		return nil, err
	}
	return paths[0], nil
}

// validityProblem returns the problem with a server certificate's validity period, or nil if there is none.
func validityProblem(c *x509.Certificate, now time.Time) *Problem {
	switch {
	case now.After(c.NotAfter):
		return &Problem{Expired, ClauseValidity, fmt.Sprintf("the certificate expired on %s, %s ago", Day(c.NotAfter), Long(now.Sub(c.NotAfter)))}
	case now.Before(c.NotBefore):
		return &Problem{NotYet, ClauseValidity, fmt.Sprintf("the certificate is not valid until %s, in %s", Day(c.NotBefore), Long(c.NotBefore.Sub(now)))}
	}
	return nil
}

// nameDetail describes the names in a certificate that is not for name.
func nameDetail(c *x509.Certificate, name string) string {
	names := Names(c)
	if len(names) == 0 {
		return "the certificate names no host at all, so it is not for " + name
	}
	return "the certificate is for " + strings.Join(Short(names), ", ") + ", not for " + name
}

// pathProblem returns the reason why there is no path to a CA.
func pathProblem(chain []*x509.Certificate, o Options, err error) *Problem {
	leaf := chain[0]
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		switch {
		case e.Reason == x509.Expired && e.Cert == leaf: // reported by validityProblem
			return nil
		case e.Reason == x509.Expired && e.Cert != nil && validityProblem(leaf, o.Now) != nil && validityProblem(e.Cert, o.Now) == nil:
			// The CA's certificate is valid now, but was never valid at the same time as the server's.
			return issuerPathProblem(chain, o)
		case e.Reason == x509.Expired && e.Cert != nil:
			return &Problem{Expired, ClauseValidity, fmt.Sprintf("the certificate of the CA %s is outside its validity period: %s to %s",
				NameOf(e.Cert.Subject), Day(e.Cert.NotBefore), Day(e.Cert.NotAfter))}
		case e.Reason == x509.IncompatibleUsage:
			return &Problem{Usage, ClausePath, "the certificate is not for servers: its extended key usage says so"}
		}
		return &Problem{Other, ClausePath, strings.TrimPrefix(err.Error(), "x509: ")}
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); !ok {
		return &Problem{Other, ClausePath, strings.TrimPrefix(err.Error(), "x509: ")}
	}
	if p := signatureProblem(chain, err); p != nil {
		return p
	}
	last, unused := followIssuers(chain)
	switch {
	case IsSelfSigned(leaf):
		return &Problem{SelfSigned, ClausePath, "the certificate is self-signed and not trusted here"}
	case IsSelfSigned(last):
		return &Problem{Unknown, ClausePath, "the CA " + NameOf(last.Subject) + " is not trusted here"}
	case sharesOrganization(last, o.Roots):
		return &Problem{Incomplete, ClausePath, "the server does not send the certificate of " + NameOf(last.Issuer) +
			"; a CA of that issuer's organization is trusted here"}
	}
	for _, c := range unused {
		if _, err := Path([]*x509.Certificate{c}, nil, Options{Roots: o.Roots, Now: o.Now, AnyUse: true}); err == nil {
			return &Problem{Incomplete, ClausePath, "the server does not send the certificate of " + NameOf(last.Issuer) +
				", while it sends that of " + NameOf(c.Subject) + ", which is trusted here"}
		}
	}
	return &Problem{Unknown, ClausePath, "the issuer " + NameOf(last.Issuer) + " is not trusted here"}
}

// issuerPathProblem returns the problem with the path from the issuer of the first certificate to a CA, or nil if there is none.
func issuerPathProblem(chain []*x509.Certificate, o Options) *Problem {
	for i, c := range chain[1:] {
		if c.CheckSignature(chain[0].SignatureAlgorithm, chain[0].RawTBSCertificate, chain[0].Signature) != nil {
			continue
		}
		rest := append([]*x509.Certificate{c}, slices.Delete(slices.Clone(chain[1:]), i, i+1)...)
		if _, err := Path(rest, nil, Options{Roots: o.Roots, Now: o.Now, AnyUse: true}); err != nil {
			p := pathProblem(rest, o, err)
			if p != nil && p.Kind == SelfSigned {
				p = &Problem{Unknown, ClausePath, "the CA " + NameOf(c.Subject) + " is not trusted here"}
			}
			return p
		}
		return nil
	}
	return nil
}

// followIssuers follows a chain from its first certificate, from issuer to issuer. It returns the last certificate that it reaches, and the
// certificates that it does not reach.
func followIssuers(chain []*x509.Certificate) (last *x509.Certificate, unused []*x509.Certificate) {
	last, unused = chain[0], slices.Clone(chain[1:])
	for {
		i := slices.IndexFunc(unused, func(c *x509.Certificate) bool { return string(c.RawSubject) == string(last.RawIssuer) })
		if i < 0 || string(last.RawSubject) == string(last.RawIssuer) {
			return last, unused
		}
		last = unused[i]
		unused = slices.Delete(unused, i, i+1)
	}
}

// insecureAlgorithms are signature algorithms that crypto/x509 no longer accepts.
var insecureAlgorithms = []x509.SignatureAlgorithm{
	x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1,
}

var notAuthority = regexp.MustCompile(`parent certificate cannot sign this kind of certificate.* candidate authority certificate (".*")`)

// signatureProblem returns the problem with the signatures in a chain: their algorithm, or an issuer that may not sign. crypto/x509
// names such an issuer only in the text of an error about an unknown CA.
func signatureProblem(chain []*x509.Certificate, err error) *Problem {
	for _, c := range chain {
		if slices.Contains(insecureAlgorithms, c.SignatureAlgorithm) && string(c.RawSubject) != string(c.RawIssuer) {
			return &Problem{Signature, ClausePath, fmt.Sprintf("the signature of the certificate of %s is %s, which is not secure and not accepted",
				NameOf(c.Subject), c.SignatureAlgorithm)}
		}
	}
	if m := notAuthority.FindStringSubmatch(err.Error()); m != nil {
		name := m[1]
		if plain, err := strconv.Unquote(name); err == nil {
			name = plain
		}
		return &Problem{NoAuthority, ClausePath, "the issuer " + name + " is not a CA: its certificate may not sign others"}
	}
	return nil
}

// sharesOrganization reports whether a trusted CA belongs to the organization that issued c.
func sharesOrganization(c *x509.Certificate, roots *x509.CertPool) bool {
	if roots == nil || len(c.Issuer.Organization) == 0 {
		return false
	}
	//nolint:staticcheck // Subjects may omit roots of the system, which only makes the result less certain
	for _, raw := range roots.Subjects() {
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

// Disorder returns the problem with the order of a chain, in which each certificate must be followed by that of its issuer, or nil
// if there is none. Most clients accept a chain in any order.
func Disorder(chain []*x509.Certificate) *Problem {
	for i := 1; i < len(chain); i++ {
		if chain[i-1].CheckSignatureFrom(chain[i]) != nil {
			return &Problem{Order, ClauseOrder, fmt.Sprintf("certificate %d of the chain did not sign certificate %d", i+1, i)}
		}
	}
	return nil
}

// Names returns the hosts of a certificate.
func Names(c *x509.Certificate) []string {
	names := slices.Clone(c.DNSNames)
	for _, a := range c.IPAddresses {
		names = append(names, a.String())
	}
	return names
}

// Short shortens a list of names for display.
func Short(names []string) []string {
	const maxNames = 6
	if len(names) <= maxNames {
		return slices.Clone(names)
	}
	return append(slices.Clone(names[:maxNames]), fmt.Sprintf("and %d more", len(names)-maxNames))
}

// IsSelfSigned reports whether c is its own issuer.
func IsSelfSigned(c *x509.Certificate) bool {
	return string(c.RawSubject) == string(c.RawIssuer) &&
		c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

// NameOf formats a distinguished name for display: the common name, or the whole name if there is none.
func NameOf(n pkix.Name) string {
	if n.CommonName != "" {
		return n.CommonName
	}
	if s := n.String(); s != "" {
		return s
	}
	return "(no name)"
}

// Key describes the type and size of a certificate's key.
func Key(c *x509.Certificate) string {
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

// Day formats the date of a time.
func Day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// Long formats a long duration.
func Long(d time.Duration) string {
	switch hours := int(d.Hours()); {
	case hours >= 48:
		return fmt.Sprintf("%d days", hours/24)
	case hours >= 2:
		return fmt.Sprintf("%d hours", hours)
	}
	return fmt.Sprintf("%d minutes", int(d.Minutes()))
}
