package auth

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/internal/watch"
)

func TestAPIKeys(t *testing.T) {
	key, entry, err := NewAPIKey("ci-1")
	if err != nil {
		t.Fatal(err)
	}
	old, expired, err := NewAPIKey("old")
	if err != nil {
		t.Fatal(err)
	}
	expired.Expires = time.Now().Add(-time.Second)
	entry.Subject, entry.Claims = "builder", map[string]any{"roles": []any{"ci"}}
	stranger, _, err := NewAPIKey("ci-1") // the same ID, another secret
	if err != nil {
		t.Fatal(err)
	}
	unknown, _, err := NewAPIKey("nobody")
	if err != nil {
		t.Fatal(err)
	}
	a, err := NewAPIKeys(APIKeyOptions{Keys: []APIKey{entry, expired}, Bearer: true, Query: "key"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, path string
		fields     []string
		status     int // 0 means admitted, -1 no credentials
	}{
		{"header", "/", []string{"X-API-Key", key}, 0},
		{"scheme", "/", []string{"Authorization", "apikey " + key}, 0},
		{"bearer", "/", []string{"Authorization", "Bearer " + key}, 0},
		{"query", "/?key=" + key, nil, 0},
		{"nothing", "/?x=y", nil, -1},
		{"a JWT is for another method", "/", []string{"Authorization", "Bearer eyJhbGciOiJub25lIn0.e30."}, -1},
		{"Basic is for another method", "/", []string{"Authorization", "Basic YTpi"}, -1},
		{"wrong secret", "/", []string{"X-API-Key", stranger}, 401},
		{"unknown ID", "/", []string{"X-API-Key", unknown}, 401},
		{"expired", "/", []string{"X-API-Key", old}, 401},
		{"cut", "/", []string{"X-API-Key", key[:len(key)-1]}, 401},
		{"longer", "/", []string{"X-API-Key", key + "a"}, 401},
		{"upper case", "/", []string{"X-API-Key", strings.ToUpper(key)}, 401},
		{"empty", "/", []string{"X-API-Key", ""}, 401},
		{"no prefix", "/", []string{"X-API-Key", strings.TrimPrefix(key, "hf_")}, 401},
		{"no secret", "/", []string{"X-API-Key", "hf_ci-1_"}, 401},
		{"too long", "/", []string{"X-API-Key", "hf_ci-1_" + strings.Repeat("a", 1000)}, 401},
		{"the hash itself", "/", []string{"X-API-Key", "hf_ci-1_" + entry.Hash}, 401},
		{"twice", "/", []string{"X-API-Key", key, "X-API-Key", key}, 401},
		{"two places", "/?key=" + key, []string{"X-API-Key", key}, 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", tt.path, nil)
			for i := 0; i < len(tt.fields); i += 2 {
				r.Header.Add(tt.fields[i], tt.fields[i+1])
			}
			id, err := a.Authenticate(r)
			switch {
			case tt.status == -1:
				if !errors.Is(err, ErrNoCredentials) {
					t.Errorf("error %v, want ErrNoCredentials", err)
				}
			case tt.status != 0:
				wantRefusal(t, err, tt.status, a.Challenge(), key, key[10:40], stranger, unknown, old, entry.Hash)
			case err != nil:
				t.Error(err)
			case id.Subject != "builder" || id.Method != "apikey" || id.ID != "ci-1" || id.Claims["roles"] == nil || id.Issued.IsZero():
				t.Errorf("identity %+v", id)
			}
		})
	}
}

