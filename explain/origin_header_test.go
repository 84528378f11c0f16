package explain

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/handfast/handfast/websocket"
)

// An Origin in the option Header is the origin of the page, also in the report. The probe with the origin of another site replaces it.
func TestOriginInHeader(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen = append(seen, r.Header.Get("Origin"))
		mu.Unlock()
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{AnyOrigin: true})
		if err != nil {
			return
		}
		defer c.CloseNow()
		c.Read(r.Context()) //nolint:errcheck // the call returns when the client has disconnected
	}))
	defer server.Close()
	const page = "https://page.example"
	header := http.Header{"origin": {page}, "X-Other": {"stays"}}
	r := Explain(t.Context(), "ws"+strings.TrimPrefix(server.URL, "http"), &Options{Header: header})
	if !r.Opened || r.Target.Origin != page {
		t.Errorf("opened %v from %q", r.Opened, r.Target.Origin)
	}
	mu.Lock()
	defer mu.Unlock()
	if want := []string{page, foreignOrigin}; !slices.Equal(seen, want) {
		t.Errorf("the server has seen %q, want %q", seen, want)
	}
	if len(header) != 2 {
		t.Errorf("the caller's header is %v", header)
	}
}

// Non-ASCII letters that fold to ASCII letters do not equal these letters in a token.
func TestEqualFoldIsOfASCII(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"WebSocket", "websocket", true}, {"web\u017focket", "websocket", false}, {"\u212aeep-alive", "keep-alive", false}, {"", "", true},
		{"web\u017focket", "WEB\u017fOCKET", true},
	} {
		if got := equalFold(tt.a, tt.b); got != tt.want {
			t.Errorf("%q and %q: %v", tt.a, tt.b, got)
		}
	}
}
