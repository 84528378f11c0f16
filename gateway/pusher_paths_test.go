package gateway

import (
	"net/http"
	"testing"
)

// In the paths of the HTTP API, channel names may contain a semicolon, and user names a slash.
func TestPusherNamesInPaths(t *testing.T) {
	r := run(t, parse(t, `
endpoints:
- {name: push, path: "/app/{key}", target: pusher, auth: [anonymous], rules: [{do: allow}]}
apps: [{id: shop, key: k, secret: s}]
`))
	for path, want := range map[string]int{
		"/apps/shop/users/a;b/terminate_connections":      http.StatusOK,
		"/apps/shop/users/a%3Bb/terminate_connections":    http.StatusOK,
		"/apps/shop/users/a%2Fb/terminate_connections":    http.StatusOK,
		"/apps/shop/users/a%5Cb/terminate_connections":    http.StatusBadRequest,
		"/apps/shop/users/..%2Fb/terminate_connections":   http.StatusBadRequest,
		"/apps/shop/users/a%2F%2Fb/terminate_connections": http.StatusBadRequest,
		"/other/a;b": http.StatusBadRequest,
	} {
		if status, text := trigger(t, r.URLs()[0], path, "k", "s", "{}"); status != want {
			t.Errorf("%s: %d %q, want %d", path, status, text, want)
		}
	}
	if status, body := raw(t, r, "GET /apps/shop/channels/a;b HTTP/1.1\r\n"+upgradeHead+"\r\n"); status != http.StatusBadRequest {
		t.Errorf("a handshake: %d %q", status, body)
	}
}
