package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/internal/bounded"
)

// A revocation covers the credentials that it names and that were issued before it.
func TestRevocationCovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		for _, tt := range []struct {
			name       string
			r          Revocation
			id         Identity
			want, open bool
		}{
			{"nothing", Revocation{At: now}, Identity{Subject: "ann"}, false, false},
			{"the subject", Revocation{Subject: "ann", At: now}, Identity{Subject: "ann"}, true, true},
			{"another subject", Revocation{Subject: "ann", At: now}, Identity{Subject: "bob"}, false, false},
			{"the credential", Revocation{ID: "1", At: now}, Identity{Subject: "bob", ID: "1"}, true, true},
			{"another credential", Revocation{ID: "1", At: now}, Identity{Subject: "bob", ID: "2"}, false, false},
			{"both", Revocation{Subject: "ann", ID: "1", At: now}, Identity{Subject: "ann", ID: "1"}, true, true},
			{"the credential of another", Revocation{Subject: "ann", ID: "1", At: now}, Identity{Subject: "bob", ID: "1"}, false, false},
			{"another credential of the subject", Revocation{Subject: "ann", ID: "1", At: now}, Identity{Subject: "ann", ID: "2"}, false, false},
			{"issued then", Revocation{Subject: "ann", At: now}, Identity{Subject: "ann", Issued: now}, true, true},
			{"issued in the same microsecond", Revocation{Subject: "ann", At: now}, Identity{Subject: "ann", Issued: now.Add(999)}, true, true},
			{"issued just before now", Revocation{Subject: "ann", At: now.Add(-time.Second)}, Identity{Subject: "ann", Issued: now.Add(-time.Microsecond)}, false, true},
			{"issued just now, by a clock that is before ours", Revocation{Subject: "ann", At: now}, Identity{Subject: "ann", Issued: now.Add(time.Second)}, false, false},
			{"issued in a minute", Revocation{Subject: "ann", At: now}, Identity{Subject: "ann", Issued: now.Add(futureIssued)}, false, false},
			{"issued in more than a minute", Revocation{Subject: "ann", At: now}, Identity{Subject: "ann", Issued: now.Add(futureIssued + 1)}, true, true},
			{"revoked as long ago as clocks differ", Revocation{Subject: "ann", At: now.Add(-revocationSkew)}, Identity{Subject: "ann", Issued: now}, false, true},
			{"revoked longer ago", Revocation{Subject: "ann", At: now.Add(-revocationSkew - 1)}, Identity{Subject: "ann", Issued: now}, false, false},
			{"revoked in the future", Revocation{Subject: "ann", At: now.Add(time.Second)}, Identity{Subject: "ann", Issued: now.Add(2 * time.Second)}, false, false},
		} {
			if got, open := tt.r.Covers(&tt.id), tt.r.CoversOpen(&tt.id); got != tt.want || open != tt.open {
				t.Errorf("%s: covered %t, covered if open %t", tt.name, got, open)
			}
		}
	})
	if _, err := (Revocation{}).Normal(); !errors.Is(err, errRevokesNothing) {
		t.Error(err)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 6789, time.FixedZone("", 3600))
	if r, err := (Revocation{ID: "1", At: at}).Normal(); err != nil || r.At.Location() != time.UTC || r.At.Nanosecond() != 6000 || !r.At.Equal(at.Truncate(time.Microsecond)) {
		t.Errorf("%v, %v", r, err)
	}
	if got := Covering(&Identity{Subject: "ann"}); !slices.Equal(got, []Revocation{{Subject: "ann"}}) {
		t.Errorf("%v", got)
	}
	if got := Covering(&Identity{Subject: "ann", ID: "1"}); !slices.Equal(got, []Revocation{{Subject: "ann"}, {ID: "1"}, {Subject: "ann", ID: "1"}}) {
		t.Errorf("%v", got)
	}
}

// An earlier revocation does not change a later one, and a revocation that names nothing is an error.
func TestMemoryStoreRevokesAgain(t *testing.T) {
	s, now := NewMemoryStore(MemoryStoreOptions{}), time.Now().UTC().Truncate(time.Microsecond)
	for _, at := range []time.Time{now, now.Add(-time.Second), now} {
		if err := s.Revoke(t.Context(), Revocation{Subject: "ann", At: at}); err != nil {
			t.Fatal(err)
		}
	}
	if got := slices.Collect(s.Revocations()); len(got) != 1 || !got[0].At.Equal(now) || s.last != 1 {
		t.Errorf("%v, number %d", got, s.last)
	}
	if err := s.Revoke(t.Context(), Revocation{}); !errors.Is(err, errRevokesNothing) {
		t.Error(err)
	}
	// A watcher that has stopped gets no more calls.
	if err := s.Revoke(t.Context(), Revocation{Subject: "bob"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(bounded.Context(t))
	seen := 0
	s.Watch(ctx, func(Revocation) { seen++; cancel() })
	if seen != 1 {
		t.Errorf("the watcher was called %d times", seen)
	}
}

// Without a Store nothing is revoked, and Run waits.
func TestLiveWithoutStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		over := false
		go func() { new(Live).Run(ctx); over = true }()
		synctest.Wait()
		if over {
			t.Error("Run has returned")
		}
		cancel()
		synctest.Wait()
		if !over {
			t.Error("Run continues")
		}
	})
	if who := (&Session{Identity: Identity{Subject: "ann"}}).Who(); who.Subject != "ann" {
		t.Errorf("before the admission the identity is %v", who)
	}
}

