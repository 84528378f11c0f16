package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// stateDir returns a directory for OpenDev that does not exist yet.
func stateDir(t *testing.T) string { return filepath.Join(t.TempDir(), "state", "handfast", "dev") }

func open(t *testing.T, dir, host string) *Dev {
	t.Helper()
	d, err := OpenDev(dir, host)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// verify checks whether a verifier that trusts only the CA accepts the leaf for a name.
func verify(d *Dev, name string, at time.Time) error {
	roots := x509.NewCertPool()
	roots.AddCert(d.CA())
	_, err := d.Leaf().Verify(x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: at})
	return err
}

func TestOpenDev(t *testing.T) {
	dir := stateDir(t)
	d := open(t, dir, "Box")
	if want := []string{"localhost", "box", "127.0.0.1", "::1"}; !slices.Equal(d.Names(), want) {
		t.Errorf("names %q, want %q", d.Names(), want)
	}
	for _, name := range d.Names() {
		if err := verify(d, name, time.Now()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := verify(d, "example.com", time.Now()); err == nil {
		t.Error("the leaf is valid for example.com")
	}
	if d.CAFile() != filepath.Join(dir, "ca.pem") || d.Left() != "" {
		t.Errorf("CA file %q, left %q", d.CAFile(), d.Left())
	}
	again := open(t, dir, "box")
	if !again.CA().Equal(d.CA()) || !again.Leaf().Equal(d.Leaf()) {
		t.Error("the second start created another certificate")
	}
	fromFile, err := DevCA(dir)
	if err != nil || !fromFile.Equal(d.CA()) {
		t.Errorf("DevCA: %v", err)
	}
	leaf, err := DevLeaf(dir)
	if err != nil || !leaf.Equal(d.Leaf()) {
		t.Errorf("DevLeaf: %v", err)
	}
}

func TestOpenDevModes(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // Windows has no such permission bits
	}
	dir := stateDir(t)
	open(t, dir, "box")
	for path, want := range map[string]fs.FileMode{
		filepath.Dir(dir):                   0o700,
		dir:                                 0o700,
		filepath.Join(dir, "ca-key.pem"):    0o600,
		filepath.Join(dir, "localhost.pem"): 0o600,
	} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: mode %v, want %v (%v)", path, info.Mode().Perm(), want, err)
		}
	}
	entries, err := os.ReadDir(filepath.Dir(dir))
	if err != nil || len(entries) != 1 {
		t.Errorf("files were left next to the directory: %v, %v", entries, err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	open(t, dir, "box")
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("a directory that others could read has the mode %v, %v", info.Mode(), err)
	}
}

