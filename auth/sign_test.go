package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// pemBlock encodes DER in PEM.
func pemBlock(t *testing.T, kind string, der []byte, err error) []byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// A JWT accepts the tokens of a Signer, with every kind of key, for the intended audience and no other.
func TestSignerIsVerified(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	ed := pemBlock(t, "PRIVATE KEY", pkcs8, err)
	sec1, err := x509.MarshalECPrivateKey(ec)
	secret := []byte(strings.Repeat("s", 32))
	for name, c := range map[string]struct {
		o      SignerOptions
		public any
	}{
		"HS256": {SignerOptions{Secret: secret}, nil},
		"EdDSA": {SignerOptions{PrivateKey: ed}, public},
		"ES256": {SignerOptions{PrivateKey: pemBlock(t, "EC PRIVATE KEY", sec1, err)}, ec.Public()},
		"RS256": {SignerOptions{PrivateKey: pemBlock(t, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey), nil)}, rsaKey.Public()},
	} {
		keys, err := Secret(secret)
		if c.public != nil {
			keys, err = Keys(pemOf(t, c.public))
		}
		if err != nil {
			t.Fatal(err)
		}
		c.o.Issuer, c.o.Claims = "edge", []string{"roles", "tenant", "missing"}
		s, err := NewSigner(c.o)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		who := &Identity{Subject: "alice", Method: "apikey", Claims: map[string]any{"roles": []any{"admin"}, "tenant": 9007199254740993, "secret": "x"}}
		token, err := s.Sign(who, "ws://10.0.0.1:9000")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for audience, want := range map[string]bool{"ws://10.0.0.1:9000": true, "ws://10.0.0.2:9000": false} {
			j, err := NewJWT(JWTOptions{Keys: keys, Issuer: "edge", Audience: []string{audience}, Algorithms: []string{name}, Sources: []Source{Header("X-Handfast-Identity")}})
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("X-Handfast-Identity", token)
			id, err := j.Authenticate(r)
			if (err == nil) != want {
				t.Errorf("%s for %s: %v", name, audience, err)
			}
			if !want || err != nil {
				continue
			}
			if lasts := id.Expires.Sub(id.Issued); id.Subject != "alice" || id.Claims["method"] != "apikey" || id.Claims["tenant"] != 9007199254740993 ||
				id.Claims["secret"] != nil || id.Claims["roles"].([]any)[0] != "admin" || lasts > time.Minute+defaultSkew || lasts <= 0 {
				t.Errorf("%s: %+v lasts %v", name, id, lasts)
			}
		}
	}
}

// A token expires with the client's credential, and claims that are too large are an error.
func TestSignerBounds(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	s, err := NewSigner(SignerOptions{Secret: []byte(strings.Repeat("s", 32)), TTL: time.Minute, Claims: []string{"big"}})
	if err != nil {
		t.Fatal(err)
	}
	s.now = func() time.Time { return now }
	keys, err := Secret([]byte(strings.Repeat("s", 32)))
	if err != nil {
		t.Fatal(err)
	}
	j, err := NewJWT(JWTOptions{Keys: keys, AnyAudience: true, Skew: -1})
	if err != nil {
		t.Fatal(err)
	}
	j.now = s.now
	for expires, want := range map[time.Time]time.Duration{{}: time.Minute, now.Add(time.Second): time.Second, now.Add(time.Hour): time.Minute} {
		token, err := s.Sign(&Identity{Subject: "a", Method: "jwt", Expires: expires}, "b")
		if err != nil {
			t.Fatal(err)
		}
		if id, err := j.Verify(t.Context(), token); err != nil || !id.Expires.Equal(now.Add(want)) {
			t.Errorf("%v: %+v, %v", expires, id, err)
		}
	}
	if _, err := s.Sign(&Identity{Subject: "a", Claims: map[string]any{"big": strings.Repeat("x", maxSigned)}}, "b"); err == nil {
		t.Error("a token that is too large was signed")
	}
	if _, err := s.Sign(&Identity{Subject: "a", Claims: map[string]any{"big": func() {}}}, "b"); err == nil {
		t.Error("a claim that cannot be encoded as JSON was signed")
	}
}

func TestNewSignerRefuses(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(ec)
	secret := []byte(strings.Repeat("hunter2", 8))
	for name, o := range map[string]SignerOptions{
		"nothing": {}, "a short secret": {Secret: []byte("hunter2")}, "both": {Secret: secret, PrivateKey: secret}, "no PEM": {PrivateKey: secret},
		"another curve": {PrivateKey: pemBlock(t, "PRIVATE KEY", der, err)}, "no key": {PrivateKey: pemBlock(t, "PRIVATE KEY", secret, nil)},
		"a claim of its own": {Secret: secret, Claims: []string{"sub"}}, "a claim without a name": {Secret: secret, Claims: []string{""}},
	} {
		if _, err := NewSigner(o); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
