package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/internal/watch"
)

// testKeys are private keys of every kind, created once.
var testKeys = sync.OnceValue(func() (k struct {
	rsa, other, weak *rsa.PrivateKey
	p256, p384, p521 *ecdsa.PrivateKey
	ed               ed25519.PrivateKey
	secret           []byte // 64 bytes
}) {
	k.rsa, _ = rsa.GenerateKey(rand.Reader, 2048)
	k.other, _ = rsa.GenerateKey(rand.Reader, 2048)
	k.weak, _ = rsa.GenerateKey(rand.Reader, 1024)
	k.p256, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	k.p384, _ = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	k.p521, _ = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	_, k.ed, _ = ed25519.GenerateKey(rand.Reader)
	k.secret = []byte(strings.Repeat("0123456789abcdef", 4))
	return k
})

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// jwkOf returns a public key, or a secret, as a JWK. more are additional members: name, value, ...
func jwkOf(t testing.TB, public any, more ...string) map[string]any {
	t.Helper()
	j := map[string]any{}
	switch p := public.(type) {
	case *rsa.PublicKey:
		j = map[string]any{"kty": "RSA", "n": b64(p.N.Bytes()), "e": b64(big.NewInt(int64(p.E)).Bytes())}
	case *ecdsa.PublicKey:
		point, err := p.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		half := len(point) / 2
		j = map[string]any{"kty": "EC", "crv": p.Curve.Params().Name, "x": b64(point[1 : 1+half]), "y": b64(point[1+half:])}
	case ed25519.PublicKey:
		j = map[string]any{"kty": "OKP", "crv": "Ed25519", "x": b64(p)}
	case []byte:
		j = map[string]any{"kty": "oct", "k": b64(p)}
	default:
		t.Fatalf("%T", public)
	}
	for i := 0; i < len(more); i += 2 {
		j[more[i]] = more[i+1]
	}
	return j
}

func jwksOf(t testing.TB, keys ...map[string]any) []byte {
	t.Helper()
	data, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// pemOf returns a public key in PEM.
func pemOf(t testing.TB, public crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func TestKeysForms(t *testing.T) {
	k := testKeys()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "issuer"}, NotAfter: time.Unix(0, 0)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &k.rsa.PublicKey, k.rsa)
	if err != nil {
		t.Fatal(err)
	}
	single, err := json.Marshal(jwkOf(t, &k.p384.PublicKey, "kid", "one", "alg", "ES384"))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		data []byte
		algs string // algorithms of all keys
	}{
		"public key":      {pemOf(t, &k.p256.PublicKey), "ES256"},
		"several":         {append(pemOf(t, &k.p521.PublicKey), pemOf(t, k.ed.Public())...), "ES512 EdDSA"},
		"PKCS #1":         {pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&k.rsa.PublicKey)}), "RS256 RS384 RS512 PS256 PS384 PS512"},
		"certificate":     {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), "RS256 RS384 RS512 PS256 PS384 PS512"},
		"JWK":             {single, "ES384"},
		"JWK set":         {jwksOf(t, jwkOf(t, &k.rsa.PublicKey, "alg", "PS256"), jwkOf(t, k.ed.Public(), "alg", "Ed25519", "use", "sig")), "PS256 EdDSA"},
		"secret":          {jwksOf(t, jwkOf(t, k.secret)), "HS256 HS384 HS512"},
		"secret of 32":    {jwksOf(t, jwkOf(t, k.secret[:32])), "HS256"},
		"all three of EC": {jwksOf(t, jwkOf(t, &k.p256.PublicKey), jwkOf(t, &k.p384.PublicKey), jwkOf(t, &k.p521.PublicKey)), "ES256 ES384 ES512"},
	} {
		source, err := Keys(tt.data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		found, err := source.find(t.Context(), "")
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var algs []string
		for _, one := range found {
			algs = append(algs, one.algs...)
		}
		if got := strings.Join(algs, " "); got != tt.algs {
			t.Errorf("%s: for %s, want %s", name, got, tt.algs)
		}
	}
}

