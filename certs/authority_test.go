package certs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A directory that does not contain a CA is not used, and the error describes the next step.
func TestDirectoryWithoutCA(t *testing.T) {
	ca := newIssuer(t)
	leaf, old := ca.issue([]string{"localhost"}), ca.issueRSA([]string{"localhost"})
	for _, tt := range []struct {
		name      string
		cert, key []byte
		path      string
		want      string
	}{
		{"a certificate of no authority", leaf.cert, leaf.key, caFile, "not the certificate of a CA"},
		{"another key", ca.pem(), leaf.key, keyFile, "is not the key of"},
		{"a key of another kind", old.cert, old.key, keyFile, "holds a key of type *rsa.PrivateKey"},
		{"no key", leaf.cert, leaf.cert, keyFile, "holds no private key"},
		{"no PEM", leaf.cert, []byte("x"), keyFile, "holds no PEM block"},
		{"no certificate", []byte("x"), leaf.key, caFile, ""},
	} {
		dir := t.TempDir()
		if err := errors.Join(os.Chmod(dir, 0o700), os.WriteFile(filepath.Join(dir, caFile), tt.cert, 0o600), os.WriteFile(filepath.Join(dir, keyFile), tt.key, 0o600)); err != nil {
			t.Fatal(err)
		}
		_, err := openAuthority(dir, []string{"box"}, time.Now())
		e, ok := errors.AsType[*Error](err)
		if !ok || filepath.Base(e.Path) != tt.path || !strings.Contains(e.Error(), tt.want) || !strings.Contains(e.NextStep(), "handfast cert dev --new") {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// If a file is in the way, no CA is created, and nothing is left behind.
func TestMakeAuthorityFails(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	full := filepath.Join(dir, "full")
	if err := errors.Join(os.Mkdir(full, 0o700), os.WriteFile(filepath.Join(full, "other"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{filepath.Join(file, "dev"): "writable", full: "nothing in it is needed"} {
		err := makeAuthority(path, []string{"box"}, time.Now())
		if e, ok := errors.AsType[*Error](err); !ok || !strings.Contains(e.Hint, want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 2 {
		t.Errorf("%v, %v", names, err)
	}
	// If another process was faster, the CA of that process is kept.
	first := filepath.Join(dir, "dev")
	if err := makeAuthority(first, []string{"box"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(first, caFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := makeAuthority(first, []string{"box"}, time.Now()); err != nil {
		t.Error(err)
	}
	if after, err := os.ReadFile(filepath.Join(first, caFile)); err != nil || string(after) != string(before) {
		t.Errorf("the other process's CA was replaced: %v", err)
	}
}

// The external account is bound with the CA's key, with base64 padding or without.
func TestExternalAccount(t *testing.T) {
	for key, want := range map[string]string{"a2V5": "key", "a2V5MQ": "key1", "a2V5MQ==": "key1", "": "", "=": "", "a2V5!": ""} {
		for _, id := range []string{"", "id"} {
			o := &ACME{Directory: "https://ca.example/d", AgreeTerms: true, Cache: "c", EAB: &EAB{KeyID: id, Key: key}}
			got, err := o.check()
			if ok := want != "" && id != ""; (err == nil) != ok || ok && (got.KID != "id" || string(got.Key) != want) {
				t.Errorf("%q, %q: %+v, %v", id, key, got, err)
			}
		}
	}
	if got, err := (&ACME{Directory: "https://ca.example/d", AgreeTerms: true, Cache: "c"}).check(); got != nil || err != nil {
		t.Errorf("without: %v, %v", got, err)
	}
}

// cause removes the path from an error of the system, because Error contains the path already.
func TestCause(t *testing.T) {
	for _, err := range []error{
		&fs.PathError{Op: "open", Path: "p", Err: fs.ErrPermission}, &os.LinkError{Op: "rename", Old: "p", New: "q", Err: fs.ErrPermission}, fs.ErrPermission,
	} {
		if got := cause(err); got != fs.ErrPermission { //nolint:errorlint // cause must return the error itself, not one that wraps it
			t.Errorf("%v: %v", err, got)
		}
	}
	for _, tt := range []struct {
		make func(path string) error
		want string
	}{
		{func(string) error { return nil }, "an existing file"},
		{func(path string) error { return os.Mkdir(path, 0o700) }, "a PEM file"},
		{func(path string) error { return os.WriteFile(path, make([]byte, maxFile), 0o600) }, ""},
		{func(path string) error { return os.WriteFile(path, make([]byte, maxFile+1), 0o600) }, "a PEM file"},
	} {
		path := filepath.Join(t.TempDir(), "f")
		if err := tt.make(path); err != nil {
			t.Fatal(err)
		}
		_, err := readFile(path)
		e, ok := errors.AsType[*Error](err)
		if ok != (tt.want != "") || ok && !strings.Contains(e.Hint, tt.want) {
			t.Errorf("%v, want %s", err, tt.want)
		}
	}
}
