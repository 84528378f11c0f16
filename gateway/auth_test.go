package gateway

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/gateway/internal/registry"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

func TestTokens(t *testing.T) {
	r := run(t, parse(t, users, key))
	wantEcho(t, r.open(t, "/chat", withToken(token("alice", time.Hour, nil))))
	wantEcho(t, r.open(t, "/chat?token="+token("bob", time.Hour, nil), nil))
	c := r.open(t, "/chat", &websocket.DialOptions{Subprotocols: []string{plainPrefix + token("carol", time.Hour, nil)}})
	if got := c.Handshake().Subprotocol; got != "" { // the token is never echoed
		t.Errorf("subprotocol %q", got)
	}
	for name, tt := range map[string]struct {
		opts   *websocket.DialOptions
		path   string
		status int
	}{
		"none":     {nil, "/chat", 401},
		"rubbish":  {withToken(secret("not.a.token-at-all")), "/chat", 401},
		"expired":  {withToken(token("alice", -time.Minute, nil)), "/chat", 401},
		"tampered": {withToken(token("alice", time.Hour, nil) + "x"), "/chat", 401},
		"in vain":  {withToken(token("alice", time.Hour, nil)), "/nothing", 404},
	} {
		e := r.refuse(t, tt.path, tt.opts)
		if e.Status != tt.status || tt.status == 401 && !strings.HasPrefix(e.Header.Get("WWW-Authenticate"), "Bearer ") {
			t.Errorf("%s: %d, %q", name, e.Status, e.Header.Get("WWW-Authenticate"))
		}
	}
	wantEcho(t, r.open(t, "/open", nil))
}

// Rules use the claims of the token. The operator can see which rule made the decision, the client cannot.
func TestRules(t *testing.T) {
	r := run(t, parse(t, `
auth:
	users:
		jwt: {secret: "%s"}
endpoints:
	- name: chat
		path: /chat/{room}
		target: echo
		auth: [users]
		rules:
			- {when: 'user == "mallory"', do: deny}
			- {when: '"admin" in claims.roles', do: allow, actions: [connect]}
			- {when: 'channel != ""', do: allow, channels: ["news-*"]}
`, key))
	admin := map[string]any{"roles": []string{"user", "admin"}}
	wantEcho(t, r.open(t, "/chat/a", withToken(token("alice", time.Hour, admin))))
	for user, rule := range map[string]string{"mallory": `rule 1, deny: user == "mallory"`, "bob": "no rule applies"} {
		claims := admin
		if user == "bob" {
			claims = nil
		}
		e := r.refuse(t, "/chat/a", withToken(token(user, time.Hour, claims)))
		if e.Status != 403 || strings.Contains(string(e.Body), "rule") {
			t.Errorf("%s: %d %s", user, e.Status, e.Body)
		}
		if got := r.rec.refused.List()[0]; got.Rule != rule || got.Endpoint != "chat" || got.Status != 403 {
			t.Errorf("%s: remembered %+v", user, got)
		}
		waitForLog(t, &r.audited, `"refused"`, `"decision":"deny"`, `"user":"`+user+`"`)
	}
	waitForLog(t, &r.audited, `"connected"`, `"decision":"allow"`, `"user":"alice"`, `\"admin\" in claims.roles`)
}

func TestExpiry(t *testing.T) {
	r := run(t, parse(t, users, key))
	ran := bounded.Clock(t)
	c := r.openFor(t, 2*time.Second)
	m, err := c.Read(bounded.Context(t))
	var warning struct {
		Type string `json:"type"`
		In   int    `json:"expires_in"`
	}
	if err == nil {
		err = json.Unmarshal(m.Data, &warning)
	}
	if err != nil || warning.Type != "refresh" || warning.In < 1 || warning.In > 2 {
		t.Errorf("%s, %v", m.Data, err)
	}
	e := readCloseError(t, c)
	if e.Code != auth.CodeExpired || e.Reason != "token expired" || ran() > time.Minute {
		t.Errorf("closed with %v", e)
	}
	waitForLog(t, &r.audited, `"disconnected"`, `"code":4401`, `"user":"alice"`)
	waitForLog(t, &r.log, "msg=closed", "code=4401", "by=local")
}

func TestExpiryNotClosed(t *testing.T) {
	cfg := parse(t, users, key)
	cfg.Endpoints[0].Expiry.Close = false
	r := run(t, cfg)
	c := r.openFor(t, time.Second)
	bounded.Until(t, func() bool { return r.refuse(t, "/chat", withToken(token("x", -time.Second, nil))).Status == 401 })
	wantEcho(t, c)
	for _, e := range r.conns.List(registry.Filter{}) {
		if !e.Identity.Expires.IsZero() {
			t.Errorf("the identity expires at %v", e.Identity.Expires)
		}
	}
}

