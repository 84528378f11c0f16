package auth

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
)

// Random values differ every time.
func TestSecretsDiffer(t *testing.T) {
	tickets := newTickets(t, TicketOptions{})
	for name, secret := range map[string]func() (string, error){
		"ticket": func() (string, error) { return tickets.Issue(t.Context(), &Identity{Subject: "ann"}, TicketBinding{}) },
		"API key": func() (string, error) {
			key, _, err := NewAPIKey("ci")
			return key, err
		},
		"hash":          func() (string, error) { return HashPassword("pa55") },
		"key of a memo": func() (string, error) { return string(newMemo[int](1).key[:]), nil },
	} {
		one, err1 := secret()
		two, err2 := secret()
		if err1 != nil || err2 != nil || one == two {
			t.Errorf("%s: %q, %q, %v, %v", name, one, two, err1, err2)
		}
	}
}

// The parameters in an argon2id hash are limited.
func TestArgonBounds(t *testing.T) {
	enc := base64.RawStdEncoding
	for _, tt := range []struct {
		params    string
		salt, key int
		want      string
	}{
		{"m=8,t=1,p=1", 8, 16, ""},
		{"m=8,t=1,p=1", 64, 64, ""},
		{"m=8,t=1,p=1", 7, 16, "a salt of 8 to 64"},
		{"m=8,t=1,p=1", 65, 64, "a salt of 8 to 64"},
		{"m=8,t=1,p=1", 8, 15, "a key of 16 to 64"},
		{"m=8,t=1,p=1", 64, 65, "a key of 16 to 64"},
		{"m=16,t=1,p=2", 8, 16, ""},
		{"m=15,t=1,p=2", 8, 16, "m=15 KiB; 16 to "},
		{"m=128,t=1,p=16", 8, 16, ""},
		{"m=136,t=1,p=17", 8, 16, "p=17; 1 to 16"},
	} {
		h, err := parseArgon("$argon2id$v=19$" + tt.params + "$" + enc.EncodeToString(make([]byte, tt.salt)) + "$" + enc.EncodeToString(make([]byte, tt.key)))
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s, %d, %d: %v, want %q", tt.params, tt.salt, tt.key, err, tt.want)
		}
		if err == nil && (len(h.salt) != tt.salt || len(h.key) != tt.key) {
			t.Errorf("%s, %d, %d: read as %d, %d", tt.params, tt.salt, tt.key, len(h.salt), len(h.key))
		}
	}
}

func TestSubjectBounds(t *testing.T) {
	for s, want := range map[string]bool{"": false, "a": true, "abcd": true, "abcde": false, "a\xff": false, "a\x7f": false, "a\ufffd": false} {
		if got := validSubject(s, 4); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
}

// The rest of a response that is too long is not awaited, and its connection is released.
func TestForwardEndlessAnswer(t *testing.T) {
	ended := make(chan struct{})
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		defer close(ended)
		w.Header().Set("Content-Type", "application/json")
		for {
			if _, err := w.Write(make([]byte, forwardMaxBody)); err != nil {
				return
			}
		}
	}))
	defer service.Close()
	defer service.CloseClientConnections()
	f := newForward(t, ForwardOptions{URL: service.URL})
	_, _ = f.Authenticate(withSession("x"))
	bounded.Receive(t, ended)
}