func TestKeysRefused(t *testing.T) {
	k := testKeys()
	private, err := x509.MarshalPKCS8PrivateKey(k.p256)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec := jwkOf(t, &k.p256.PublicKey)
	off := jwkOf(t, &k.p256.PublicKey, "y", ec["x"].(string))
	short := jwkOf(t, &k.p256.PublicKey, "x", b64([]byte{1}))
	for name, tt := range map[string]struct {
		data []byte
		want string
	}{
		"nothing":             {nil, "no keys"},
		"text":                {[]byte("secret"), "no keys"},
		"broken PEM":          {[]byte("-----BEGIN PUBLIC KEY-----\nAAAA"), "no complete PEM block"},
		"PEM of something":    {pem.EncodeToMemory(&pem.Block{Type: "DH PARAMETERS"}), "not a public key"},
		"private key":         {pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), "private key"},
		"private JWK":         {jwksOf(t, jwkOf(t, &k.p256.PublicKey, "d", "AAAA")), "private key"},
		"weak RSA":            {pemOf(t, &k.weak.PublicKey), "1024 bits"},
		"weak RSA as JWK":     {jwksOf(t, jwkOf(t, &k.weak.PublicKey)), "1024 bits"},
		"RSA with e 1":        {jwksOf(t, jwkOf(t, &k.rsa.PublicKey, "e", "AQ")), "exponent"},
		"RSA with a huge e":   {jwksOf(t, jwkOf(t, &k.rsa.PublicKey, "e", b64([]byte{255, 255, 255, 255}))), "parameter"},
		"P-224":               {pemOf(t, &p224.PublicKey), "curve"},
		"not on the curve":    {jwksOf(t, off), "parameter"},
		"short coordinate":    {jwksOf(t, short), "parameter"},
		"unknown curve":       {jwksOf(t, jwkOf(t, &k.p256.PublicKey, "crv", "secp256k1")), "curve"},
		"X25519":              {jwksOf(t, jwkOf(t, k.ed.Public(), "crv", "X25519")), "curve"},
		"unknown type":        {jwksOf(t, map[string]any{"kty": "AKP"}), "type"},
		"for encryption":      {jwksOf(t, jwkOf(t, &k.rsa.PublicKey, "use", "enc")), "the use of the key is"},
		"to sign only":        {[]byte(`{"kty":"RSA","key_ops":["sign"]}`), "key_ops of the key do not include"},
		"alg of another type": {jwksOf(t, jwkOf(t, &k.rsa.PublicKey, "alg", "HS256")), "does not match"},
		"alg of another size": {jwksOf(t, jwkOf(t, k.secret[:32], "alg", "HS512")), "does not match"},
		"short secret":        {jwksOf(t, jwkOf(t, k.secret[:31])), "31 bytes"},
		"empty set":           {[]byte(`{"keys":[]}`), "no keys"},
		"no set":              {[]byte(`{}`), "no keys"},
		"broken JSON":         {[]byte(`{"keys":`), "not valid JSON"},
		"too many":            {jwksOf(t, make([]map[string]any, 101)...), "101 keys"},
		"too much":            {make([]byte, 1<<20+1), "1 MiB"},
	} {
		if _, err := Keys(tt.data); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	for _, secret := range []string{"", strings.Repeat("x", 31), string(pemOf(t, &k.rsa.PublicKey))} {
		if _, err := Secret([]byte(secret)); err == nil || secret != "" && strings.Contains(err.Error(), secret) {
			t.Errorf("Secret(%.20q): %v", secret, err)
		}
	}
}

