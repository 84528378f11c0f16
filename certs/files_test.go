package certs

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
)

// split writes the key and the certificate of a development leaf into two files.
func split(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	dir := stateDir(t)
	open(t, dir, "box")
	both, err := os.ReadFile(filepath.Join(dir, leafFile))
	if err != nil {
		t.Fatal(err)
	}
	key, cert, _ := bytes.Cut(both, []byte("-----BEGIN CERTIFICATE"))
	certFile, keyFile = filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	if err := errors.Join(os.WriteFile(keyFile, key, 0o600),
		os.WriteFile(certFile, append([]byte("-----BEGIN CERTIFICATE"), cert...), 0o600)); err != nil {
		t.Fatal(err)
	}
	return certFile, keyFile
}

func TestLoadFiles(t *testing.T) {
	cert, key := split(t)
	pair, err := LoadFiles(cert, key)
	if err != nil || pair.Leaf.Subject.CommonName != "localhost" {
		t.Fatalf("two files: %v", err)
	}
	dir := stateDir(t)
	open(t, dir, "box")
	one := filepath.Join(dir, leafFile)
	if _, err := LoadFiles(one, one); err != nil {
		t.Errorf("one file: %v", err)
	}
}

func TestLoadFilesErrors(t *testing.T) {
	cert, key := split(t)
	_, otherKey := split(t)
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind, base64 string) string {
		return "-----BEGIN " + kind + "-----\n" + base64 + "\n-----END " + kind + "-----\n"
	}
	text, missing := file("text", "hello"), filepath.Join(dir, "missing")
	brokenCert, brokenKey := file("c", block("CERTIFICATE", "aGVsbG8=")), file("k", block("PRIVATE KEY", "aGVsbG8="))
	locked := file("locked", block("ENCRYPTED PRIVATE KEY", "aGVsbG8="))
	rsaFile := file("rsa", string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY",
		Bytes: x509.MarshalPKCS1PrivateKey(rsaKey)})))
	for _, tt := range []struct{ name, cert, key, path, want string }{
		{"no certificate file", missing, key, missing, "no such file"},
		{"no key file", cert, missing, missing, "no such file"},
		{"certificate is text", text, key, text, "no certificate"},
		{"key is text", cert, text, text, "no private key"},
		{"exchanged", key, cert, key, "no certificate"},
		{"certificate is broken", brokenCert, key, brokenCert, "broken certificate"},
		{"key is broken", cert, brokenKey, brokenKey, "broken private key"},
		{"key of another certificate", cert, otherKey, otherKey, "not the key of"},
		{"key of another kind", cert, rsaFile, rsaFile, "not the key of"},
		{"key with a password", cert, locked, locked, "protected by a password"},
		{"directory", dir, key, dir, "directory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := LoadFiles(tt.cert, tt.key)
			var e *Error
			if !errors.As(err, &e) || e.Path != tt.path || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v", err)
			}
			if e.Hint == "" && tt.name != "directory" {
				t.Error("no hint")
			}
		})
	}
}

func TestServerConfig(t *testing.T) {
	d := open(t, stateDir(t), "box")
	roots := x509.NewCertPool()
	roots.AddCert(d.CA())
	for _, tt := range []struct {
		name   string
		client *tls.Config
		want   uint16 // the negotiated version; 0 means that the handshake fails
	}{
		{"new", &tls.Config{}, tls.VersionTLS13},
		{"1.2", &tls.Config{MaxVersion: tls.VersionTLS12}, tls.VersionTLS12},
		{"1.1", &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, 0},
		{"1.2 with CBC alone", &tls.Config{MaxVersion: tls.VersionTLS12,
			CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.client.RootCAs, tt.client.ServerName = roots, "localhost"
			near, far := net.Pipe()
			defer near.Close()
			defer far.Close()
			done := make(chan error, 1)
			go func() { done <- tls.Server(far, ServerConfig(d.GetCertificate)).Handshake() }()
			client := tls.Client(near, tt.client)
			err := client.Handshake()
			near.Close()
			if bounded.Receive(t, done); (err == nil) != (tt.want != 0) {
				t.Fatalf("handshake: %v", err)
			}
			if got := client.ConnectionState().Version; tt.want != 0 && got != tt.want {
				t.Errorf("version %x, want %x", got, tt.want)
			}
		})
	}
}
