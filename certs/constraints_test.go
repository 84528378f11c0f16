package certs

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// An attacker with the CA's key can sign any certificate; a verifier that trusts the CA accepts only those within its name
// constraints.
func TestRFC5280_4_2_1_10_StolenCA(t *testing.T) {
	d := open(t, stateDir(t), "dev")
	roots := x509.NewCertPool()
	roots.AddCert(d.CA())
	for _, tt := range []struct {
		name string
		good bool
	}{
		{"localhost", true},
		{"app.localhost", true},
		{"dev", true},
		{"example.com", false},
		{"www.dev", false}, // the host name is also a top-level domain
		{"com", false},
		{"127.0.0.1", true},
		{"127.8.9.10", true},
		{"::1", true},
		{"10.0.0.1", false},
		{"2001:db8::1", false},
	} {
		serial, err := newSerial()
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{
			SerialNumber: serial, Subject: pkix.Name{CommonName: "thief"}, KeyUsage: x509.KeyUsageDigitalSignature,
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		}
		if ip := net.ParseIP(tt.name); ip != nil {
			template.IPAddresses = []net.IP{ip}
		} else {
			template.DNSNames = []string{tt.name}
		}
		der, err := x509.CreateCertificate(rand.Reader, template, d.ca.cert, d.ca.key.Public(), d.ca.key)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		_, err = cert.Verify(x509.VerifyOptions{DNSName: tt.name, Roots: roots})
		if (err == nil) != tt.good {
			t.Errorf("%s: %v, want valid: %v", tt.name, err, tt.good)
		}
	}
}

func TestAuthorityCertificate(t *testing.T) {
	for _, host := range []string{"", "box", "box.example.com"} {
		ca := open(t, stateDir(t), host).CA()
		if !ca.IsCA || !ca.MaxPathLenZero || ca.KeyUsage != x509.KeyUsageCertSign || !ca.PermittedDNSDomainsCritical ||
			len(ca.ExtKeyUsage) != 1 || ca.ExtKeyUsage[0] != x509.ExtKeyUsageServerAuth {
			t.Errorf("%q: CA %v, path %v, usage %v %v, critical %v", host, ca.IsCA, ca.MaxPathLenZero, ca.KeyUsage,
				ca.ExtKeyUsage, ca.PermittedDNSDomainsCritical)
		}
		if want := map[string]int{"": 1, "box": 2, "box.example.com": 2}[host]; len(ca.PermittedDNSDomains) != want {
			t.Errorf("%q: permitted %q", host, ca.PermittedDNSDomains)
		}
		if got := fmt.Sprint(ca.PermittedIPRanges); got != "[127.0.0.0/8 ::1/128]" {
			t.Errorf("%q: permitted %s", host, got)
		}
		if serial := ca.SerialNumber; !strings.HasSuffix(ca.Subject.CommonName, fmt.Sprintf(" %x", serial.Bytes()[:4])) {
			t.Errorf("%q: called %s, with the serial number %x", host, ca.Subject.CommonName, serial)
		}
	}
}

// RFC 5280 §4.1.2.2: a serial number is positive and no longer than 20 octets.
func TestRFC5280_4_1_2_2_SerialNumbers(t *testing.T) {
	seen := map[string]bool{}
	for range 64 {
		n, err := newSerial()
		if err != nil || n.Sign() <= 0 || n.BitLen() != 127 || seen[n.String()] {
			t.Errorf("%v has %d bits: %v", n, n.BitLen(), err)
		}
		seen[n.String()] = true
	}
}
