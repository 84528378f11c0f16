package cli

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/handfast/handfast/certs"
)

// madeCert is a certificate for a test, with its key.
type madeCert struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func (c madeCert) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.cert.Raw})
}

func (c madeCert) keyPEM(t *testing.T) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// pair returns a server's certificate chain: the certificate, followed by its issuers.
func (c madeCert) pair(above ...madeCert) tls.Certificate {
	pair := tls.Certificate{Certificate: [][]byte{c.cert.Raw}, PrivateKey: c.key}
	for _, a := range above {
		pair.Certificate = append(pair.Certificate, a.cert.Raw)
	}
	return pair
}

// makeCert creates a certificate that is signed by another one or, if that is nil, by itself.
func makeCert(t *testing.T, by *madeCert, change func(*x509.Certificate)) madeCert {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: serial, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(100*24*time.Hour + time.Minute), BasicConstraintsValid: true}
	change(template)
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return madeCert{cert, key}
}

func ca(name string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.Subject, c.IsCA, c.KeyUsage = pkix.Name{CommonName: name}, true, x509.KeyUsageCertSign
	}
}

func leaf(name string, more ...func(*x509.Certificate)) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.Subject, c.DNSNames = pkix.Name{CommonName: name}, []string{name}
		c.KeyUsage, c.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		for _, f := range more {
			f(c)
		}
	}
}

// tlsServer starts a server that performs a TLS handshake with every client, and returns its address.
func tlsServer(t *testing.T, config *tls.Config) string {
	t.Helper()
	return rawServer(t, func(c net.Conn) { tls.Server(c, config).Handshake() })
}

func rawServer(t *testing.T, talk func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.SetDeadline(time.Now().Add(time.Minute))
			go func() {
				defer c.Close()
				talk(c)
				io.Copy(io.Discard, c) // returns when the client closes the connection
			}()
		}
	}()
	return l.Addr().String()
}

