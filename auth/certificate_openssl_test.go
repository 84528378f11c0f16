//go:build e2e

package auth

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// openssl is a directory in which openssl creates certificates.
type openssl struct {
	t   testing.TB
	dir string
}

func (o openssl) run(args ...string) {
	o.t.Helper()
	cmd := exec.Command("openssl", args...)
	cmd.Dir = o.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		o.t.Fatalf("openssl %q: %v\n%s", args, err, out)
	}
}

func (o openssl) ca(name string) {
	o.t.Helper()
	o.run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", name+".key", "-out", name+".pem",
		"-days", "2", "-subj", "/CN="+name+"/O=Test CA")
}

// client creates a client certificate; names is a subjectAltName, or "" for none.
func (o openssl) client(ca, name, subject, names string) tls.Certificate {
	o.t.Helper()
	o.run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", name+".key", "-out", name+".csr", "-subj", subject)
	ext := "extendedKeyUsage=clientAuth\n"
	if names != "" {
		ext += "subjectAltName=" + names + "\n"
	}
	if err := os.WriteFile(filepath.Join(o.dir, name+".ext"), []byte(ext), 0o600); err != nil {
		o.t.Fatal(err)
	}
	o.run("x509", "-req", "-in", name+".csr", "-CA", ca+".pem", "-CAkey", ca+".key", "-CAcreateserial", "-days", "1",
		"-extfile", name+".ext", "-out", name+".pem")
	pair, err := tls.LoadX509KeyPair(filepath.Join(o.dir, name+".pem"), filepath.Join(o.dir, name+".key"))
	if err != nil {
		o.t.Fatal(err)
	}
	return pair
}

func (o openssl) pool(ca string) *x509.CertPool {
	o.t.Helper()
	text, err := os.ReadFile(filepath.Join(o.dir, ca+".pem"))
	if err != nil {
		o.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	return pool
}

// handshake connects a client with a certificate to a real TLS server, and returns the request that its handler receives.
func handshake(t *testing.T, server *tls.Config, cert *tls.Certificate) (*http.Request, error) {
	t.Helper()
	var seen *http.Request
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r }))
	s.TLS = server
	s.StartTLS()
	defer s.Close()
	transport := s.Client().Transport.(*http.Transport)
	if cert != nil {
		// The Certificates field is not used: its certificates are not sent if the server has named other CAs.
		transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	resp, err := s.Client().Get(s.URL)
	if err != nil {
		return nil, err
	}
	resp.Body.Close()
	return seen, nil
}

func TestCertificates(t *testing.T) {
	o := openssl{t, t.TempDir()}
	o.ca("ours")
	o.ca("theirs")
	all := o.client("ours", "all", "/CN=billing/O=Acme/OU=Ops", "URI:spiffe://example.com/billing,DNS:billing.example.com,DNS:b.example.com,email:ops@example.com")
	mail := o.client("ours", "mail", "/CN=ann", "email:ann@example.com")
	plain := o.client("ours", "plain", "/CN=old-device", "")
	foreign := o.client("theirs", "foreign", "/CN=ann", "email:ann@example.com")
	verify := &tls.Config{ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: o.pool("ours")}
	for _, tt := range []struct {
		name    string
		server  *tls.Config
		cert    *tls.Certificate
		options CertificateOptions
		subject string
		status  int // -1: no credentials
	}{
		{"URI first", verify, &all, CertificateOptions{}, "spiffe://example.com/billing", 0},
		{"DNS first", verify, &all, CertificateOptions{Names: []CertificateName{CertificateDNS, CertificateURI}}, "billing.example.com", 0},
		{"only email", verify, &mail, CertificateOptions{}, "ann@example.com", 0},
		{"no names, the common name is not looked at", verify, &plain, CertificateOptions{}, "", 403},
		{"the common name, if configured", verify, &plain, CertificateOptions{Names: []CertificateName{CertificateURI, CertificateCommonName}}, "old-device", 0},
		{"a name that is mapped to a subject", verify, &all, CertificateOptions{Subjects: map[string]string{"b.example.com": "billing"}}, "billing", 0},
		{"names mapped to no subject", verify, &all, CertificateOptions{Subjects: map[string]string{}}, "", 403},
		{"no certificate", verify, nil, CertificateOptions{}, "", -1},
		{"received, not verified", &tls.Config{ClientAuth: tls.RequireAnyClientCert}, &foreign, CertificateOptions{}, "", -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, err := NewCertificates(tt.options)
			if err != nil {
				t.Fatal(err)
			}
			r, err := handshake(t, tt.server, tt.cert)
			if err != nil {
				t.Fatal(err)
			}
			id, err := a.Authenticate(r)
			switch {
			case tt.status == -1:
				if !errors.Is(err, ErrNoCredentials) {
					t.Errorf("error %v, want ErrNoCredentials", err)
				}
				return
			case tt.status != 0:
				wantRefusal(t, err, tt.status, "")
				return
			case err != nil:
				t.Fatal(err)
			}
			print := sha256.Sum256(tt.cert.Certificate[0])
			if id.Subject != tt.subject || id.Method != "certificate" || id.ID != hex.EncodeToString(print[:]) ||
				!id.Expires.Equal(tt.cert.Leaf.NotAfter) || !id.Issued.Equal(tt.cert.Leaf.NotBefore) {
				t.Errorf("identity %+v", id)
			}
		})
	}
	if _, err := handshake(t, verify, &foreign); err == nil {
		t.Error("TLS accepts a certificate of another CA")
	}
	a, err := NewCertificates(CertificateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := handshake(t, verify, &all)
	if err != nil {
		t.Fatal(err)
	}
	id, err := a.Authenticate(r)
	if err != nil {
		t.Fatal(err)
	}
	c := id.Claims
	if !slices.Equal(c["dns"].([]any), []any{"billing.example.com", "b.example.com"}) || !slices.Equal(c["email"].([]any), []any{"ops@example.com"}) ||
		c["cn"] != "billing" || !slices.Equal(c["organization"].([]any), []any{"Acme"}) || c["issuer"] != "CN=ours,O=Test CA" || c["serial"] == "" {
		t.Errorf("claims %v", c)
	}
}

// A certificate that has expired since the TLS handshake, or that TLS has not verified, does not authenticate a client.
func TestCertificateTime(t *testing.T) {
	o := openssl{t, t.TempDir()}
	o.ca("ours")
	pair := o.client("ours", "mail", "/CN=ann", "email:ann@example.com")
	cert := pair.Leaf
	synctest.Test(t, func(t *testing.T) {
		a, err := NewCertificates(CertificateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}
		if _, err := a.Authenticate(r); !errors.Is(err, ErrNoCredentials) {
			t.Errorf("not verified: %v", err)
		}
		r.TLS.VerifiedChains = [][]*x509.Certificate{{cert}}
		_, err = a.Authenticate(r) // the clock of a bubble starts in the year 2000, before the certificate is valid
		wantRefusal(t, err, 401, "")
		<-time.After(time.Until(cert.NotBefore))
		if _, err := a.Authenticate(r); err != nil {
			t.Errorf("while the certificate is valid: %v", err)
		}
		<-time.After(time.Until(cert.NotAfter) + time.Second)
		_, err = a.Authenticate(r)
		wantRefusal(t, err, 401, "")
	})
}
