package certs

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestRFC6066_3_ServerName(t *testing.T) {
	ca := newIssuer(t)
	dir := t.TempDir()
	pair := func(name string, c issued) Pair { return Pair{Cert: write(t, filepath.Join(dir, name), c.both())} }
	files := []Pair{
		pair("first", ca.issue([]string{"first.example", "www.first.example"})),
		pair("wild", ca.issue([]string{"*.example.com", "example.com"})),
		pair("exact", ca.issue([]string{"exact.example.com", "192.0.2.1"})),
		pair("address", ca.issue([]string{"address.example", "127.0.0.1"})),
		pair("upper", ca.issue([]string{"UPPER.example"})),
	}
	dev := open(t, stateDir(t), "box")
	for _, tt := range []struct {
		name   string // the name that the client requests
		want   string // the subject of the expected certificate
		strict string // the subject with RefuseUnknown; "" means refused
	}{
		{"first.example", "first.example", "first.example"},
		{"www.first.example", "first.example", "first.example"},
		{"WWW.First.Example", "first.example", "first.example"},
		{"example.com", "*.example.com", "*.example.com"},
		{"a.example.com", "*.example.com", "*.example.com"},
		{"exact.example.com", "exact.example.com", "exact.example.com"}, // takes precedence over the wildcard
		{"upper.example", "UPPER.example", "UPPER.example"},
		{"box", "localhost", "localhost"}, // the development certificate
		{"localhost", "localhost", "localhost"},
		{"", "address.example", "address.example"}, // the address that the client has connected to

		{"a.b.example.com", "first.example", ""}, // RFC 9525 §6.3: a wildcard covers one label
		{"elsewhere.example", "first.example", ""},
		{"com", "first.example", ""},
		{"_.example", "first.example", ""},
	} {
		for _, refuse := range []bool{false, true} {
			p, _ := openProvider(t, Options{Files: files, Dev: dev, RefuseUnknown: refuse})
			want := tt.want
			if refuse {
				want = tt.strict
			}
			c, err := dial(t, echo(t, p.TLSConfig()), &tls.Config{ServerName: tt.name, InsecureSkipVerify: true})
			if want == "" {
				if err == nil || !strings.Contains(err.Error(), "unrecognized name") {
					t.Errorf("%q, strict: %v", tt.name, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%q, strict %v: %v", tt.name, refuse, err)
			} else if got := c.ConnectionState().PeerCertificates[0].Subject.CommonName; got != want {
				t.Errorf("%q, strict %v: got the certificate of %s, want %s", tt.name, refuse, got, want)
			}
		}
	}
}

// A client that sends no host name gets the default certificate if there is no certificate for the address.
func TestDefaultCertificate(t *testing.T) {
	ca := newIssuer(t)
	file := Pair{Cert: write(t, filepath.Join(t.TempDir(), "both"), ca.issue([]string{"first.example"}).both())}
	dev := open(t, stateDir(t), "box")
	for _, tt := range []struct {
		name string
		opts Options
		sni  string
		want string // "" means refused
	}{
		{"files alone", Options{Files: []Pair{file}}, "", "first.example"},
		{"files alone, strict", Options{Files: []Pair{file}, RefuseUnknown: true}, "", ""},
		{"dev alone", Options{Dev: dev}, "elsewhere.example", "localhost"},
		{"dev alone, by address", Options{Dev: dev}, "", "localhost"},
		{"dev alone, strict", Options{Dev: dev, RefuseUnknown: true}, "elsewhere.example", ""},
		{"both, by address", Options{Files: []Pair{file}, Dev: dev}, "", "localhost"},
		{"both, unknown", Options{Files: []Pair{file}, Dev: dev}, "elsewhere.example", "first.example"},
	} {
		p, _ := openProvider(t, tt.opts)
		c, err := dial(t, echo(t, p.TLSConfig()), &tls.Config{ServerName: tt.sni, InsecureSkipVerify: true})
		switch {
		case (err == nil) != (tt.want != ""):
			t.Errorf("%s: %v", tt.name, err)
		case err == nil && c.ConnectionState().PeerCertificates[0].Subject.CommonName != tt.want:
			t.Errorf("%s: got the certificate of %s", tt.name, c.ConnectionState().PeerCertificates[0].Subject.CommonName)
		}
	}
}

// With two certificates for one host, each client receives the one that it supports.
func TestKeysOfTwoKinds(t *testing.T) {
	ca := newIssuer(t)
	dir := t.TempDir()
	name := []string{"example.com"}
	p, _ := openProvider(t, Options{Files: []Pair{
		{Cert: write(t, filepath.Join(dir, "ecdsa"), ca.issue(name).both())},
		{Cert: write(t, filepath.Join(dir, "rsa"), ca.issueRSA(name).both())},
	}})
	addr := echo(t, p.TLSConfig())
	for _, tt := range []struct {
		suites []uint16
		want   x509.PublicKeyAlgorithm
	}{
		{nil, x509.ECDSA},
		{[]uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}, x509.ECDSA},
		{[]uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}, x509.RSA},
	} {
		c := mustDial(t, addr, &tls.Config{RootCAs: ca.pool(), ServerName: name[0], MaxVersion: tls.VersionTLS12, CipherSuites: tt.suites})
		if got := c.ConnectionState().PeerCertificates[0].PublicKeyAlgorithm; got != tt.want {
			t.Errorf("suites %x: %v, want %v", tt.suites, got, tt.want)
		}
	}
}

