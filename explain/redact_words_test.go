package explain

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// A secret that is also a word of a diagnosis is redacted where the server repeats it, and not in the diagnosis's own sentences.
func TestASecretThatIsAWord(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, "<b>%s</b> is not a key: %s", "wrong", r.Header.Get("Authorization"))
	}))
	defer server.Close()
	r := Explain(t.Context(), "ws"+strings.TrimPrefix(server.URL, "http"), &Options{Credentials: Credentials{Bearer: "wrong"}, NoProbes: true})
	if r.Diagnosis == nil || r.Response == nil {
		t.Fatalf("no diagnosis: %+v", r)
	}
	if !slices.ContainsFunc(r.Diagnosis.ForClient, func(s string) bool { return strings.Contains(s, "it is wrong, expired or revoked") }) {
		t.Errorf("steps %q", r.Diagnosis.ForClient)
	}
	for _, text := range append(r.Diagnosis.Evidence, r.Response.Body) {
		if strings.Contains(text, "wrong") {
			t.Errorf("the secret is in %q", text)
		}
	}
}
