package auth

import (
	"net/http"
	"strings"
	"testing"
)

// instrumented stands for what programs put in the place of http.DefaultTransport, to trace or to count.
type instrumented struct{ http.RoundTripper }

func TestFetchWithAnotherDefaultTransport(t *testing.T) {
	before := http.DefaultTransport
	http.DefaultTransport = instrumented{before}
	defer func() { http.DefaultTransport = before }()
	k, err := JWKS("https://id.example.com/keys", FetchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Close(); err != nil {
		t.Error(err)
	}
}

// Options that would keep everybody out, or let the client say who it is, are told when they are set.
func TestOptionsThatCannotBeMeant(t *testing.T) {
	_, entry, err := NewAPIKey("a")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Authorization", "authorization", "X Key", "Cookie"} {
		if _, err := NewAPIKeys(APIKeyOptions{Header: name, Keys: []APIKey{entry}}); err == nil {
			t.Errorf("API keys in the field %q: no error", name)
		}
	}
	for _, origin := range []string{"https://bücher.example", "https://exa mple.com", "https://example.com/"} {
		if _, err := Cookie("sid", origin); err == nil {
			t.Errorf("the origin %q: no error", origin)
		}
	}
	if _, err := Cookie("sid", "https://xn--bcher-kva.example"); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"X Key", "Forwarded", "X-Real-Ip", "Proxy-Authorization", "Content-Type", "Accept-Encoding", "If-None-Match"} {
		if _, err := NewForward(ForwardOptions{URL: "http://auth.internal", Headers: []string{name}}); err == nil {
			t.Errorf("forward auth copies the field %q: no error", name)
		}
	}
}

// Two names, or two credentials under one name, are nobody's: which one counts would be a matter of luck.
func TestForwardTwoSubjects(t *testing.T) {
	f := newForward(t, ForwardOptions{Always: true, Transport: authService(func(*http.Request) (*http.Response, error) {
		return answer(200, "", "X-Auth-Request-User: ann", "X-Auth-Request-User: root"), nil
	})})
	_, err := f.Authenticate(withSession("x"))
	wantRefusal(t, err, 503, "")
	if !strings.Contains(err.Error(), "not to whom") {
		t.Error(err)
	}
}
