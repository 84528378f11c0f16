package gateway

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handfast/handfast/balance/proxy"
	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/internal/bounded"
)

// pools is a configuration with two pools; the second one contains a different server.
const pools = `
admin: {address: 127.0.0.1:0}
endpoints:
	- {name: one, path: /one, target: {balance: {to: ['127.0.0.1:1'], health: off}}, auth: [anonymous]}
	- {name: two, path: /two, target: {balance: {to: ['127.0.0.1:1', '127.0.0.1:2'], health: off}}, auth: [anonymous]}
`

// A server is added to all pools or removed from all of them, or nothing changes.
func TestServersOfSeveralPools(t *testing.T) {
	r := run(t, parse(t, pools))
	listed := func(id string) (n int) {
		t.Helper()
		_, body := r.callAdmin(t, "GET", "/balance", nil)
		return strings.Count(body, `"`+id+`"`)
	}
	server := func(id, endpoint string) url.Values {
		v := url.Values{"server": {id}}
		if endpoint != "" {
			v.Set("endpoint", endpoint)
		}
		return v
	}
	for _, tt := range []struct {
		method, id, endpoint string
		status, listed       int
		says                 string
	}{
		{"POST", "ws://127.0.0.1:2", "", 400, 1, `of the endpoint "two"`}, // the server was added to the first pool
		{"POST", "ws://127.0.0.1:2", "one", 200, 2, ""},
		{"DELETE", "ws://127.0.0.1:2", "", 400, 2, `of the endpoint "two"`},
		{"DELETE", "ws://127.0.0.1:2", "one", 200, 1, ""},
		{"POST", "ws://127.0.0.1:3", "", 200, 2, ""},
		{"POST", "ws://127.0.0.1:3", "", 200, 2, ""}, // with another weight
		{"DELETE", "ws://127.0.0.1:3", "", 200, 0, ""},
		{"POST", "ws://127.0.0.1:4", "two", 200, 1, ""},
		{"DELETE", "ws://127.0.0.1:4", "", 200, 0, ""}, // the first pool does not contain the server
		{"DELETE", "ws://127.0.0.1:4", "", 404, 0, "there is no server"},
	} {
		status, body := r.callAdmin(t, tt.method, "/balance/servers", server(tt.id, tt.endpoint))
		if n := listed(tt.id); status != tt.status || !strings.Contains(body, tt.says) || n != tt.listed {
			t.Errorf("%s %s %s: got %d %s in %d pools, want %d in %d", tt.method, tt.id, tt.endpoint, status, body, n, tt.status, tt.listed)
		}
	}
}

// If an operator cannot add or remove a server, the response says where that server is configured and how a change there takes effect.
func TestConfiguredServers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "servers")
	if err := os.WriteFile(file, []byte("127.0.0.1:2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := run(t, parse(t, `
admin: {address: 127.0.0.1:0}
endpoints:
	- {name: one, path: /, target: {balance: {to: ['127.0.0.1:1'], file: `+file+`, dns: {url: 'ws://localhost:3', every: 1h}, health: off}}, auth: [anonymous]}
`))
	bounded.Until(t, func() bool {
		_, body := r.callAdmin(t, "GET", "/balance", nil)
		return strings.Contains(body, "ws://127.0.0.1:3")
	})
	for port, want := range map[int][2]string{
		1: {"test.yaml:5:", "there: the balancer reloads its configuration when the file changes, and on handfast reload"},
		2: {"configured in " + file, "there: the balancer reads the file again when it changes"},
		3: {"configured in the DNS, as ws://localhost:3", "there: the balancer repeats the lookup every 1h"},
	} {
		form := url.Values{"server": {fmt.Sprintf("127.0.0.1:%d", port)}}
		for method, step := range map[string]string{"POST": "next step: change its weight and capacity ", "DELETE": "next step: remove the server "} {
			status, body := r.callAdmin(t, method, "/balance/servers", form)
			if reason, rest, _ := strings.Cut(body, "\n"); status != 400 || !strings.Contains(reason, want[0]) || !strings.HasPrefix(rest, step+want[1]) {
				t.Errorf("%s %d: %d %s", method, port, status, body)
			}
		}
	}
}

// The configuration, operators and files accept the same range of weights.
func TestWeights(t *testing.T) {
	r := run(t, parse(t, pools))
	for weight, valid := range map[int]bool{0: false, 1: true, proxy.MaxWeight: true, proxy.MaxWeight + 1: false} {
		status, body := r.callAdmin(t, "POST", "/balance/servers", url.Values{"server": {"a:1"}, "weight": {fmt.Sprint(weight)}})
		if valid != (status == 200) || weight > 1 && !valid && !strings.Contains(body, "1 to 1000") {
			t.Errorf("weight %d: got %d %s, want valid %v", weight, status, body, valid)
		}
		if _, err := proxy.ParseServers(fmt.Sprintf("a:1 weight=%d", weight), serverID); valid != (err == nil) {
			t.Errorf("weight %d in a file: got %v, want valid %v", weight, err, valid)
		}
		_, err := config.Parse("test.yaml", []byte(fmt.Sprintf("endpoints: [{path: /, auth: [anonymous], target: {balance: {to: [{url: 'a:1', weight: %d}]}}}]", weight)))
		if valid != (err == nil) {
			t.Errorf("weight %d in the configuration: got %v, want valid %v", weight, err, valid)
		}
	}
}
