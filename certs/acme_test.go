package certs

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
)

// badCA is a CA that misbehaves; for tests with a real CA, see e2e/acme.
func badCA(t *testing.T, handler http.HandlerFunc) (directory, root string) {
	t.Helper()
	s := httptest.NewTLSServer(handler)
	t.Cleanup(s.Close)
	root = write(t, filepath.Join(t.TempDir(), "root.pem"),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	return s.URL + "/directory", root
}

// A failing CA is reported with the next step.
func TestACMEFailures(t *testing.T) {
	dead := httptest.NewTLSServer(http.NotFoundHandler())
	dead.Close()
	reply := func(status int, kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			w.Write([]byte(body))
		}
	}
	const isProblem = "application/problem+json"
	for _, tt := range []struct {
		name    string
		handler http.HandlerFunc // nil means that nothing listens at the address of the CA
		noRoot  bool
		want    string
		hint    string
	}{
		{"no listener", nil, true, "connection refused", "check the URL"},
		{"unknown authority", reply(200, "text/plain", ""), true, "an unknown CA", "as the root"},
		{"not a CA", reply(404, "text/html", "<html>"), false, "404", "check the URL"},
		{"a page", reply(200, "text/html", "<html>"), false, "invalid character", "check the URL"},
		{"internal problem", reply(403, isProblem, `{"type":"urn:ietf:params:acme:error:serverInternal","detail":"out of paper"}`), false,
			"the CA refused: out of paper", "the request is repeated automatically"},
		{"too often", reply(403, isProblem, `{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many"}`), false,
			"too many", "staging"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			directory, root := dead.URL+"/directory", ""
			if tt.handler != nil {
				directory, root = badCA(t, tt.handler)
			}
			if tt.noRoot {
				root = ""
			}
			p, reported := openProvider(t, Options{ACME: &ACME{Hosts: []string{"www.example.com"}, AgreeTerms: true,
				Cache: filepath.Join(t.TempDir(), "cache"), Directory: directory, RootFile: root}})
			addr := echo(t, p.TLSConfig())
			p.Start()
			e := reported.wait(t)
			fault, ok := errors.AsType[*Error](e.Err)
			if e.Kind != EventFailed || !ok || fault.Path != "www.example.com" || !strings.Contains(e.Err.Error(), tt.want) ||
				!strings.Contains(fault.Hint, tt.hint) {
				t.Fatalf("reported: %v\n  %+v", e, fault)
			}
			if info := p.Certificates()[0]; info.Cert != nil || info.Err != e.Err || info.Source != SourceACME {
				t.Errorf("in use: %+v", info)
			}
			_, err := dial(t, addr, &tls.Config{ServerName: "elsewhere.example"})
			if err == nil || !strings.Contains(err.Error(), "unrecognized name") {
				t.Errorf("a host that is not named: %v", err)
			}
			ran := bounded.Clock(t)
			p.Close()
			if d := ran(); d > closeWait {
				t.Errorf("Close took %v", d)
			}
			if _, err := dial(t, addr, &tls.Config{ServerName: "www.example.com"}); err == nil {
				t.Error("a handshake succeeded without a certificate")
			}
		})
	}
}

// A CA that does not respond does not block Close, and delays a handshake only for a limited time.
func TestACMEStalledCA(t *testing.T) {
	asked, release := make(chan struct{}, 10), make(chan struct{})
	directory, root := badCA(t, func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	t.Cleanup(func() { close(release) })
	p, _ := openProvider(t, Options{ACME: &ACME{Hosts: []string{"www.example.com"}, AgreeTerms: true,
		Cache: filepath.Join(t.TempDir(), "cache"), Directory: directory, RootFile: root}})
	addr := echo(t, p.TLSConfig())
	p.Start()
	p.Start()
	bounded.Receive(t, asked)
	refused := make(chan error, 1)
	go func() {
		_, err := tls.Dial("tcp", addr, &tls.Config{ServerName: "www.example.com"})
		refused <- err
	}()
	p.Close() // ends the request to the CA, and releases the handshake
	if err := bounded.Receive(t, refused); err == nil {
		t.Error("a handshake succeeded without a certificate")
	}
	if len(asked) != 0 {
		t.Errorf("%d additional requests to the CA", len(asked))
	}
}

// Without ACME, a listener without TLS serves only the caller's handler.
func TestHTTPHandlerWithoutACME(t *testing.T) {
	p, _ := openProvider(t, Options{Dev: open(t, stateDir(t), "box")})
	for _, tt := range []struct {
		next http.Handler
		want int
	}{{nil, 404}, {http.RedirectHandler("https://example.com/", 308), 308}} {
		w := httptest.NewRecorder()
		p.HTTPHandler(tt.next).ServeHTTP(w, httptest.NewRequest("GET", "/.well-known/acme-challenge/x", nil))
		if w.Code != tt.want {
			t.Errorf("got %d, want %d", w.Code, tt.want)
		}
	}
}
