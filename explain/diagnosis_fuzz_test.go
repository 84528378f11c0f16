package explain

import (
	"io"
	"slices"
	"strings"
	"testing"
)

// feedAll passes b to a head in pieces of at most n bytes, like readHead, and then signals the end of the connection.
func feedAll(b []byte, n int) *head {
	h := &head{}
	for len(b) > 0 {
		piece := b[:min(n, len(b))]
		b = b[len(piece):]
		used, done := h.feed(piece)
		if done {
			h.rest = append(slices.Clone(piece[used:]), b...)
			return h
		}
	}
	h.ended(io.EOF)
	return h
}

// For any received bytes, the head stays within its limits, and the result does not depend on how the network splits the bytes.
func FuzzHead(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n\x81\x02hi",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
		"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
		"HTTP/1.1 200 OK\nContent-Length: 0\n\n", "HTTP/1.1 1010 x\r\n\r\n", "HTTP/1.1 200\r\n folded\r\n\r\n", "HTTP/2 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nno colon\r\n\r\n", "HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\x00\r\n\r\n",
		"SSH-2.0-OpenSSH_9.2p1\r\n", "220 mail ESMTP\r\n", "\x15\x03\x01\x00\x02\x02\x46", "\x00\x00\x00\x04\x00\x00\x00\x00\x00",
		"", "H", "HTTP/",
		"HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", 257) + "\r\n", strings.Repeat("HTTP/1.1 103 x\r\n\r\n", 10),
	} {
		f.Add([]byte(s), 1)
		f.Add([]byte(s), 97)
	}
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		if n < 1 || n > len(b)+1 || len(b)/n > 2048 { // more pieces would take too long
			return
		}
		whole, cut := feedAll(b, len(b)+1), feedAll(b, n)
		checkHead(t, whole)
		if whole.status != cut.status || whole.proto != cut.proto || !slices.Equal(whole.fields, cut.fields) {
			t.Errorf("whole it is %s %d %q, in pieces of %d %s %d %q", whole.proto, whole.status, whole.fields, n, cut.proto, cut.status,
				cut.fields)
		}
		if problem(whole) != problem(cut) {
			t.Errorf("whole it is %q, in pieces of %d %q", problem(whole), n, problem(cut))
		}
		if whole.problem == nil && string(whole.rest) != string(cut.rest) {
			t.Errorf("after the header: %q as a whole, and %q in pieces of %d", whole.rest, cut.rest, n)
		}
	})
}

func problem(h *head) Fault {
	if h.problem == nil {
		return ""
	}
	return h.problem.fault
}

// checkHead checks the invariants of a head.
func checkHead(t *testing.T, h *head) {
	t.Helper()
	if (h.problem == nil) != (h.response != nil) || h.problem == nil && (h.status < 101 || h.status > 999 || !strings.HasPrefix(h.proto, "HTTP/1.")) {
		t.Errorf("%q %d was taken for a status line", h.proto, h.status)
	}
	if h.problem != nil && (h.problem.fault == "" || h.problem.detail == "") {
		t.Errorf("a problem without a name: %+v", h.problem)
	}
	if len(h.fields) > 256 || len(h.lines) > 9*260 {
		t.Errorf("%d fields, %d lines", len(h.fields), len(h.lines))
	}
	for _, f := range h.fields {
		if f.Name == "" || strings.ContainsAny(f.Name+f.Value, "\r\n\x00") {
			t.Errorf("the field %q: %q was taken", f.Name, f.Value)
		}
	}
	tr := &run{hide: &redactor{}}
	for _, l := range tr.showHead(h) {
		if strings.ContainsAny(l.Text, "\r\n\x00\x1b") {
			t.Errorf("%q is to be shown", l.Text)
		}
	}
	_ = diagnose(&Report{Response: tr.response(h)}, Finding{Fault: FaultStatus400, Stage: StageResponse})
}

// Challenges of any form are parsed without a panic, and the text about a challenge is a single line.
func FuzzChallenges(f *testing.F) {
	f.Add(`Bearer realm="chat", error="invalid_token"`)
	f.Add(`Newauth realm="apps", type=1, title="Login to \"apps\"", Basic realm="simple"`)
	f.Add(`NTLM TlRMTVNTUAAC=, Negotiate`)
	f.Add(`"=,\" =`)
	f.Fuzz(func(t *testing.T, s string) {
		for _, c := range parseChallenges([]string{s}) {
			if len(c.scheme) > len(s) || c.scheme == "" && len(c.params) == 0 {
				t.Errorf("%q holds the challenge %+v", s, c)
			}
			if requestedCredential(c, false) == "" {
				t.Errorf("%+v says nothing", c)
			}
		}
	})
}
