package explain

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket/wstest"
)

// signed creates a certificate for name that is signed by the CA by. If by is nil, the certificate is a self-signed CA.
func signed(t *testing.T, name string, by *tls.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: by == nil, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	issuer, issuerKey := template, key
	if by != nil {
		issuer, issuerKey = by.Leaf, by.PrivateKey.(*ecdsa.PrivateKey)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), issuerKey)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// If the server requests a client certificate and the options contain some, one is sent, preferably one that the server accepts. The
// report says whether a certificate was requested and sent.
func TestClientCertificateOnRequest(t *testing.T) {
	ca, other := signed(t, "ca", nil), signed(t, "other", nil)
	server, mine, foreign := signed(t, "server.test", &ca), signed(t, "mine", &ca), signed(t, "foreign", &other)
	pool := x509.NewCertPool()
	pool.AddCert(ca.Leaf)
	const none = "requested, but none is set"
	for _, c := range []struct {
		name   string
		auth   tls.ClientAuthType
		client *tls.Config
		got    string // the common name of the certificate that the server received; "" if it received none
		sent   bool
		fact   string
	}{
		{"one", tls.RequireAndVerifyClientCert, &tls.Config{Certificates: []tls.Certificate{mine}}, "mine", true, "requested and sent"},
		{"the second of two", tls.RequireAndVerifyClientCert, &tls.Config{Certificates: []tls.Certificate{foreign, mine}}, "mine", true, "requested and sent"},
		{"one of another issuer", tls.RequestClientCert, &tls.Config{Certificates: []tls.Certificate{foreign}}, "foreign", true, "requested and sent"},
		{"none", tls.RequestClientCert, &tls.Config{}, "", false, none},
		{"one from a callback", tls.RequireAndVerifyClientCert, &tls.Config{
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &mine, nil },
		}, "mine", true, "requested and sent"},
		{"none from a callback", tls.RequestClientCert, &tls.Config{
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &tls.Certificate{}, nil },
		}, "", false, none},
		{"not asked for", tls.NoClientCert, &tls.Config{Certificates: []tls.Certificate{mine}}, "", false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var wg sync.WaitGroup
			defer wg.Wait()
			ctx := bounded.Context(t)
			got := make(chan string, 1)
			opts := &Options{TLS: c.client, NoProbes: true, Proxy: func(*http.Request) (*url.URL, error) { return nil, nil }}
			opts.TLS.RootCAs, opts.TLS.ServerName = pool, "server.test"
			opts.Dial = func(context.Context, string, string) (net.Conn, error) {
				client, conn := wstest.NetPipe(64 << 10)
				wg.Go(func() {
					defer conn.Close()
					s := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{server}, ClientAuth: c.auth, ClientCAs: pool})
					if err := s.HandshakeContext(ctx); err != nil {
						got <- "no handshake: " + err.Error()
						return
					}
					name := ""
					if chain := s.ConnectionState().PeerCertificates; len(chain) > 0 {
						name = chain[0].Subject.CommonName
					}
					got <- name
					v := &exchange{Conn: s, in: bufio.NewReader(s)}
					var err error
					if v.req, err = http.ReadRequest(v.in); err == nil {
						v.open("")
						v.respond()
					}
				})
				return client, nil
			}
			r := Explain(ctx, "wss://192.0.2.1/", opts)
			if name := bounded.Receive(t, got); name != c.got {
				t.Errorf("the server got %q, want %q", name, c.got)
			}
			if !r.OK() || r.TLS == nil || r.TLS.ClientAsked != (c.auth != tls.NoClientCert) || r.TLS.ClientSent != c.sent {
				t.Fatalf("%+v %+v", r.TLS, r.Findings)
			}
			if given := slices.Contains(r.Target.Credentials, "client certificate"); given != (len(c.client.Certificates) > 0 || c.client.GetClientCertificate != nil) {
				t.Errorf("the credentials are %v", r.Target.Credentials)
			}
			i := slices.IndexFunc(r.Steps, func(s Step) bool { return s.Stage == StageTLS })
			fact := ""
			for _, f := range r.Steps[i].Facts {
				if f.Name == "client certificate" {
					fact = f.Value
				}
			}
			if fact != c.fact {
				t.Errorf("the report says %q, want %q", fact, c.fact)
			}
		})
	}
}

// If the callback fails, the report says that no certificate was sent.
func TestClientCertificateError(t *testing.T) {
	tr := newTracer(t.Context(), &Options{TLS: &tls.Config{GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return nil, errors.New("the card is not there")
	}}})
	if !tr.requester.readURL("wss://192.0.2.1/") {
		t.Fatal("the URL")
	}
	sec := tr.dialer.newSecure()
	if c, err := sec.cfg.GetClientCertificate(&tls.CertificateRequestInfo{}); c != nil || err == nil || !sec.info.ClientAsked || sec.info.ClientSent {
		t.Errorf("%v, %v, %+v", c, err, sec.info)
	}
}