// A JWK with parameters that do not conform to RFC 7518 §6 is refused.
func TestRFC7518_6_Parameters(t *testing.T) {
	keys := testKeys()
	base := map[string]map[string]any{
		"RSA": jwkOf(t, keys.rsa.Public()), "EC": jwkOf(t, keys.p256.Public()), "OKP": jwkOf(t, keys.ed.Public()), "oct": jwkOf(t, keys.secret),
	}
	for kind, j := range base {
		text, err := json.Marshal(j)
		if err != nil {
			t.Fatal(err)
		}
		if k, err := parseJWK(text, ownKeys); err != nil || k == nil {
			t.Errorf("%s unchanged: %v", kind, err)
		}
	}
	for _, tt := range []struct {
		kind, name string
		value      any
		want       string
	}{
		{"RSA", "n", "!", "RFC 7518"}, {"RSA", "e", "!", "RFC 7518"}, {"RSA", "e", "", "RFC 7518"},
		{"RSA", "e", b64([]byte{1, 0, 0, 0, 1}), "RFC 7518"}, {"RSA", "e", b64([]byte{0x80, 0, 0, 1}), "RFC 7518"},
		{"RSA", "e", b64([]byte{1}), "exponent"}, {"RSA", "e", b64([]byte{1, 0}), "exponent"},
		{"EC", "crv", "P-255", "curve"}, {"EC", "x", "!", "RFC 7518"}, {"EC", "y", "!", "RFC 7518"}, {"EC", "x", b64(make([]byte, 31)), "RFC 7518"},
		{"EC", "y", b64(make([]byte, 33)), "RFC 7518"}, {"EC", "y", b64(make([]byte, 32)), "RFC 7518"},
		{"OKP", "crv", "X25519", "curve"}, {"OKP", "x", "!", "RFC 7518"}, {"OKP", "x", b64(make([]byte, 31)), "RFC 7518"},
		{"oct", "k", "!", "RFC 7518"}, {"oct", "k", b64(make([]byte, 8)), ""}, {"oct", "kty", "none", "type"}, {"oct", "kty", 7, "not a JWK"},
		{"EC", "use", "enc", `the use of the key is "enc"`}, {"EC", "key_ops", []string{"sign"}, "key_ops of the key do not include"}, {"EC", "d", "AA", "private"},
		{"EC", "alg", "ES384", ""},
	} {
		j := map[string]any{}
		for name, value := range base[tt.kind] {
			j[name] = value
		}
		j[tt.name] = tt.value
		text, err := json.Marshal(j)
		if err != nil {
			t.Fatal(err)
		}
		if k, err := parseJWK(text, ownKeys); err == nil || k != nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s with %s %v: %v, want %s", tt.kind, tt.name, tt.value, err, tt.want)
		}
	}
	if _, err := newKey("", "", "text"); err == nil || !strings.Contains(err.Error(), "string") {
		t.Error(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newKey("", "", other.Public()); err == nil || !strings.Contains(err.Error(), "curve") {
		t.Error(err)
	}
}

// A file may contain a limited number of keys, and each block must be of its declared type.
func TestPEMBounds(t *testing.T) {
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	for n, want := range map[int]string{0: "no complete PEM block", 1: "", maxKeys: "", maxKeys + 1: "more than"} {
		set, err := parsePEM([]byte(strings.Repeat(string(block), n)))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) || err == nil && len(set) != n {
			t.Errorf("%d keys: %d, %v", n, len(set), err)
		}
	}
	for kind, want := range map[string]string{
		"CERTIFICATE": "PEM block 2 (CERTIFICATE)", "EC PRIVATE KEY": "a private key", "TEXT": "not a public key", "RSA PUBLIC KEY": "PEM block 2",
	} {
		bad := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: []byte("x")})
		if _, err := parsePEM(append(slices.Clone(block), bad...)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// A date is a number of seconds from 1970 to the last day of 9999, in any JSON notation.
func TestClaimDates(t *testing.T) {
	for _, tt := range []struct {
		claim any
		want  time.Time
		ok    bool
	}{
		{nil, time.Time{}, true},
		{0, time.Unix(0, 0), true},
		{1.5, time.Unix(1, 500_000_000), true},
		{int64(7), time.Unix(7, 0), true},
		{latest, time.Unix(latest, 0), true},
		{float64(latest + 1), time.Time{}, false},
		{-1, time.Time{}, false},
		{"7", time.Time{}, false},
	} {
		got, err := (&tokenClaims{m: map[string]any{"exp": tt.claim}}).date("exp")
		if (err == nil) != tt.ok || !got.Equal(tt.want) || tt.claim == nil && !got.IsZero() {
			t.Errorf("%v: %v, %v", tt.claim, got, err)
		}
	}
}

// A certificate is only accepted while it is valid; it may expire after the TLS handshake.
func TestCertificateEnds(t *testing.T) {
	c, err := NewCertificates(CertificateOptions{Names: []CertificateName{CertificateDNS}})
	if err != nil {
		t.Fatal(err)
	}
	if c.Challenge() != "" {
		t.Error("the method has an HTTP challenge")
	}
	now := time.Now()
	for _, tt := range []struct {
		from, to time.Duration
		ok       bool
	}{{-time.Hour, time.Hour, true}, {-2 * time.Hour, -time.Hour, false}, {time.Hour, 2 * time.Hour, false}} {
		cert := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"box.example"}, NotBefore: now.Add(tt.from), NotAfter: now.Add(tt.to), Raw: []byte("x")}
		r := httptest.NewRequest("GET", "/", nil)
		r.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{cert}}}
		id, err := c.Authenticate(r)
		if tt.ok && (err != nil || id.Subject != "box.example" || !id.Expires.Equal(cert.NotAfter) || !id.Issued.Equal(cert.NotBefore)) {
			t.Errorf("%v, %v", id, err)
		}
		if !tt.ok {
			wantRefusal(t, err, 401, "")
		}
		for _, chains := range [][][]*x509.Certificate{nil, {}, {{}}} {
			r.TLS.VerifiedChains = chains
			if _, err := c.Authenticate(r); !errors.Is(err, ErrNoCredentials) {
				t.Errorf("%v: %v", chains, err)
			}
		}
	}
	for _, o := range []CertificateOptions{
		{Names: []CertificateName{CertificateDNS}, Subjects: map[string]string{"box.example": "a", "BOX.example": "b"}},
		{Names: []CertificateName{"serial"}},
		{Subjects: map[string]string{"box.example": ""}},
	} {
		if _, err := NewCertificates(o); err == nil {
			t.Errorf("%+v", o)
		}
	}
	if _, err := NewCertificates(CertificateOptions{Subjects: map[string]string{"box.example": "a", "BOX.example": "a"}}); err != nil {
		t.Error(err)
	}
}

