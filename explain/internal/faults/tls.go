package faults

import (
	"crypto/tls"
	"time"
)

// A certificate and what else is wrong with it, or with TLS; the site is healthy otherwise.
func (l *lab) withTLS(config *tls.Config, trusted *authority) (*Site, error) {
	s, err := l.healthyTLS(config)
	if err != nil {
		return nil, err
	}
	s.Roots = trusted.pool()
	return s, nil
}

// wrongLeaf serves a certificate that root has signed and that is not good.
func wrongLeaf(wrong leaf) func(*lab) (*Site, error) {
	return func(l *lab) (*Site, error) {
		root := newRoot("root")
		return l.withTLS(&tls.Config{Certificates: []tls.Certificate{root.issue(wrong)}}, root)
	}
}

var (
	expired     = wrongLeaf(leaf{notBefore: -72 * time.Hour, notAfter: -24 * time.Hour})
	notYetValid = wrongLeaf(leaf{notBefore: 24 * time.Hour, notAfter: 72 * time.Hour})
	wrongName   = wrongLeaf(leaf{names: []string{"other.example"}})
)

// unknownIssuer serves a whole chain that ends at a root which the client does not know.
func unknownIssuer(l *lab) (*Site, error) {
	root := newRoot("private root")
	between := root.intermediate("private intermediate")
	return l.withTLS(&tls.Config{Certificates: []tls.Certificate{between.issue(leaf{}, between, root)}}, newRoot("public root"))
}

// selfIssued serves a certificate that no authority has signed.
func selfIssued(l *lab) (*Site, error) {
	return l.withTLS(&tls.Config{Certificates: []tls.Certificate{selfSigned()}}, newRoot("public root"))
}

// noIntermediate serves a leaf without the certificate between it and a root that the client trusts.
func noIntermediate(l *lab) (*Site, error) {
	root := newRoot("public root")
	return l.withTLS(&tls.Config{Certificates: []tls.Certificate{root.intermediate("intermediate").issue(leaf{})}}, root)
}

// clientCertificate wants a certificate of the client. TLS 1.3 tells only after the client's half of the handshake.
func clientCertificate(version uint16) func(*lab) (*Site, error) {
	return func(l *lab) (*Site, error) {
		root := newRoot("root")
		return l.withTLS(&tls.Config{
			Certificates: []tls.Certificate{root.issue(leaf{})}, MaxVersion: version,
			ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: root.pool(),
		}, root)
	}
}

// oldTLS speaks nothing newer than TLS 1.1.
func oldTLS(l *lab) (*Site, error) {
	root := newRoot("root")
	return l.withTLS(&tls.Config{
		Certificates: []tls.Certificate{root.issue(leaf{})},
		MinVersion:   tls.VersionTLS10, MaxVersion: tls.VersionTLS11,
	}, root)
}

// noHTTP1 names other protocols than HTTP/1.1 in its ALPN and refuses the rest.
func noHTTP1(protocols ...string) func(*lab) (*Site, error) {
	return func(l *lab) (*Site, error) {
		root := newRoot("root")
		return l.withTLS(&tls.Config{Certificates: []tls.Certificate{root.issue(leaf{})}, NextProtos: protocols}, root)
	}
}
