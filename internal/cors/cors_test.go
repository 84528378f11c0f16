package cors

import (
	"net/http/httptest"
	"testing"
)

// A preflight has the method OPTIONS, an Origin, and an Access-Control-Request-Method.
func TestIsPreflight(t *testing.T) {
	for name, c := range map[string]struct {
		method string
		header []string
		want   bool
	}{
		"preflight":           {"OPTIONS", []string{"Origin", "Access-Control-Request-Method"}, true},
		"another method":      {"POST", []string{"Origin", "Access-Control-Request-Method"}, false},
		"no origin":           {"OPTIONS", []string{"Access-Control-Request-Method"}, false},
		"no requested method": {"OPTIONS", []string{"Origin"}, false},
		"neither of the two":  {"OPTIONS", nil, false},
	} {
		r := httptest.NewRequest(c.method, "/", nil)
		for _, h := range c.header {
			r.Header.Set(h, "POST")
		}
		if got := IsPreflight(r); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// The response lists the allowed methods and headers, and has no body.
func TestPreflight(t *testing.T) {
	w := httptest.NewRecorder()
	Preflight(w, "GET, POST", "Authorization")
	h := w.Header()
	if w.Code != 204 || h.Get("Access-Control-Allow-Methods") != "GET, POST" || h.Get("Access-Control-Allow-Headers") != "Authorization" ||
		h.Get("Access-Control-Max-Age") != "600" || h.Get("Access-Control-Allow-Origin") != "" || w.Body.Len() != 0 {
		t.Errorf("%d %v", w.Code, h)
	}
}
