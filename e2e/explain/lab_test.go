//go:build e2e && servers

package explain

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"embed"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/e2e/internal/harness"
)

//go:embed corpus
var files embed.FS

// A lab is where one program runs, with the servers behind it. Texts may contain its variables:
//
//	@PORT  the program's port           @HOME  its directory
//	@BACK  a healthy echo server (@TLSBACK one over TLS, @TORNADO one that admits the origin of its Host)       @WEB   a server of plain HTTP that answers 200 with a page
//	@DEAD  a port without a listener    @MUTE  a server that reads and never answers
//	@GONE  a server that closes every connection without an answer
//	@CA @PEM @KEY  a CA, a certificate of it for 127.0.0.1 and localhost, its key; @BOTH has the last two in one file
//	@OLD @ALIEN @SELF  files such as @BOTH: expired, for another name, self-signed
type lab struct {
	*harness.User
	port   string
	values map[string]string
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{User: harness.NewUser(t), port: harness.FreePort(t), values: map[string]string{}}
	l.values["@PORT"], l.values["@HOME"] = l.port, l.Home
	return l
}

// text replaces the variables, and starts what they stand for.
func (l *lab) text(s string) string {
	for _, v := range []string{"@PORT", "@HOME", "@BACK", "@TLSBACK", "@TORNADO", "@DEAD", "@WEB", "@MUTE", "@GONE", "@CA", "@PEM", "@KEY", "@BOTH", "@OLD", "@ALIEN", "@SELF"} {
		if !strings.Contains(s, v) {
			continue
		}
		if l.values[v] == "" {
			l.provide(v)
		}
		s = strings.ReplaceAll(s, v, l.values[v])
	}
	return s
}

func (l *lab) provide(v string) {
	l.T.Helper()
	switch v {
	case "@BACK", "@TLSBACK", "@TORNADO":
		port := harness.FreePort(l.T)
		l.values[v] = port
		args := []string{l.script("python.py"), "websockets", port}
		switch v {
		case "@TLSBACK":
			args = append(args, l.text("@BOTH"))
		case "@TORNADO":
			args[1] = "tornado"
		}
		l.Start("127.0.0.1:"+port, python, args...)
	case "@DEAD":
		l.values[v] = harness.FreePort(l.T)
	case "@WEB":
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<!doctype html><title>Shop</title><p>Welcome to the shop")
		}))
		l.T.Cleanup(s.Close)
		l.values[v] = portOf(s.Listener)
	case "@MUTE":
		l.values[v] = l.listen(func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			_, _ = c.Read(make([]byte, 4096)) // until the peer gives up
		})
	case "@GONE":
		l.values[v] = l.listen(func(c net.Conn) { _, _ = c.Read(make([]byte, 4096)) })
	default:
		l.certificates()
	}
}

func portOf(ln net.Listener) string {
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

// listen starts a server of TCP that closes each connection when serve returns.
func (l *lab) listen(serve func(net.Conn)) (port string) {
	l.T.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		l.T.Fatal(err)
	}
	l.T.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(time.Minute))
				serve(c)
			}()
		}
	}()
	return portOf(ln)
}

// script copies a file of the folder corpus to the home, with its variables replaced, and returns its path.
func (l *lab) script(name string) string {
	l.T.Helper()
	b, err := files.ReadFile("corpus/" + name)
	if err != nil {
		l.T.Fatal(err)
	}
	return l.file(name, string(b))
}

// file writes a file that every user may read, with the variables replaced.
func (l *lab) file(name, text string) string {
	l.T.Helper()
	path := filepath.Join(l.Home, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		l.T.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(l.text(text)), 0o644); err != nil {
		l.T.Fatal(err)
	}
	return path
}

// run starts a program that listens on the port of the lab.
func (l *lab) run(name string, args ...string) {
	l.T.Helper()
	for i := range args {
		args[i] = l.text(args[i])
	}
	l.Start("127.0.0.1:"+l.port, name, args...)
}

// certificates makes the CA and the certificates.
func (l *lab) certificates() {
	l.T.Helper()
	now := time.Now()
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Corpus CA"}, NotBefore: now.Add(-time.Hour),
		NotAfter: now.AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	caKey, caDER := l.certificate(ca, nil, nil)
	l.values["@CA"] = l.file("ca.pem", block("CERTIFICATE", caDER))
	for v, name := range map[string]string{"@BOTH": "good", "@OLD": "old", "@ALIEN": "alien", "@SELF": "self"} {
		c := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
			IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: now.AddDate(0, -3, 0), NotAfter: now.AddDate(0, 1, 0),
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
		parent, signer := ca, caKey
		switch v {
		case "@OLD":
			c.NotAfter = now.AddDate(0, 0, -2)
		case "@ALIEN":
			c.Subject.CommonName, c.DNSNames, c.IPAddresses = "shop.example", []string{"shop.example"}, nil
		case "@SELF":
			parent, signer = nil, nil
		}
		key, der := l.certificate(c, parent, signer)
		raw, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			l.T.Fatal(err)
		}
		cert, secret := block("CERTIFICATE", der), block("PRIVATE KEY", raw)
		l.values[v] = l.file(name+".pem", secret+cert)
		if v == "@BOTH" {
			l.values["@PEM"], l.values["@KEY"] = l.file("cert.pem", cert), l.file("key.pem", secret)
		}
	}
}

func (l *lab) certificate(c, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*ecdsa.PrivateKey, []byte) {
	l.T.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		l.T.Fatal(err)
	}
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		l.T.Fatal(err)
	}
	return key, der
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