func TestOpenDevConcurrently(t *testing.T) {
	dir := stateDir(t)
	devs := make([]*Dev, 16)
	var wg sync.WaitGroup
	for i := range devs {
		wg.Go(func() {
			var err error
			if devs[i], err = OpenDev(dir, "box"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	for _, d := range devs {
		if !d.CA().Equal(devs[0].CA()) {
			t.Fatal("two first starts ended with two CAs")
		}
		if err := verify(d, "localhost", time.Now()); err != nil {
			t.Error(err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 3 {
		t.Errorf("left in the directory: %v, %v", entries, err)
	}
}

func TestLeafRenewed(t *testing.T) {
	start := time.Now()
	for _, tt := range []struct {
		name  string
		host  string
		later time.Duration
		new   bool
	}{
		{"nothing changed", "box", 0, false},
		{"enough time left", "box", leafLife - leafMargin - time.Hour, false},
		{"near its end", "box", leafLife - leafMargin + time.Hour, true},
		{"ended", "box", leafLife * 2, true},
		{"the clock was ahead at its creation", "box", -2 * clockSkew, true},
		{"another host name", "sub.localhost", 0, true},
		{"no host name, but the CA is for one", "", 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := stateDir(t)
			before := open(t, dir, "box")
			now := start.Add(tt.later)
			after, err := openDev(dir, tt.host, func() time.Time { return now })
			if err != nil {
				t.Fatal(err)
			}
			if made := !after.Leaf().Equal(before.Leaf()); made != tt.new {
				t.Errorf("renewed: %v, want %v", made, tt.new)
			}
			if !after.CA().Equal(before.CA()) {
				t.Error("another CA")
			}
			if tt.later >= 0 {
				if err := verify(after, "localhost", now); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestLeafOfAnotherCAIsReplaced(t *testing.T) {
	dir, otherDir := stateDir(t), stateDir(t)
	d := open(t, dir, "box")
	open(t, otherDir, "box")
	foreign, err := os.ReadFile(filepath.Join(otherDir, leafFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, leafFile), foreign, 0o600); err != nil {
		t.Fatal(err)
	}
	again := open(t, dir, "box")
	if !again.CA().Equal(d.CA()) {
		t.Error("another CA")
	}
	if err := verify(again, "localhost", time.Now()); err != nil {
		t.Error(err)
	}
}

func TestGetCertificateRenews(t *testing.T) {
	now := time.Now()
	d, err := openDev(stateDir(t), "box", func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	get := func() *tls.Certificate {
		t.Helper()
		c, err := d.GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first := get()
	now = now.Add(leafLife - leafMargin + time.Hour)
	second := get()
	if first.Leaf.Equal(second.Leaf) {
		t.Error("not renewed near its expiry")
	}
	if third := get(); !third.Leaf.Equal(second.Leaf) {
		t.Error("renewed in every handshake")
	}
	// If the certificate cannot be renewed, the old certificate remains in use.
	now = now.Add(leafLife - leafMargin + time.Hour)
	if err := os.WriteFile(filepath.Join(d.dir, leafFile), []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if fourth := get(); !fourth.Leaf.Equal(second.Leaf) {
		t.Error("after a failed renewal the certificate is not the old one")
	}
}

func TestRenewDev(t *testing.T) {
	dir := stateDir(t)
	if _, err := RenewDev(dir, "box"); err != nil {
		t.Fatalf("without an existing CA: %v", err)
	}
	old := open(t, dir, "other")
	if old.Left() != "other" || slices.Contains(old.Names(), "other") {
		t.Errorf("left %q, names %q", old.Left(), old.Names())
	}
	d, err := RenewDev(dir, "other")
	if err != nil {
		t.Fatal(err)
	}
	if d.CA().Equal(old.CA()) || d.CA().Subject.String() == old.CA().Subject.String() {
		t.Error("the new CA is the old one, or has the same name")
	}
	if d.Left() != "" || verify(d, "other", time.Now()) != nil {
		t.Errorf("left %q, names %q", d.Left(), d.Names())
	}
	if _, err := os.Stat(dir + ".old"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the old key still exists: %v", err)
	}
}

// A CA is created for the additional names and addresses requested at that time, and every later certificate contains them.
func TestFurtherHosts(t *testing.T) {
	dir := stateDir(t)
	d, err := OpenDev(dir, "box", "192.0.2.7", "MyPC.lan.", "2001:db8::7", "::ffff:192.0.2.7", "phone", "localhost", "127.0.0.2", "box")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"localhost", "mypc.lan", "phone", "box", "127.0.0.1", "::1", "192.0.2.7", "2001:db8::7", "127.0.0.2"}
	if got := d.Names(); !slices.Equal(got, want) {
		t.Errorf("names %q, want %q", got, want)
	}
	for _, name := range want {
		if err := verify(d, name, time.Now()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, may := range map[string]bool{
		"192.0.2.7": true, "192.0.2.8": false, "10.0.0.1": false, "2001:db8::7": true, "2001:db8::8": false, "127.8.9.10": true, "::1": true,
		"mypc.lan": true, "a.mypc.lan": true, "lan": false, "other.lan": false, "phone": true, "a.phone": false, "example.com": false,
	} {
		if d.ca.maySign(name) != may {
			t.Errorf("the CA may sign for %s: %v", name, !may)
		}
	}
	// Another process that requests no names, or only some of these names, uses the same certificate.
	for _, also := range [][]string{nil, {"phone"}, {"192.0.2.7"}} {
		again, err := OpenDev(dir, "box", also...)
		if err != nil || !again.Leaf().Equal(d.Leaf()) {
			t.Errorf("%q: another certificate, %v", also, err)
		}
	}
	now := time.Now().Add(leafLife)
	later, err := openDev(dir, "", func() time.Time { return now })
	if err != nil || verify(later, "192.0.2.7", now) != nil || verify(later, "mypc.lan", now) != nil {
		t.Errorf("after its renewal the certificate lacks some names: %v", err)
	}
}

// An older CA that may not sign for a name stays unchanged; following the next step in the error works.
func TestFurtherHostsOfOlderCA(t *testing.T) {
	dir := stateDir(t)
	old := open(t, dir, "box")
	_, err := OpenDev(dir, "box", "192.0.2.7")
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Path != CAFile(dir) || e.Error() != e.Path+": may not sign for 192.0.2.7: this CA was made for localhost, loopback addresses, box, and nothing else" ||
		e.NextStep() != `run "handfast cert dev --new --host 192.0.2.7" to make another CA, and trust it where this one is trusted` {
		t.Fatalf("%v; %s", err, e.NextStep())
	}
	if again := open(t, dir, "box"); !again.CA().Equal(old.CA()) || !again.Leaf().Equal(old.Leaf()) {
		t.Error("the error has changed the CA")
	}
	d, err := RenewDev(dir, "box", "192.0.2.7", "mypc.lan")
	if err != nil || verify(d, "192.0.2.7", time.Now()) != nil {
		t.Fatalf("%v", err)
	}
	// The names of the CA are part of the next step, so that following it loses none of them.
	_, err = OpenDev(dir, "box", "192.0.2.8", "192.0.2.7")
	if e, ok := errors.AsType[*Error](err); !ok || !strings.Contains(e.Hint, `cert dev --new --host 192.0.2.8 --host 192.0.2.7 --host mypc.lan"`) {
		t.Errorf("%v", err)
	}
}

// Names that cannot be in a certificate are refused before a CA is created or deleted.
func TestInvalidFurtherHosts(t *testing.T) {
	dir := stateDir(t)
	for _, host := range []string{"", " ", "*.lan", "a b", "a:8443", "https://a", "192.0.2.0/24", "192.0.2.7:8443", "0.0.0.0", "::", "224.0.0.1", "fe80::1%eth0",
		"-a", "a..b", "a/b", "[::1]", strings.Repeat("a", 64), "'; rm -rf /;'"} {
		_, err := OpenDev(dir, "box", host)
		if e, ok := errors.AsType[*Error](err); !ok || e.Path != host || e.Hint == "" {
			t.Errorf("%q: %v", host, err)
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a directory was created: %v", err)
	}
	d := open(t, dir, "box")
	if _, err := RenewDev(dir, "box", "*.lan"); err == nil {
		t.Error("a wildcard is accepted")
	}
	if !open(t, dir, "box").CA().Equal(d.CA()) {
		t.Error("the old CA was removed")
	}
}

func TestOpenDevErrors(t *testing.T) {
	write := func(name, content string, mode fs.FileMode) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			path := filepath.Join(dir, name)
			if err := errors.Join(os.WriteFile(path, []byte(content), mode), os.Chmod(path, mode)); err != nil {
				t.Fatal(err)
			}
		}
	}
	remove := func(name string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	copyFrom := func(name, from string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			other := stateDir(t)
			open(t, other, "box")
			b, err := os.ReadFile(filepath.Join(other, from))
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, name), b, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, tt := range []struct {
		name, file, want string
		spoil            func(*testing.T, string)
	}{
		{"CA is text", caFile, "no certificate", write(caFile, "hello", 0o600)},
		{"CA is broken", caFile, "broken certificate", write(caFile,
			"-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n", 0o600)},
		{"CA is missing", caFile, "no such file", remove(caFile)},
		{"CA is not a CA", keyFile, "not the key of", copyFrom(caFile, leafFile)},
		{"key is missing", keyFile, "not exist", remove(keyFile)},
		{"key is text", keyFile, "no PEM block", write(keyFile, "hello", 0o600)},
		{"key is broken", keyFile, "no private key", write(keyFile,
			"-----BEGIN PRIVATE KEY-----\naGVsbG8=\n-----END PRIVATE KEY-----\n", 0o600)},
		{"key of another CA", keyFile, "not the key of", copyFrom(keyFile, keyFile)},
		{"leaf is text", leafFile, "not a certificate", write(leafFile, "hello", 0o600)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := stateDir(t)
			open(t, dir, "box")
			tt.spoil(t, dir)
			_, err := OpenDev(dir, "box")
			var e *Error
			if !errors.As(err, &e) || e.Path != filepath.Join(dir, tt.file) || e.Hint == "" ||
				!strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), e.Path) {
				t.Fatalf("got %v", err)
			}
			if !strings.Contains(e.Hint, "--new") {
				return
			}
			if _, err := RenewDev(dir, "box"); err != nil {
				t.Errorf("the hint does not help: %v", err)
			}
		})
	}
}

func TestOpenDevEnded(t *testing.T) {
	dir := stateDir(t)
	open(t, dir, "box")
	for _, years := range []int{10, 11} {
		later := time.Now().AddDate(years, 0, 0)
		_, err := openDev(dir, "box", func() time.Time { return later })
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(e.Hint, "--new") {
			t.Errorf("after %d years: %v", years, err)
		}
	}
}

func TestOpenDevReadableKey(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // Windows has no such permission bits
	}
	for _, name := range []string{keyFile, leafFile} {
		dir := stateDir(t)
		open(t, dir, "box")
		if err := os.Chmod(filepath.Join(dir, name), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := OpenDev(dir, "box")
		var e *Error
		if !errors.As(err, &e) || e.Path != filepath.Join(dir, name) || !strings.Contains(err.Error(), "0644") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestOpenDevUnwritable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "handfast", "dev")} {
		_, err := OpenDev(dir, "box")
		var e *Error
		if !errors.As(err, &e) || !strings.HasPrefix(e.Path, file) || e.Hint == "" {
			t.Errorf("%s: got %v", dir, err)
		}
	}
	if _, err := DevCA(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("DevCA without a CA: %v", err)
	}
	empty := filepath.Join(t.TempDir(), "dev")
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	open(t, empty, "box")
}
