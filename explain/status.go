package explain

import (
	"net/http"
	"regexp"
	"strings"

	"github.com/handfast/handfast/internal/visible"
)

// statusFaults contains the fault of each status that does not share a general fault.
var statusFaults = map[int]Fault{
	301: FaultStatus301, 302: FaultStatus302, 303: FaultStatus302, 307: FaultStatus307, 308: FaultStatus308,
	400: FaultStatus400, 401: FaultStatus401, 403: FaultStatus403, 404: FaultStatus404, 405: FaultStatus405,
	407: FaultStatus407, 410: FaultStatus404, 426: FaultStatus426, 429: FaultStatus429, 502: FaultStatus502,
	503: FaultStatus503, 504: FaultStatus504,
}

// judgeStatus records the fault of a response other than 101.
func (t *tracer) judgeStatus(s *Step, h *head) {
	s.Rules = append(s.Rules, Check{clauseClient + " (1)", "the status is 101", false, h.statusText()})
	for _, line := range strings.Split(strings.TrimSpace(t.r.Response.Body), "\n") {
		if line != "" && len(s.Received) <= maxShown+bodyLines {
			s.Received = append(s.Received, Line{visible.Cut(oneLine(line), maxLine), ""})
		}
	}
	f, clause, detail := t.statusFault(h)
	t.fail(StageResponse, f, clause, detail)
	t.end(s, h.statusText())
}

// bodyLines is the number of lines of a body that are displayed in addition to maxShown lines of a header.
const bodyLines = 12

// statusFault returns the fault for a response other than 101.
func (t *tracer) statusFault(h *head) (f Fault, clause, detail string) {
	clause, detail = clauseClient+" (1)", "the server answered "+h.statusText()+" instead of 101"
	body := strings.TrimSpace(string(h.body))
	switch {
	case h.status == http.StatusBadRequest && nginxNoCertificate.MatchString(body):
		return FaultClientCert, clause, detail + ", and asks for a client certificate"
	case h.status == http.StatusBadRequest && nginxCertificateError.MatchString(body):
		return FaultClientCertRefused, clause, detail + ", and does not accept the client certificate"
	case nodeWithoutHTTP1.MatchString(body):
		return FaultHTTP2Only, clause, detail + ", and says that it expects HTTP/2"
	default:
		f = faultOfStatus(h.status)
	}
	switch better := verdict(t.r, Finding{Fault: f}); {
	case better != f: // the status is only a symptom of better
		f = better
	case h.status == http.StatusUnauthorized:
		detail += challenges(t.shown(h.values("WWW-Authenticate")))
	case h.status/100 == 3 && h.value("Location") != "":
		detail += ", and points to " + quote(t.hide.value("Location", h.value("Location")))
	case h.value("Retry-After") != "":
		detail += ", Retry-After: " + t.quoted(h.values("Retry-After"))
	case h.value("Allow") != "":
		detail += ", Allow: " + t.quoted(h.values("Allow"))
	}
	return f, clause, detail
}

// The responses of nginx to a missing or invalid client certificate, and of Node's http2 to a client that does not offer h2.
var (
	nginxNoCertificate    = nginxPageOf("No required SSL certificate was sent", "[^<]*")
	nginxCertificateError = nginxPageOf("The SSL certificate error", "[^<]*")
	nodeWithoutHTTP1      = regexp.MustCompile("^(?:Unknown|Missing) ALPN Protocol, expected `h2` to be available\\.\\s+If this is a HTTP request: The server was not " +
		"configured with the `allowHTTP1` option or a listener for the `unknownProtocol` event\\.$")
)

// faultOfStatus returns the fault for a status.
func faultOfStatus(status int) Fault {
	switch {
	case statusFaults[status] != "":
		return statusFaults[status]
	case status/100 == 2:
		return FaultStatus200
	case status/100 == 5:
		return FaultStatus500
	}
	return FaultStatusOther
}

// shown returns values from the peer for display, without secrets.
func (t *run) shown(values []string) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = visible.Cut(oneLine(t.hide.text(v)), shortQuote)
	}
	return out
}
