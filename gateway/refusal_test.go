package gateway

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/websocket"
)

// The response to a client with a wrong credential does not depend on the mistake: it does not reveal whether the user exists, the
// signature is wrong or the token has expired. The audit log contains the mistake.
func TestRefusalsDoNotSayWhatWasWrong(t *testing.T) {
	apiKey, entry, err := auth.NewAPIKey("robot")
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := auth.NewAPIKey("stranger")
	if err != nil {
		t.Fatal(err)
	}
	hash, err := auth.HashPassword(secret("correct horse battery staple"))
	if err != nil {
		t.Fatal(err)
	}
	passwords := filepath.Join(t.TempDir(), "passwords")
	if err := os.WriteFile(passwords, []byte("paul:"+hash+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := run(t, parse(t, `
auth:
	tokens: {jwt: {secret: "%s", audience: [chat]}}
	keys: {apikey: {keys: [{id: %s, hash: %q}]}}
	passwords: {basic: {file: %q}}
endpoints:
	- {path: /token, target: echo, auth: [tokens]}
	- {path: /key, target: echo, auth: [keys]}
	- {path: /password, target: echo, auth: [passwords]}
`, key, entry.ID, entry.Hash, passwords))
	basic := func(user, password string) *websocket.DialOptions {
		req := &http.Request{Header: http.Header{}}
		req.SetBasicAuth(user, secret(password))
		return &websocket.DialOptions{Header: req.Header}
	}
	apikey := func(text string) *websocket.DialOptions {
		return &websocket.DialOptions{Header: http.Header{"X-Api-Key": {secret(text)}}}
	}
	chat := map[string]any{"aud": "chat"}
	for path, credentials := range map[string]map[string]*websocket.DialOptions{
		"/token": {
			"expired": withToken(token("alice", -time.Hour, chat)), "another signature": withToken(token("alice", time.Hour, chat) + "x"),
			"another audience": withToken(token("alice", time.Hour, map[string]any{"aud": "shop"})),
			"not yet valid":    withToken(token("alice", time.Hour, map[string]any{"aud": "chat", "nbf": time.Now().Add(time.Hour).Unix()})),
		},
		"/key":      {"unknown": apikey(other), "wrong secret": apikey(apiKey[:len(apiKey)-1] + "x"), "not a key": apikey("rubbish-that-is-not-a-key")},
		"/password": {"unknown user": basic("peter", "wrong horse"), "wrong password": basic("paul", "wrong horse")},
	} {
		first, from := "", ""
		for name, opts := range credentials {
			e := r.refuse(t, path, opts)
			got := fmt.Sprint(e.Status, e.Header["Www-Authenticate"], string(e.Body))
			if first == "" {
				first, from = got, name
			}
			if got != first || !strings.HasPrefix(got, "401") {
				t.Errorf("%s, %s: %s\n%s: %s", path, name, got, from, first)
			}
		}
	}
	waitForLog(t, &r.audited, `"refused"`, "expired")
}
