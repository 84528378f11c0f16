package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/internal/bounded"
)

func TestClientAuth(t *testing.T) {
	known, other := newIssuer(t), newIssuer(t)
	name := []string{"device-1"}
	good := known.issue(name).pair(t)
	foreign := other.issue(name).pair(t)
	ended := known.issue(name, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }).pair(t)
	server := known.issue(name, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }).pair(t)
	bundle := write(t, filepath.Join(t.TempDir(), "ca.pem"), known.pem())
	dev := open(t, stateDir(t), "box")
	for _, tt := range []struct {
		auth ClientAuth
		name string
		cert *tls.Certificate
		want string // the client's subject; or, after "!", the alert that it receives
	}{
		{ClientAuthOff, "none", nil, ""},
		{ClientAuthOff, "known", &good, ""},
		{ClientAuthOptional, "none", nil, ""},
		{ClientAuthOptional, "known", &good, "device-1"},
		{ClientAuthOptional, "of another authority", &foreign, "!unknown certificate authority"},
		{ClientAuthOptional, "ended", &ended, "!expired certificate"},
		{ClientAuthRequired, "none", nil, "!certificate required"},
		{ClientAuthRequired, "known", &good, "device-1"},
		{ClientAuthRequired, "of another authority", &foreign, "!unknown certificate authority"},
		{ClientAuthRequired, "ended", &ended, "!expired certificate"},
		{ClientAuthRequired, "not for clients", &server, "!bad certificate"},
	} {
		opts := Options{Dev: dev, ClientAuth: tt.auth}
		if tt.auth != ClientAuthOff {
			opts.ClientCAs = []string{bundle}
		}
		p, _ := openProvider(t, opts)
		subject := make(chan string, 1)
		config := p.TLSConfig()
		inner := config.GetConfigForClient
		config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			c, err := inner(hello)
			c = c.Clone()
			c.VerifyConnection = func(s tls.ConnectionState) error {
				subject <- ""
				if len(s.VerifiedChains) > 0 {
					<-subject
					subject <- s.PeerCertificates[0].Subject.CommonName
				}
				return nil
			}
			return c, err
		}
		client := &tls.Config{InsecureSkipVerify: true, ServerName: "localhost",
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if tt.cert == nil {
					return &tls.Certificate{}, nil
				}
				return tt.cert, nil // the client sends its certificate even if the server has named other CAs
			}}
		_, err := dial(t, echo(t, config), client)
		if alert, ok := strings.CutPrefix(tt.want, "!"); ok {
			if err == nil || !strings.Contains(err.Error(), alert) {
				t.Errorf("%s, %s: %v, want %q", tt.auth, tt.name, err, alert)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s, %s: %v", tt.auth, tt.name, err)
		} else if got := bounded.Receive(t, subject); got != tt.want {
			t.Errorf("%s, %s: the client's subject is %q, want %q", tt.auth, tt.name, got, tt.want)
		}
	}
}

// A removed CA is no longer trusted, whether a client presents its certificate again or resumes a session. An open connection is
// not affected.
func TestClientCAsReload(t *testing.T) {
	one, two := newIssuer(t), newIssuer(t)
	bundle := write(t, filepath.Join(t.TempDir(), "ca.pem"), one.pem())
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		write(t, bundle, one.pem())
		p, reported := openProvider(t, Options{Dev: open(t, stateDir(t), "box"), ClientAuth: ClientAuthRequired,
			ClientCAs: []string{bundle}, Poll: time.Hour})
		addr := echo(t, p.TLSConfig())
		client := func(by *issuer) *tls.Config {
			return &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", MaxVersion: version,
				ClientSessionCache: tls.NewLRUClientSessionCache(1), Certificates: []tls.Certificate{by.issue([]string{"device"}).pair(t)}}
		}
		old := client(one)
		before := mustDial(t, addr, old)
		if c := mustDial(t, addr, old); !c.ConnectionState().DidResume {
			t.Fatal("a session is not resumed")
		}
		if _, err := dial(t, addr, client(two)); err == nil {
			t.Fatal("a CA that is not configured is trusted")
		}

		write(t, bundle, two.pem())
		if e := reported.wait(t); e.Kind != EventLoaded || e.What != SubjectClientCAs || e.Path != bundle {
			t.Fatalf("reported: %v", e)
		}
		mustDial(t, addr, client(two))
		if _, err := dial(t, addr, old); err == nil {
			t.Errorf("%s: a CA that was removed is still trusted", tls.VersionName(version))
		}
		if err := echoOnce(before); err != nil {
			t.Errorf("the open connection: %v", err)
		}

		write(t, bundle, append(two.pem(), one.pem()[:200]...))
		e := reported.wait(t)
		if fault, ok := errors.AsType[*Error](e.Err); !ok || fault.Path != bundle || fault.Hint == "" {
			t.Errorf("a broken bundle: %v", e)
		}
		mustDial(t, addr, client(two))
		write(t, bundle, append(two.pem(), one.pem()...))
		if e := reported.wait(t); e.Kind != EventLoaded {
			t.Errorf("fixed: %v", e)
		}
		mustDial(t, addr, client(one))
		p.Close()
	}
}
