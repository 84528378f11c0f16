package auth

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A token with an issue time in the future would survive every logout before that time.
func TestJWTIssuedInTheFuture(t *testing.T) {
	k := testKeys()
	for _, tt := range []struct {
		skew, ahead time.Duration
		ok          bool
	}{
		{0, 20 * time.Second, true},
		{0, time.Minute, false},
		{0, 365 * 24 * time.Hour, false},
		{-1, 5 * time.Second, false},
		{5 * time.Minute, 4 * time.Minute, true},
	} {
		j := newJWT(t, JWTOptions{Skew: tt.skew, Keys: keysOf(t, pemOf(t, k.ed.Public()))})
		_, err := j.Verify(t.Context(), signed(t, "EdDSA", k.ed, "", claims{"iat": time.Now().Add(tt.ahead).Unix(),
			"exp": time.Now().Add(1000 * 24 * time.Hour).Unix()}))
		if (err == nil) != tt.ok || err != nil && !strings.Contains(err.Error(), "time of issue (iat) is in the future") {
			t.Errorf("skew %v, issued %v ahead: %v", tt.skew, tt.ahead, err)
		}
	}
}

// No credential can escape a revocation by its date, and no logout locks out a user in the future.
func TestRevocationAndTheFuture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := NewMemoryStore(MemoryStoreOptions{})
		far := &Identity{Subject: "ann", Issued: time.Now().Add(1000 * time.Hour)}
		if err := store.Revoke(t.Context(), Revocation{Subject: "ann"}); err != nil {
			t.Fatal(err)
		}
		if revoked, err := store.Revoked(t.Context(), far); !revoked || err != nil {
			t.Errorf("issued in the future: revoked %v, %v", revoked, err)
		}
		logout := &Logout{Authenticator: identityStub{id: &Identity{Subject: "bob", Issued: far.Issued}}, Store: store}
		if resp := post(t, logout, "POST", "", ""); resp.StatusCode != http.StatusNoContent {
			t.Fatalf("logout: %d", resp.StatusCode)
		}
		<-time.After(2 * time.Minute)
		if revoked, err := store.Revoked(t.Context(), &Identity{Subject: "bob", Issued: time.Now()}); revoked || err != nil {
			t.Errorf("a new credential after a logout with a credential from the future: revoked %v, %v", revoked, err)
		}
	})
}

// Names that look alike in a log, or that a decoder has altered, are rejected.
func TestSubjectsThatDeceive(t *testing.T) {
	k := testKeys()
	j := newJWT(t, JWTOptions{Keys: keysOf(t, pemOf(t, k.ed.Public()))})
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Auth-Request-User", r.Header.Get("X-Name"))
	}))
	defer service.Close()
	f, err := NewForward(ForwardOptions{URL: service.URL, Credentials: []string{"X-Name"}})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c, err := NewCertificates(CertificateOptions{Names: []CertificateName{CertificateCommonName}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		subject string
		ok      bool
	}{
		{"ann", true}, {"Zoë", true}, {"山田", true}, {"acme|ann@example.com", true},
		{"ann\ufffd", false},  // the replacement for invalid UTF-8 and unpaired surrogates: many names, one subject
		{"ann\u0085x", false}, // U+0085, a C1 control that ends a line
		{"ann\u2028x", false}, // U+2028, the line separator
		{"\u202enna", false},  // displayed as "ann" in a terminal
	} {
		if _, err := j.Verify(t.Context(), signed(t, "EdDSA", k.ed, "", claims{"sub": tt.subject})); (err == nil) != tt.ok {
			t.Errorf("token of %+q: %v", tt.subject, err)
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("X-Name", tt.subject)
		if _, err := f.Authenticate(r); (err == nil) != tt.ok {
			t.Errorf("forward auth, %+q: %v", tt.subject, err)
		}
		r.TLS = verified(&x509.Certificate{Subject: pkix.Name{CommonName: tt.subject}})
		if _, err := c.Authenticate(r); (err == nil) != tt.ok {
			t.Errorf("certificate of %+q: %v", tt.subject, err)
		}
	}
}

// verified returns the state of a connection whose client certificate TLS has verified.
func verified(cert *x509.Certificate) *tls.ConnectionState {
	cert.NotBefore, cert.NotAfter, cert.SerialNumber = time.Now().Add(-time.Hour), time.Now().Add(time.Hour), big.NewInt(1)
	return &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{cert}}}
}

// DNS names ignore case (RFC 4343), and so do the domains of email addresses: two certificates of one owner must not be two
// users, because a revocation would cover only one of them.
func TestCertificateNamesInAnyCase(t *testing.T) {
	mapped := map[string]string{"Box.Example.com": "box", "Ann@Example.com": "ann", "ann@example.com": "other ann"}
	spiffe, err := url.Parse("spiffe://example.com/Billing")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		cert     x509.Certificate
		subjects map[string]string
		want     string // "" means refused
	}{
		{x509.Certificate{DNSNames: []string{"Device-1.Example.COM"}}, nil, "device-1.example.com"},
		{x509.Certificate{DNSNames: []string{"device-1.example.com."}}, nil, "device-1.example.com"},
		{x509.Certificate{EmailAddresses: []string{"Ann@Example.COM"}}, nil, "Ann@example.com"}, // RFC 5321 §2.4: the part before @ is case-sensitive
		{x509.Certificate{URIs: []*url.URL{spiffe}}, nil, "spiffe://example.com/Billing"},
		{x509.Certificate{DNSNames: []string{"box.example.com"}}, mapped, "box"},
		{x509.Certificate{DNSNames: []string{"BOX.example.com"}}, mapped, "box"},
		{x509.Certificate{EmailAddresses: []string{"Ann@EXAMPLE.com"}}, mapped, "ann"},
		{x509.Certificate{EmailAddresses: []string{"ANN@example.com"}}, mapped, ""},
		{x509.Certificate{DNSNames: []string{"ann@example.com"}}, nil, ""}, // not a DNS name
		{x509.Certificate{DNSNames: []string{"ann@example.com"}}, mapped, ""},
		{x509.Certificate{DNSNames: []string{"spiffe://example.com/Billing"}}, nil, ""},
		{x509.Certificate{DNSNames: []string{"device\n1"}}, nil, ""},
		{x509.Certificate{EmailAddresses: []string{"admin@example.com\x00.evil.example"}}, nil, ""},
		{x509.Certificate{DNSNames: []string{strings.Repeat("a", 2000)}}, nil, ""},
	} {
		c, err := NewCertificates(CertificateOptions{Subjects: tt.subjects})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.TLS = verified(&tt.cert)
		id, err := c.Authenticate(r)
		if tt.want == "" {
			wantRefusal(t, err, 403, "")
		} else if err != nil || id.Subject != tt.want {
			t.Errorf("%q %q: %v, %v, want %q", tt.cert.DNSNames, tt.cert.EmailAddresses, id, err, tt.want)
		}
	}
}
