package explain

import (
	"strings"
	"testing"
)

// If body and status indicate different faults, the body has priority.
func TestStatusFault(t *testing.T) {
	for _, tt := range []struct {
		status int
		body   string
		header []Field
		want   Fault
		detail string
	}{
		{400, nginxBody("400 No required SSL certificate was sent", "No required SSL certificate was sent"), nil, FaultClientCert, "asks for a client certificate"},
		{400, nginxBody("400 The SSL certificate error", "The SSL certificate error"), nil, FaultClientCertRefused, "does not accept the client certificate"},
		{500, nginxBody("400 No required SSL certificate was sent", "No required SSL certificate was sent"), nil, FaultStatus500, ""},
		{400, "<center>No required SSL certificate was sent</center>", nil, FaultStatus400, ""},
		{400, "<p>What does <b>No required SSL certificate was sent</b> mean?", nil, FaultStatus400, ""},
		{400, "The upstream reported: The SSL certificate error", nil, FaultStatus400, ""},
		{403, "Missing ALPN Protocol, expected `h2` to be available.\nIf this is a HTTP request: The server was not configured with the `allowHTTP1` option or " +
			"a listener for the `unknownProtocol` event.\n", nil, FaultHTTP2Only, "HTTP/2"},
		{400, "Unknown ALPN Protocol", nil, FaultStatus400, ""},
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

// nginxBody returns an error page of nginx.
func nginxBody(title, text string) string {
	return "<html>\r\n<head><title>" + title + "</title></head>\r\n<body>\r\n<center><h1>" + title[:4] + "Bad Request</h1></center>\r\n<center>" + text +
		"</center>\r\n<hr><center>nginx/1.22.1</center>\r\n</body>\r\n</html>\r\n"
}
