package cli

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/handfast/handfast/certs"
	"github.com/handfast/handfast/internal/chain"
	"github.com/handfast/handfast/internal/visible"
)

// certInfo is the description of one certificate.
type certInfo struct {
	Subject   string    `json:"subject"`
	Issuer    string    `json:"issuer"`
	Names     []string  `json:"names"`
	Serial    string    `json:"serial"` // the serial number in hexadecimal digits
	NotBefore time.Time `json:"notBefore"`
	NotAfter  time.Time `json:"notAfter"`
	DaysLeft  int       `json:"daysLeft"` // whole days, rounded down; negative if the certificate has expired
	Key       string    `json:"key"`
	Signature string    `json:"signature"`
	SHA256    string    `json:"sha256"`
	CA        bool      `json:"ca"`

	now time.Time
}

func describeCert(cert *x509.Certificate, now time.Time) certInfo {
	names := append([]string{}, chain.Names(cert)...)
	for _, uri := range cert.URIs {
		names = append(names, uri.String())
	}
	names = append(names, cert.EmailAddresses...)
	subject := chain.NameOf(cert.Subject)
	if len(cert.Subject.Names) == 0 && len(names) > 0 {
		subject = names[0]
	}
	return certInfo{
		Subject: subject, Names: names,
		Issuer:    chain.NameOf(cert.Issuer),
		Serial:    fmt.Sprintf("%X", cert.SerialNumber),
		NotBefore: cert.NotBefore.UTC(), NotAfter: cert.NotAfter.UTC(),
		DaysLeft:  int(math.Floor(cert.NotAfter.Sub(now).Hours() / 24)),
		Key:       chain.Key(cert),
		Signature: cert.SignatureAlgorithm.String(),
		SHA256:    fmt.Sprintf("%X", sha256.Sum256(cert.Raw)),
		CA:        cert.IsCA,
		now:       now,
	}
}

// describeDev describes the development CA in dir and its certificate, which may be nil.
func describeDev(dir string, ca, leaf *x509.Certificate, now time.Time) devInfo {
	d := devInfo{CAFile: certs.CAFile(dir), SignsFor: permittedNames(ca), Trusted: trustedIn(ca), CA: describeCert(ca, now)}
	if leaf != nil {
		shown := describeCert(leaf, now)
		d.Leaf, d.LeafFile = &shown, certs.LeafFile(dir)
	}
	return d
}

// permittedNames returns the names for which a CA may sign; none means any.
func permittedNames(ca *x509.Certificate) []string {
	permitted := append([]string(nil), ca.PermittedDNSDomains...)
	for _, n := range ca.PermittedIPRanges {
		permitted = append(permitted, n.String())
	}
	return permitted
}

// rows returns a function that writes a line of a table.
func rows(p paint, w io.Writer) func(name, value string) {
	return func(name, value string) { fmt.Fprintf(w, "  %s %s\n", p.dim(fmt.Sprintf("%-12s", name)), value) }
}

// showCert writes the rows that are common to all certificates.
func showCert(p paint, row func(name, value string), c certInfo) {
	if c.Issuer != c.Subject {
		row("issuer", visible.Text(c.Issuer))
	}
	row("valid", c.NotBefore.Format(time.DateOnly)+" to "+c.NotAfter.Format(time.DateOnly)+", "+c.validity(p))
	row("key", c.Key+", signed with "+c.Signature)
	row("serial", c.Serial)
	row("SHA-256", c.SHA256)
}

const fewDays = 14

// validity describes how long a certificate remains valid.
func (c certInfo) validity(p paint) string {
	switch {
	case c.now.Before(c.NotBefore):
		return p.style("31", "not yet: it begins in "+chain.Long(c.NotBefore.Sub(c.now)))
	case c.now.After(c.NotAfter):
		return p.style("31", "ended "+chain.Long(c.now.Sub(c.NotAfter))+" ago")
	case c.DaysLeft < fewDays:
		return p.style("33", chain.Long(c.NotAfter.Sub(c.now))+" left")
	}
	return p.style("32", chain.Long(c.NotAfter.Sub(c.now))+" left")
}

// writeJSON writes a value as JSON.
func writeJSON(w io.Writer, v any) error {
	e := newEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
