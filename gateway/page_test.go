package gateway

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/gateway/internal/refusals"
	"github.com/handfast/handfast/websocket"
)

const attemptKey = "0123456789abcdefABCDEF"

// outcome requests the outcome of a handshake, as a client whose address is reported by a trusted proxy.
func outcome(t *testing.T, r *running, client, key string) (refusals.Outcome, int) {
	t.Helper()
	resp, body := requestPage(t, "GET", r.URLs()[0]+"/console/attempts/"+key, http.Header{"X-Forwarded-For": {client}})
	var o refusals.Outcome
	if resp.StatusCode == http.StatusOK {
		if err := json.Unmarshal([]byte(body), &o); err != nil {
			t.Fatal(err)
		}
	}
	if resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: the response may be cached: %v", client, resp.Header)
	}
	return o, resp.StatusCode
}

// The page gets the content of the response to its own handshake, and nothing about the handshakes of others.
func TestPageGetsOutcomeOfItsHandshake(t *testing.T) {
	r := run(t, parse(t, users+`
	- {name: members, path: /members, target: echo, auth: [users], rules: [{when: '"member" in claims.roles', do: allow}]}
console: true
trusted_proxies: [127.0.0.1]
`, key))
	const ann, bob = "192.0.2.1", "192.0.2.2"
	expired := token("alice", -time.Hour, nil)
	for i, tt := range []struct {
		path, token, origin string
		want                refusals.Outcome
	}{
		{"/open", "", "", refusals.Outcome{Status: 101}},
		{"/none", "", "", refusals.Outcome{Status: 404, Stage: "request", Reason: "there is no endpoint at this path"}},
		{"/chat", "", "", refusals.Outcome{Status: 401, Stage: "check", Reason: "The credentials are missing or not valid."}},
		{"/chat", expired, "", refusals.Outcome{Status: 401, Stage: "check", Reason: "The credentials are missing or not valid."}},
		{"/members", token("alice", time.Hour, map[string]any{"roles": []string{}}), "", refusals.Outcome{Status: 403, Stage: "rules", Reason: "This is not allowed."}},
		{"/open", "", "https://other.example", refusals.Outcome{Status: 403, Stage: "origin", Reason: `other.example`}},
	} {
		key := attemptKey + string(rune('a'+i))
		opts := &websocket.DialOptions{Header: http.Header{"X-Forwarded-For": {ann}}}
		if tt.token != "" {
			opts.Header.Set("Authorization", "Bearer "+tt.token)
		}
		if tt.origin != "" {
			opts.Header.Set("Origin", tt.origin)
		}
		path := tt.path + "?" + attemptName + "=" + key
		if tt.want.Status == http.StatusSwitchingProtocols {
			wantEcho(t, r.open(t, path, opts))
		} else {
			r.refuse(t, path, opts)
		}
		got, _ := outcome(t, r, ann, key)
		if got.Status != tt.want.Status || got.Stage != tt.want.Stage || !strings.Contains(got.Reason, tt.want.Reason) {
			t.Errorf("%s: %+v, want %+v", tt.path, got, tt.want)
		}
		if tt.token != "" && strings.Contains(got.Reason+got.Hint, "expired") {
			t.Errorf("the outcome reveals which part of the credential was wrong: %+v", got)
		}
		for _, other := range [][2]string{{bob, key}, {ann, attemptKey + "x"}, {ann, "short"}} {
			if o, status := outcome(t, r, other[0], other[1]); status != http.StatusNotFound {
				t.Errorf("%v sees %+v", other, o)
			}
		}
	}
	if strings.Contains(r.log.String()+r.audited.String(), attemptKey) {
		t.Error("the key of an attempt is in a log")
	}
}

// The page's marker is removed from the query, but only for handshakes with a server that has the page.
func TestTakeAttempt(t *testing.T) {
	for _, tt := range []struct{ query, key, rest string }{
		{"", "", ""},
		{"room=7", "", "room=7"},
		{attemptName + "=" + attemptKey, attemptKey, ""},
		{"a=1&" + attemptName + "=" + attemptKey + "&b=%20", attemptKey, "a=1&b=%20"},
		{attemptName + "=short&a", "", "a"},
		{"x" + attemptName + "=" + attemptKey, "", "x" + attemptName + "=" + attemptKey},
	} {
		r := httptest.NewRequest(http.MethodGet, "/chat?"+tt.query, nil)
		r.Header.Set("Upgrade", "websocket")
		before := r.URL
		if key := takeAttempt(r); key != tt.key || r.URL.RawQuery != tt.rest || before.RawQuery != tt.query {
			t.Errorf("%q: %q, %q", tt.query, key, r.URL.RawQuery)
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/chat?"+attemptName+"="+attemptKey, nil)
	if key := takeAttempt(r); key != "" || r.URL.RawQuery == "" {
		t.Errorf("a page: %q, %q", key, r.URL.RawQuery)
	}
}

func TestServerWithoutPageStoresNoAttempt(t *testing.T) {
	r := run(t, parse(t, users, key))
	r.refuse(t, "/chat?"+attemptName+"="+attemptKey, nil)
	for _, path := range []string{"/console/endpoints", "/console/attempts/" + attemptKey} {
		if resp, _ := requestPage(t, "GET", r.URLs()[0]+path, nil); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
}

// The page lists the endpoints of its host with the details that a client needs for connecting, and nothing else.
func TestPageListsEndpoints(t *testing.T) {
	r := run(t, parse(t, `
console: true
auth:
	users: {jwt: {secret: "%[1]s", from: [bearer, subprotocol, "subprotocol:t.", kubernetes]}}
	tickets: {ticket: {path: /ticket, auth: [users]}}
	programs: {apikey: {keys: [{id: ci, hash: "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}]}}
apps: [{id: main, key: k, secret: "%[1]s"}]
endpoints:
	- {name: secret-name, path: /chat, target: echo, auth: [users, tickets], subprotocols: [chat.v1]}
	- {path: /open, target: echo, auth: [anonymous]}
	- {path: /programs, target: channels, auth: [programs]}
	- {path: /elsewhere, hosts: [other.example.com], target: echo, auth: [anonymous]}
	- {path: /streams/, target: streams, auth: [anonymous]}
	- {path: /balanced, target: {balance: {to: ["ws://127.0.0.1:1"]}}, auth: [anonymous]}
`, key))
	resp, body := requestPage(t, "GET", r.URLs()[0]+"/console/endpoints", nil)
	const want = `{"endpoints":[` +
		`{"path":"/chat","protocol":"echo","open":false,"subprotocols":["chat.v1"],"token_prefixes":["handfast.token.","t."],"kubernetes":true,` +
		`"tickets":[{"path":"/ticket","query":"ticket"}],"elsewhere":true},` +
		`{"path":"/open","protocol":"echo","open":true},` +
		`{"path":"/programs","protocol":"channels","open":false,"elsewhere":true},` +
		`{"path":"/balanced","open":true}]}`
	if got := strings.Join(strings.Fields(body), ""); got != want || resp.StatusCode != http.StatusOK {
		t.Errorf("%d\n%s\nwant\n%s", resp.StatusCode, got, want)
	}
	if _, body := requestPage(t, "GET", r.URLs()[0]+"/console/endpoints", http.Header{"Host": {"other.example.com:1"}}); !strings.Contains(body, "/elsewhere") {
		t.Errorf("for its host: %s", body)
	}
}
