package gateway

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// signingFront configures a balancer that signs identities, for users with a token signed by key and for anonymous clients. The %s verbs
// are the server and the signing settings.
const signingFront = `
auth:
	users: {jwt: {secret: "` + "%[1]s" + `", skew: 0s}}
endpoints:
	- name: front
	  path: /
	  target:
	    balance:
	      to: [%[2]s]
	      health: off
	      request: {user_header: X-User, identity: {header: %[4]s, %[3]s}}
	  auth: [users, anonymous]
`

// signingConfig formats signingFront.
func signingConfig(server, how, header string) string {
	return strings.NewReplacer("%[1]s", key, "%[2]s", server, "%[3]s", how, "%[4]s", header).Replace(signingFront)
}

// headerServer starts a server that rejects every request, and records the header fields.
func headerServer(t *testing.T) (id string, got chan http.Header) {
	got = make(chan http.Header, 4)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got <- r.Header.Clone()
		w.WriteHeader(http.StatusTeapot)
	}))
	t.Cleanup(s.Close)
	return "ws://" + s.Listener.Addr().String(), got
}

// A server gets a token that is addressed to it and contains the authenticated identity. A header field of that name from the client is
// removed.
func TestBalanceSignsIdentity(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	if der, err = x509.MarshalPKIXPublicKey(public); err != nil {
		t.Fatal(err)
	}
	keys, err := auth.Keys(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	if err != nil {
		t.Fatal(err)
	}
	server, got := headerServer(t)
	verify, err := auth.NewJWT(auth.JWTOptions{Keys: keys, Issuer: "edge", Audience: []string{server}, Sources: []auth.Source{auth.Header("X-Handfast-Identity")}})
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, parse(t, signingConfig(server, "key_file: "+file+", issuer: edge, claims: [roles]", "X-Handfast-Identity")))
	forged := func(more http.Header) *websocket.DialOptions {
		h := http.Header{"X-Handfast-Identity": {token("mallory", time.Minute, nil)}, "X_handfast_Identity": {"mallory"}, "X-User": {"mallory"}, "X_user": {"mallory"}}
		for name, values := range more {
			h[name] = values
		}
		return &websocket.DialOptions{Header: h}
	}
	alice := http.Header{"Authorization": {"Bearer " + token("alice", time.Minute, map[string]any{"roles": []string{"admin"}, "tenant": "t"})}}
	for _, open := range []func(more http.Header) http.Header{
		func(more http.Header) http.Header {
			r.refuse(t, "/", forged(more))
			return bounded.Receive(t, got)
		},
		func(more http.Header) http.Header { // a plain request
			requestPage(t, http.MethodGet, r.URLs()[0]+"/", forged(more).Header)
			return bounded.Receive(t, got)
		},
	} {
		h := open(alice)
		id, err := verify.Authenticate(&http.Request{Header: h})
		if err != nil || id.Subject != "alice" || id.Claims["method"] != "jwt" || id.Claims["tenant"] != nil || id.Claims["roles"].([]any)[0] != "admin" {
			t.Errorf("token: got %+v, %v, want alice with the role admin", id, err)
		} else if lasts := id.Expires.Sub(id.Issued); lasts <= 0 || lasts > 2*time.Minute {
			t.Errorf("token: got a validity of %v, want two minutes at most", lasts)
		}
		if h.Get("X-User") != "alice" || strings.Contains(strings.Join(h["X_user"], "")+strings.Join(h["X_handfast_identity"], ""), "mallory") {
			t.Errorf("server: got %v, want no field of mallory", h)
		}
		h = open(nil)
		for name := range h {
			if strings.Contains(strings.ToLower(name), "identity") || strings.Contains(strings.ToLower(name), "user") && name != "User-Agent" {
				t.Errorf("anonymous client: the server got %s: got %s, want no identity", name, h[name])
			}
		}
	}
}

