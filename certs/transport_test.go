package certs

import (
	"net/http"
	"path/filepath"
	"testing"
)

// ACME also works if the program has replaced http.DefaultTransport, for example for tracing or metrics.
func TestACMEWithAnotherDefaultTransport(t *testing.T) {
	before := http.DefaultTransport
	http.DefaultTransport = struct{ http.RoundTripper }{before}
	defer func() { http.DefaultTransport = before }()
	p, err := Open(Options{ACME: &ACME{Hosts: []string{"www.example.com"}, Cache: filepath.Join(t.TempDir(), "acme"), AgreeTerms: true}})
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
}
