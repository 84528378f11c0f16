package auth

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Whatever the fields of a request contain, only the right password and the right key admit a client, and the error contains no
// part of the request.
func FuzzAuthorization(f *testing.F) {
	basic := newBasic(f, BasicOptions{Failures: 1 << 30}, "ann:"+cheapHash(f, "pass")+"\n")
	keys, key := apiUser(f, "bob")
	f.Add("Basic YW5uOnBhc3M=", "", "")
	f.Add("basic  YW5uOnBhc3M", key, "Bearer "+key)
	f.Add("ApiKey "+key, "", "")
	f.Add("Basic YW5uOng=", "hf_k1_", "hf__")
	f.Fuzz(func(t *testing.T, authorization, field, more string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header = http.Header{"Authorization": {authorization}, "X-Api-Key": {field}}
		if more != "" {
			r.Header.Add("Authorization", more)
		}
		user, password, _ := r.BasicAuth()
		id, err := basic.Authenticate(r)
		if err == nil && (user != "ann" || password != "pass" || id.Subject != "ann") {
			t.Fatalf("%q was admitted as %+v", authorization, id)
		}
		id, keyErr := keys.Authenticate(r)
		if keyErr == nil && (field != key || id.Subject != "bob") {
			t.Fatalf("%q was admitted as %+v", field, id)
		}
		for _, err := range []error{err, keyErr} {
			if err == nil || errors.Is(err, ErrNoCredentials) {
				continue
			}
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Fatalf("got %v, want an error that rejects the client", err)
			}
			for _, secret := range []string{authorization, field, more, password} {
				if len(secret) > 40 && strings.Contains(err.Error(), secret) {
					t.Fatalf("the error contains what the client sent: %v", err)
				}
			}
		}
	})
}

// Whatever a password file contains, each line is either refused or has a hash that a server can afford to compute.
func FuzzPasswordFile(f *testing.F) {
	f.Add("ann:$2y$05$" + strings.Repeat("a", 53))
	f.Add("ann:" + cheapHash(f, "x") + ` {"roles":["a"]}`)
	f.Add("ann:$argon2id$v=19$m=262144,t=4,p=16$" + strings.Repeat("A", 22) + "$" + strings.Repeat("A", 43) + "\n#\nbob:x")
	f.Fuzz(func(t *testing.T, text string) {
		users, err := parseBasicUsers("passwords", text)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "passwords:") {
				t.Fatalf("the error does not contain the line: %v", err)
			}
			return
		}
		for name, u := range users.byName {
			h, ok := u.hash.(*argonHash)
			if name == "" || ok && (h.memory > argonMaxMemory || uint64(h.memory)*uint64(h.time) > argonMaxWork || h.time == 0 ||
				h.threads == 0 || len(h.key) < 16 || len(h.salt) < 8) {
				t.Fatalf("user %q with %+v", name, h)
			}
		}
	})
}
