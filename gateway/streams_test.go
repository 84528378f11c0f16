package gateway

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/internal/bounded"
)

// stream makes a request about a stream; headers are names and values.
func stream(t *testing.T, method, url, body string, headers ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(bounded.Context(t), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// A server without a file provides streams to all clients: appended messages arrive in the channel, and vice versa. Pages of other
// origins cannot use them.
func TestStreamsByDefault(t *testing.T) {
	r := run(t, plainConfig("127.0.0.1:0"))
	url := r.URLs()[0] + "/streams/"
	const jsonType = "application/json"
	if resp := stream(t, "PUT", url+"chat", `["first"]`, "Content-Type", jsonType); resp.StatusCode != 201 {
		t.Fatal(resp.Status)
	}
	c := r.open(t, "/channels", nil)
	readText(t, c)
	wantParts(t, sendCommand(t, c, `{"type":"subscribe","id":1,"channel":"chat"}`), `"subscribed"`)
	events := stream(t, "GET", url+"chat?offset=now&live=sse", "")
	if resp := stream(t, "POST", url+"chat", `{"a":1}`, "Content-Type", jsonType); resp.StatusCode != 204 {
		t.Error(resp.Status)
	}
	wantParts(t, readText(t, c), `"data":{"a":1}`)
	wantParts(t, sendCommand(t, c, `{"type":"publish","channel":"chat","data":"third","id":2}`), `"data":"third"`)
	stream(t, "POST", url+"chat", "", "Stream-Closed", "true")
	text, err := io.ReadAll(events.Body)
	if err != nil {
		t.Error(err)
	}
	wantParts(t, string(text), `{"a":1}`, `"third"`, `"streamClosed":true`)

	const evil = "https://evil.example"
	if resp := stream(t, "GET", url+"chat", "", "Origin", evil); resp.StatusCode != 403 || resp.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%s %v", resp.Status, resp.Header)
	}
	resp := stream(t, "OPTIONS", url+"chat", "", "Origin", evil, "Access-Control-Request-Method", "POST")
	if resp.StatusCode != 204 || resp.Header.Get("Access-Control-Allow-Origin") != "" || resp.Header.Get("Access-Control-Allow-Headers") == "" {
		t.Errorf("%s %v", resp.Status, resp.Header)
	}
	if e := r.refuse(t, "/streams/chat", nil); e.Status != 400 || !strings.Contains(string(e.Body), "plain HTTP") {
		t.Errorf("%d %s", e.Status, e.Body)
	}
}

// Requests are authenticated like handshakes, and each action needs a rule; without one it is denied.
func TestStreamsRules(t *testing.T) {
	r := run(t, parse(t, users+`
	- name: rooms
	  path: /rooms/
	  target: streams
	  auth: [users]
	  origins: ["https://app.example.com"]
	  limits: {connections: 2}
	  rules:
	    - {actions: [connect], when: 'user != "eve"', do: allow}
	    - {actions: [history, subscribe], channels: ["chat-*"], do: allow}
	    - {actions: [publish, delete], when: '"admin" in (claims.roles ?? [])', do: allow}
	- {name: closed, path: /closed/, target: streams, auth: [anonymous]}
apps: [{id: main, secret: a}]
`, key))
	url := r.URLs()[0]
	bearer := func(user string, roles ...string) string {
		return "Bearer " + token(user, time.Hour, map[string]any{"roles": roles})
	}
	admin, bob, eve := bearer("ann", "admin"), bearer("bob"), bearer("eve", "admin")
	for _, tt := range []struct {
		method, path, auth string
		status             int
	}{
		{"PUT", "/rooms/chat-1", "", 401},
		{"PUT", "/rooms/chat-1", "Bearer nonsense", 401},
		{"PUT", "/rooms/chat-1", eve, 403},
		{"PUT", "/rooms/chat-1", bob, 403},
		{"PUT", "/rooms/chat-1", admin, 201},
		{"PUT", "/rooms/news", admin, 201},
		{"GET", "/rooms/chat-1", bob, 200},
		{"GET", "/rooms/news", bob, 403},
		{"GET", "/rooms/news?offset=now&live=sse", bob, 403},
		{"POST", "/rooms/chat-1", bob, 403},
		{"DELETE", "/rooms/chat-1", bob, 403},
		{"DELETE", "/rooms/news", admin, 204},
		{"PUT", "/closed/x", "", 403},
		{"GET", "/closed/x", "", 403},
		{"PATCH", "/rooms/chat-1", admin, 405},
	} {
		var headers []string
		if tt.auth != "" {
			headers = []string{"Authorization", tt.auth}
		}
		resp := stream(t, tt.method, url+tt.path, "", headers...)
		if resp.StatusCode != tt.status || tt.status == 401 && resp.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s %s: %s %v", tt.method, tt.path, resp.Status, resp.Header)
		}
	}
	resp := stream(t, "GET", url+"/rooms/chat-1", "", "Authorization", bob, "Origin", "https://app.example.com")
	if resp.Header.Get("Access-Control-Allow-Origin") != "https://app.example.com" || resp.Header.Get("Access-Control-Allow-Credentials") != "true" {
		t.Errorf("%s %v", resp.Status, resp.Header)
	}
	for range 2 {
		stream(t, "GET", url+"/rooms/chat-1?offset=now&live=sse", "", "Authorization", bob)
	}
	if resp := stream(t, "GET", url+"/rooms/chat-1", "", "Authorization", bob); resp.StatusCode != 503 {
		t.Errorf("a third request while two run: %s", resp.Status)
	}
	waitForLog(t, &r.audited, "/rooms/chat-1", "status")
	waitForLog(t, &r.log, "rooms", "status=401")
}
