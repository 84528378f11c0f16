package cli

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/handfast/handfast/certs"
)

// judge describes a chain and finds out whether a client that trusts the roots would believe it about a name; "" means
// that no name is asked about.
func (s *chainShown) judge(chain []*x509.Certificate, name string, roots *x509.CertPool, now time.Time) {
	for _, cert := range chain {
		s.Chain = append(s.Chain, describeCert(cert, now))
	}
	leaf := chain[0]
	opts := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool(), CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if leaf.IsCA {
		opts.KeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
	}
	for _, cert := range chain[1:] {
		opts.Intermediates.AddCert(cert)
	}
	chains, err := leaf.Verify(opts)
	wrongName, mixed := nameFault(leaf, name), disorder(chain)
	if wrongName != nil {
		s.Problems = append(s.Problems, *wrongName)
	}
	if err == nil {
		upper := chains[0][len(chains[0])-1]
		s.By = shortName(upper.Subject.CommonName, upper.Subject.String(), nil)
		s.Verified = wrongName == nil
		if dir, err := certs.DevDir(); err == nil {
			if dev, err := certs.DevCA(dir); err == nil && dev.Equal(upper) && trustedIn(dev) == "" {
				s.Notes = append(s.Notes, `that is the development CA: handfast believes it by itself, other programs after "handfast cert trust"`)
			}
		}
		if mixed != nil { // clients put up with it, mostly
			s.Notes = append(s.Notes, mixed.Problem+": "+mixed.Hint)
		}
		return
	}
	s.Problems = append(s.Problems, untimely(chain, now)...)
	if mixed != nil {
		s.Problems = append(s.Problems, *mixed)
	}
	if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) { // which has been said: is there more?
		opts.CurrentTime = leaf.NotAfter.Add(-time.Minute)
		_, err = leaf.Verify(opts)
	}
	if err == nil {
		return
	}
	if fault := chainFault(chain, err); fault != nil {
		s.Problems = append(s.Problems, *fault)
	}
}

// untimely finds certificates that are not valid now.
func untimely(chain []*x509.Certificate, now time.Time) []fault {
	var faults []fault
	for i, cert := range chain {
		which := "the certificate"
		if i > 0 {
			which = "the certificate of " + shortName(cert.Subject.CommonName, cert.Subject.String(), nil) + " in its chain"
		}
		switch {
		case now.After(cert.NotAfter):
			faults = append(faults, fault{fmt.Sprintf("%s ended on %s, %s ago", which, cert.NotAfter.UTC().Format(time.RFC3339),
				days(now.Sub(cert.NotAfter))), "renew it; if it was renewed, let the server load the new one"})
		case now.Before(cert.NotBefore):
			faults = append(faults, fault{fmt.Sprintf("%s begins on %s", which, cert.NotBefore.UTC().Format(time.RFC3339)),
				"check the clock of this machine, and of the one that issued it"})
		}
	}
	return faults
}

// nameFault says what is wrong when a certificate is not for a name.
func nameFault(leaf *x509.Certificate, name string) *fault {
	if name == "" || leaf.VerifyHostname(name) == nil {
		return nil
	}
	names := describeCert(leaf, time.Time{}).Names
	if len(names) == 0 {
		return &fault{"the certificate is for no name: it has no subject alternative names (RFC 9525 §6)",
			"issue it with the host's name as a subject alternative name; the common name does not count"}
	}
	hint := "use one of its names, or issue a certificate for this one"
	if net.ParseIP(name) != nil {
		hint = "connect by one of its names, or issue a certificate with the address in it"
	}
	return &fault{fmt.Sprintf("the certificate is for %s, and not for %s", strings.Join(names, ", "), name), hint}
}

// disorder says what is wrong with the order of a chain: each certificate is followed by that of its issuer (RFC 8446
// §4.4.2).
func disorder(chain []*x509.Certificate) *fault {
	for i := 1; i < len(chain); i++ {
		if chain[i-1].CheckSignatureFrom(chain[i]) != nil {
			return &fault{fmt.Sprintf("certificate %d of the chain did not sign certificate %d", i+1, i),
				"put the server's certificate first, and behind each one that of its issuer"}
		}
	}
	return nil
}

// chainFault says why a chain leads to nobody that is trusted.
func chainFault(chain []*x509.Certificate, err error) *fault {
	leaf, last := chain[0], chain[len(chain)-1]
	issuer := shortName(last.Issuer.CommonName, last.Issuer.String(), nil)
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return nil // somebody above has ended, which has been said
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return &fault{"the certificate is not for servers: its extended key usage says so", "issue one for serverAuth"}
	case !errors.As(err, &unknown):
		return &fault{err.Error(), ""}
	case leaf.CheckSignatureFrom(leaf) == nil || string(leaf.RawIssuer) == string(leaf.RawSubject):
		return &fault{"it is signed by itself, and this machine does not trust it",
			"name it with --cacert, or have it signed by an authority"}
	case string(last.RawIssuer) != string(last.RawSubject) && len(last.IssuingCertificateURL) > 0:
		return &fault{fmt.Sprintf("the certificate of its issuer, %s, is missing: clients cannot get from it to an authority that they know", issuer),
			"let the server send the whole chain (fullchain.pem); the missing part lies at " + last.IssuingCertificateURL[0]}
	}
	return &fault{fmt.Sprintf("this machine does not know the authority %s that signed it", issuer),
		"name the authority's certificate with --cacert; if it is well known, the server fails to send the certificates between"}
}
