package gateway

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/handfast/handfast/balance/proxy"
	"github.com/handfast/handfast/config"
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
		_, body := r.operate(t, "GET", "/balance", nil)
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
		{"DELETE", "ws://127.0.0.1:2", "", 400, 2, `to the endpoint "two"`},
		{"DELETE", "ws://127.0.0.1:2", "one", 200, 1, ""},
		{"POST", "ws://127.0.0.1:3", "", 200, 2, ""},
		{"POST", "ws://127.0.0.1:3", "", 200, 2, ""}, // with another weight
		{"DELETE", "ws://127.0.0.1:3", "", 200, 0, ""},
		{"POST", "ws://127.0.0.1:4", "two", 200, 1, ""},
		{"DELETE", "ws://127.0.0.1:4", "", 200, 0, ""}, // the first pool does not contain the server
		{"DELETE", "ws://127.0.0.1:4", "", 404, 0, "there is no server"},
	} {
		status, body := r.operate(t, tt.method, "/balance/servers", server(tt.id, tt.endpoint))
		if n := listed(tt.id); status != tt.status || !strings.Contains(body, tt.says) || n != tt.listed {
			t.Errorf("%s %s %s: got %d %s in %d pools, want %d in %d", tt.method, tt.id, tt.endpoint, status, body, n, tt.status, tt.listed)
		}
	}
}

// The configuration, operators and files accept the same range of weights.
func TestWeights(t *testing.T) {
	r := run(t, parse(t, pools))
	for weight, valid := range map[int]bool{0: false, 1: true, proxy.MaxWeight: true, proxy.MaxWeight + 1: false} {
		status, body := r.operate(t, "POST", "/balance/servers", url.Values{"server": {"a:1"}, "weight": {fmt.Sprint(weight)}})
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