func TestMinVersionAndProtocols(t *testing.T) {
	p, _ := openProvider(t, Options{Dev: open(t, stateDir(t), "box"), MinVersion: tls.VersionTLS13})
	addr := echo(t, p.TLSConfig("h2", "http/1.1"))
	client := &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", NextProtos: []string{"http/1.1"}}
	if c := mustDial(t, addr, client); c.ConnectionState().NegotiatedProtocol != "http/1.1" {
		t.Errorf("protocol %q", c.ConnectionState().NegotiatedProtocol)
	}
	client.MaxVersion = tls.VersionTLS12
	if _, err := dial(t, addr, client); err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("TLS 1.2: %v", err)
	}
	client.MaxVersion, client.NextProtos = 0, []string{"mqtt"}
	if _, err := dial(t, addr, client); err == nil || !strings.Contains(err.Error(), "no application protocol") {
		t.Errorf("another protocol: %v", err)
	}
}

// With files, ACME and the development CA together, an exact name has priority over a wildcard from any source.
func TestSourcesTogether(t *testing.T) {
	ca := newIssuer(t)
	file := Pair{Cert: write(t, filepath.Join(t.TempDir(), "both"), ca.issue([]string{"first.example", "*.example.com"}).both())}
	p, reported := openProvider(t, Options{Files: []Pair{file}, Dev: open(t, stateDir(t), "box"),
		ACME: &ACME{Hosts: []string{"www.example.com"}, AgreeTerms: true, Cache: filepath.Join(t.TempDir(), "cache")}})
	got := ca.issue([]string{"www.example.com"}).pair(t)
	p.acme.use(p.acme.hosts[0], &got) // as if obtained from the CA
	if e := reported.wait(t); e.Kind != EventLoaded || e.Path != "www.example.com" {
		t.Fatalf("reported: %v", e)
	}
	addr := echo(t, p.TLSConfig())
	for name, want := range map[string]string{"www.example.com": "www.example.com", "other.example.com": "first.example",
		"first.example": "first.example", "localhost": "localhost", "box": "localhost", "elsewhere.example": "first.example"} {
		c := mustDial(t, addr, &tls.Config{ServerName: name, InsecureSkipVerify: true})
		if got := c.ConnectionState().PeerCertificates[0].Subject.CommonName; got != want {
			t.Errorf("%s: got the certificate of %s, want %s", name, got, want)
		}
	}
	var sources []Source
	for _, info := range p.Certificates() {
		if info.Cert == nil || info.Err != nil {
			t.Errorf("%+v", info)
		}
		sources = append(sources, info.Source)
	}
	if !slices.Equal(sources, []Source{SourceFiles, SourceACME, SourceDev}) {
		t.Errorf("in use: %v", sources)
	}
}

// A client that connects to an address sends no host name, and receives the certificate for that address.
func TestCertificateForAddress(t *testing.T) {
	ca := newIssuer(t)
	dir := t.TempDir()
	var files []Pair
	for _, name := range []string{"first.example", "192.0.2.1", "2001:db8::1"} {
		files = append(files, Pair{Cert: write(t, filepath.Join(dir, strings.ReplaceAll(name, ":", "_")), ca.issue([]string{name}).both())})
	}
	p, _ := openProvider(t, Options{Files: files})
	for addr, want := range map[string]string{
		"192.0.2.1:443": "192.0.2.1", "[::ffff:192.0.2.1]:443": "192.0.2.1", "[2001:db8::1]:443": "2001:db8::1",
		"[2001:db8::1%eth0]:443": "2001:db8::1", "192.0.2.2:443": "first.example", "@": "first.example", "": "first.example",
	} {
		cert, err := p.certificate(&tls.ClientHelloInfo{Conn: &connWithAddr{addr: customAddr(addr)}})
		if err != nil || cert.Leaf.Subject.CommonName != want {
			t.Errorf("%s: %v, %v, want %s", addr, cert, err, want)
		}
	}
	if cert, err := p.certificate(&tls.ClientHelloInfo{Conn: &connWithAddr{}}); err != nil || cert.Leaf.Subject.CommonName != "first.example" {
		t.Errorf("no address: %v", err)
	}
}

// connWithAddr is a connection with a given local address.
type connWithAddr struct {
	net.Conn
	addr net.Addr
}

func (c *connWithAddr) LocalAddr() net.Addr { return c.addr }

// customAddr is an address of a custom type, like those of connections that are not sockets.
type customAddr string

func (customAddr) Network() string  { return "tcp" }
func (a customAddr) String() string { return string(a) }

// RFC 9525 §6.3: a wildcard is for one label, which must not be empty.
func TestWildcardLabel(t *testing.T) {
	pair := newIssuer(t).issue([]string{"*.example.com"}).pair(t)
	x := nameIndex{exact: map[string][]*tls.Certificate{}, wild: map[string][]*tls.Certificate{"example.com": {&pair}, "": {&pair}}}
	for host, want := range map[string]bool{"a.example.com": true, ".example.com": false, "example.com": false, "com": false, "": false} {
		if got := x.wildcardMatches(host) != nil; got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}