// Logging out closes all connections of the user and revokes the credential; other users are not affected.
func TestLogout(t *testing.T) {
	r := run(t, parse(t, users+"\nlogout: {path: /logout, auth: [users], origins: [\"https://app.example.com\"]}\n", key))
	alice := token("alice", time.Hour, nil)
	first, second := r.open(t, "/chat", withToken(alice)), r.open(t, "/chat", withToken(alice))
	other := r.open(t, "/chat", withToken(token("bob", time.Hour, nil)))
	url := r.URLs()[0] + "/logout"
	if resp, _ := requestPage(t, "POST", url, nil); resp.StatusCode != 401 {
		t.Errorf("without a token: %d", resp.StatusCode)
	}
	if resp, _ := requestPage(t, "GET", url, nil); resp.StatusCode != 405 {
		t.Errorf("GET: %d", resp.StatusCode)
	}
	evil := http.Header{"Authorization": {"Bearer " + alice}, "Origin": {"https://evil.example"}}
	if resp, _ := requestPage(t, "POST", url, evil); resp.StatusCode != 403 {
		t.Errorf("a page of another origin: %d", resp.StatusCode)
	}
	bounded.Until(t, func() bool { return r.conns.Len() == 3 })
	began := time.Now()
	if resp, _ := requestPage(t, "POST", url, http.Header{"Authorization": {"Bearer " + alice}}); resp.StatusCode != 204 {
		t.Fatalf("logout: %d", resp.StatusCode)
	}
	for _, c := range []*websocket.Conn{first, second} {
		if e := readCloseError(t, c); e.Code != auth.CodeExpired || e.Reason != auth.ReasonRevoked {
			t.Errorf("closed with %v", e)
		}
	}
	t.Logf("closed %v after the logout", time.Since(began))
	wantEcho(t, other)
	if e := r.refuse(t, "/chat", withToken(alice)); e.Status != 401 {
		t.Errorf("the revoked token: %d", e.Status)
	}
	waitForLog(t, &r.audited, `"logged out"`, `"user":"alice"`)
	waitForLog(t, &r.audited, `"closing"`, `"user":"alice"`, `"connections":2`)
}

// A page exchanges its token for a ticket, which is valid for one connection.
func TestTickets(t *testing.T) {
	r := run(t, parse(t, `
auth:
	users:
		jwt: {secret: "%s"}
	tickets:
		ticket: {path: /ticket, auth: [users]}
endpoints:
	- {name: chat, path: /chat, target: echo, auth: [tickets]}
	- {name: other, path: /other, target: echo, auth: [tickets]}
`, key))
	url := r.URLs()[0] + "/ticket"
	ticket := func() string {
		resp, body := requestPage(t, "POST", url, http.Header{"Authorization": {"Bearer " + token("alice", time.Hour, nil)}})
		var got struct {
			Ticket  string
			Expires int `json:"expires_in"`
		}
		if err := json.Unmarshal([]byte(body), &got); err != nil || resp.StatusCode != 200 || got.Expires != 30 {
			t.Fatalf("%d %v", resp.StatusCode, err)
		}
		return secret(got.Ticket)
	}
	if resp, _ := requestPage(t, "POST", url, nil); resp.StatusCode != 401 {
		t.Errorf("without a token: %d", resp.StatusCode)
	}
	one := ticket()
	c := r.open(t, "/chat?ticket="+one, nil)
	wantEcho(t, c)
	if e := r.conns.List(registry.Filter{User: "alice"}); len(e) != 1 || e[0].Identity.Method != "ticket" || e[0].Identity.Expires.IsZero() {
		t.Errorf("%d of alice", len(e))
	}
	if e := r.refuse(t, "/chat?ticket="+one, nil); e.Status != 401 {
		t.Errorf("the second time: %d", e.Status)
	}
	// A ticket that was requested by a program is not valid for a page.
	e := r.refuse(t, "/chat?ticket="+ticket(), &websocket.DialOptions{Header: http.Header{"Origin": {r.URLs()[0]}}})
	if e.Status != 401 {
		t.Errorf("from another origin: %d", e.Status)
	}
	if got := r.rec.refused.List()[0]; got.Path != "/chat" || len(got.Query) != 1 || got.Query[0] != "ticket" {
		t.Errorf("remembered %+v", got)
	}
	waitForLog(t, &r.audited, `"ticket issued"`, `"user":"alice"`)
}

// Each ticket method accepts only its own tickets.
func TestTicketsOfAnotherMethod(t *testing.T) {
	r := run(t, parse(t, `
auth:
	users:
		jwt: {secret: "%s"}
	staff:
		jwt: {secret: "%s"}
	tickets:
		ticket: {path: /ticket, auth: [users]}
	passes:
		ticket: {path: /pass, auth: [staff]}
endpoints:
	- {name: chat, path: /chat, target: echo, auth: [tickets]}
	- {name: vault, path: /vault, target: echo, auth: [passes]}
`, key, secret(strings.Repeat("staff", 8))))
	resp, body := requestPage(t, "POST", r.URLs()[0]+"/ticket?endpoint=vault", http.Header{"Authorization": {"Bearer " + token("alice", time.Hour, nil)}})
	var got struct{ Ticket string }
	if err := json.Unmarshal([]byte(body), &got); err != nil || resp.StatusCode != 200 {
		t.Fatalf("%d %v", resp.StatusCode, err)
	}
	if e := r.refuse(t, "/vault?ticket="+secret(got.Ticket), nil); e.Status != 401 {
		t.Errorf("got %d", e.Status)
	}
}
