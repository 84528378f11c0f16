package acme_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/letsencrypt/challtestsrv"
	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"

	"github.com/handfast/handfast/certs"
	"github.com/handfast/handfast/e2e/internal/harness"
)

// authority is the CA of a test. It resolves every host name to 127.0.0.1.
type authority struct {
	server   *httptest.Server
	root     string // name of the file with the CA certificate of the ACME server
	issuer   *x509.CertPool
	dns      *challtestsrv.ChallSrv
	store    *db.MemoryStore
	requests atomic.Int64
}

// want configures an authority.
type want struct {
	httpPort, tlsPort int           // the ports to which the CA sends its challenges
	valid             time.Duration // the validity period of the CA's certificates; 0 means 90 days
	binding           bool          // the CA requires an external account binding
}

func newAuthority(t *testing.T, w want) *authority {
	t.Helper()
	quiet := log.New(io.Discard, "", 0)
	a := &authority{store: db.NewMemoryStore()}
	dnsAddr := net.JoinHostPort("127.0.0.1", strconv.Itoa(freePort(t)))
	var err error
	if a.dns, err = challtestsrv.New(challtestsrv.Config{Log: quiet, DNSAddrs: []string{dnsAddr}}); err != nil {
		t.Fatal(err)
	}
	a.dns.SetDefaultDNSIPv6("")
	go a.dns.Run()
	waitFor(t, dnsAddr)
	t.Cleanup(a.dns.Shutdown)

	issuer := ca.New(quiet, a.store, "", "ecdsa", 0, 1,
		map[string]ca.Profile{"default": {ValidityPeriod: uint64(w.valid / time.Second)}})
	front := wfe.New(quiet, a.store, va.New(quiet, w.httpPort, w.tlsPort, false, dnsAddr, a.store), issuer,
		[]string{"pebble.example"}, false, w.binding, 1, 1)
	handler := front.Handler()
	a.server = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		a.requests.Add(1)
		handler.ServeHTTP(rw, r)
	}))
	a.server.Config.ErrorLog = quiet
	a.server.StartTLS()
	t.Cleanup(a.server.Close)
	a.root = filepath.Join(t.TempDir(), "root.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.server.Certificate().Raw})
	if err := os.WriteFile(a.root, block, 0o600); err != nil {
		t.Fatal(err)
	}
	root, err := x509.ParseCertificate(issuer.GetRootCert(0).Cert.Raw)
	if err != nil {
		t.Fatal(err)
	}
	a.issuer = x509.NewCertPool()
	a.issuer.AddCert(root)
	return a
}

// options returns options that request certificates for hosts from the authority.
func (a *authority) options(cache string, hosts ...string) certs.Options {
	return certs.Options{ACME: &certs.ACME{Hosts: hosts, Cache: cache, AgreeTerms: true, Email: "admin@example.com",
		Directory: a.server.URL + wfe.DirectoryPath, RootFile: a.root}}
}

// waitFor waits until a server listens.
func waitFor(t *testing.T, addr string) {
	t.Helper()
	harness.Until(t, "a server listens on "+addr, func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// freePort returns an unused port.
func freePort(t *testing.T) int {
	t.Helper()
	port, err := strconv.Atoi(harness.FreePort(t))
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func listen(t *testing.T) (net.Listener, int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, l.Addr().(*net.TCPAddr).Port
}

// node is a typical server with an HTTPS listener and an HTTP listener.
type node struct {
	*certs.Provider
	events chan certs.Event
	tls    string // the address of the TLS listener
}

// newNode opens a provider and starts servers that use the provider on the listeners, except on a nil listener.
func newNode(t *testing.T, opts certs.Options, secure, plain net.Listener) *node {
	t.Helper()
	n := &node{events: make(chan certs.Event, 100)}
	opts.OnEvent = func(e certs.Event) { n.events <- e }
	var err error
	if n.Provider, err = certs.Open(opts); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Provider.Close)
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })
	quiet := log.New(io.Discard, "", 0)
	if secure != nil {
		n.tls = secure.Addr().String()
		s := &http.Server{Handler: page, TLSConfig: n.TLSConfig("http/1.1"), ErrorLog: quiet}
		go s.ServeTLS(secure, "", "")
		t.Cleanup(func() { s.Close() })
	}
	if plain != nil {
		s := &http.Server{Handler: n.HTTPHandler(nil), ErrorLog: quiet}
		go s.Serve(plain)
		t.Cleanup(func() { s.Close() })
	}
	return n
}

// next returns the next reported event.
func (n *node) next(t *testing.T) certs.Event {
	t.Helper()
	select {
	case e := <-n.events:
		return e
	case <-time.After(harness.Patience):
		t.Fatal("nothing was reported")
		return certs.Event{}
	}
}

// served returns the certificate that a client of a host receives. The client trusts only the authority.
func (n *node) served(t *testing.T, a *authority, host string) *x509.Certificate {
	t.Helper()
	c, err := tls.Dial("tcp", n.tls, &tls.Config{RootCAs: a.issuer, ServerName: host})
	if err != nil {
		t.Fatalf("connect to %s: %v", host, err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0]
}
