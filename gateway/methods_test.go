package gateway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/gateway/internal/registry"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// Every configurable method works in a chain with the others.
func TestMethods(t *testing.T) {
	apiKey, entry, err := auth.NewAPIKey("robot")
	if err != nil {
		t.Fatal(err)
	}
	secret(apiKey)
	password := secret("correct horse battery staple")
	hash, err := auth.HashPassword(password)
	if err != nil {
		t.Fatal(err)
	}
	passwords := filepath.Join(t.TempDir(), "passwords")
	if err := os.WriteFile(passwords, []byte("paul:"+hash+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	session := secret("a-session-that-the-service-knows")
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Session") != session || r.Header.Get("X-Forwarded-For") != "127.0.0.1" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("X-Auth-Request-User", "fred")
		w.Header().Set("X-Groups", "a, b")
		_, _ = io.WriteString(w, "fine")
	}))
	defer service.Close()
	r := run(t, parse(t, `
auth:
	tokens: {jwt: {secret: "%[1]s", from: [bearer, kubernetes, "subprotocol:my.token."]}}
	keys: {apikey: {keys: [{id: %[2]s, hash: %[3]q, user: rob}]}}
	passwords: {basic: {file: %[4]q}}
	sessions: {cookie: {name: session, origins: ["https://app.example.com"], jwt: {secret: "%[1]s"}}}
	service: {forward: {url: %[5]q, headers: [X-Session], claims: [{header: X-Groups, claim: groups, list: true}]}}
endpoints:
	- name: all
		path: /all
		target: echo
		auth: [tokens, keys, passwords, sessions, service]
		origins: ["https://app.example.com"]
		rules: [{when: 'method != "forward" or "b" in claims.groups', do: allow}]
`, key, entry.ID, entry.Hash, passwords, service.URL))
	jwt := func(user string) string { return token(user, time.Hour, nil) }
	for _, tt := range []struct {
		name, user, method string
		header             http.Header
		protocols          []string
	}{
		{"bearer", "tom", "jwt", http.Header{"Authorization": {"Bearer " + jwt("tom")}}, nil},
		{"kubernetes", "kim", "jwt", nil, []string{"base64url.bearer.authorization.k8s.io." +
			secret(base64.RawURLEncoding.EncodeToString([]byte(jwt("kim"))))}},
		{"subprotocol", "sue", "jwt", nil, []string{"my.token." + jwt("sue")}},
		{"API key", "rob", "apikey", http.Header{"X-Api-Key": {apiKey}}, nil},
		{"password", "paul", "basic", http.Header{"Authorization": {"Basic " +
			secret(base64.StdEncoding.EncodeToString([]byte("paul:"+password)))}}, nil},
		{"cookie", "carl", "jwt", http.Header{"Cookie": {"session=" + jwt("carl")}, "Origin": {"https://app.example.com"}}, nil},
		{"forward", "fred", "forward", http.Header{"X-Session": {session}}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := r.open(t, "/all", &websocket.DialOptions{Header: tt.header, Subprotocols: tt.protocols})
			wantEcho(t, c)
			list := r.conns.List(registry.Filter{User: tt.user})
			if len(list) != 1 || list[0].Identity.Method != tt.method {
				t.Errorf("%d of %s", len(list), tt.user)
			}
		})
	}
	for name, header := range map[string]http.Header{
		"none":                       nil,
		"a wrong API key":            {"X-Api-Key": {apiKey + "x"}},
		"a wrong password":           {"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte("paul:wrong"))}},
		"an unknown session":         {"X-Session": {secret("a-session-that-is-unknown")}},
		"a cookie without an origin": {"Cookie": {"session=" + jwt("carl")}},
	} {
		e := r.refuse(t, "/all", &websocket.DialOptions{Header: header})
		if e.Status != 401 && (e.Status != 403 || name != "a cookie without an origin") {
			t.Errorf("%s: %d", name, e.Status)
		}
	}
}

// issue creates a certificate that parent signs, or a self-signed one if parent is nil, and writes both to a PEM file.
func issue(t *testing.T, name string, template *x509.Certificate, parent *tls.Certificate) (*tls.Certificate, string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: name}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	signer, by := any(private), template
	if parent != nil {
		signer, by = parent.PrivateKey, parent.Leaf
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by, private.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	file := filepath.Join(t.TempDir(), name+".pem")
	if err := os.WriteFile(file, append(certPEM, keyPEM...), 0o600); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	return &pair, file
}

func caTemplate() *x509.Certificate {
	return &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
}

// A client certificate identifies the user; without one the next method is used.
func TestClientCertificates(t *testing.T) {
	authority, _ := issue(t, "authority", caTemplate(), nil)
	authorityFile := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(authorityFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Certificate[0]}), 0o600); err != nil {
		t.Fatal(err)
	}
	_, serverFile := issue(t, "server", &x509.Certificate{DNSNames: []string{"localhost"}}, authority)
	client, _ := issue(t, "client", &x509.Certificate{
		EmailAddresses: []string{"dora@example.com"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, authority)
	stranger, _ := issue(t, "stranger", &x509.Certificate{EmailAddresses: []string{"dora@example.com"}}, nil)
	r := run(t, parse(t, `
listen: [{address: "localhost:0", tls: {files: [{cert: %[1]q}], client_cas: [%[2]q]}}]
auth:
	machines: {certificate: {map: {dora@example.com: dora}}}
	users: {jwt: {secret: "%[3]s"}}
endpoints: [{name: all, path: /all, target: echo, auth: [machines, users]}]
`, serverFile, authorityFile, key))
	roots := x509.NewCertPool()
	roots.AddCert(authority.Leaf)
	with := func(cert *tls.Certificate) *websocket.DialOptions {
		o := &websocket.DialOptions{TLS: &tls.Config{RootCAs: roots}}
		if cert != nil {
			o.TLS.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
		}
		return o
	}
	wantEcho(t, r.open(t, "/all", with(client)))
	if list := r.conns.List(registry.Filter{User: "dora"}); len(list) != 1 || list[0].Identity.Method != "certificate" {
		t.Errorf("%d of dora", len(list))
	}
	opts := with(nil)
	opts.Header = http.Header{"Authorization": {"Bearer " + token("tom", time.Hour, nil)}}
	wantEcho(t, r.open(t, "/all", opts))
	if e := r.refuse(t, "/all", with(nil)); e.Status != 401 {
		t.Errorf("without: %d", e.Status)
	}
	r.refuse(t, "/all", with(stranger))
	bounded.Until(t, func() bool {
		list := r.rec.refused.List()
		return list[0].Stage == "tls"
	})
}
