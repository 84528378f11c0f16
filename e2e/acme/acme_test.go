package acme_test

import (
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/certs"
)

// The TLS listener itself responds to the CA's challenge, even if it requires client certificates.
func TestRFC8737_TLSALPN01(t *testing.T) {
	secure, port := listen(t)
	a := newAuthority(t, want{tlsPort: port, httpPort: freePort(t)})
	opts := a.options(filepath.Join(t.TempDir(), "cache"), "www.example.com", "chat.example.com")
	opts.RefuseUnknown, opts.MinVersion = true, tls.VersionTLS13
	opts.ClientAuth, opts.ClientCAs = certs.ClientAuthRequired, []string{a.root}
	n := newNode(t, opts, secure, nil)
	n.Start()
	got := map[string]bool{}
	for range 2 {
		e := n.next(t)
		if e.Kind != certs.EventLoaded || e.New == nil || e.Old != nil || e.New.DNSNames[0] != e.Path {
			t.Fatalf("reported: %v", e)
		}
		got[e.Path] = true
		if leaf := n.served(t, a, e.Path); !leaf.Equal(e.New) {
			t.Errorf("%s: served is %v", e.Path, leaf.SerialNumber)
		}
	}
	if len(got) != 2 {
		t.Errorf("certificates for %v", got)
	}
	for _, info := range n.Certificates() {
		if info.Source != certs.SourceACME || info.Cert == nil || info.Err != nil {
			t.Errorf("%+v", info)
		}
	}
}

// The plain listener responds to the challenge if the CA cannot reach the TLS listener, and if the CA sends a port in the Host
// header.
func TestRFC8555_8_3_HTTP01(t *testing.T) {
	plain, port := listen(t)
	secure, _ := listen(t)
	a := newAuthority(t, want{httpPort: port, tlsPort: freePort(t)})
	n := newNode(t, a.options(filepath.Join(t.TempDir(), "cache"), "www.example.com"), secure, plain)
	n.Start()
	if e := n.next(t); e.Kind != certs.EventLoaded {
		t.Fatalf("reported: %v", e)
	}
	n.served(t, a, "www.example.com")
}

// The handshake of the first client of a host waits until the host has a certificate.
func TestHandshakeWaitsForTheFirstCertificate(t *testing.T) {
	secure, port := listen(t)
	a := newAuthority(t, want{tlsPort: port, httpPort: freePort(t)})
	n := newNode(t, a.options(filepath.Join(t.TempDir(), "cache"), "www.example.com"), secure, nil)
	n.Start()
	if leaf := n.served(t, a, "www.example.com"); leaf.DNSNames[0] != "www.example.com" {
		t.Errorf("served: %q", leaf.DNSNames)
	}
}

func TestCacheIsReusedAndPrivate(t *testing.T) {
	secure, port := listen(t)
	a := newAuthority(t, want{tlsPort: port, httpPort: freePort(t)})
	cache := filepath.Join(t.TempDir(), "cache")
	opts := a.options(cache, "www.example.com")
	one := newNode(t, opts, secure, nil)
	one.Start()
	first := one.next(t)
	if first.Kind != certs.EventLoaded {
		t.Fatalf("reported: %v", first)
	}
	one.Close()
	secure.Close()

	err := filepath.WalkDir(cache, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Stat(path)
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: other users have access to it: %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}

	asked := a.requests.Load()
	again, _ := listen(t)
	two := newNode(t, opts, again, nil)
	two.Start()
	if e := two.next(t); e.Kind != certs.EventLoaded || !e.New.Equal(first.New) || !two.served(t, a, "www.example.com").Equal(first.New) {
		t.Errorf("after a new start: %v", e)
	}
	if n := a.requests.Load() - asked; n != 0 {
		t.Errorf("the CA received %d requests although the certificate is in the cache", n)
	}
}

// Of two nodes that share a cache, either can respond to a challenge of the CA, with both kinds of challenges.
func TestNodesShareTheCache(t *testing.T) {
	for _, challenge := range []string{"tls-alpn-01", "http-01"} {
		asking, _ := listen(t)
		answering, port := listen(t)
		w := want{tlsPort: port, httpPort: freePort(t)}
		if challenge == "http-01" {
			w = want{tlsPort: freePort(t), httpPort: port}
		}
		a := newAuthority(t, w)
		opts := a.options(filepath.Join(t.TempDir(), "cache"), "www.example.com")
		plain, _ := listen(t)
		one := newNode(t, opts, asking, plain)
		if challenge == "http-01" {
			newNode(t, opts, nil, answering)
		} else {
			newNode(t, opts, answering, nil)
		}
		one.Start()
		if e := one.next(t); e.Kind != certs.EventLoaded {
			t.Errorf("%s: reported: %v", challenge, e)
		}
	}
}

func TestUnknownHostIsRefused(t *testing.T) {
	secure, port := listen(t)
	a := newAuthority(t, want{tlsPort: port, httpPort: freePort(t)})
	n := newNode(t, a.options(filepath.Join(t.TempDir(), "cache"), "www.example.com"), secure, nil)
	n.Start()
	if e := n.next(t); e.Kind != certs.EventLoaded {
		t.Fatalf("reported: %v", e)
	}
	asked := a.requests.Load()
	for _, host := range []string{"other.example.com", "example.com", "", "www.example.com.evil.example"} {
		_, err := tls.Dial("tcp", n.tls, &tls.Config{ServerName: host, InsecureSkipVerify: true})
		if err == nil || !strings.Contains(err.Error(), "unrecognized name") {
			t.Errorf("%q: %v", host, err)
		}
	}
	// A challenge for an unknown host is not answered, either.
	_, err := tls.Dial("tcp", n.tls, &tls.Config{ServerName: "other.example.com", InsecureSkipVerify: true, NextProtos: []string{"acme-tls/1"}})
	if err == nil {
		t.Error("a challenge is answered for a host that is not configured")
	}
	if n := a.requests.Load() - asked; n != 0 {
		t.Errorf("the CA was asked %d times", n)
	}
}

