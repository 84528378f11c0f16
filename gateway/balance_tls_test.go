package gateway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// selfSigned returns a self-signed certificate for a name, which is also a CA.
func selfSigned(t *testing.T, name string) (cert tls.Certificate, authority []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// A reload changes the CA and the server name for new connections. Open connections are kept, and problems are logged.
func TestBalanceReloadsTLS(t *testing.T) {
	cert, good := selfSigned(t, "inner.example")
	_, bad := selfSigned(t, "inner.example")
	plain := newBackend(t, "a")
	behind := httptest.NewUnstartedServer(plain.Config.Handler)
	behind.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	behind.Config.ErrorLog = log.New(io.Discard, "", 0)
	behind.StartTLS()
	t.Cleanup(behind.Close)
	id := "wss://" + behind.Listener.Addr().String()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	put := func(pem []byte) {
		t.Helper()
		if err := os.WriteFile(ca, pem, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := func(name string) string {
		return strings.Replace(balancing(nil, "ejection: {failures: 0}\n\t      tls: {ca: "+ca+", server_name: "+name+"}"), "to: []", "to: ['"+id+"']", 1)
	}
	put(good)
	r := run(t, parse(t, text("inner.example")))
	first, _ := r.greeting(t, "/", nil)
	for _, step := range []struct {
		name string
		ca   []byte
		log  string // "" means that clients are admitted
	}{
		{"inner.example", bad, "tls: "},
		{"other.example", good, "not other.example"},
		{"inner.example", good, ""},
	} {
		put(step.ca)
		if err := r.Reload(t.Context(), r.with(t, text(step.name))); err != nil {
			t.Fatal(err)
		}
		wantEcho(t, first)
		if step.log == "" {
			second, _ := r.greeting(t, "/", nil)
			wantEcho(t, second)
			continue
		}
		if e := r.refuse(t, "/", nil); e.Status != 502 || strings.Contains(string(e.Body), behind.Listener.Addr().String()) {
			t.Errorf("%s: got %d %s, want 502 without an address", step.name, e.Status, e.Body)
		}
		waitForLog(t, &r.log, id, "tls", step.log)
	}
	put([]byte("no certificate"))
	if err := r.Reload(t.Context(), r.with(t, text("inner.example"))); err == nil || !strings.Contains(err.Error(), "ca.pem holds no certificate") {
		t.Errorf("invalid CA: got %v, want that the file has no certificate", err)
	}
	wantEcho(t, first)
	if second, _ := r.greeting(t, "/", nil); second != nil {
		wantEcho(t, second)
	}
}
