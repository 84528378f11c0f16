package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// issuer is a CA for tests.
type issuer struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := newSerial()
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "test authority " + serial.String()},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{t, cert, key}
}

func (i *issuer) pem() []byte { return encodeCertificate(i.cert.Raw) }

func (i *issuer) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(i.cert)
	return pool
}

// issued is a certificate and its key, in PEM.
type issued struct {
	cert, key []byte
	leaf      *x509.Certificate
}

// both is a file with key and certificate.
func (c issued) both() []byte { return append(bytes.Clone(c.key), c.cert...) }

func (c issued) pair(t *testing.T) tls.Certificate {
	t.Helper()
	pair, err := tls.X509KeyPair(c.cert, c.key)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// issue creates a certificate for names and addresses; change may alter it.
func (i *issuer) issue(names []string, change ...func(*x509.Certificate)) issued {
	i.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		i.t.Fatal(err)
	}
	return i.issueFor(key, names, change...)
}

func (i *issuer) issueRSA(names []string) issued {
	i.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		i.t.Fatal(err)
	}
	return i.issueFor(key, names)
}

func (i *issuer) issueFor(key crypto.Signer, names []string, change ...func(*x509.Certificate)) issued {
	i.t.Helper()
	serial, err := newSerial()
	if err != nil {
		i.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: names[0]},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(12 * time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	for _, f := range change {
		f(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, i.cert, key.Public(), i.key)
	if err != nil {
		i.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		i.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		i.t.Fatal(err)
	}
	return issued{encodeCertificate(der), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), leaf}
}

// write writes a file below a directory, replacing an existing one.
func write(t *testing.T, path string, content []byte) string {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, content, 0o600)); err != nil {
		t.Fatal(err)
	}
	return path
}

// events are the events that a Provider reports.
type events chan Event

// wait returns the next event.
func (c events) wait(t *testing.T) Event {
	t.Helper()
	select {
	case e := <-c:
		return e
	case <-time.After(2 * time.Minute):
		t.Fatal("nothing was reported")
		return Event{}
	}
}

// openProvider opens a Provider that is closed at the end of the test.
func openProvider(t *testing.T, opts Options) (*Provider, events) {
	t.Helper()
	c := make(events, 100)
	opts.OnEvent = func(e Event) { c <- e }
	p, err := Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p, c
}

// echo starts a TLS echo server on a loopback address.
func echo(t *testing.T, config *tls.Config) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.SetDeadline(time.Now().Add(time.Minute))
			go func() {
				defer c.Close()
				s := tls.Server(c, config)
				io.Copy(s, s)
			}()
		}
	}()
	return l.Addr().String()
}

// dial connects to an echo server, and checks that it works: the rejection of a client certificate appears only in the first read.
func dial(t *testing.T, addr string, config *tls.Config) (*tls.Conn, error) {
	t.Helper()
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: time.Minute}, "tcp", addr, config)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	return c, echoOnce(c)
}

func mustDial(t *testing.T, addr string, config *tls.Config) *tls.Conn {
	t.Helper()
	c, err := dial(t, addr, config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// echoOnce sends data over a connection to an echo server, and reads the echo.
func echoOnce(c *tls.Conn) error {
	if _, err := c.Write([]byte("hello")); err != nil {
		return err
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	if string(got) != "hello" {
		return errors.New("not an echo: " + string(got))
	}
	return nil
}