// A certificate is renewed in the last third of its validity period. Open connections are not affected.
func TestRenewal(t *testing.T) {
	secure, port := listen(t)
	a := newAuthority(t, want{tlsPort: port, httpPort: freePort(t), valid: 18 * time.Second})
	n := newNode(t, a.options(filepath.Join(t.TempDir(), "cache"), "www.example.com"), secure, nil)
	n.Start()
	first := n.next(t)
	if first.Kind != certs.EventLoaded {
		t.Fatalf("reported: %v", first)
	}
	open, err := tls.Dial("tcp", n.tls, &tls.Config{RootCAs: a.issuer, ServerName: "www.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	second := n.next(t)
	if second.Kind != certs.EventLoaded || second.Old == nil || !second.Old.Equal(first.New) || second.New.Equal(first.New) {
		t.Fatalf("reported: %v", second)
	}
	if leaf := n.served(t, a, "www.example.com"); !leaf.Equal(second.New) {
		t.Errorf("served is %v", leaf.SerialNumber)
	}
	if _, err := open.Write([]byte("GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n")); err != nil {
		t.Errorf("the connection that was open: %v", err)
	}
	answer := make([]byte, 15)
	if _, err := open.Read(answer); err != nil || string(answer) != "HTTP/1.1 200 OK" {
		t.Errorf("the connection that was open: %q, %v", answer, err)
	}
}

// Failures are reported with helpful messages, and no certificate is served.
func TestFailures(t *testing.T) {
	const key = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldC1zZWNyZXQ"
	for _, tt := range []struct {
		name   string
		want   want
		host   string
		change func(*certs.ACME)
		err    []string
		hint   string
	}{
		{"no way to the host", want{}, "www.example.com", nil,
			[]string{"could not verify control of the host", "tls-alpn-01: ", "http-01: "}, "port 443"},
		{"the name is not in the DNS", want{}, "nowhere.example.com", nil, []string{"could not verify", "nowhere.example.com"}, "A and AAAA records"},
		{"a name that the CA refuses", want{}, "blocked.example", nil, []string{"the CA refused", "blocked.example"}, "another CA"},
		{"no external account", want{binding: true}, "www.example.com", nil,
			[]string{"the CA refused", "externalAccountBinding"}, "the key ID and the key"},
		{"another external account", want{binding: true}, "www.example.com",
			func(o *certs.ACME) { o.EAB = &certs.EAB{KeyID: "two", Key: key} }, []string{"the CA refused"}, "external account binding"},
		{"another root", want{}, "www.example.com", func(o *certs.ACME) { o.RootFile = "" },
			[]string{"an unknown CA"}, "as the root"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.want.httpPort, tt.want.tlsPort = freePort(t), freePort(t)
			a := newAuthority(t, tt.want)
			a.dns.AddDNSServFailRecord("nowhere.example.com.")
			secret := base64.RawURLEncoding.EncodeToString([]byte("another key of thirty-two bytes."))
			if err := errors.Join(a.store.AddBlockedDomain("blocked.example"), a.store.AddExternalAccountKeyByID("one", key),
				a.store.AddExternalAccountKeyByID("two", secret)); err != nil {
				t.Fatal(err)
			}
			opts := a.options(filepath.Join(t.TempDir(), "cache"), tt.host)
			if tt.change != nil {
				tt.change(opts.ACME)
			}
			secure, _ := listen(t)
			plain, _ := listen(t)
			n := newNode(t, opts, secure, plain)
			n.Start()
			e := n.next(t)
			fault, ok := errors.AsType[*certs.Error](e.Err)
			if e.Kind != certs.EventFailed || !ok || fault.Path != tt.host || len(fault.Hint) < 20 || !strings.Contains(fault.Hint, tt.hint) {
				t.Fatalf("reported: %v\n  hint: %+v", e, fault)
			}
			for _, text := range tt.err {
				if !strings.Contains(e.Err.Error(), text) {
					t.Errorf("%q is not in the error %v", text, e.Err)
				}
			}
			if strings.Contains(e.String()+fault.Hint, key) {
				t.Error("the error contains a secret")
			}
			t.Logf("%v\n  next step: %s", e.Err, fault.Hint)
			if _, err := tls.Dial("tcp", n.tls, &tls.Config{ServerName: tt.host, InsecureSkipVerify: true}); err == nil {
				t.Error("a handshake succeeded without a certificate")
			}
		})
	}
}

func TestRFC8555_7_3_4_ExternalAccount(t *testing.T) {
	secure, port := listen(t)
	a := newAuthority(t, want{tlsPort: port, httpPort: freePort(t), binding: true})
	const key = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldC1zZWNyZXQ"
	if err := a.store.AddExternalAccountKeyByID("one", key); err != nil {
		t.Fatal(err)
	}
	opts := a.options(filepath.Join(t.TempDir(), "cache"), "www.example.com")
	opts.ACME.EAB = &certs.EAB{KeyID: "one", Key: key}
	n := newNode(t, opts, secure, nil)
	n.Start()
	if e := n.next(t); e.Kind != certs.EventLoaded {
		t.Errorf("reported: %v", e)
	}
}
