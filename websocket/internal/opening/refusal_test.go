package opening

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket/handshake"
)

// written parses the whole response with net/http.
func written(t *testing.T, f *Refusal, o *handshake.Opening) (*http.Response, string) {
	t.Helper()
	b, _ := f.Append(nil, o, time.Unix(0, 0))
	r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b)), &http.Request{Method: o.Method})
	if err != nil {
		t.Fatalf("%q: %v", b, err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r, string(body)
}

func TestRefusal_Reply(t *testing.T) {
	get := &handshake.Opening{Method: "GET", Major: 1, Minor: 1}
	secret := errors.New("secret")
	for name, tt := range map[string]struct {
		f    *Refusal
		o    *handshake.Opening
		line string
		body string
	}{
		"a rule": {Violated(&handshake.Violation{Status: 400, Section: "§1", Detail: "wrong", Hint: "do right"}), get,
			"HTTP/1.1 400 Bad Request", "400 Bad Request\n\nwrong (§1).\nNext step: do right\n"},
		"RFC 9112 §6.1": {Violated(&handshake.Violation{Status: 501, Detail: "unknown"}), get,
			"HTTP/1.1 501 Not Implemented", "501 Not Implemented\n\nunknown.\n"},
		"an error of the application": {Denied(secret), get, "HTTP/1.1 403 Forbidden", "403 Forbidden\n\nAccess denied.\n"},
		"a bare status":               {Rejected(secret, 401, nil, ""), get, "HTTP/1.1 401 Unauthorized", "401 Unauthorized\n"},
		"no status":                   {Rejected(secret, 0, nil, "go"), get, "HTTP/1.1 403 Forbidden", "go\n"},
		"a status without a name":     {Rejected(secret, 599, nil, ""), get, "HTTP/1.1 599 status code 599", "599\n"},
		"a status that is invalid":    {Rejected(secret, 200, nil, ""), get, "HTTP/1.1 500 Internal Server Error", "500 Internal Server Error\n"},
		"a typed body": {Rejected(secret, 429, http.Header{"Content-Type": {"application/json"}}, "{}"), get,
			"HTTP/1.1 429 Too Many Requests", "{}"},
		"RFC 9110 §15.4.5": {Rejected(secret, 304, nil, "x"), get, "HTTP/1.1 304 Not Modified", ""},
		"RFC 9110 §9.3.2": {Denied(secret), &handshake.Opening{Method: "HEAD", Major: 1, Minor: 1},
			"HTTP/1.1 403 Forbidden", ""},
		"HTTP/1.0":   {Denied(secret), &handshake.Opening{Method: "GET", Major: 1}, "HTTP/1.0 403 Forbidden", "403 Forbidden\n\nAccess denied.\n"},
		"unparsable": {Unparsable(secret), get, "HTTP/1.1 400 Bad Request", "400 Bad Request\n\nThe request cannot be parsed.\n"},
		"a mistake": {configError("status", secret, "hint"), get, "HTTP/1.1 500 Internal Server Error",
			"500 Internal Server Error\n\nServer misconfiguration; see the server log.\n"},
		"a public text": {Faulty("status", secret, "hint", "Sorry."), get, "HTTP/1.1 500 Internal Server Error",
			"500 Internal Server Error\n\nSorry.\n"},
		"a fault before the request is parsed": {Faulty(handshake.StageRequest, secret, "hint", "Sorry."), get,
			"HTTP/1.1 500 Internal Server Error", "500 Internal Server Error\n\nSorry.\n"},
	} {
		t.Run(name, func(t *testing.T) {
			r, body := written(t, tt.f, tt.o)
			if got := r.Proto + " " + r.Status; got != tt.line || body != tt.body {
				t.Errorf("got %s\n%q", got, body)
			}
			if r.Header.Get("Date") != "Thu, 01 Jan 1970 00:00:00 GMT" || !r.Close {
				t.Errorf("got %v", r.Header)
			}
		})
	}
}

// RFC 9110 §7.8: an Upgrade field is listed in Connection, on a separate line.
func TestRefusal_Connection(t *testing.T) {
	f := Violated(&handshake.Violation{Status: 426, Detail: "wrong", Header: http.Header{"Upgrade": {"websocket"}}})
	b, _ := f.Append(nil, &handshake.Opening{Method: "GET", Major: 1, Minor: 1}, time.Now())
	if !strings.Contains(string(b), "\r\nConnection: close\r\nConnection: Upgrade\r\n") {
		t.Errorf("got %q", b)
	}
}

func TestTerms_Agree(t *testing.T) {
	o := &handshake.Opening{Protocol: []string{"a, b"}}
	terms := Terms{Subprotocol: "a"}
	if f := terms.Agree(o, "b"); f != nil || terms.Subprotocol != "b" {
		t.Errorf("%+v, %v", terms, f)
	}
	if f := terms.Agree(o, ""); f != nil || terms.Subprotocol != "" {
		t.Errorf("%+v, %v", terms, f)
	}
	if f := terms.Agree(o, "c"); f == nil || f.Status != http.StatusInternalServerError {
		t.Errorf("a subprotocol that was not offered: %v", f)
	}
}

// A mistake in the options causes a refusal with status 500 and a next step.
func TestRules_Check(t *testing.T) {
	for name, r := range map[string]*Rules{
		"header":      {Header: http.Header{"Upgrade": {"x"}}},
		"subprotocol": {Subprotocols: []string{"a b"}},
		"window":      {Deflate: Deflate{On: true, ServerWindowBits: 8}},
	} {
		if f := r.Check(); f == nil || f.Status != http.StatusInternalServerError || f.Hint == "" {
			t.Errorf("%s: %v", name, f)
		}
	}
	if f := new(Rules).Check(); f != nil {
		t.Error(f)
	}
}
