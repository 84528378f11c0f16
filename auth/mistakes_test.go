package auth

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/handfast/handfast/websocket"
)

// instrumented is a replacement for http.DefaultTransport, such as programs use for tracing or metrics.
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

// Options that would reject every client, or let the client choose its identity, are reported when they are set.
func TestUselessOptionsAreErrors(t *testing.T) {
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

// Two names, or two credentials under one name, are rejected: it would be arbitrary which one counts.
func TestForwardTwoSubjects(t *testing.T) {
	f := newForward(t, ForwardOptions{Always: true, Transport: authService(func(*http.Request) (*http.Response, error) {
		return answer(200, "", "X-Auth-Request-User: ann", "X-Auth-Request-User: root"), nil
	})})
	_, err := f.Authenticate(withSession("x"))
	wantRefusal(t, err, 503, "")
	if !strings.Contains(err.Error(), "exactly one user") {
		t.Error(err)
	}
}

// RFC 9110 §15.5.2: a 401 has a challenge, even if HTTP has no scheme for the credential.
func TestRFC9110_15_5_2_EveryRefusalHasAChallenge(t *testing.T) {
	certificates, err := NewCertificates(CertificateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	tickets := newTickets(t, TicketOptions{})
	for _, a := range []Authenticator{certificates, tickets.For(""), Chain(certificates, tickets.For("")), Chain(), newForward(t, ForwardOptions{})} {
		for _, ticket := range []string{"", "nonsense"} {
			r := withTicket(ticket, "")
			if ticket == "" {
				r.URL.RawQuery = ""
			}
			_, err := (&Guard{Authenticator: a}).Admit(r)
			reject, ok := errors.AsType[*websocket.Reject](Refusal(err))
			if !ok || reject.Status != 401 || len(reject.Header.Values("WWW-Authenticate")) != 1 {
				t.Errorf("%T: %v", a, reject)
			}
			if e, _ := errors.AsType[*Error](err); e.Header != nil {
				t.Errorf("%T: the error was changed: %v", a, e.Header)
			}
			e := &TicketEndpoint{Tickets: tickets, Authenticator: a}
			w := httptest.NewRecorder()
			r.Method = "POST"
			e.ServeHTTP(w, r)
			if w.Code != 401 || len(w.Header().Values("WWW-Authenticate")) != 1 {
				t.Errorf("%T: the endpoint responds with %d, %v", a, w.Code, w.Header())
			}
		}
	}
}
