package gateway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket"
)

// es256 returns a token that is signed with a key.
func es256(t *testing.T, private *ecdsa.PrivateKey, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"ES256","kid":"k1"}`)) + "." + encode(payload)
	sum := sha256.Sum256([]byte(text))
	a, b, err := ecdsa.Sign(rand.Reader, private, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return secret(text + "." + encode(append(a.FillBytes(make([]byte, 32)), b.FillBytes(make([]byte, 32))...)))
}

// Services with certificates of a private CA are trusted with that CA, and with no other.
func TestMethodsWithTheirOwnCA(t *testing.T) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := private.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	keys := `{"keys": [{"kty": "EC", "crv": "P-256", "kid": "k1", "use": "sig", "x": "` + encode(point[1:33]) + `", "y": "` + encode(point[33:]) + `"}]}`
	session := secret("a-session-in-a-cookie")
	mux := http.NewServeMux()
	service := httptest.NewUnstartedServer(mux)
	service.Config.ErrorLog = log.New(io.Discard, "", 0) // discards the handshake errors of clients that trust another CA
	service.StartTLS()
	defer service.Close()
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, keys) })
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"issuer": "`+service.URL+`", "jwks_uri": "`+service.URL+`/keys"}`)
	})
	mux.HandleFunc("GET /session", func(w http.ResponseWriter, r *http.Request) {
		c, err := r.Cookie("session")
		if err != nil || c.Value != session || len(r.Cookies()) != 1 {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("X-Auth-Request-User", "carl")
	})
	dir := t.TempDir()
	ca, other := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "other.pem")
	stranger, _ := issue(t, "stranger", caTemplate(), nil)
	for file, der := range map[string][]byte{ca: service.Certificate().Raw, other: stranger.Certificate[0]} {
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const text = `
auth:
	keys: {jwt: {jwks_url: "%[1]s/keys", ca: %[2]q, audience: [us]}}
	issuer: {jwt: {oidc_issuer: "%[1]s", ca: %[2]q, audience: [us]}}
	session: {cookie: {name: session, origins: ["https://app.example.com"], forward: {url: "%[1]s/session", ca: %[2]q}}}
endpoints:
	- {name: keys, path: /keys, target: echo, auth: [keys]}
	- {name: issuer, path: /issuer, target: echo, auth: [issuer]}
	- {name: session, path: /session, target: echo, auth: [session], origins: ["https://app.example.com"]}
`
	good, bad := run(t, parse(t, text, service.URL, ca)), run(t, parse(t, text, service.URL, other))
	claims := map[string]any{"sub": "tom", "aud": "us", "iss": service.URL, "exp": time.Now().Add(time.Hour).Unix()}
	bearer := withToken(es256(t, private, claims))
	cookie := func(value string) *websocket.DialOptions {
		return &websocket.DialOptions{Header: http.Header{
			"Cookie": {"theme=dark; session=" + value}, "Origin": {"https://app.example.com"},
		}}
	}
	for path, opts := range map[string]*websocket.DialOptions{"/keys": bearer, "/issuer": bearer, "/session": cookie(session)} {
		wantEcho(t, good.open(t, path, opts))
		if e := bad.refuse(t, path, opts); e.Status != 503 {
			t.Errorf("%s with another CA: %d", path, e.Status)
		}
	}
	if e := good.refuse(t, "/session", cookie(secret("a-session-that-is-unknown"))); e.Status != 401 {
		t.Errorf("an unknown session: %d", e.Status)
	}
}
