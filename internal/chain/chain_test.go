package chain

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// issued is a certificate with its key.
type issued struct {
	*x509.Certificate
	key *ecdsa.PrivateKey
}

var now = time.Date(2030, 5, 1, 12, 0, 0, 0, time.UTC)

// issue creates a certificate, signed with the key of by, or self-signed if by is nil.
func issue(t *testing.T, by *issued, name string, change ...func(*x509.Certificate)) *issued {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(100 * 24 * time.Hour)}
	for _, f := range change {
		f(template)
	}
	parent := &issued{template, key}
	if by != nil {
		parent = by
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent.Certificate, key.Public(), parent.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &issued{cert, key}
}

func authority(c *x509.Certificate) {
	c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	c.Subject.Organization, c.NotBefore = []string{"Example"}, now.Add(-365*24*time.Hour)
}

func server(c *x509.Certificate) {
	c.DNSNames, c.IPAddresses = []string{"a.example"}, []net.IP{net.IPv4(192, 0, 2, 1)}
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
}

func TestJudge(t *testing.T) {
	expired := func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.Add(-90*24*time.Hour), now.Add(-72*time.Hour) }
	early := func(c *x509.Certificate) { c.NotBefore = now.Add(24 * time.Hour) }
	root, other := issue(t, nil, "root", authority), issue(t, nil, "other", authority, func(c *x509.Certificate) { c.Subject.Organization = nil })
	middle, old := issue(t, root, "middle", authority), issue(t, root, "old", authority, expired)
	lonely := issue(t, other, "lonely", authority, func(c *x509.Certificate) { c.Subject.Organization = nil })
	outdatedSignature := func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 }
	newer := func(c *x509.Certificate) { c.NotBefore = now.Add(-24 * time.Hour) }
	young, stranger := issue(t, root, "young", authority, newer), issue(t, nil, "stranger", authority, newer)
	weak, leafIssuer := issue(t, root, "weak", authority, outdatedSignature), issue(t, middle, "plain", server)
	trustedLeaf := issue(t, nil, "trusted", server)
	roots := x509.NewCertPool()
	roots.AddCert(root.Certificate)
	roots.AddCert(trustedLeaf.Certificate)
	chain := func(list ...*issued) []*x509.Certificate {
		var certs []*x509.Certificate
		for _, c := range list {
			certs = append(certs, c.Certificate)
		}
		return certs
	}
	good := issue(t, middle, "a", server)
	for _, tt := range []struct {
		name  string
		chain []*x509.Certificate
		host  string
		any   bool
		kinds []Kind
		text  string
	}{
		{"good", chain(good, middle), "a.example", false, nil, ""},
		{"an address", chain(good, middle), "192.0.2.1", false, nil, ""},
		{"no required name", chain(good, middle), "", false, nil, ""},
		{"another name", chain(good, middle), "b.example", false, []Kind{Name}, "the certificate is for a.example, 192.0.2.1, not for b.example"},
		{"no names", chain(issue(t, middle, "a"), middle), "a.example", false, []Kind{Name}, "names no host at all"},
		{"expired", chain(issue(t, middle, "a", server, expired), middle), "a.example", false, []Kind{Expired}, "expired on 2030-04-28, 3 days ago"},
		{"not yet", chain(issue(t, middle, "a", server, early), middle), "a.example", false, []Kind{NotYet}, "not valid until 2030-05-02, in 24 hours"},
		{"an authority that expired", chain(issue(t, old, "a", server), old), "a.example", false, []Kind{Expired}, "the CA old is outside its validity period"},
		{"expired, for another name, unknown", chain(issue(t, other, "a", server, expired)), "b.example", false, []Kind{Expired, Name, Unknown}, ""},
		{"signed by itself", chain(issue(t, nil, "a", server)), "a.example", false, []Kind{SelfSigned}, ""},
		{"unknown", chain(issue(t, other, "a", server), other), "a.example", false, []Kind{Unknown}, "the CA other is not trusted"},
		{"unknown, and not sent", chain(issue(t, lonely, "a", server)), "a.example", false, []Kind{Unknown}, "the issuer lonely is not trusted"},
		{"incomplete, with the root sent", chain(good, root), "a.example", false, []Kind{Incomplete}, "does not send the certificate of middle"},
		{"incomplete, with the root sent and no kin", chain(issue(t, lonely, "a", server), root), "a.example", false, []Kind{Incomplete},
			"does not send the certificate of lonely, while it sends that of root"},
		{"expired under a newer authority", chain(issue(t, young, "a", server, expired), young), "a.example", false, []Kind{Expired}, "the certificate expired"},
		{"expired under a newer authority that is not known", chain(issue(t, stranger, "a", server, expired), stranger), "a.example", false,
			[]Kind{Expired, Unknown}, "the CA stranger is not trusted"},
		{"SHA-1", chain(issue(t, middle, "a", server, outdatedSignature), middle), "a.example", false, []Kind{Signature}, "certificate of a is ECDSA-SHA1"},
		{"an authority with SHA-1", chain(issue(t, weak, "a", server), weak), "a.example", false, []Kind{Signature}, "certificate of weak is ECDSA-SHA1"},
		{"SHA-1 under an authority that is trusted", chain(issue(t, root, "a", server, outdatedSignature)), "a.example", false, []Kind{Signature}, ""},
		{"an issuer that is not a CA", chain(issue(t, leafIssuer, "a", server), leafIssuer, middle), "a.example", false, []Kind{NoAuthority},
			"the issuer plain is not a CA"},
		{"a trusted issuer that is not a CA", chain(issue(t, trustedLeaf, "a", server)), "a.example", false, []Kind{NoAuthority},
			"the issuer trusted is not a CA"},
		{"incomplete", chain(good), "a.example", false, []Kind{Incomplete}, "does not send the certificate of middle"},
		{"for clients", chain(issue(t, middle, "a", server, func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}), middle), "a.example", false, []Kind{Usage}, "not for servers"},
		{"for clients, which does not matter", chain(issue(t, middle, "a", server, func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}), middle), "a.example", true, nil, ""},
	} {
		path, problems := Judge(tt.chain, Options{Name: tt.host, Roots: roots, Now: now, AnyUse: tt.any})
		var kinds []Kind
		text := ""
		for _, p := range problems {
			kinds, text = append(kinds, p.Kind), text+p.Detail+"\n"
			if p.Clause == "" {
				t.Errorf("%s: no clause", tt.name)
			}
		}
		if !slices.Equal(kinds, tt.kinds) || !strings.Contains(text, tt.text) {
			t.Errorf("%s: %v\n%s", tt.name, kinds, text)
		}
		if len(problems) == 0 && (len(path) == 0 || !path[len(path)-1].Equal(root.Certificate)) {
			t.Errorf("%s: %v", tt.name, path)
		}
	}
	if _, err := Path(chain(good), chain(middle), Options{Roots: roots, Now: now}); err != nil {
		t.Errorf("with the certificate that was not sent: %v", err)
	}
	for _, at := range []time.Time{good.NotBefore.Add(-time.Hour), good.NotAfter.Add(time.Hour)} { // not checked by Path
		if _, err := Path(chain(good, middle), nil, Options{Roots: roots, Now: at}); err != nil {
			t.Errorf("at %v: %v", at, err)
		}
	}
	if p := pathProblem(chain(good, middle), Options{Now: now}, x509.UnknownAuthorityError{}); p == nil || p.Kind != Unknown {
		t.Errorf("with the system's roots: %v", p)
	}
	if p := Disorder(chain(good, root, middle)); p == nil || p.Kind != Order || !strings.Contains(p.Detail, "certificate 2 of the chain did not sign certificate 1") {
		t.Errorf("out of order: %v", p)
	}
	if p := Disorder(chain(good, middle, root)); p != nil {
		t.Errorf("in order: %v", p)
	}
}

func TestLong(t *testing.T) {
	for d, want := range map[time.Duration]string{
		90 * time.Second: "1 minutes", 119 * time.Minute: "119 minutes", 2 * time.Hour: "2 hours", 47 * time.Hour: "47 hours", 49 * time.Hour: "2 days",
	} {
		if got := Long(d); got != want {
			t.Errorf("%v: %s", d, got)
		}
	}
}

func TestShort(t *testing.T) {
	names := strings.Split("abcdefgh", "")
	if got := Short(names); len(got) != 7 || got[6] != "and 2 more" || len(Short(names[:6])) != 6 {
		t.Errorf("%q", got)
	}
}

func TestNameOf(t *testing.T) {
	for want, name := range map[string]pkix.Name{
		"a.example": {CommonName: "a.example", Organization: []string{"Example"}}, "O=Example": {Organization: []string{"Example"}}, "(no name)": {},
	} {
		if got := NameOf(name); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
