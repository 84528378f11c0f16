package gateway

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

func TestAdminPages(t *testing.T) {
	cfg := parse(t, users, key)
	cfg.Admin.Pprof = true
	r := run(t, cfg)
	wantEcho(t, r.open(t, "/chat", withToken(token("alice", time.Hour, nil))))
	r.refuse(t, "/chat?room=7", nil)
	for path, want := range map[string]string{
		"/livez":                   "ok",
		"/readyz":                  "ok",
		"/":                        "/handshakes",
		"/metrics":                 `handfast_connections{endpoint="chat"} 1`,
		"/connections?user=alice":  `"endpoint": "chat"`,
		"/handshakes":              `"status": 401`,
		"/handshakes?format=text":  "request   GET /chat?room=…",
		"/debug/pprof/":            "goroutine",
		"/debug/pprof/cmdline":     "",
		"/connections?addr=::1":    `"total": 0`,
		"/connections?addr=10/8":   "addr must",
		"/connections?limit=99999": "limit must",
	} {
		resp, body := requestPage(t, "GET", r.AdminURL()+path, nil)
		bad := strings.Contains(path, "10/8") || strings.Contains(path, "99999")
		if (resp.StatusCode == 200) == bad || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
	if resp, body := requestPage(t, "GET", r.AdminURL()+"/metrics", nil); resp.StatusCode == 200 {
		for _, want := range []string{
			`handfast_connections_opened_total{endpoint="chat"} 1`,
			`handfast_handshakes_refused_total{endpoint="chat",stage="check",status="401"} 1`,
			`handfast_auth_duration_seconds_count{method="jwt",outcome="known"} 1`,
			"handfast_handshakes_pending", "handfast_draining 0", "handfast_build_info", "go_goroutines", "process_open_fds",
		} {
			if !strings.Contains(body, want) {
				t.Errorf("no %s", want)
			}
		}
	}
	cfg.Admin.Pprof = false
	if resp, _ := requestPage(t, "GET", run(t, cfg).AdminURL()+"/debug/pprof/", nil); resp.StatusCode != 404 {
		t.Errorf("pprof is off, but responds: %d", resp.StatusCode)
	}
}

// A server whose program cannot reload reports that in its response. Requests from pages and GET requests do not cause a
// reload.
func TestAdminReload(t *testing.T) {
	r := run(t, parse(t, users, key))
	for _, tt := range []struct {
		method, origin string
		status         int
	}{{"POST", "", 501}, {"POST", "https://attacker.example", 403}, {"GET", "", 405}} {
		h := http.Header{}
		if tt.origin != "" {
			h.Set("Origin", tt.origin)
		}
		if resp, body := requestPage(t, tt.method, r.AdminURL()+"/reload", h); resp.StatusCode != tt.status {
			t.Errorf("%s from %q: %d %s", tt.method, tt.origin, resp.StatusCode, body)
		}
	}
}

func TestAdminCloses(t *testing.T) {
	r := run(t, parse(t, users, key))
	alice, bob := withToken(token("alice", time.Hour, nil)), withToken(token("bob", time.Hour, nil))
	for _, tt := range []struct {
		name, method, path string
		code               websocket.Code
		reason             string
		status             int
		bobToo             bool
	}{
		{"by user", "DELETE", "/connections?user=alice", 1008, "closed by an operator", 200, false},
		{"with a code", "DELETE", "/connections?user=alice&code=4401&reason=bye", 4401, "bye", 200, false},
		{"with the code of a missing extension", "DELETE", "/connections?user=alice&code=1010", 1010, "closed by an operator", 200, false},
		{"by POST", "POST", "/connections/close?user=alice&code=1012&reason=", 1012, "", 200, false},
		{"by address", "DELETE", "/connections?addr=127.0.0.0/8", 1008, "closed by an operator", 200, true},
		{"by endpoint", "DELETE", "/connections?endpoint=chat", 1008, "closed by an operator", 200, true},
		{"by id", "DELETE", "/connections/ID", 1008, "closed by an operator", 200, false},
		{"all", "DELETE", "/connections?all=true", 1008, "closed by an operator", 200, true},
		{"no match", "DELETE", "/connections?user=carol", 0, "", 200, false},
		{"no such id", "DELETE", "/connections/NONE", 0, "", 404, false},
		{"all by mistake", "DELETE", "/connections", 0, "", 400, false},
		{"no code", "DELETE", "/connections?all=true&code=1006", 0, "", 400, false},
		{"a code of the future", "DELETE", "/connections?all=true&code=1016", 0, "", 400, false},
		{"no number", "DELETE", "/connections?all=true&code=many", 0, "", 400, false},
		{"too much to say", "DELETE", "/connections?all=true&reason=" + strings.Repeat("x", 124), 0, "", 400, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := r.open(t, "/chat", alice), r.open(t, "/chat", bob)
			var all struct{ Connections []connection }
			bounded.Until(t, func() bool {
				_, body := requestPage(t, "GET", r.AdminURL()+"/connections?user=alice", nil)
				if err := json.Unmarshal([]byte(body), &all); err != nil {
					t.Fatal(err)
				}
				return len(all.Connections) == 1 && r.conns.Len() == 2
			})
			resp, body := requestPage(t, tt.method, r.AdminURL()+strings.Replace(tt.path, "ID", all.Connections[0].ID, 1), nil)
			if resp.StatusCode != tt.status {
				t.Fatalf("%d %s", resp.StatusCode, body)
			}
			if tt.code != 0 {
				if e := readCloseError(t, a); e.Code != tt.code || e.Reason != tt.reason {
					t.Errorf("closed with %v", e)
				}
			} else {
				wantEcho(t, a)
			}
			if tt.bobToo {
				readCloseError(t, b)
			} else {
				wantEcho(t, b)
			}
			a.CloseNow()
			b.CloseNow()
			bounded.Until(t, func() bool { return r.conns.Len() == 0 })
		})
	}
	waitForLog(t, &r.audited, `"closing"`, `"user":"alice"`, `"code":4401`)
}

