package cli

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/handfast/handfast/auth"
)

// secretFile writes a file for a test and returns its path.
func secretFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// bearer authenticates a request with a token.
func bearer(t *testing.T, a auth.Authenticator, token string) *auth.Identity {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	id, err := a.Authenticate(r)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// Package auth accepts the tokens that "token jwt" creates, for every kind of key.
func TestTokenJWTIsAccepted(t *testing.T) {
	secret := strings.Repeat("s", 32)
	shared, err := auth.Secret([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	type signer struct {
		args []string
		keys auth.KeySource
	}
	cases := map[string]signer{"HS256": {[]string{"--secret-file", secretFile(t, "secret", secret+"\n")}, shared}}
	for alg, make := range map[string]func() (any, any, error){
		"RS256": func() (any, any, error) {
			k, err := rsa.GenerateKey(rand.Reader, 2048)
			return k, &k.PublicKey, err
		},
		"ES256": func() (any, any, error) {
			k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			return k, &k.PublicKey, err
		},
		"EdDSA": func() (any, any, error) {
			public, k, err := ed25519.GenerateKey(rand.Reader)
			return k, public, err
		},
	} {
		key, public, err := make()
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		path := secretFile(t, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
		if der, err = x509.MarshalPKIXPublicKey(public); err != nil {
			t.Fatal(err)
		}
		keys, err := auth.Keys(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
		if err != nil {
			t.Fatal(err)
		}
		cases[alg] = signer{[]string{"--key", path}, keys}
	}
	for alg, c := range cases {
		t.Run(alg, func(t *testing.T) {
			a, err := auth.NewJWT(auth.JWTOptions{
				Keys: c.keys, Algorithms: []string{alg}, Issuer: "me", Audience: []string{"chat"},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			got := runCommand(t, append([]string{"token", "jwt", "--sub", "alice", "--iss", "me", "--aud", "chat",
				"--claim", `roles=["admin"]`, "--claim", "team=red"}, c.args...)...)
			if got.code != 0 {
				t.Fatalf("exit code %d: %s", got.code, got.stderr)
			}
			id := bearer(t, a, strings.TrimSpace(got.stdout))
			if id.Subject != "alice" || id.ID == "" || id.Expires.IsZero() || id.Claims["team"] != "red" {
				t.Errorf("got %+v", id)
			}
			if roles, ok := id.Claims["roles"].([]any); !ok || len(roles) != 1 || roles[0] != "admin" {
				t.Errorf("roles are %v", id.Claims["roles"])
			}
		})
	}
}

func TestTokenErrors(t *testing.T) {
	short := secretFile(t, "secret", "too short to sign with")
	for _, tt := range []struct {
		args  string
		stdin string
		code  int
		want  string // a part of the text on standard error
	}{
		{"token jwt --sub a", "", 2, "--secret-file and --key"},
		{"token jwt --secret-file x --key y --sub a", "", 2, "--secret-file and --key"},
		{"token jwt --secret-file " + short, "", 2, "--sub"},
		{"token jwt --secret-file " + short + " --sub a --expires 0", "", 2, "--expires cannot be 0"},
		{"token jwt --secret-file " + short + " --sub a --claim x", "", 2, "name=value"},
		{"token jwt --secret-file " + short + " --sub a --claim exp=1", "", 2, "cannot be set"},
		{"token jwt --secret-file " + short + " --sub a", "", 2, "needs 32"},
		{"token jwt --key " + short + " --sub a", "", 2, "openssl genpkey"},
		{"token jwt --key /does/not/exist --sub a", "", 2, "no such file"},
		{"token show", "a.b", 1, "not a signed token"},
		{"token show", "secretpart.secretpart.secretpart", 1, "not a signed token"},
		{"token show", "", 1, "standard input is empty\n  next step: pass the token: handfast token show @FILE, or handfast token show <FILE\n"},
		{"token show -", "\n", 1, "standard input is empty\n  next step: pass the token"},
		{"token show", " \n", 2, "the token is empty"},
		{"token show secretpart", "", 1, "not a signed token"},
		{"token show @/does/not/exist", "", 2, "no such file"},
		{"token show x y", "", 2, "one token at a time"},
		{"token apikey", "", 2, "an ID"},
		{"token apikey a/b", "", 2, "1 to 64 letters"},
		{"token password", "", 2, "the name of a user"},
		{"token password a:b", "x", 2, "colon"},
		{"token password a", "", 1, "empty\n  next step: pipe the password in: printf '%s' \"$PASSWORD\" | handfast token password a"},
	} {
		got := runWith(t, strings.NewReader(tt.stdin), nil, strings.Fields(tt.args)...)
		if got.code != tt.code || !strings.Contains(got.stderr, tt.want) || got.stderr == "" || got.stdout != "" {
			t.Errorf("%s: exit code %d, %q, %q", tt.args, got.code, got.stdout, got.stderr)
		}
		if len(tt.stdin) > 3 && strings.Contains(got.stderr, tt.stdin) || strings.Contains(got.stderr, "secretpart") {
			t.Errorf("%s prints its input: %s", tt.args, got.stderr)
		}
	}
}

func TestTokenShow(t *testing.T) {
	made := runCommand(t, "token", "jwt", "--secret-file", secretFile(t, "secret", strings.Repeat("s", 32)), "--sub", "alice", "--kid", "k1")
	got := runWith(t, strings.NewReader("Bearer "+made.stdout), nil, "token", "show")
	if named := runCommand(t, "token", "show", "@"+secretFile(t, "token", "Bearer "+made.stdout)); named != got {
		t.Errorf("from a file: %+v", named)
	}
	if given := runCommand(t, "token", "show", strings.TrimSpace(made.stdout)); given != got {
		t.Errorf("as an argument: %+v", given)
	}
	var shown struct {
		Header, Claims map[string]any
	}
	if err := json.Unmarshal([]byte(got.stdout), &shown); err != nil || got.code != 0 {
		t.Fatalf("exit code %d, %v: %s%s", got.code, err, got.stdout, got.stderr)
	}
	if shown.Header["alg"] != "HS256" || shown.Header["kid"] != "k1" || shown.Claims["sub"] != "alice" {
		t.Errorf("got %s", got.stdout)
	}
	if signature := made.stdout[strings.LastIndexByte(made.stdout, '.')+1:]; strings.Contains(got.stdout, strings.TrimSpace(signature)) {
		t.Error("the signature is shown")
	}
}

// The key on standard output matches the entry that is printed for the configuration.
func TestTokenAPIKey(t *testing.T) {
	got := runCommand(t, "token", "apikey", "ci", "--user", "build")
	hash := regexp.MustCompile(`hash: (\S+)`).FindStringSubmatch(got.stderr)
	if got.code != 0 || hash == nil || !strings.Contains(got.stderr, `user: "build"`) {
		t.Fatalf("exit code %d: %s", got.code, got.stderr)
	}
	key := strings.TrimSpace(got.stdout)
	if strings.Contains(got.stderr, key) {
		t.Error("the key is printed with the configuration")
	}
	a, err := auth.NewAPIKeys(auth.APIKeyOptions{Keys: []auth.APIKey{{ID: "ci", Hash: hash[1], Subject: "build"}}, Bearer: true})
	if err != nil {
		t.Fatal(err)
	}
	if id := bearer(t, a, key); id.Subject != "build" || id.ID != "ci" {
		t.Errorf("got %+v", id)
	}
}

func TestTokenPassword(t *testing.T) {
	got := runWith(t, strings.NewReader("correct horse\n"), nil, "token", "password", "alice")
	if got.code != 0 || !strings.HasPrefix(got.stdout, "alice:$argon2id$") {
		t.Fatalf("exit code %d: %s%s", got.code, got.stdout, got.stderr)
	}
	basic, err := auth.NewBasic(auth.BasicOptions{File: secretFile(t, "passwords", got.stdout)})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	r.SetBasicAuth("alice", "correct horse")
	if id, err := basic.Authenticate(r); err != nil || id.Subject != "alice" {
		t.Errorf("got %+v, %v", id, err)
	}
	r.SetBasicAuth("alice", "wrong horse")
	if _, err := basic.Authenticate(r); err == nil {
		t.Error("a wrong password is accepted")
	}
}