func TestCertShowServer(t *testing.T) {
	state(t)
	root := makeCert(t, nil, ca("test root"))
	middle := makeCert(t, &root, ca("test middle"))
	other := makeCert(t, nil, ca("another root"))
	good := makeCert(t, &middle, leaf("www.example.com"))
	ended := func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-40*24*time.Hour), time.Now().Add(-3*24*time.Hour-time.Minute)
	}
	hinted := func(c *x509.Certificate) { c.IssuingCertificateURL = []string{"http://ca.example/middle.crt"} }
	cacert := filepath.Join(t.TempDir(), "root.pem")
	if err := os.WriteFile(cacert, root.pem(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name       string
		config     *tls.Config
		serverName string
		code       int
		want       []string
	}{
		{"good", &tls.Config{Certificates: []tls.Certificate{good.pair(middle)}, NextProtos: []string{"http/1.1"}}, "www.example.com", 0,
			[]string{"TLS 1.3, TLS_AES_128_GCM_SHA256, X25519MLKEM768, http/1.1", "verifies     yes, by test root", "1 of 2  www.example.com",
				"2 of 2  test middle", "100 days left", "ECDSA P-256, signed with ECDSA-SHA256", "certificate authority"}},
		{"TLS 1.2", &tls.Config{Certificates: []tls.Certificate{good.pair(middle)}, MaxVersion: tls.VersionTLS12}, "www.example.com", 0,
			[]string{"TLS 1.2, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"}},
		{"TLS 1.1", &tls.Config{Certificates: []tls.Certificate{good.pair(middle)}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11,
			CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}}, "www.example.com", 1,
			[]string{"no: TLS 1.1 is the newest version", "browsers reject"}},
		{"another name", &tls.Config{Certificates: []tls.Certificate{good.pair(middle)}}, "example.org", 1,
			[]string{"no: the certificate is for www.example.com, not for example.org"}},
		{"an address", &tls.Config{Certificates: []tls.Certificate{good.pair(middle)}}, "", 1,
			[]string{"not for 127.0.0.1", "subject alternative name"}},
		{"ended", &tls.Config{Certificates: []tls.Certificate{makeCert(t, &middle, leaf("www.example.com", ended)).pair(middle)}}, "www.example.com", 1,
			[]string{"no: the certificate expired on", "3 days ago", "next step: renew it"}},
		{"ended, and of another authority", &tls.Config{Certificates: []tls.Certificate{makeCert(t, &other, leaf("www.example.com", ended)).pair()}},
			"www.example.com", 1, []string{"the certificate expired on", "the issuer another root is not trusted here"}},
		{"not yet", &tls.Config{Certificates: []tls.Certificate{makeCert(t, &middle, leaf("www.example.com", func(c *x509.Certificate) {
			c.NotBefore = time.Now().Add(49 * time.Hour)
		})).pair(middle)}}, "www.example.com", 1, []string{"no: the certificate is not valid until", "begins in 2 days", "clock"}},
		{"another authority", &tls.Config{Certificates: []tls.Certificate{makeCert(t, &other, leaf("www.example.com")).pair()}}, "www.example.com", 1,
			[]string{"no: the issuer another root is not trusted here", "--cacert"}},
		{"the middle is missing", &tls.Config{Certificates: []tls.Certificate{makeCert(t, &middle, leaf("www.example.com", hinted)).pair()}}, "www.example.com", 1,
			[]string{"no: the issuer test middle is not trusted here", "fullchain.pem", "http://ca.example/middle.crt"}},
		{"self-signed", &tls.Config{Certificates: []tls.Certificate{makeCert(t, nil, leaf("www.example.com")).pair()}}, "www.example.com", 1,
			[]string{"no: the certificate is self-signed"}},
		{"no names", &tls.Config{Certificates: []tls.Certificate{makeCert(t, &middle, leaf("www.example.com", func(c *x509.Certificate) {
			c.DNSNames = nil
		})).pair(middle)}}, "www.example.com", 1, []string{"names no host at all", "subject alternative name"}},
		{"for clients", &tls.Config{Certificates: []tls.Certificate{makeCert(t, &middle, leaf("www.example.com", func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		})).pair(middle)}}, "www.example.com", 1, []string{"not for servers"}},
		{"out of order", &tls.Config{Certificates: []tls.Certificate{good.pair(root, middle)}}, "www.example.com", 0,
			[]string{"yes, by test root", "certificate 2 of the chain did not sign certificate 1"}},
		{"a client certificate is asked for", &tls.Config{Certificates: []tls.Certificate{good.pair(middle)}, ClientAuth: tls.RequireAnyClientCert}, "www.example.com", 0,
			[]string{"yes, by test root", "asks its clients for a certificate"}},
		{"a client certificate in TLS 1.2", &tls.Config{Certificates: []tls.Certificate{good.pair(middle)}, ClientAuth: tls.RequireAnyClientCert,
			MaxVersion: tls.VersionTLS12}, "www.example.com", 0, []string{"yes, by test root", "asks its clients", "after sending its certificate, the server ended the handshake"}},
		{"a subject that steers a terminal", &tls.Config{Certificates: []tls.Certificate{makeCert(t, &middle, leaf("www.example.com", func(c *x509.Certificate) {
			c.Subject.CommonName = "a\x1b[2Jb"
		})).pair(middle)}}, "www.example.com", 0, []string{`a\x1b[2Jb`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := []string{"cert", "show", tlsServer(t, tt.config), "--cacert", cacert}
			if tt.serverName != "" {
				args = append(args, "--name", tt.serverName)
			}
			got := runCommand(t, args...)
			if got.code != tt.code || got.stderr != "" {
				t.Errorf("exit %d, %q", got.code, got.stderr)
			}
			for _, want := range tt.want {
				if !strings.Contains(got.stdout, want) {
					t.Errorf("%q is not in the output:\n%s", want, got.stdout)
				}
			}
			var shown chainInfo
			got = runCommand(t, append(args, "--json")...)
			if err := json.Unmarshal([]byte(got.stdout), &shown); err != nil || got.code != tt.code {
				t.Fatalf("JSON: exit %d, %v", got.code, err)
			}
			if shown.Verified != (len(shown.Problems) == 0 && tt.code == 0) || len(shown.Chain) == 0 || shown.TLS == nil ||
				len(shown.Chain[0].SHA256) != 64 || shown.Problems == nil {
				t.Errorf("JSON: %+v", shown)
			}
			for _, f := range shown.Problems {
				if f.Hint == "" {
					t.Errorf("no next step: %s", f.Problem)
				}
			}
		})
	}
}

