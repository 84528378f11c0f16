package gateway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/config"
)

// A method with invalid settings causes an error that names the problem and the setting.
func TestNewMethod(t *testing.T) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	public := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	file := filepath.Join(t.TempDir(), "public.pem")
	if err := os.WriteFile(file, []byte(public), 0o600); err != nil {
		t.Fatal(err)
	}
	const none = config.Path("/nowhere/none.pem")
	bearer := []config.TokenSource{{Kind: "bearer"}}
	for _, tt := range []struct {
		name string
		cfg  config.Method
		want string // in the error; "" means none
	}{
		{"nothing", config.Method{}, "no method is named"},
		{"public key", config.Method{JWT: &config.JWT{PublicKey: public, From: bearer, Audience: []string{"us"}}}, ""},
		{"public key in a file", config.Method{JWT: &config.JWT{PublicKeyFile: config.Path(file), From: bearer, Audience: []string{"us"}}}, ""},
		{"no public key", config.Method{JWT: &config.JWT{PublicKeyFile: none, From: bearer}}, "none.pem"},
		{"no key", config.Method{JWT: &config.JWT{From: bearer}}, "no key to verify tokens"},
		{"no such place", config.Method{JWT: &config.JWT{From: []config.TokenSource{{Kind: "body"}}}}, `"body"`},
		{"no authority of keys", config.Method{JWT: &config.JWT{JWKSURL: "https://127.0.0.1:1/", CA: none, From: bearer}}, "none.pem"},
		{"a cookie of no meaning", config.Method{Cookie: &config.Cookie{Name: "s"}}, "check of the cookie"},
		{"a cookie without a name", config.Method{Cookie: &config.Cookie{JWT: &config.JWT{PublicKey: public}}}, "cookie"},
		{"no authority of a cookie's service", config.Method{Cookie: &config.Cookie{Name: "s", Forward: &config.Forward{URL: "https://127.0.0.1:1/", CA: none}}}, "none.pem"},
		{"no authority of a service", config.Method{Forward: &config.Forward{URL: "https://127.0.0.1:1/", CA: none}}, "none.pem"},
		{"a service without a URL", config.Method{Forward: &config.Forward{URL: "no URL"}}, "URL"},
		{"a cookie's service without a URL", config.Method{Cookie: &config.Cookie{Name: "s", Forward: &config.Forward{URL: "no URL"}}}, "URL"},
		{"tickets for any page", config.Method{Ticket: &config.Ticket{Path: "/t", Origins: config.Origins{Any: true}}}, "tickets for their visitors"},
		{"no file of passwords", config.Method{Basic: &config.Basic{File: none}}, "none.pem"},
	} {
		m := &methods{cfg: &config.Config{}, store: auth.NewMemoryStore(auth.MemoryStoreOptions{})}
		got, err := m.newMethod("auth.x", &tt.cfg)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err == nil {
			if c, ok := got.auth.(interface{ Close() error }); ok {
				_ = c.Close() // the method may watch a file
			}
		}
	}
	m := &methods{cfg: &config.Config{}}
	_, err = m.chain("endpoints[0].auth", "chat", []config.AuthRef{{Name: config.Anonymous}, {Name: "missing"}})
	if p, ok := errors.AsType[*config.Problem](err); !ok || p.Path != "endpoints[0].auth[1]" || !strings.Contains(p.Text, `"missing"`) {
		t.Errorf("%v", err)
	}
}