// A client cannot remove the identity fields by declaring them hop-by-hop.
func TestBalanceIdentityIsEndToEnd(t *testing.T) {
	behind := record(t, behindOpens+"\r\n")
	r := run(t, parse(t, signingConfig(behind.id, `secret: "`+key+`"`, "X-Handfast-Identity")))
	bearer := "Authorization: Bearer " + token("alice", time.Minute, nil) + "\r\n"
	const names = "Connection: X-User, X-Handfast-Identity, X-Forwarded-For, X_User, Authorization, "
	for _, raw := range []string{
		"GET / HTTP/1.1\r\n" + strings.Replace(upgradeHead, "Connection: ", names, 1) + bearer + "\r\n",
		"GET / HTTP/1.1\r\nHost: front.example\r\n" + names + "close\r\n" + bearer + "\r\n",
	} {
		resp, _, _ := exchange(t, r, raw)
		got := bounded.Receive(t, behind.streams)
		if got.request == nil || resp.StatusCode >= 400 {
			t.Fatalf("got %s, and %+v at the server, want a request", resp.Status, got)
		}
		if h := got.request.Header; h.Get("X-User") != "alice" || strings.Count(h.Get("X-Handfast-Identity"), ".") != 2 || h.Get("X-Forwarded-For") != "127.0.0.5" || h.Get("Authorization") != "" {
			t.Errorf("server: got %v, want the identity fields of alice", h)
		}
	}
}

// handfast serve accepts an identity token that a balancer has signed, in its own header or as a bearer token, but none that the client has
// made.
func TestServeSignedIdentity(t *testing.T) {
	shared := secret("this key is what the balancer and the server share")
	for header, from := range map[string]string{"X-Handfast-Identity": "'header:X-Handfast-Identity'", "Authorization": "bearer"} {
		behind := run(t, parse(t, strings.NewReplacer("SECRET", shared, "FROM", from).Replace(`
auth:
	edge: {jwt: {secret: "SECRET", issuer: edge, audience: [chat], from: [FROM]}}
endpoints:
	- {name: chat, path: /, target: echo, auth: [edge]}
`)))
		server := "ws://" + strings.TrimPrefix(behind.URLs()[0], "http://")
		front := run(t, parse(t, signingConfig(server, `secret: "`+shared+`", issuer: edge, audience: chat`, header)))
		c := front.open(t, "/", withToken(token("alice", time.Minute, nil)))
		wantEcho(t, c)
		waitForLog(t, &behind.log, "msg=opened", "user=alice")
		if e := front.refuse(t, "/", nil); e.Status != http.StatusUnauthorized {
			t.Errorf("%s: anonymous client: got %d, want 401", header, e.Status)
		}
		forged := &websocket.DialOptions{Header: http.Header{"X-Handfast-Identity": {token("mallory", time.Minute, map[string]any{"iss": "edge", "aud": "chat"})}}}
		if e := front.refuse(t, "/", forged); e.Status != http.StatusUnauthorized {
			t.Errorf("%s: client with its own token: got %d, want 401", header, e.Status)
		}
	}
}

// An unusable key is reported when the configuration is loaded, at startup and by a reload.
func TestBalanceIdentityKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	bad := signingConfig("127.0.0.1:1", "key_file: "+file, "X-Id")
	if _, err := Open(t.Context(), Options{Config: parse(t, bad)}); err == nil || !strings.Contains(err.Error(), "balance.request.identity") {
		t.Errorf("Open: got %v, want a problem of balance.request.identity", err)
	}
	server, got := headerServer(t)
	r := run(t, parse(t, signingConfig(server, `secret: "`+key+`"`, "X-Id")))
	if err := r.Reload(t.Context(), r.with(t, bad)); err == nil || !strings.Contains(err.Error(), "balance.request.identity") {
		t.Errorf("Reload: got %v, want a problem of balance.request.identity", err)
	}
	if err := r.Reload(t.Context(), r.with(t, signingConfig(server, `secret: "`+key+`"`, "X-Other"))); err != nil {
		t.Fatal(err)
	}
	r.refuse(t, "/", withToken(token("alice", time.Minute, nil)))
	if h := bounded.Receive(t, got); h.Get("X-Other") == "" || h.Get("X-Id") != "" {
		t.Errorf("after a reload: got %v, want X-Other in place of X-Id", h)
	}
}
