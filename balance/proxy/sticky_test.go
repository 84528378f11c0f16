package proxy

import (
	"net/http"
	"strings"
	"testing"
)

// A cookie leads to the server that it was made for, with the same secret only, and shows nothing of it.
func TestSticky(t *testing.T) {
	s, same, other := NewSticky("hf", []byte("k1")), NewSticky("hf", []byte("k1")), NewSticky("hf", []byte("k2"))
	const id = "ws://10.0.0.1:9000"
	c := s.Cookie(id, false)
	r, _ := http.NewRequest(http.MethodGet, "http://a/", nil)
	if s.Shown(r) != "" || s.Is("", id) {
		t.Error("a client without a cookie")
	}
	r.AddCookie(c)
	v := s.Shown(r)
	if !s.Is(v, id) || !same.Is(v, id) || other.Is(v, id) || s.Is(v, "ws://10.0.0.2:9000") || strings.Contains(v, "10") && strings.Contains(v, "9000") {
		t.Errorf("value %q", v)
	}
	if !c.HttpOnly || c.Secure || c.SameSite != http.SameSiteLaxMode || c.Path != "/" {
		t.Errorf("%v", c)
	}
	if c := s.Cookie(id, true); !c.Secure || c.SameSite != http.SameSiteNoneMode {
		t.Errorf("over TLS: %v", c)
	}
}