// Keys that are not supported are ignored in an issuer's key set, and so are secrets, which are public there.
func TestRFC7517_5_IgnoredKeys(t *testing.T) {
	k := testKeys()
	set, err := parseJWKs(jwksOf(t, jwkOf(t, k.secret, "kid", "a"), jwkOf(t, &k.weak.PublicKey, "kid", "b"),
		map[string]any{"kty": "AKP", "kid": "c"}, jwkOf(t, &k.rsa.PublicKey, "kid", "d", "use", "enc"),
		jwkOf(t, &k.rsa.PublicKey, "kid", "e")), issuerKeys)
	if err != nil || len(set) != 1 || set[0].id != "e" {
		t.Errorf("%v, %v", set, err)
	}
	if _, err := parseJWKs(jwksOf(t, jwkOf(t, k.secret)), issuerKeys); err == nil || !strings.Contains(err.Error(), "symmetric secret") {
		t.Errorf("a secret in public: %v", err)
	}
}

func TestKeyIDs(t *testing.T) {
	k := testKeys()
	source, err := Keys(jwksOf(t, jwkOf(t, &k.rsa.PublicKey, "kid", "a"), jwkOf(t, &k.p256.PublicKey, "kid", "a"), jwkOf(t, k.ed.Public(), "kid", "b")))
	if err != nil {
		t.Fatal(err)
	}
	for kid, n := range map[string]int{"a": 2, "b": 1, "": 3, "c": 0} {
		found, err := source.find(t.Context(), kid)
		if len(found) != n || (n == 0) != errors.Is(err, errUnknownKey) {
			t.Errorf("%q: %d keys, %v", kid, len(found), err)
		}
	}
}

// A file is read again when it has changed, in any way; an invalid file changes nothing, and is reported once.
func TestKeyFileReload(t *testing.T) { synctest.Test(t, testKeyFileReload) }

func testKeyFileReload(t *testing.T) {
	k := testKeys()
	dir := t.TempDir()
	write := func(name string, data []byte, minute int) string {
		t.Helper()
		path := filepath.Join(dir, name)
		stamp := time.Date(2026, 1, 1, 0, minute, 0, 0, time.UTC)
		if err := errors.Join(os.WriteFile(path, data, 0o600), os.Chtimes(path, stamp, stamp)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	path := write("keys", pemOf(t, &k.p256.PublicKey), 0)
	link := filepath.Join(dir, "link")
	if err := os.Symlink("keys", link); err != nil {
		t.Fatal(err)
	}
	f, err := KeyFile(link)
	if err != nil {
		t.Fatal(err)
	}
	var failed []error
	f.OnError = func(err error) { failed = append(failed, err) }
	want := func(step, alg string) {
		t.Helper()
		<-time.After(watch.CheckInterval)
		for range 3 {
			found, err := f.find(t.Context(), "")
			if err != nil || len(found) != 1 || found[0].algs[0] != alg {
				t.Fatalf("%s: %v, %v, want a key for %s", step, found, err, alg)
			}
		}
	}
	want("as it was", "ES256")
	write("keys", pemOf(t, k.ed.Public()), 1)
	if found, err := f.find(t.Context(), ""); err != nil || found[0].algs[0] != "ES256" {
		t.Errorf("the file is checked more than once a second: %v, %v", found, err)
	}
	want("written anew", "EdDSA")
	if err := os.Rename(write("new", pemOf(t, &k.p384.PublicKey), 1), path); err != nil {
		t.Fatal(err)
	}
	want("renamed", "ES384")
	write("other", pemOf(t, &k.p521.PublicKey), 1)
	if err := errors.Join(os.Symlink("other", filepath.Join(dir, "tmp")), os.Rename(filepath.Join(dir, "tmp"), link)); err != nil {
		t.Fatal(err)
	}
	want("link swapped", "ES512")
	if len(failed) != 0 {
		t.Fatalf("%v", failed)
	}
	write("other", []byte("garbage"), 2)
	want("broken", "ES512")
	want("still broken", "ES512")
	if len(failed) != 1 || !strings.Contains(failed[0].Error(), "no keys") {
		t.Errorf("reported %v", failed)
	}
	write("other", jwksOf(t, jwkOf(t, &k.p256.PublicKey)), 3)
	want("fixed", "ES256")
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	want("gone", "ES256")
	if _, err := KeyFile(link); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := KeyFile(dir); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a directory: %v", err)
	}
}
