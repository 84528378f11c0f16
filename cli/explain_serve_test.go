package cli

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handfast/handfast/explain"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// For each refusal by serve that a single client can cause, explain reports the fault and the configuration key.
func TestExplainOfServe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "handfast.yaml")
	if err := os.WriteFile(file, []byte(`
listen: [{address: "127.0.0.1:0", hosts: [localhost, 127.0.0.1], tls: off}]
admin: {address: "127.0.0.1:0"}
http: {max_head: 2KiB}
auth: {users: {jwt: {secret: "this key signs the tokens of the tests", from: [bearer]}}}
endpoints:
  - {path: /open, target: echo, auth: [anonymous]}
  - {path: /users, target: echo, auth: [users]}
  - {path: /page, target: echo, auth: [anonymous], origins: ["https://app.example"]}
  - {path: /deny, target: echo, auth: [anonymous], rules: [{do: deny}]}
  - {path: /full, target: echo, auth: [anonymous], limits: {connections: 1}}
  - {path: /slow, target: echo, auth: [anonymous], limits: {handshakes_per_second: 0.001}}
  - {path: /channels, target: channels, auth: [anonymous], rules: [{do: allow}]}
  - {path: /centrifugo, target: {centrifugo: {anonymous: true}}, auth: [anonymous], rules: [{do: allow}]}
  - {path: /streams/, target: streams, auth: [anonymous], rules: [{do: allow}]}
apps: [{id: main, secret: "this key is for channels"}]
`), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startServe(t, "--config", file)
	t.Cleanup(func() {
		s.signals <- os.Interrupt
		bounded.Receive(t, s.code)
	})
	at := strings.TrimSuffix(s.banner["open"], "/open")
	c, err := websocket.Dial(bounded.Context(t), at+"/full", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	for range 100 { // uses up the burst of the rate limit
		c, err := websocket.Dial(bounded.Context(t), at+"/slow", nil)
		if err != nil {
			break
		}
		c.CloseNow()
	}
	for _, tt := range []struct {
		path  string
		flags []string
		fault explain.Fault
		texts []string // parts of the cause or of the steps
	}{
		{"/open", []string{"-H", "Host: evil.example"}, explain.FaultStatusOther, []string{"does not serve the host name", "hosts of the listener",
			`Host is "evil.example", but the URL names "127.0.0.1:`, `and the Origin is "http://127.0.0.1:`}},
		{"/open", []string{"-H", "Host: localhost"}, explain.FaultOrigin, []string{`Host is "localhost", but the URL names "127.0.0.1:`, "--origin http://localhost"}},
		{"/nothing", nil, explain.FaultStatus404, []string{"no endpoint at this path", "endpoints"}},
		{"//open", nil, explain.FaultStatus400, []string{"refuses the path"}},
		{"/users", nil, explain.FaultStatus401, []string{"--bearer", "of the endpoint in handfast's configuration", "token check"}},
		{"/users", []string{"--bearer", "nonsense"}, explain.FaultStatus401, []string{"of the endpoint in handfast's configuration", "token check"}},
		{"/page", []string{"--origin", "https://evil.example"}, explain.FaultOrigin, []string{"origins:"}},
		{"/deny", nil, explain.FaultStatus403, []string{"A rule", "rules of the endpoint"}},
		{"/full", nil, explain.FaultStatus503, []string{"limits.connections of the endpoint", "Retry-After"}},
		{"/slow", nil, explain.FaultStatus429, []string{"handshakes_per_second", "Retry-After"}},
		{"/channels", []string{"--subprotocol", "chat"}, explain.FaultStatus400, []string{"has the target channels", "--subprotocol handfast.v1.json"}},
		{"/centrifugo", []string{"--subprotocol", "chat"}, explain.FaultStatus400, []string{"has the target centrifugo", "--subprotocol centrifuge-json"}},
		{"/streams/a", nil, explain.FaultStatus400, []string{"has the target streams", "endpoint with the target channels"}},
		{"/open", []string{"-H", "X-Filler: " + strings.Repeat("x", 32<<10)}, explain.FaultStatusOther, []string{"http.max_head", "cookies"}},
	} {
		t.Run(tt.path+strings.Join(tt.flags, " ")[:min(20, len(strings.Join(tt.flags, " ")))], func(t *testing.T) {
			explains(t, at+tt.path, tt.flags, tt.fault, tt.texts)
		})
	}
}

// explains runs explain, and checks its finding and the text of its cause and steps.
func explains(t *testing.T, url string, flags []string, fault explain.Fault, texts []string) {
	t.Helper()
	got := runCommand(t, append(append([]string{"explain", "--json", "--proxy", "none"}, flags...), url)...)
	var r explain.Report
	if err := json.Unmarshal([]byte(got.stdout), &r); err != nil || r.Diagnosis == nil {
		t.Fatalf("%v, %s%s", err, got.stdout, got.stderr)
	}
	d := r.Diagnosis
	text := strings.Join(append(append([]string{d.Cause}, d.ForOwner...), d.ForClient...), "\n")
	for _, want := range texts {
		if d.ID != fault || !strings.Contains(text, want) {
			t.Errorf("%s, no %q in:\n%s\n%q", d.ID, want, text, d.Evidence)
		}
	}
}

// If one open connection has reached a limit, explain names the configuration key of that limit.
func TestExplainOfFullServe(t *testing.T) {
	const key = "this key signs the tokens of the tests"
	token := strings.TrimSpace(runCommand(t, "token", "jwt", "--sub", "ann", "--secret-file", secretFile(t, "secret", key)).stdout)
	for name, tt := range map[string]struct {
		limits, of string // the limits of the server, and the limits of its endpoint
		fault      explain.Fault
		text       string
	}{
		"server":   {"{connections: 1}", "{}", explain.FaultStatus503, "Raise limits.connections, or add a node."},
		"endpoint": {"{}", "{connections: 1}", explain.FaultStatus503, "limits.connections of the endpoint"},
		"address":  {"{connections_per_address: 1}", "{}", explain.FaultStatus429, "limits.connections_per_address"},
		"user":     {"{}", "{connections_per_identity: 1}", explain.FaultStatus429, "limits.connections_per_identity"},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, "serve", "--config", secretFile(t, "handfast.yaml", `
listen: [{address: "127.0.0.1:0", tls: off}]
admin: {address: off}
limits: `+tt.limits+`
auth: {users: {jwt: {secret: "`+key+`", from: [bearer]}}}
endpoints: [{path: /users, target: echo, auth: [users], limits: `+tt.of+`}]
`))
			t.Cleanup(func() {
				s.signals <- os.Interrupt
				bounded.Receive(t, s.code)
			})
			c, err := websocket.Dial(bounded.Context(t), s.banner["users"], &websocket.DialOptions{Header: http.Header{"Authorization": {"Bearer " + token}}})
			if err != nil {
				t.Fatal(err)
			}
			defer c.CloseNow()
			explains(t, s.banner["users"], []string{"--bearer", token}, tt.fault, []string{tt.text})
		})
	}
}

// A WebSocket at the path of a page gets a different reason than one at an unknown path.
func TestExplainOfPage(t *testing.T) {
	s := startServe(t, "--listen", "127.0.0.1:0", "--tls", "off")
	defer func() {
		s.signals <- os.Interrupt
		bounded.Receive(t, s.code)
	}()
	page := strings.TrimSuffix(s.banner["echo"], "echo")
	got := runCommand(t, "explain", "--proxy", "none", page)
	if !strings.Contains(got.stdout, "handfast has a page at this path, but no endpoint for WebSockets.") {
		t.Errorf("%s%s", got.stdout, got.stderr)
	}
	if got := runCommand(t, "dial", "--proxy", "none", page); !strings.Contains(got.stderr, "There is a page at this path, but no WebSocket endpoint.") {
		t.Errorf("%s", got.stderr)
	}
}