// Failures are counted by user and by address, and the address is used without its port.
func TestBasicAddress(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	for addr, want := range map[string]string{"192.0.2.1:1": "192.0.2.1", "[2001:db8::1]:1": "2001:db8::1", "@": "@", "": ""} {
		r.RemoteAddr = addr
		if got := remoteHost(r); got != want {
			t.Errorf("%q: %q", addr, got)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		f := newBasicFailures(time.Minute, 2, 10)
		for i := range 3 {
			if wait := f.begin("ann", "192.0.2.1"); (wait > 0) != (i == 2) {
				t.Errorf("attempt %d waits %v", i, wait)
			}
		}
		f.undo("ann", "192.0.2.1")
		if wait := f.begin("ann", "192.0.2.1"); wait != 0 {
			t.Errorf("after a correct password: %v", wait)
		}
	})
	if (&basicUsers{}).verify("ann", "") {
		t.Error("a file without users accepts a user")
	}
}

// The challenge of a session is that of the wrapped method, or one for the cookie if the method has none. Closing the session
// closes the method.
func TestSessionChallenge(t *testing.T) {
	closed := 0
	s, err := SessionCookie("s", []string{"https://app.example.com"}, identityStub{closed: &closed})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Challenge(); got != `Fixed realm="x"` {
		t.Error(got)
	}
	if err := s.(interface{ Close() error }).Close(); err != nil || closed != 1 {
		t.Errorf("%v, closed %d times", err, closed)
	}
	if s, err = SessionCookie("s", []string{"https://app.example.com"}, silent{}); err != nil {
		t.Fatal(err)
	}
	if got := s.Challenge(); got != cookieChallenge("s") {
		t.Error(got)
	}
	if err := s.(interface{ Close() error }).Close(); err != nil {
		t.Error(err)
	}
	if err := RefuseRevoked(silent{}, brokenStore{}).(interface{ Close() error }).Close(); err != nil {
		t.Error(err)
	}
}

// silent is an Authenticator without a challenge that cannot be closed.
type silent struct{ Authenticator }

func (silent) Challenge() string { return "" }

// A token among the subprotocols may be a third longer than a token in another place, because of base64.
func TestOfferedLength(t *testing.T) {
	for n, want := range map[int]error{2 * maxToken: nil, 2*maxToken + 1: errLongToken} {
		got, err := offered([]string{"chat, p." + strings.Repeat("x", n)}, "p.")
		if !errors.Is(err, want) || err == nil && len(got) != n {
			t.Errorf("%d bytes: %d, %v", n, len(got), err)
		}
	}
}
