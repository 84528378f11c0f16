package explain

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// A header of the caller is reported as the credential "header" if its name indicates a secret that is not of another kind.
func TestSecretHeader(t *testing.T) {
	for _, tt := range []struct {
		name, value string
		want        bool
	}{
		{"Accept", "x", false}, {"Cookie", "a=b", false}, {"Authorization", "Bearer x", false}, {"authorization", "basic x", false},
		{"Authorization", "Digest x", true}, {"Authorization", "x", true}, {"X-Api-Key", "x", true},
	} {
		tr := newTracer(t.Context(), &Options{Header: http.Header{tt.name: {tt.value}}})
		if got := tr.requester.secretHeader(); got != tt.want {
			t.Errorf("%s: %s: %t", tt.name, tt.value, got)
		}
	}
	if got := trimmed(http.Header{"A": {" x\t", ""}, "B": {}}); len(got) != 2 || !slices.Equal(got["A"], []string{"x", ""}) || len(got["B"]) != 0 {
		t.Errorf("%q", got)
	}
}

// The options must not add anything to the request that is not allowed there.
func TestCheckRequest(t *testing.T) {
	for _, tt := range []struct {
		o      Options
		want   string // part of the detail; "" means that the options are allowed
		clause string
	}{
		{Options{}, "", ""},
		{Options{Header: http.Header{"X-Empty": {}}}, "", ""},
		{Options{Credentials: Credentials{Bearer: " token\t"}}, "", ""},
		{Options{Credentials: Credentials{Bearer: "to\nken"}}, "Authorization", "RFC 9110 §5.5"},
		{Options{Credentials: Credentials{APIKey: "x", APIKeyHeader: "Host"}}, "cannot be Host", clauseClient},
		{Options{Credentials: Credentials{APIKey: "x", APIKeyHeader: "Upgrade"}}, "Upgrade", clauseClient},
		{Options{Credentials: Credentials{APIKey: "x", APIKeyHeader: "a b"}}, "not a token", "RFC 9110 §5.5"},
		{Options{Header: http.Header{"Sec-Websocket-Key": {"x"}}}, "", clauseClient},
		{Options{Subprotocols: []string{"a", "a"}}, "a", clauseClient + " (10)"},
		{Options{Origin: "https://a\r\nX: y"}, "Origin", "RFC 9110 §5.5"},
	} {
		tr := newTracer(t.Context(), &tt.o)
		fits := tr.requester.checkRequest()
		if want := tt.clause == ""; fits != want {
			t.Errorf("%+v: %t", tt.o, fits)
			continue
		}
		if !fits && (len(tr.r.Findings) != 1 || tr.r.Findings[0].Clause != tt.clause || !strings.Contains(tr.r.Findings[0].Detail, tt.want) || tr.r.Steps[0].OK) {
			t.Errorf("%+v: %+v", tt.o, tr.r.Findings)
		}
	}
}
