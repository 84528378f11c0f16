package gateway

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/internal/bounded"
)

// An operator revokes all credentials of a user or a single credential: the connections that use them are closed, and the tokens
// are rejected from then on.
func TestAdminRevokes(t *testing.T) {
	r := run(t, parse(t, users, key))
	alice, again := token("alice", time.Hour, nil), token("alice", 2*time.Hour, nil)
	bob := token("bob", time.Hour, map[string]any{"jti": "bobs-first"})
	first, second, other := r.open(t, "/chat", withToken(alice)), r.open(t, "/chat", withToken(again)), r.open(t, "/chat", withToken(bob))
	bounded.Until(t, func() bool { return r.conns.Len() == 3 })

	var all struct{ Connections []connection }
	_, body := requestPage(t, "GET", r.AdminURL()+"/connections?user=bob", nil)
	if err := json.Unmarshal([]byte(body), &all); err != nil || len(all.Connections) != 1 || all.Connections[0].Credential == "" {
		t.Fatalf("%v: %s", err, body)
	}
	one := url.Values{"credential": {all.Connections[0].Credential}}
	if resp, body := requestPage(t, "POST", r.AdminURL()+"/revocations?"+one.Encode(), nil); resp.StatusCode != 200 {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	if e := readCloseError(t, other); e.Code != auth.CodeExpired || e.Reason != auth.ReasonRevoked {
		t.Errorf("closed with %v", e)
	}
	if e := r.refuse(t, "/chat", withToken(bob)); e.Status != 401 {
		t.Errorf("the revoked token: %d", e.Status)
	}
	wantEcho(t, first)

	if resp, body := requestPage(t, "POST", r.AdminURL()+"/revocations?user=alice", nil); resp.StatusCode != 200 {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	readCloseError(t, first)
	readCloseError(t, second)
	r.refuse(t, "/chat", withToken(again))
	waitForLog(t, &r.audited, `"revoked"`, `"user":"alice"`)
}

func TestAdminRevokeRejectsMistakes(t *testing.T) {
	r := run(t, parse(t, users, key))
	c := r.open(t, "/chat", withToken(token("alice", time.Hour, nil)))
	for _, query := range []string{"", "?user=", "?user=a%0Ab", "?user=" + strings.Repeat("x", maxRevoked+1), "?credential=%ff"} {
		if resp, body := requestPage(t, "POST", r.AdminURL()+"/revocations"+query, nil); resp.StatusCode != 400 {
			t.Errorf("%.20s: %d %s", query, resp.StatusCode, body)
		}
	}
	wantEcho(t, c)
}
