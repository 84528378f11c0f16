package handshake

import (
	"net/http"
	"strings"
	"testing"
)

// The text of a violation distinguishes the cases of a rule and contains the next step.
func TestViolationTexts(t *testing.T) {
	request := func(head string) *Violation { return Check(parse(t, head)) }
	answer := func(text string, r *Request) *Violation {
		a, _, v := feed(text, len(text))
		if v == nil {
			_, _, v = Verify(a, r)
		}
		return v
	}
	chosen := strings.Replace(validResponse, "\r\n\r\n", "\r\nSec-WebSocket-Protocol: other\r\n\r\n", 1)
	offering := func(list ...string) *Request { return &Request{Key: goodRequest.Key, Subprotocols: list} }
	for name, tt := range map[string]struct {
		v            *Violation
		detail, hint string
	}{
		"no version":    {request(editSample("Sec-WebSocket-Version", "")), "header is missing", ""},
		"another":       {request(editSample("Sec-WebSocket-Version", "Sec-WebSocket-Version: 8")), "version is not 13", "use version 13"},
		"no key":        {request(editSample("Sec-WebSocket-Key", "")), "header is missing", ""},
		"a bad key":     {request(editSample("Sec-WebSocket-Key", "Sec-WebSocket-Key: x")), "not the base64 of 16 bytes", ""},
		"404":           {answer("HTTP/1.1 404 x\r\n\r\n", goodRequest), "the server answered 404 Not Found instead", ""},
		"499":           {answer("HTTP/1.1 499 x\r\n\r\n", goodRequest), "the server answered 499 instead", ""},
		"another key":   {answer(validResponse, &Request{Key: "AAAAAAAAAAAAAAAAAAAAAA=="}), "does not match the key", "from a cache"},
		"none offered":  {answer(chosen, offering()), "although none was offered", HintClientOffer},
		"one offered":   {answer(chosen, offering("chat")), "that was not offered", HintClientOffer},
		"two offered":   {answer(chosen, offering("chat", "x")), "that was not offered", HintClientOffer},
		"no challenge":  {answer("HTTP/1.1 401 x\r\n\r\n", goodRequest), "401 Unauthorized", ""},
		"one challenge": {answer("HTTP/1.1 401 x\r\nWWW-Authenticate: Basic realm=x\r\n\r\n", goodRequest), "401", "(Basic)"},
		"two challenges": {answer("HTTP/1.1 401 x\r\nWWW-Authenticate: Basic realm=x\r\nWWW-Authenticate: Bearer\r\n\r\n", goodRequest),
			"401", "(Basic, Bearer)"},
	} {
		if tt.v == nil || !strings.Contains(tt.v.Detail, tt.detail) || !strings.Contains(tt.v.Hint, tt.hint) {
			t.Errorf("%s: %+v; want %q and %q", name, tt.v, tt.detail, tt.hint)
		}
	}
	if hint := StatusHint(&Response{Status: 401, Header: http.Header{}}); strings.Contains(hint, "(") {
		t.Errorf("without a challenge: %s", hint)
	}
}

// A target without a host has no authority: its path must not be mistaken for an authority.
func TestRFC9112_3_2_2_NoAuthority(t *testing.T) {
	for target, want := range map[string]string{"http:///x": "", "http://?x": "", "http://h/x": "h", "http://h?x": "h", "http://h": "h", "/x": "own", "*": "own"} {
		if got := (&Opening{Target: target, Host: "own"}).Authority(); got != want {
			t.Errorf("%s: %q, want %q", target, got, want)
		}
	}
}
