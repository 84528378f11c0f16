package explain

import (
	"strings"
	"testing"
)

// A body that contradicts the status has priority.
func TestStatusFault(t *testing.T) {
	for _, tt := range []struct {
		status int
		body   string
		header []Field
		want   Fault
		detail string
	}{
		{400, "<center>No required SSL certificate was sent</center>", nil, FaultClientCert, "asks for a client certificate"},
		{400, "The SSL certificate error", nil, FaultClientCertRefused, "does not accept the client certificate"},
		{500, "No required SSL certificate was sent", nil, FaultStatus500, ""},
		{500, "the ssl certificate error", nil, FaultStatus500, ""},
		{400, "Unknown ALPN Protocol", nil, FaultHTTP2Only, "HTTP/2"},
		{200, "", nil, FaultStatus200, ""},
		{204, "", nil, FaultStatus200, ""},
		{299, "", nil, FaultStatus200, ""},
		{301, "", []Field{{Name: "Location", Value: "/elsewhere"}}, "", `points to "/elsewhere"`},
		{418, "", nil, FaultStatusOther, ""},
		{599, "", []Field{{Name: "Retry-After", Value: "7"}}, FaultStatus500, "Retry-After"},
		{200, "", []Field{{Name: "Location", Value: "/elsewhere"}}, FaultStatus200, "instead of 101"},
	} {
		tr := newTracer(t.Context(), nil)
		f, clause, detail := tr.statusFault(&head{status: tt.status, body: []byte(tt.body), fields: tt.header})
		if tt.want != "" && f != tt.want || clause == "" || !strings.Contains(detail, tt.detail) || strings.Contains(detail, "points to") != strings.Contains(tt.detail, "points to") {
			t.Errorf("%d %q: %s, %s", tt.status, tt.body, f, detail)
		}
	}
}
