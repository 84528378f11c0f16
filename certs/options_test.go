package certs

import (
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// Every error in a configuration names the option and the next step.
func TestOpenErrors(t *testing.T) {
	ca := newIssuer(t)
	dir := t.TempDir()
	file := func(name string, content []byte) string { return write(t, filepath.Join(dir, name), content) }
	good, other := ca.issue([]string{"example.com"}), ca.issue([]string{"example.com"})
	both, cert, key, otherKey := file("both", good.both()), file("cert", good.cert), file("key", good.key), file("other", other.key)
	text, empty, missing := file("text", []byte("hello")), file("empty", nil), filepath.Join(dir, "missing")
	half := file("half", good.cert[:len(good.cert)-30])
	broken := file("broken", []byte("-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n"))
	large := file("large", make([]byte, maxFile+1))
	ok := []Pair{{Cert: both}}
	open := filepath.Join(dir, "open")
	if err := errors.Join(os.Mkdir(open, 0o755), os.Chmod(open, 0o755)); err != nil {
		t.Fatal(err)
	}
	acme := func(change func(*ACME)) Options {
		a := &ACME{Hosts: []string{"www.example.com"}, Cache: filepath.Join(dir, "cache"), AgreeTerms: true}
		change(a)
		return Options{ACME: a}
	}
	clients := func(paths ...string) Options {
		return Options{Files: ok, ClientAuth: ClientAuthRequired, ClientCAs: paths}
	}
	for _, tt := range []struct {
		name string
		opts Options
		path string
		want string
	}{
		{"nothing", Options{}, "TLS", "no certificate is configured"},
		{"no file", Options{Files: []Pair{{Cert: missing}}}, missing, "no such file"},
		{"no key file", Options{Files: []Pair{{cert, missing}}}, missing, "no such file"},
		{"no key", Options{Files: []Pair{{Cert: cert}}}, cert, "no private key"},
		{"text", Options{Files: []Pair{{text, key}}}, text, "no certificate"},
		{"empty", Options{Files: []Pair{{empty, key}}}, empty, "no certificate"},
		{"half", Options{Files: []Pair{{half, key}}}, half, "in the middle of a PEM block"},
		{"broken", Options{Files: []Pair{{broken, key}}}, broken, "broken certificate"},
		{"another key", Options{Files: []Pair{{cert, otherKey}}}, otherKey, "is not the key of"},
		{"the second pair", Options{Files: []Pair{ok[0], {Cert: missing}}}, missing, "no such file"},
		{"a directory", Options{Files: []Pair{{Cert: dir}}}, dir, "is a directory"},
		{"a large file", Options{Files: []Pair{{Cert: large}}}, large, "4194305 bytes"},
		{"a device", Options{Files: []Pair{{Cert: os.DevNull}}}, os.DevNull, "not a regular file"},

		{"client choice", Options{Files: ok, ClientAuth: "maybe"}, "client certificates", `"maybe"`},
		{"authorities without use", Options{Files: ok, ClientCAs: []string{cert}}, "client certificates", "clients are not asked"},
		{"no authorities", clients(), "client certificates", "no authorities are named"},
		{"authorities missing", clients(missing), missing, "no such file"},
		{"authorities empty", clients(empty), empty, "no certificate in PEM"},
		{"authorities broken", clients(broken), broken, "broken certificate"},
		{"authorities half", clients(cert, half), half, "in the middle"},
		{"authorities with a key", clients(both), both, `"PRIVATE KEY"`},

		{"version", Options{Files: ok, MinVersion: tls.VersionTLS10}, "TLS version", "TLS 1.0"},
		{"poll", Options{Files: ok, Poll: -1}, "poll interval", "negative"},
		{"tickets missing", Options{Files: ok, TicketFile: missing}, missing, "no such file"},
		{"tickets empty", Options{Files: ok, TicketFile: empty}, empty, "no secret"},
		{"tickets text", Options{Files: ok, TicketFile: text}, text, "line 1 is not base64"},

		{"no host", acme(func(a *ACME) { a.Hosts = nil }), "ACME", "no host"},
		{"wildcard", acme(func(a *ACME) { a.Hosts = []string{"*.example.com"} }), "ACME host *.example.com", "wildcard"},
		{"address", acme(func(a *ACME) { a.Hosts = []string{"192.0.2.1"} }), "ACME host 192.0.2.1", "not a name"},
		{"localhost", acme(func(a *ACME) { a.Hosts = []string{"localhost"} }), "ACME host localhost", "no dot"},
		{"no name", acme(func(a *ACME) { a.Hosts = []string{"a b.example"} }), "ACME host a b.example", "not the name"},
		{"twice", acme(func(a *ACME) { a.Hosts = []string{"a.example", "A.example."} }), "ACME host A.example.", "twice"},
		{"terms", acme(func(a *ACME) { a.AgreeTerms = false }), "ACME", "terms of service"},
		{"no cache", acme(func(a *ACME) { a.Cache = "" }), "ACME", "no cache"},
		{"cache is a file", acme(func(a *ACME) { a.Cache = text }), text, "not a directory"},
		{"cache is open", acme(func(a *ACME) { a.Cache = open }), open, "0755"},
		{"email", acme(func(a *ACME) { a.Email = "someone" }), "ACME email", "is not an email address"},
		{"two emails", acme(func(a *ACME) { a.Email = "a@example.com b@example.com" }), "ACME email", "is not an email address"},
		{"an email with two signs", acme(func(a *ACME) { a.Email = "a@b@example.com" }), "ACME email", "is not an email address"},
		{"an email with its name", acme(func(a *ACME) { a.Email = "Ann <a@example.com>" }), "ACME email", "is not an email address"},
		{"directory", acme(func(a *ACME) { a.Directory = "ca.example" }), "ACME directory", "is not a URL"},
		{"directory without TLS", acme(func(a *ACME) { a.Directory = "http://ca.example/" }), "ACME directory", "https"},
		{"root", acme(func(a *ACME) { a.RootFile = missing }), missing, "no such file"},
		{"root is text", acme(func(a *ACME) { a.RootFile = text }), text, "no certificate in PEM"},
		{"binding", acme(func(a *ACME) { a.EAB = &EAB{"id", "s3cret!"} }), "ACME external account", "base64url"},
		{"binding without a key", acme(func(a *ACME) { a.EAB = &EAB{"id", ""} }), "ACME external account", "a key in base64url"},
		{"binding with only padding", acme(func(a *ACME) { a.EAB = &EAB{"id", "=="} }), "ACME external account", "a key in base64url"},
		{"binding without ID", acme(func(a *ACME) { a.EAB = &EAB{"", "c2VjcmV0"} }), "ACME external account", "key ID"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := Open(tt.opts)
			if err == nil {
				p.Close()
			}
			fault, ok := errors.AsType[*Error](err)
			if !ok || fault.Path != tt.path || !strings.Contains(err.Error(), tt.want) || fault.Hint == "" {
				t.Fatalf("got %v, %+v", err, fault)
			}
			if strings.Contains(err.Error()+fault.Hint, "s3cret") {
				t.Error("the error contains a secret")
			}
		})
	}
}

func TestACMECacheIsPrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // Windows has no such permission bits
	}
	cache := filepath.Join(t.TempDir(), "deep", "cache")
	openProvider(t, Options{ACME: &ACME{Hosts: []string{"www.example.com"}, Cache: cache, AgreeTerms: true}})
	for _, dir := range []string{cache, filepath.Dir(cache)} {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", dir, info.Mode(), err)
		}
	}
}

// Each type of problem has its own next step (RFC 8555 §6.7), and unknown types have one too.
func TestRFC8555_6_7_Hints(t *testing.T) {
	seen := map[string]string{}
	for _, kind := range []string{"connection", "dns", "caa", "unauthorized", "rateLimited", "externalAccountRequired",
		"rejectedIdentifier", "invalidContact", "userActionRequired", "serverInternal", ""} {
		hint := challengeHint("urn:ietf:params:acme:error:" + kind)
		if other, ok := seen[hint]; ok || len(hint) < 20 {
			t.Errorf("%q has the hint of %q: %q", kind, other, hint)
		}
		seen[hint] = kind
	}
	const kind = "urn:ietf:params:acme:error:unauthorized"
	if problemHint(kind) == challengeHint(kind) {
		t.Error("a refused account has the hint of a refused challenge")
	}
}
