package explain

import (
	"crypto/tls"
	"crypto/x509"
	"net/http/httptest"
	"strings"
	"testing"
)

// A folded line is added to the value of the previous field, and an interim response is displayed but is not the result.
func TestHeadLines(t *testing.T) {
	h := &head{}
	for _, line := range []string{"A: b", " c", "\t d", "E:f"} {
		h.field(line)
	}
	if len(h.fields) != 2 || h.fields[0] != (Field{"A", "b c d"}) || h.fields[1] != (Field{"E", "f"}) {
		t.Errorf("fields %q", h.fields)
	}
	h = &head{}
	used, done := h.feed([]byte("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 404 Not Found\r\nA: b\r\n\r\nrest"))
	if !done || used == 0 || h.status != 404 || h.reason != "Not Found" || len(h.fields) != 1 || h.fields[0] != (Field{"A", "b"}) {
		t.Fatalf("%d, %t, %+v", used, done, h)
	}
	var notes []string
	for _, line := range h.lines {
		if line.note != "" {
			notes = append(notes, line.note)
		}
	}
	if got := strings.Join(notes, ", "); got != "an interim response, which a client skips" {
		t.Errorf("notes %q", got)
	}
}

// The minimum TLS version is that of the caller, and 1.2 if the caller has set none.
func TestOldestTLS(t *testing.T) {
	for given, want := range map[uint16]uint16{0: tls.VersionTLS12, tls.VersionTLS10: tls.VersionTLS10, tls.VersionTLS13: tls.VersionTLS13} {
		tr := newTracer(t.Context(), &Options{TLS: &tls.Config{MinVersion: given}})
		if !tr.requester.readURL("wss://192.0.2.1/") {
			t.Fatal("the URL")
		}
		if got := tr.dialer.newSecure().cfg.MinVersion; got != want {
			t.Errorf("%x: %x, want %x", given, got, want)
		}
	}
}

// The reason in the report is the first problem of a chain, even if verification was disabled.
func TestReasonOfChain(t *testing.T) {
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	for insecure, before := range map[bool]string{false: "", true: "not verified, as requested; verification would fail: "} {
		sec := &secure{cfg: &tls.Config{ServerName: "example.com", RootCAs: x509.NewCertPool()}, insecure: insecure, info: &TLS{}}
		sec.state.PeerCertificates = []*x509.Certificate{s.Certificate()}
		sec.judgeChain()
		if len(sec.problems) == 0 || sec.info.Reason != before+sec.problems[0].detail || sec.info.Trusted {
			t.Errorf("%t: %+v, %+v", insecure, sec.problems, sec.info)
		}
	}
}

// A status line with an invalid status code or reason phrase is still recognized as HTTP/1, and the detail names the invalid part.
func TestRFC9112_4_StatusLine(t *testing.T) {
	for line, want := range map[string]string{
		"HTTP/1.1 404 \xff\x00":       "line 1 of the response: the reason phrase in the status line contains a control character",
		"HTTP/1.0 403 a\x00b":         "line 1 of the response: the reason phrase in the status line contains a control character",
		"HTTP/1.1 OK":                 "line 1 of the response: the status code is not a number from 100 to 999",
		"HTTP/1.1 1010 OK":            "line 1 of the response: the status code is not a number from 100 to 999",
		"HTTP/1.1 099 OK":             "line 1 of the response: the status code is not a number from 100 to 999",
		"HTTP/1.10 200 OK":            "line 1 of the response: the response's status line is not HTTP/1",
		"HTTP/1.1 404 \xff not found": "", // obs-text is allowed
	} {
		h := &head{}
		h.feed([]byte(line + "\r\n\r\n"))
		switch {
		case want == "" && (h.problem != nil || h.status != 404):
			t.Errorf("%q: %+v", line, h.problem)
		case want != "" && (h.problem == nil || h.problem.detail != want || h.problem.fault != FaultHeadBroken || h.problem.clause != "RFC 9112 §4"):
			t.Errorf("%q: %+v, want %s", line, h.problem, want)
		}
	}
}
