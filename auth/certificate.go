package auth

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// CertificateName is a kind of name in a certificate, which can identify its owner.
type CertificateName string

// The kinds of names. All but the last are subject alternative names (RFC 5280 §4.2.1.6).
const (
	CertificateURI   CertificateName = "uri" // such as spiffe://example.com/billing
	CertificateDNS   CertificateName = "dns"
	CertificateEmail CertificateName = "email"
	// CertificateCommonName is the subject's common name, which was used before subject alternative names existed. It may contain
	// any kind of name, so use it only with your own CA.
	CertificateCommonName CertificateName = "cn"
)

// CertificateOptions configure [NewCertificates].
type CertificateOptions struct {
	// Names lists the kinds of names to look for, in order of preference; nil means URI, DNS, email. The subject is the first name
	// of the first kind that the certificate has. DNS names, and the part of an email address after the @, are converted to lower
	// case, because certificates of one owner may differ in case.
	Names []CertificateName

	// Subjects, if not nil, maps names to subjects; clients whose names are not in it are rejected.
	Subjects map[string]string
}

// Certificates is an [Authenticator] for client certificates that the TLS listener has verified with its own CAs. An unverified
// certificate is ignored. A browser sends its certificate with the requests of any page: do not set AnyOrigin of
// [websocket.AcceptOptions]. Make it with [NewCertificates].
type Certificates struct {
	o        CertificateOptions
	subjects map[certificateKey]string // o.Subjects with normalized names
}

type certificateKey struct {
	kind CertificateName
	name string
}

var (
	errCertificateTime = errors.New("the client certificate has expired, or is not valid yet")
	errCertificateName = errors.New("the client certificate names no known user")
)

// NewCertificates returns an Authenticator that identifies clients by their certificates.
func NewCertificates(o CertificateOptions) (*Certificates, error) {
	if len(o.Names) == 0 {
		o.Names = []CertificateName{CertificateURI, CertificateDNS, CertificateEmail}
	}
	for _, n := range o.Names {
		switch n {
		case CertificateURI, CertificateDNS, CertificateEmail, CertificateCommonName:
		default:
			return nil, fmt.Errorf("auth: certificates: unknown kind of name %q; want uri, dns, email or cn", n)
		}
	}
	o.Names = slices.Clone(o.Names)
	c := &Certificates{o: o, subjects: map[certificateKey]string{}}
	for name, subject := range o.Subjects {
		if !validSubject(subject, maxSubject) {
			return nil, fmt.Errorf("auth: certificates: %q is mapped to an empty subject", name)
		}
		for _, kind := range o.Names {
			key := certificateKey{kind, normalizeName(kind, name)}
			if !validNameForm(kind, key.name) {
				continue
			}
			if other, ok := c.subjects[key]; ok && other != subject {
				return nil, fmt.Errorf("auth: certificates: %q is mapped to two subjects, %q and %q", key.name, subject, other)
			}
			c.subjects[key] = subject
		}
	}
	return c, nil
}

// Challenge implements [Authenticator]. There is no HTTP challenge: TLS requests certificates.
func (c *Certificates) Challenge() string { return "" }

// Authenticate implements [Authenticator]. The Identity's ID is the certificate's SHA-256 fingerprint in hex; it expires with the
// certificate.
func (c *Certificates) Authenticate(r *http.Request) (*Identity, error) {
	// PeerCertificates would also contain unverified certificates.
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 || len(r.TLS.VerifiedChains[0]) == 0 {
		return nil, ErrNoCredentials
	}
	cert := r.TLS.VerifiedChains[0][0]
	if now := time.Now(); now.After(cert.NotAfter) || now.Before(cert.NotBefore) { // cert may have expired since the TLS handshake
		return nil, Unauthorized(errCertificateTime)
	}
	subject := c.subject(cert)
	if !validSubject(subject, maxSubject) {
		return nil, Forbidden(errCertificateName)
	}
	fingerprint := sha256.Sum256(cert.Raw)
	return &Identity{
		Subject: subject,
		Method:  "certificate",
		Claims:  certificateClaims(cert),
		ID:      hex.EncodeToString(fingerprint[:]),
		Issued:  cert.NotBefore,
		Expires: cert.NotAfter,
	}, nil
}

// subject returns the user that a certificate belongs to, or "" if there is none.
func (c *Certificates) subject(cert *x509.Certificate) string {
	for _, kind := range c.o.Names {
		for _, name := range certificateNames(cert, kind) {
			if c.o.Subjects == nil {
				return name
			}
			if s, ok := c.subjects[certificateKey{kind, name}]; ok {
				return s
			}
		}
	}
	return ""
}

// certificateNames returns the names of one kind.
func certificateNames(cert *x509.Certificate, kind CertificateName) []string {
	var names []string
	switch kind {
	case CertificateURI:
		for _, u := range cert.URIs {
			names = append(names, u.String())
		}
	case CertificateDNS:
		for _, n := range cert.DNSNames {
			names = append(names, normalizeName(CertificateDNS, n))
		}
	case CertificateEmail:
		for _, n := range cert.EmailAddresses {
			names = append(names, normalizeName(CertificateEmail, n))
		}
	case CertificateCommonName:
		names = []string{cert.Subject.CommonName}
	}
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !validNameForm(kind, n) })
}

// validNameForm reports whether a name has the form of its kind. A name in the form of another kind could impersonate another user: for
// example, an email address among the DNS names, which a CA may verify less carefully.
func validNameForm(kind CertificateName, name string) bool {
	switch kind {
	case CertificateDNS:
		return name != "" && !strings.ContainsAny(name, "@:/")
	case CertificateEmail:
		return strings.Contains(name, "@") && !strings.Contains(name, ":")
	case CertificateURI:
		return strings.Contains(name, ":")
	}
	return name != ""
}

// normalizeName normalizes a name: DNS names ignore case (RFC 4343), as does the part of an email address after the @ (RFC 5321 §2.4).
func normalizeName(kind CertificateName, name string) string {
	switch at := strings.LastIndexByte(name, '@'); {
	case kind == CertificateDNS:
		return strings.ToLower(strings.TrimSuffix(name, "."))
	case kind == CertificateEmail && at >= 0:
		return name[:at] + strings.ToLower(name[at:])
	}
	return name
}

// certificateClaims returns the claims of a certificate, for rules. Lists are present even if they are empty.
func certificateClaims(cert *x509.Certificate) map[string]any {
	return map[string]any{
		"uri":               claimList(certificateNames(cert, CertificateURI)),
		"dns":               claimList(certificateNames(cert, CertificateDNS)),
		"email":             claimList(certificateNames(cert, CertificateEmail)),
		"cn":                cert.Subject.CommonName,
		"organization":      claimList(cert.Subject.Organization),
		"organization_unit": claimList(cert.Subject.OrganizationalUnit),
		"issuer":            cert.Issuer.String(),
		"serial":            cert.SerialNumber.Text(16),
	}
}

// claimList returns a list in the type that JSON decoding produces, so that rules see the same type with each method.
func claimList(list []string) []any {
	l := make([]any, len(list))
	for i, s := range list {
		l[i] = s
	}
	return l
}
