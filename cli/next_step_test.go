package cli

import (
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/handfast/handfast/internal/libhints"
	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/handshake"
)

// The next step after a 401 or a 403 depends on the credentials that were sent, and contains no secret.
func TestRefusedStep(t *testing.T) {
	state(t)
	status := http.StatusUnauthorized
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Add("WWW-Authenticate", `Bearer realm="x"`)
		w.WriteHeader(status)
	}))
	t.Cleanup(s.Close)
	addr := strings.TrimPrefix(s.URL, "http://")
	for _, tt := range []struct {
		status int
		args   []string
		want   []string
		not    string
	}{
		{401, []string{"ws://" + addr}, []string{"no credential was sent", "(Bearer): --bearer TOKEN, ", "-H", "--cert"}, "did not accept"},
		{401, []string{"-H", "Authorization: Bearer hush", "ws://" + addr}, []string{"did not accept", "Authorization header", "(Bearer)"}, "no credential"},
		{401, []string{"-H", "cookie: a=hush", "ws://" + addr}, []string{"did not accept", "Cookie header"}, "no credential"},
		{401, []string{"ws://u:hush@" + addr}, []string{"did not accept", "user and password"}, "no credential"},
		{401, []string{"ws://" + addr + "?access_token=hush"}, []string{"did not accept", "access_token in the URL's query"}, "no credential"},
		{401, []string{"ws://" + addr + "?room=1"}, []string{"no credential was sent"}, "did not accept"},
		{403, []string{"ws://" + addr}, []string{"no credential was sent", "no Origin was sent"}, "not be one"},
		{403, []string{"--origin", "https://a.example", "ws://" + addr}, []string{"https://a.example", "no credential was sent"}, "no Origin"},
		{403, []string{"-H", "X-API-Key: hush", "ws://" + addr}, []string{"X-Api-Key header", "no Origin was sent"}, "no credential"},
	} {
		status = tt.status
		got := runCommand(t, append([]string{"dial"}, tt.args...)...)
		_, step, _ := strings.Cut(got.stderr, "next step: ")
		for _, want := range tt.want {
			if !strings.Contains(step, want) {
				t.Errorf("%d %q: %q is not in %q", tt.status, tt.args, want, step)
			}
		}
		if got.code != exitFailed || strings.Contains(step, tt.not) || strings.Contains(got.stderr, "hush") {
			t.Errorf("%d %q: exit %d, %q", tt.status, tt.args, got.code, got.stderr)
		}
	}
}

// Failures that the server's owner has to correct lead to explain: a failed handshake, and a violation of the protocol.
func TestStepsLeadToExplain(t *testing.T) {
	state(t)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/masked" {
			http.NotFound(w, r)
			return
		}
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n"+
			"\x81\x81\x00\x00\x00\x00a", base64.StdEncoding.EncodeToString(sum[:]))
		io.Copy(io.Discard, c) // returns when the client closes the connection
	}))
	t.Cleanup(s.Close)
	for path, want := range map[string]string{
		"/nothing": "404 Not Found",
		"/masked":  "a masked frame from a server (RFC 6455 §5.1)\n  next step: the server violates the protocol",
	} {
		got := runCommand(t, "dial", "ws"+strings.TrimPrefix(s.URL, "http")+path)
		_, step, _ := strings.Cut(got.stderr, "next step: ")
		if got.code != exitFailed || !strings.Contains(got.stderr, want) || !strings.Contains(step, "; handfast explain shows ") {
			t.Errorf("%s: exit %d, %q", path, got.code, got.stderr)
		}
	}
}

// The next step after a 401 names the flags for the schemes in the challenge, if the command has them.
func TestCredentialWays(t *testing.T) {
	for _, tt := range []struct {
		schemes []string
		flags   bool
		want    string
	}{
		{[]string{"apikey"}, true, "--api-key KEY, --cookie"},
		{[]string{"Basic", "Bearer"}, true, "--bearer TOKEN, --basic USER:PASSWORD, --cookie"},
		{[]string{"Negotiate"}, true, "--bearer TOKEN, --basic USER:PASSWORD, --api-key KEY, --cookie"},
		{[]string{"Bearer"}, false, `-H "Authorization: Bearer TOKEN", `},
	} {
		if got := credentialOptions(tt.schemes, tt.flags); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%q: %q", tt.schemes, got)
		}
	}
}

// If the body of a response gives a reason, the next step does not suggest another reason.
func TestReasonInBody(t *testing.T) {
	for _, tt := range []struct {
		kind, body, want string
	}{
		{"text/plain; charset=utf-8", "400 Bad Request\n\nno subprotocol in common\n", "the body of the response gives the reason; handfast explain shows "},
		{"text/plain", "Bad Request\n", `Connection "upgrade"; handfast explain shows `},
		{"text/html", "<h1>no</h1>", `Connection "upgrade"; handfast explain shows `},
		{"", "", `Connection "upgrade"; handfast explain shows `},
	} {
		header := http.Header{"Content-Type": {tt.kind}}
		e := &websocket.HandshakeError{Stage: handshake.StageStatus, Status: 400, Header: header, Body: []byte(tt.body), Err: errors.New("x"),
			Hint: handshake.StatusHint(&handshake.Response{Status: 400, Header: header})}
		if got := (&handshakeFailure{"ws://x", e, &sentInfo{}}).NextStep(); !strings.Contains(got, tt.want) || strings.Contains(got, ";;") {
			t.Errorf("%s %q: %q", tt.kind, tt.body, got)
		}
	}
}

// A rejection by a proxy is distinguished from one by the server.
func TestProxyStep(t *testing.T) {
	e := &websocket.HandshakeError{Stage: handshake.StageProxy, Status: http.StatusForbidden, Hint: "the proxy refuses", Err: errors.New("no")}
	if got := handshakeStep(e, &sentInfo{}); got != "the proxy refuses" {
		t.Errorf("got %q", got)
	}
}

// Every hint of the library that names a client option is replaced by a hint that names flags.
func TestStepsNameFlags(t *testing.T) {
	option := regexp.MustCompile(`Options|TLS\.|[a-z][A-Z]|\(Subprotocols\)`)
	hints := libhints.Named(t, "..", "HintClient")
	for name, hint := range hints {
		e := &websocket.HandshakeError{Hint: hint, Err: errors.New("x")}
		if got := handshakeStep(e, &sentInfo{}); got != optionSteps[hint] || got == "" || option.MatchString(got) {
			t.Errorf("%s: %q", name, got)
		}
	}
	if len(optionSteps) != len(hints) {
		t.Errorf("%d replacements for %d hints", len(optionSteps), len(hints))
	}
}
