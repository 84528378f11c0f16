package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"slices"
	"time"
)

const (
	leafLife   = 90 * 24 * time.Hour
	leafMargin = 30 * 24 * time.Hour // a certificate with less time left is renewed
)

// openLeaf returns the server certificate in d.dir if it is still good, and otherwise creates another one. The caller need not hold d.mu.
func (d *Dev) openLeaf() (*tls.Certificate, error) {
	path := filepath.Join(d.dir, leafFile)
	pemBytes, err := readPrivate(path, "remove that file; it is then created again")
	if errors.Is(err, fs.ErrNotExist) {
		return d.newLeaf(path)
	}
	if err != nil {
		return nil, err
	}
	leaf, err := tls.X509KeyPair(pemBytes, pemBytes)
	if err != nil {
		return nil, &Error{path, fmt.Errorf("is not a certificate with its key: %w", err), "remove that file; it is then created again"}
	}
	if !d.usable(leaf.Leaf) {
		return d.newLeaf(path)
	}
	return &leaf, nil
}

// usable reports whether a leaf contains the required names, is signed by the present CA, and will not expire soon. The leaf may contain more
// names, because processes with different names share it.
func (d *Dev) usable(leaf *x509.Certificate) bool {
	dns, ips := d.leafNames()
	for _, ip := range ips {
		if !slices.ContainsFunc(leaf.IPAddresses, ip.Equal) {
			return false
		}
	}
	for _, name := range dns {
		if !slices.Contains(leaf.DNSNames, name) {
			return false
		}
	}
	return fresh(leaf, d.now()) && leaf.CheckSignatureFrom(d.ca.cert) == nil
}

// fresh reports whether a certificate is valid now and for at least leafMargin.
func fresh(leaf *x509.Certificate, now time.Time) bool {
	return now.After(leaf.NotBefore) && now.Before(leaf.NotAfter.Add(-leafMargin))
}

// leafNames returns the names and addresses for the leaf.
func (d *Dev) leafNames() (names []string, ips []net.IP) {
	names, ips = []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	for _, name := range d.extra {
		if ip := net.ParseIP(name); ip == nil {
			names = append(names, name)
		} else if !slices.ContainsFunc(ips, ip.Equal) {
			ips = append(ips, ip)
		}
	}
	return names, ips
}

// newLeaf creates a server certificate and writes it to path, atomically for readers.
func (d *Dev) newLeaf(path string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	now := d.now()
	end := now.Add(leafLife)
	if end.After(d.ca.cert.NotAfter) {
		end = d.ca.cert.NotAfter
	}
	dns, ips := d.leafNames()
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{Organization: []string{"handfast development certificate"}, CommonName: "localhost"},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              end,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		DNSNames:              dns,
		IPAddresses:           ips,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, d.ca.cert, key.Public(), d.ca.key)
	if err != nil {
		return nil, fmt.Errorf("make a development certificate: %w", err)
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	pemBytes := append(keyPEM, encodeCertificate(der)...)
	if err := replaceFile(path, pemBytes); err != nil {
		return nil, err
	}
	leaf, err := tls.X509KeyPair(pemBytes, pemBytes)
	return &leaf, err
}
