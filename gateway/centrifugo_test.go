package gateway

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/observe"
	"github.com/handfast/handfast/webhook"
	"github.com/handfast/handfast/websocket"
)

// post sends a body, with an API key unless key is empty, and returns the response, whose body is open.
func post(t *testing.T, url, key, body string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(bounded.Context(t), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		r.Header.Set("X-API-Key", key)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return res
}

// line returns the next nonempty line of a response.
func line(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	for {
		text, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if text = strings.TrimSpace(text); text != "" {
			return text
		}
	}
}

// appToken signs claims with the secret of an application.
func appToken(secret, claims string) string {
	signed := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// A server without a file serves the protocol to all clients, also over HTTP, and shares its channels with the other protocols.
func TestCentrifugoByDefault(t *testing.T) {
	r := run(t, plainConfig("127.0.0.1:0"))
	base := r.URLs()[0]
	c := r.open(t, "/connection/websocket", nil)
	wantParts(t, sendCommand(t, c, `{"id":1,"connect":{}}`), `"client":"`)
	wantParts(t, sendCommand(t, c, `{"id":2,"subscribe":{"channel":"news"}}`), `"recoverable":true`)

	stream := bufio.NewReader(post(t, base+"/connection/http_stream", "", `{"id":1,"connect":{}}`+"\n"+`{"id":2,"subscribe":{"channel":"news"}}`).Body)
	first := line(t, stream)
	wantParts(t, first, `"session":"`)
	wantParts(t, line(t, stream), `"id":2,"subscribe"`)

	res, err := http.Get(base + "/connection/sse?cf_connect=%7B%22id%22%3A1%2C%22connect%22%3A%7B%7D%7D")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	wantParts(t, line(t, bufio.NewReader(res.Body)), "data: {", `"session":"`)

	other := r.open(t, "/channels", nil)
	readText(t, other)
	wantParts(t, sendCommand(t, other, `{"type":"subscribe","id":1,"channel":"news"}`), `"subscribed"`)
	if res := post(t, base+"/api/publish", devTestSecret, `{"channel":"news","data":{"a":1}}`); res.StatusCode != http.StatusOK {
		t.Fatal(res.Status)
	}
	wantParts(t, readText(t, c), `"data":{"a":1}`)
	wantParts(t, line(t, stream), `"data":{"a":1}`)
	wantParts(t, readText(t, other), `"data":{"a":1}`)

	var connected struct {
		Connect struct{ Session, Node string }
	}
	if err := json.Unmarshal([]byte(first), &connected); err != nil {
		t.Fatal(err)
	}
	emulated, err := json.Marshal(map[string]string{
		"session": connected.Connect.Session, "node": connected.Connect.Node, "data": `{"id":3,"publish":{"channel":"news","data":{"b":2}}}`,
	})
	if err != nil {
		t.Fatal(err)
	}
	if res := post(t, base+"/emulation", "", string(emulated)); res.StatusCode >= 300 {
		t.Fatal(res.Status)
	}
	wantParts(t, readText(t, c), `"data":{"b":2}`)
	wantParts(t, readText(t, other), `"data":{"b":2}`)
	if res := post(t, base+"/api/publish", "wrong", `{"channel":"news","data":1}`); res.StatusCode != http.StatusUnauthorized {
		t.Error(res.Status)
	}
}

// With a file, a client needs a token of the application, and actions that the token does not allow need a rule.
func TestCentrifugoRules(t *testing.T) {
	r := run(t, parse(t, `
endpoints:
- {name: cf, path: /connection/websocket, target: {centrifugo: {app: shop}}, auth: [anonymous],
   rules: [{do: allow, actions: [connect]}, {do: allow, actions: [subscribe], channels: ["news-*"], when: 'claims.staff == true'}]}
apps: [{id: shop, key: k, secret: s}]
`))
	for _, connect := range []string{`{}`, `{"token":"` + appToken("other", `{"sub":"ann"}`) + `"}`} {
		c := r.open(t, "/connection/websocket", nil)
		if err := c.Write(bounded.Context(t), websocket.Message{Type: websocket.Text, Data: []byte(`{"id":1,"connect":` + connect + `}`)}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(bounded.Context(t)); websocket.CloseCode(err) != 3500 {
			t.Errorf("%s: %v", connect, err)
		}
	}
	c := r.open(t, "/connection/websocket", nil)
	wantParts(t, sendCommand(t, c, `{"id":1,"connect":{"token":"`+appToken("s", `{"sub":"ann","staff":true}`)+`"}}`), `"client":"`)
	wantParts(t, sendCommand(t, c, `{"id":2,"subscribe":{"channel":"news-1"}}`), `"id":2,"subscribe"`)
	wantParts(t, sendCommand(t, c, `{"id":3,"subscribe":{"channel":"other"}}`), `"code":103`)
	wantParts(t, sendCommand(t, c, `{"id":4,"publish":{"channel":"news-1","data":1}}`), `"code":103`)
	wantParts(t, sendCommand(t, c, `{"id":5,"subscribe":{"channel":"other","token":"`+appToken("s", `{"sub":"ann","channel":"other"}`)+`"}}`), `"id":5,"subscribe"`)
	plain := r.open(t, "/connection/websocket", nil)
	wantParts(t, sendCommand(t, plain, `{"id":1,"connect":{"token":"`+appToken("s", `{"sub":"bob"}`)+`"}}`), `"client":"`)
	wantParts(t, sendCommand(t, plain, `{"id":2,"subscribe":{"channel":"news-1"}}`), `"code":103`)
	if res, err := http.Get(r.URLs()[0] + "/connection/sse"); err != nil || res.Body.Close() != nil || res.StatusCode == http.StatusNotFound {
		t.Errorf("%v %v", res, err)
	}
}

// The application responds to the calls of clients, possibly with its own error; without a response clients get error 100.
func TestCentrifugoCalls(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if !webhook.Verify([]byte("main-secret"), r.Header, body, time.Now()) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		var call struct{ App, Client, User, Method string }
		if json.Unmarshal(body, &call) != nil || call.App != "main" || call.Client == "" {
			t.Errorf("called with %s", body)
		}
		switch call.Method {
		case "add":
			io.WriteString(w, `{"result":{"data":{"sum":3}}}`)
		case "deny":
			io.WriteString(w, `{"error":{"code":403,"message":"not you"}}`)
		case "odd":
			io.WriteString(w, `{"error":{"code":3,"message":"of the protocol"}}`)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer app.Close()
	r := run(t, parse(t, fmt.Sprintf(`
apps: [{id: main, secret: main-secret}]
endpoints:
  - path: /connection/websocket
    target: {centrifugo: {anonymous: true, rpc: {url: '%s/?key=hunter2'}}}
    auth: [anonymous]
    rules: [{do: allow}]
`, app.URL)))
	c := r.open(t, "/connection/websocket", nil)
	wantParts(t, sendCommand(t, c, `{"id":1,"connect":{}}`), `"client":"`)
	for _, tt := range []struct{ method, want string }{
		{"add", `{"id":2,"rpc":{"data":{"sum":3}}}`},
		{"deny", `{"id":2,"error":{"code":403,"message":"not you"}}`},
		{"odd", `{"id":2,"error":{"code":100,"message":"internal server error","temporary":true}}`},
		{"none", `{"id":2,"error":{"code":100,"message":"internal server error","temporary":true}}`},
	} {
		wantParts(t, sendCommand(t, c, `{"id":2,"rpc":{"method":"`+tt.method+`","data":[1,2]}}`), tt.want)
	}
	waitForLog(t, &r.log, observe.EventCallFailed, "a call was answered with 404")
}

// Pages from the endpoint's origins may use the HTTP fallbacks with cookies; other pages may not.
func TestCentrifugoOrigins(t *testing.T) {
	const app, evil = "https://app.example.com", "https://evil.example"
	r := run(t, parse(t, `
endpoints:
- {name: cf, path: /connection/websocket, target: {centrifugo: {anonymous: true}}, auth: [anonymous], rules: [{do: allow}], origins: ["`+app+`"]}
apps: [{id: main, key: k, secret: s}]
`))
	base := r.URLs()[0]
	for _, tt := range []struct {
		method, path, origin, asks string
		status                     int
		shared                     bool
	}{
		{"OPTIONS", "/connection/http_stream", app, "POST", 204, true},
		{"OPTIONS", "/emulation", app, "POST", 204, true},
		{"OPTIONS", "/connection/sse", app, "GET", 204, true},
		{"OPTIONS", "/emulation", evil, "POST", 403, false},
		{"OPTIONS", "/emulation", app, "DELETE", 404, false},
		{"OPTIONS", "/emulation", "", "", 404, false},
		{"POST", "/emulation", app, "", 400, true},
		{"POST", "/emulation", evil, "", 403, false},
		{"GET", "/connection/sse", app, "", 400, true},
		{"GET", "/connection/sse", "", "", 400, false},
	} {
		req, err := http.NewRequestWithContext(bounded.Context(t), tt.method, base+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range map[string]string{"Origin": tt.origin, "Access-Control-Request-Method": tt.asks} {
			if value != "" {
				req.Header.Set(name, value)
			}
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		h, want, cookies := resp.Header, "", ""
		if tt.shared {
			want, cookies = tt.origin, "true"
		}
		if resp.StatusCode != tt.status || h.Get("Access-Control-Allow-Origin") != want || h.Get("Access-Control-Allow-Credentials") != cookies {
			t.Errorf("%+v: %s %v", tt, resp.Status, h)
		}
		if tt.origin != "" && resp.StatusCode != 404 && h.Get("Vary") != "Origin" {
			t.Errorf("%+v: Vary %q", tt, h.Get("Vary"))
		}
		if headers := h.Get("Access-Control-Allow-Headers"); (resp.StatusCode == 204) != strings.Contains(headers, "Content-Type") || strings.Contains(headers, "X-API-Key") {
			t.Errorf("%+v: %q", tt, headers)
		}
	}
}
