package certs

import (
	"net/http"
	"path/filepath"
	"testing"
)

// A program may replace http.DefaultTransport, for tracing or metrics.
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