// Without a token, a page in a local browser must not be able to use the admin listener.
func TestAdminRejectsPages(t *testing.T) {
	r := run(t, parse(t, "endpoints: [{path: /open, target: echo, auth: [anonymous]}]"))
	u, err := url.Parse(r.AdminURL())
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, method string
		header       http.Header
		status       int
	}{
		{"a program", "GET", http.Header{}, 200},
		{"by name", "GET", http.Header{"Host": {"localhost:" + u.Port()}}, 200},
		{"DNS rebinding", "GET", http.Header{"Host": {"evil.example:" + u.Port()}}, 421},
		{"another loopback name", "GET", http.Header{"Host": {"localhost.evil.example"}}, 421},
		{"a page", "GET", http.Header{"Origin": {"https://evil.example"}}, 403},
		{"a page of a file", "GET", http.Header{"Origin": {"null"}}, 403},
		{"a form", "DELETE", http.Header{"Origin": {"https://evil.example"}}, 403},
		{"a form without an origin", "DELETE", http.Header{"Sec-Fetch-Site": {"cross-site"}}, 403},
		{"a program that closes", "DELETE", http.Header{}, 200},
	} {
		if tt.header.Get("Host") == "" {
			tt.header.Set("Host", u.Host)
		}
		resp, body := requestPage(t, tt.method, r.AdminURL()+"/connections?all=true", tt.header)
		if resp.StatusCode != tt.status {
			t.Errorf("%s: %d %s", tt.name, resp.StatusCode, body)
		}
	}
}

func TestAdminToken(t *testing.T) {
	cfg := parse(t, "admin: {address: \"0.0.0.0:0\", token: x}\nendpoints: [{path: /open, target: echo, auth: [anonymous]}]")
	cfg.Admin.Token = config.Secret{}
	_, err := Open(t.Context(), Options{Config: cfg})
	e, ok := errors.AsType[*ListenError](err)
	if !ok || !strings.Contains(e.Error(), "no token") || !strings.Contains(e.Hint, "admin.token") {
		t.Fatalf("without a token: %v", err)
	}
	cfg.Admin.Token = config.NewSecret(secret("let-me-look-at-it"))
	r := run(t, cfg)
	for _, tt := range []struct {
		path, shown string
		status      int
	}{
		{"/livez", "", 200},
		{"/readyz", "", 200},
		{"/metrics", "", 401},
		{"/connections", "Bearer wrong", 401},
		{"/connections", "Basic let-me-look-at-it", 401},
		{"/connections", "Bearer let-me-look-at-it", 200},
		{"/handshakes", "bearer let-me-look-at-it", 200},
	} {
		resp, _ := requestPage(t, "GET", r.AdminURL()+tt.path, http.Header{"Authorization": {tt.shown}})
		if resp.StatusCode != tt.status || (tt.status == 401) != (resp.Header.Get("WWW-Authenticate") != "") {
			t.Errorf("%s with %q: %d", tt.path, tt.shown, resp.StatusCode)
		}
	}
}

func TestAdminAddressTaken(t *testing.T) {
	r := run(t, parse(t, "endpoints: [{path: /open, target: echo, auth: [anonymous]}]"))
	cfg := parse(t, "admin: {address: %q}\nendpoints: [{path: /open, target: echo, auth: [anonymous]}]",
		strings.TrimPrefix(r.AdminURL(), "http://"))
	_, err := Open(t.Context(), Options{Config: cfg})
	if e, ok := errors.AsType[*ListenError](err); !ok || !strings.Contains(e.Error(), "in use") {
		t.Errorf("got %v", err)
	}
}
