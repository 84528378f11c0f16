package faults

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"time"
)

// authority is a certificate authority that exists only in memory.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// leaf describes a server certificate. The zero leaf is a valid one for localhost.
type leaf struct {
	names     []string      // DNS names; nil means localhost and the loopback addresses
	notBefore time.Duration // relative to now; 0 means an hour ago
	notAfter  time.Duration // relative to now; 0 means in a day
	client    bool          // a client certificate instead of a server certificate
	issuerURL string        // the URL of the issuer's certificate in the leaf; "" means none
	signature x509.SignatureAlgorithm
}

// newRoot makes a self-signed authority for the given organization.
func newRoot(organization string) *authority {
	a := &authority{key: newKey()}
	a.cert = sign(caTemplate(organization, "Root"), nil, a.key, a.key)
	return a
}

// intermediate creates an authority of the same organization as a, signed by a.
func (a *authority) intermediate() *authority {
	key := newKey()
	return &authority{cert: sign(caTemplate(a.cert.Subject.Organization[0], "Intermediate"), a.cert, key, a.key), key: key}
}

// withoutRight returns an authority whose certificate is a server certificate signed by a. Such a certificate must not sign others.
func (a *authority) withoutRight() *authority {
	key := newKey()
	return &authority{cert: sign(leaf{}.template(), a.cert, key, a.key), key: key}
}

// issue makes a certificate signed by a, and its key. The certificates of above follow in the chain that the server sends.
func (a *authority) issue(l leaf, above ...*authority) tls.Certificate {
	key := newKey()
	chain := [][]byte{sign(l.template(), a.cert, key, a.key).Raw}
	for _, b := range above {
		chain = append(chain, b.cert.Raw)
	}
	return tls.Certificate{Certificate: chain, PrivateKey: key}
}

// selfSigned makes a self-signed server certificate.
func selfSigned() tls.Certificate {
	key := newKey()
	return tls.Certificate{Certificate: [][]byte{sign(leaf{}.template(), nil, key, key).Raw}, PrivateKey: key}
}

// pool returns the root certificates of a client that trusts a.
func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

func (l leaf) template() *x509.Certificate {
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: "server"},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     l.names,

		SignatureAlgorithm: l.signature,
	}
	if l.names == nil {
		t.DNSNames = []string{"localhost"}
		t.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	}
	if l.issuerURL != "" {
		t.IssuingCertificateURL = []string{l.issuerURL}
	}
	if l.notBefore != 0 {
		t.NotBefore = now.Add(l.notBefore)
	}
	if l.notAfter != 0 {
		t.NotAfter = now.Add(l.notAfter)
	}
	if l.client {
		t.Subject.CommonName, t.ExtKeyUsage = "client", []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	return t
}

func caTemplate(organization, name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: organization + " " + name, Organization: []string{organization}},
		NotBefore:             time.Now().Add(-48 * time.Hour),
		NotAfter:              time.Now().Add(48 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
}

// sign returns a certificate for template with key's public key, signed by parent with the private key by. If parent is nil, the
// certificate is self-signed. It panics on errors that only a mistake in this file can cause.
func sign(template, parent *x509.Certificate, key, by *ecdsa.PrivateKey) *x509.Certificate {
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		panic(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return c
}

func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(err)
	}
	return n
}
