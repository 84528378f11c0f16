package cli

import (
	"crypto/x509"
	"slices"
	"time"

	"github.com/handfast/handfast/certs"
	"github.com/handfast/handfast/internal/chain"
)

// verify describes certificates and checks whether a client that trusts the roots would accept them for a name; "" means that no
// name is checked.
func (s *chainInfo) verify(list []*x509.Certificate, name string, roots *x509.CertPool, now time.Time) {
	for _, cert := range list {
		s.Chain = append(s.Chain, describeCert(cert, now))
	}
	path, problems := chain.Judge(list, chain.Options{Name: name, Roots: roots, Now: now, AnyUse: list[0].IsCA})
	mixed := chain.Disorder(list)
	if mixed != nil && path == nil {
		problems = append(problems, *mixed)
	}
	for _, p := range problems {
		s.Problems = append(s.Problems, fault{p.Detail, chainHint(p.Kind, list[len(list)-1]), p.Kind})
	}
	if path == nil {
		return
	}
	upper := path[len(path)-1]
	s.By, s.Verified = chain.NameOf(upper.Subject), len(problems) == 0
	if dir, err := certs.DevDir(); err == nil {
		if dev, err := certs.DevCA(dir); err == nil && dev.Equal(upper) && trustedIn(dev) == "" {
			s.Notes = append(s.Notes, `this is the development CA: handfast trusts it automatically, other programs after "handfast cert trust"`)
		}
	}
	if mixed != nil { // only a note, because most clients tolerate a wrong order
		s.Notes = append(s.Notes, mixed.Detail+": "+chainHint(chain.Order, nil))
	}
}

// hasFileProblem reports whether the certificates of a file have a problem that does not depend on trust: the order, the validity period, or the
// name.
func (s *chainInfo) hasFileProblem(list []*x509.Certificate) bool {
	return chain.Disorder(list) != nil || slices.ContainsFunc(s.Problems, func(f fault) bool {
		return f.kind == chain.Expired || f.kind == chain.NotYet || f.kind == chain.Name
	})
}

// chainHint returns the next step for a problem of a chain whose last certificate is last.
func chainHint(kind chain.Kind, last *x509.Certificate) string {
	switch kind {
	case chain.Expired:
		return "renew it; if it was renewed, make the server load the new one"
	case chain.NotYet:
		return "check the clock of this machine, and of the machine that issued the certificate"
	case chain.Name:
		return "issue a certificate with that name as a subject alternative name, or connect to a name that the certificate is for"
	case chain.SelfSigned:
		return "pass the certificate with --cacert, or have it signed by a CA"
	case chain.Incomplete:
		return "make the server send the whole chain (fullchain.pem)"
	case chain.Signature:
		return "reissue it with SHA-256 or better"
	case chain.NoAuthority:
		return "have it signed by a certificate that may sign others (basicConstraints CA:TRUE)"
	case chain.Usage:
		return "reissue it for servers (extendedKeyUsage serverAuth)"
	case chain.Order:
		return "put the server's certificate first, and after each certificate that of its issuer"
	case chain.Unknown:
		hint := "pass the CA's certificate with --cacert"
		if len(last.IssuingCertificateURL) > 0 && !chain.IsSelfSigned(last) {
			return hint + ", or make the server send the whole chain (fullchain.pem); the certificate of the issuer is at " + last.IssuingCertificateURL[0]
		}
		return hint + "; if the CA is a public one, make the server send the intermediate certificates"
	}
	return "issue another certificate"
}
