package auth

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/handfast/handfast/internal/redact"
)

// Whatever a request contains, a source returns a complete token from the request, or the reason why it cannot.
func FuzzSources(f *testing.F) {
	f.Add("Bearer abc.def.ghi", "chat, handfast.token.abc", "sid=abc", "https://app.example.com", "t=abc")
	f.Add("bearer  a=", "handfast.token.a,handfast.token.b", "sid=a; sid=b", "null", "t=%41&t=b")
	f.Add("Basic YTpi", redact.KubernetesPrefix+"YWJj", "sid=\"abc\"", "https://evil.example", "tt=1;t=2")
	f.Add("Bearer", "\t,, chat ,"+redact.KubernetesPrefix, "sid=", "", "%zz")
	cookie, err := Cookie("sid", origin)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, authorization, protocol, cookies, from, query string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["Authorization"], r.Header["Sec-Websocket-Protocol"] = []string{authorization}, []string{protocol}
		r.Header["Cookie"], r.Header["Origin"], r.URL.RawQuery = []string{cookies}, []string{from}, query

		if token, ok := tokenIn(t, Bearer(), r); ok {
			if !strings.EqualFold(authorization[:7], "bearer ") || strings.Trim(authorization[7:], " ") != token || !token68(token) {
				t.Errorf("%q of %q", token, authorization)
			}
		}
		entries := strings.Split(protocol, ",")
		for i := range entries {
			entries[i] = strings.Trim(entries[i], " \t")
		}
		if token, ok := tokenIn(t, Subprotocol("handfast.token."), r); ok && !slices.Contains(entries, "handfast.token."+token) {
			t.Errorf("%q of %q", token, protocol)
		}
		if token, ok := tokenIn(t, KubernetesSubprotocol(), r); ok &&
			!slices.Contains(entries, redact.KubernetesPrefix+base64.RawURLEncoding.EncodeToString([]byte(token))) {
			t.Errorf("%q of %q", token, protocol)
		}
		if token, ok := tokenIn(t, cookie, r); ok && (from != origin || !strings.Contains(cookies, token)) {
			t.Errorf("%q of %q from %q", token, cookies, from)
		}
		if token, ok := tokenIn(t, Query("t"), r); ok && !slices.Contains(r.URL.Query()["t"], token) {
			t.Errorf("%q of %q", token, query)
		}
	})
}

// tokenIn returns the token that a source finds, and checks that other results conform to the contract.
func tokenIn(t *testing.T, s Source, r *http.Request) (string, bool) {
	t.Helper()
	token, err := s.Token(r)
	if err == nil {
		if token == "" || len(token) > maxToken {
			t.Errorf("a token of %d bytes", len(token))
		}
		return token, true
	}
	e, ok := errors.AsType[*Error](err)
	if token != "" || err != ErrNoCredentials && (!ok || e.Status != 401 && e.Status != 403) {
		t.Errorf("%q, %v", token, err)
	}
	return "", false
}