func TestNewAPIKey(t *testing.T) {
	key, entry, err := NewAPIKey("a.B-9")
	if err != nil || !strings.HasPrefix(key, "hf_a.B-9_") || len(key) != len("hf_a.B-9_")+52 {
		t.Fatalf("NewAPIKey = %q, %v", key, err)
	}
	if want := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(key))); entry.Hash != want {
		t.Errorf("hash %q, want %q", entry.Hash, want)
	}
	if other, _, _ := NewAPIKey("a.B-9"); other == key {
		t.Error("two keys are the same")
	}
	for _, id := range []string{"", "a_b", "a b", "ä", strings.Repeat("x", 65)} {
		if _, _, err := NewAPIKey(id); err == nil {
			t.Errorf("NewAPIKey(%q): no error", id)
		}
	}
	entry.Subject, entry.Claims, entry.Expires = "a user", map[string]any{"x": "y z"}, time.Unix(2e9, 0).UTC()
	for _, e := range []APIKey{entry, {ID: "x", Hash: entry.Hash}} {
		back, err := parseAPIKey(e.String())
		if err != nil || back.String() != e.String() || back.Subject != e.Subject || !back.Expires.Equal(e.Expires) {
			t.Errorf("%s becomes %+v, %v", e, back, err)
		}
	}
}

func TestAPIKeyFile(t *testing.T) {
	key, entry, err := NewAPIKey("ann")
	if err != nil {
		t.Fatal(err)
	}
	sum := strings.Repeat("ab", 32)
	for _, tt := range []struct{ text, want string }{
		{"ann " + entry.Hash + "\n\n# more\nbob sha256:" + sum, ""},
		{"ann", "keys:1: "},
		{"\nann sha256:1234", "keys:2: "},
		{"ann sha256:" + sum + "ff", "keys:1: "},
		{"ann sha1:" + sum, "keys:1: "},
		{"a_n sha256:" + sum, "keys:1: "},
		{"ann sha256:" + sum + " {\"subjekt\":\"x\"}", "keys:1: the JSON after the hash"},
		{"ann sha256:" + sum + " {} }", "keys:1: the JSON after the hash"},
		{"ann sha256:" + sum + " {\"expires\":\"tomorrow\"}", "keys:1: "},
		{"ann sha256:" + sum + "\nann sha256:" + sum, "keys:2: two API keys"},
		{key + " sha256:" + sum, "keys:1: the line begins with an API key"},
	} {
		name := filepath.Join(t.TempDir(), "keys")
		if err := os.WriteFile(name, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := NewAPIKeys(APIKeyOptions{File: name})
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: error %v, want one with %q", tt.text, err, tt.want)
		}
		if err != nil && (strings.Contains(err.Error(), key) || strings.Contains(err.Error(), sum)) {
			t.Errorf("the error contains a key or a hash: %v", err)
		}
	}
	for _, o := range []APIKeyOptions{{}, {File: "/does/not/exist"}, {Keys: []APIKey{{ID: "x"}}}} {
		if _, err := NewAPIKeys(o); err == nil {
			t.Errorf("NewAPIKeys(%+v): no error", o)
		}
	}
}

func TestAPIKeyFileReload(t *testing.T) {
	key, entry, err := NewAPIKey("ann")
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "keys")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(name+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(name+".new", name); err != nil {
			t.Fatal(err)
		}
	}
	write("# no keys yet\n")
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-API-Key", key)
	synctest.Test(t, func(t *testing.T) {
		a, err := NewAPIKeys(APIKeyOptions{File: name})
		if err != nil {
			t.Fatal(err)
		}
		_, err = a.Authenticate(r)
		wantRefusal(t, err, 401, a.Challenge(), key)
		write(entry.String() + "\n")
		<-time.After(watch.CheckInterval)
		if _, err := a.Authenticate(r); err != nil {
			t.Errorf("after the key was added: %v", err)
		}
		write("# no keys any more\n")
		if err := a.Reload(); err != nil {
			t.Fatal(err)
		}
		_, err = a.Authenticate(r)
		wantRefusal(t, err, 401, a.Challenge(), key)
	})
}

func BenchmarkAPIKey(b *testing.B) {
	a, key := apiUser(b, "ann")
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-API-Key", key)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Authenticate(r); err != nil {
			b.Fatal(err)
		}
	}
}