// A server without a certificate is reported with the next step.
func TestCertShowFailures(t *testing.T) {
	state(t)
	dir := t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	self := makeCert(t, nil, leaf("www.example.com"))
	plain := rawServer(t, func(c net.Conn) { c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) })
	silent := rawServer(t, func(net.Conn) {})
	picky := tlsServer(t, &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }})
	text, key := file("text", []byte("hello")), file("key.pem", self.keyPEM(t))
	broken := file("broken.pem", []byte("-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n"))
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"show " + plain, 1, "does not speak TLS"},
		{"show " + silent + " --timeout 2s", 1, "does not respond to the TLS handshake"},
		{"show " + picky, 1, "no certificate for the requested name"},
		{"show 127.0.0.1:1", 1, "connection refused"},
		{"show no-such-host.invalid:443", 1, "no such host"},
		{"show https://127.0.0.1:1/page", 1, "connect to 127.0.0.1:1"},
		{"show " + text, 2, text + ": holds no certificate"},
		{"show " + key, 2, "a private key but no certificate"},
		{"show " + broken, 2, "a broken certificate"},
		{"show " + dir + "/missing.pem", 2, "no such file"},
		{"show missing.pem", 2, "no such file"},
		{"show " + text + " --cacert " + dir + "/missing", 2, dir + "/missing"},
		{"trust", 1, `run "handfast cert dev"`},
		{"untrust", 1, `run "handfast cert dev"`},
		{"trust " + text, 2, "holds no certificate"},
		{"trust " + file("leaf.pem", self.pem()), 2, "not the certificate of a single CA"},
		{"trust --dry-run " + file("two.pem", bytes.Repeat(makeCert(t, nil, ca("x")).pem(), 2)), 2, "not the certificate of a single CA"},

		{"show a b", 2, "one file or one host"},
		{"show localhost", 2, "write HOST:PORT, such as localhost:443"},
		{"show https:///", 2, "not the URL of a server"},
		{"show --path --json", 2, "cannot be used together"},
		{"show --name x", 2, "only with a file or a server"},
		{"show --path " + text, 2, "--path cannot be used with a file or a server"},
		{"show --timeout 0 " + text, 2, "must be positive"},
		{"trust a b", 2, "one file at a time"},
		{"untrust --all", 2, "unknown flag"},
	} {
		got := runCommand(t, append([]string{"cert"}, strings.Fields(tt.args)...)...)
		if got.code != tt.code || !strings.Contains(got.stderr, tt.want) || got.stdout != "" || !strings.Contains(got.stderr, "\n  next step: ") {
			t.Errorf("cert %s: exit %d, %q, %q", tt.args, got.code, got.stdout, got.stderr)
		}
	}
}

func TestCertShowFile(t *testing.T) {
	state(t)
	root := makeCert(t, nil, ca("test root"))
	good := makeCert(t, &root, leaf("www.example.com"))
	ended := makeCert(t, &root, leaf("www.example.com", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-90 * time.Minute) }))
	soon := makeCert(t, &root, leaf("www.example.com", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(25 * time.Hour) }))
	dir := t.TempDir()
	for i, tt := range []struct {
		name    string
		content [][]byte
		flags   string
		code    int
		want    []string
	}{
		{"a certificate", [][]byte{good.pem()}, "", 0, []string{"the issuer test root is not trusted here", "1 of 1  www.example.com", "100 days left"}},
		{"a chain", [][]byte{good.pem(), root.pem()}, "", 0, []string{"2 of 2  test root", "certificate authority"}},
		{"an authority", [][]byte{root.pem()}, "", 0, []string{"self-signed"}},
		{"DER", [][]byte{good.cert.Raw}, "", 0, []string{"1 of 1  www.example.com"}},
		{"with its key", [][]byte{good.keyPEM(t), good.pem()}, "", 0, []string{"holds the private key of the first certificate"}},
		{"with another key", [][]byte{root.keyPEM(t), good.pem()}, "", 0, []string{"does not belong to the first certificate"}},
		{"out of order", [][]byte{root.pem(), good.pem()}, "", 1, []string{"certificate 2 of the chain did not sign certificate 1"}},
		{"ended", [][]byte{ended.pem()}, "", 1, []string{"expired on", "90 minutes ago"}},
		{"soon", [][]byte{soon.pem()}, "", 0, []string{"24 hours left"}},
		{"for a name", [][]byte{good.pem()}, "--name www.example.com", 0, []string{"1 of 1"}},
		{"not for a name", [][]byte{good.pem()}, "--name example.com", 1, []string{"not for example.com"}},
		{"verified", [][]byte{good.pem()}, "--cacert ROOT --name www.example.com", 0, []string{"yes, by test root"}},
	} {
		path, rootFile := filepath.Join(dir, string(rune('a'+i))), filepath.Join(dir, "root")
		if err := os.WriteFile(path, bytes.Join(tt.content, nil), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(rootFile, root.pem(), 0o600); err != nil {
			t.Fatal(err)
		}
		args := strings.Fields(strings.ReplaceAll("cert show "+path+" "+tt.flags, "ROOT", rootFile))
		got := runCommand(t, args...)
		if got.code != tt.code || got.stderr != "" || strings.Contains(got.stdout, "PRIVATE") {
			t.Errorf("%s: exit %d, %q\n%s", tt.name, got.code, got.stderr, got.stdout)
		}
		for _, want := range tt.want {
			if !strings.Contains(got.stdout, want) {
				t.Errorf("%s: %q is not in the output:\n%s", tt.name, want, got.stdout)
			}
		}
	}
}

// The development certificate is shown from its directory, and from a server that uses it.
func TestCertShowDev(t *testing.T) {
	state(t)
	runCommand(t, "cert", "dev")
	var shown devInfo
	got := runCommand(t, "cert", "show", "--json")
	if err := json.Unmarshal([]byte(got.stdout), &shown); err != nil || got.code != 0 {
		t.Fatalf("exit %d, %v", got.code, err)
	}
	if !shown.CA.CA || shown.Leaf == nil || shown.Leaf.Issuer != shown.CA.Subject || shown.Leaf.DaysLeft < 85 || len(shown.SignsFor) < 3 || shown.Trusted != "" {
		t.Errorf("%+v", shown)
	}
	dev, err := certs.OpenDev(filepath.Dir(shown.CAFile), "")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(tlsServer(t, certs.ServerConfig(dev.GetCertificate)))
	got = runCommand(t, "cert", "show", "wss://localhost:"+port+"/echo")
	if got.code != 0 || !strings.Contains(got.stdout, "yes, by "+shown.CA.Subject) || !strings.Contains(got.stdout, "cert trust") {
		t.Errorf("exit %d, %s%s", got.code, got.stdout, got.stderr)
	}
	got = runCommand(t, "cert", "trust", "--dry-run")
	if got.code != 0 || !strings.Contains(got.stdout, "localhost") || !strings.Contains(got.stdout, "nothing else") {
		t.Errorf("exit %d, %s%s", got.code, got.stdout, got.stderr)
	}
}

func TestCertHelpAndCompletion(t *testing.T) {
	for _, name := range []string{"dev", "show", "trust", "untrust"} {
		got := runCommand(t, "cert", name, "--help")
		if got.code != exitOK || got.stderr != "" || !strings.Contains(got.stdout, "Examples:\n  ") {
			t.Errorf("%s: exit %d, %q, %q", name, got.code, got.stdout, got.stderr)
		}
	}
	for _, tt := range []struct{ args, want string }{
		{"cert ", "dev\t"}, {"cert t", "trust\t"}, {"cert u", "untrust\t"}, {"cert show --timeout ", "3s\n"},
	} {
		args := strings.Split(tt.args, " ")
		got := runCommand(t, append([]string{cobra.ShellCompRequestCmd}, args...)...)
		if got.code != exitOK || !strings.HasPrefix(got.stdout, tt.want) {
			t.Errorf("%q: exit %d, %q", tt.args, got.code, got.stdout)
		}
	}
}

// cert dev --host creates a CA for additional names. An existing CA for fewer names is kept, and the command in the error replaces it.
func TestCertDevHosts(t *testing.T) {
	state(t)
	if got := runCommand(t, "cert", "dev"); got.code != exitOK {
		t.Fatalf("%+v", got)
	}
	got := runCommand(t, "cert", "dev", "--host", "192.0.2.7", "--host", "mypc.lan")
	const next = "handfast cert dev --new --host 192.0.2.7 --host mypc.lan"
	if got.code != exitFailed || !strings.Contains(got.stderr, "may not sign for 192.0.2.7") || !strings.Contains(got.stderr, `next step: run "`+next+`"`) {
		t.Fatalf("%+v", got)
	}
	got = runCommand(t, strings.Fields(next)[1:]...)
	if got.code != exitOK || !strings.Contains(got.stdout, "mypc.lan") || !strings.Contains(got.stdout, "192.0.2.7/32") || strings.Contains(got.stderr, "before") {
		t.Fatalf("%+v", got)
	}
	for _, args := range [][]string{{"cert", "dev"}, {"cert", "dev", "--host", "mypc.lan"}, {"cert", "show"}} {
		if got := runCommand(t, args...); got.code != exitOK || !strings.Contains(got.stdout, "is for       localhost, ") || !strings.Contains(got.stdout, ", 192.0.2.7\n") {
			t.Errorf("%q: %+v", args, got)
		}
	}
	got = runCommand(t, "cert", "dev", "--new", "--host", "192.0.2.7")
	if got.code != exitOK || !strings.Contains(got.stderr, "the previous CA was also for mypc.lan; the new one is not") {
		t.Errorf("%+v", got)
	}
	for _, host := range []string{"*.lan", "", "a b", "192.0.2.0/24", "https://mypc.lan"} {
		if got := runCommand(t, "cert", "dev", "--new", "--host", host); got.code != exitUsage || !strings.Contains(got.stderr, "--host ") {
			t.Errorf("%q: %+v", host, got)
		}
	}
	if got := runCommand(t, "cert", "show"); !strings.Contains(got.stdout, "192.0.2.7/32") {
		t.Errorf("the CA is gone: %+v", got)
	}
}
