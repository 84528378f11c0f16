package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/handfast/handfast/channels/wire"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/pusher"
	"github.com/handfast/handfast/websocket"
)

// slowNamespaces contains a prefix for each policy, and a prefix without a history.
const slowNamespaces = `
auth: {users: {jwt: {secret: "%[1]s", skew: 0s}}}
apps: [{id: main, key: k, secret: s}]
hub:
  namespaces:
    - {prefix: "refill-", history: 5000, history_age: 1h, slow: refill}
    - {prefix: "drop-", history: 5000, history_age: 1h, slow: drop}
    - {prefix: "latest-", history: 5000, history_age: 1h, slow: latest}
    - {prefix: "close-", history: 5000, history_age: 1h, slow: close}
    - {prefix: "lost-", history: 0, slow: refill}
endpoints:
  - {path: /channels, target: channels, auth: [users], ping_interval: 10m, rules: [{do: allow}]}
  - {path: "/app/{key}", target: pusher, auth: [anonymous], ping_interval: 10m, rules: [{do: allow}]}
  - {path: /connection/websocket, target: centrifugo, auth: [anonymous], ping_interval: 10m, rules: [{do: allow}]}
`

// count returns a metric of a namespace.
func (r *running) count(t *testing.T, name, prefix string) int {
	t.Helper()
	_, text := requestPage(t, "GET", r.AdminURL()+"/metrics", nil)
	line := fmt.Sprintf("handfast_channel_%s_total{namespace=\"%s*\"} ", name, prefix)
	_, after, ok := strings.Cut(text, line)
	if !ok {
		t.Fatalf("no metric %s", line)
	}
	n, err := strconv.Atoi(strings.Fields(after)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// slowReader is a client that reads only on request.
type slowReader struct {
	*protocolClient

	mu      sync.Mutex
	numbers []int  // the numbers of the received messages
	ended   string // how its subscription or its connection has ended
}

// numberOf matches the number of a message in any encoding of its data.
var numberOf = regexp.MustCompile(`#(\d+)#`)

// read reads until the connection ends.
func (c *slowReader) read(p protocolOf, endings ...string) {
	for {
		m, err := c.Read(context.Background())
		c.mu.Lock()
		if err != nil {
			c.ended = fmt.Sprint("closed with ", int(websocket.CloseCode(err)))
			c.mu.Unlock()
			return
		}
		for _, found := range numberOf.FindAllStringSubmatch(string(m.Data), -1) {
			n, _ := strconv.Atoi(found[1])
			c.numbers = append(c.numbers, n)
		}
		for _, ending := range endings {
			if strings.Contains(string(m.Data), ending) {
				c.ended = ending
			}
		}
		c.mu.Unlock()
		if p.ping != "" && strings.HasPrefix(string(m.Data), p.ping) &&
			c.Write(context.Background(), websocket.Message{Type: websocket.Text, Data: []byte(p.pong)}) != nil {
			return
		}
	}
}

func (c *slowReader) got() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.numbers)
}

func (c *slowReader) end() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// smallWindow gives a client a small receive buffer.
func smallWindow(ctx context.Context, network, address string) (net.Conn, error) {
	nc, err := new(net.Dialer).DialContext(ctx, network, address)
	if tcp, ok := nc.(*net.TCPConn); ok {
		err = tcp.SetReadBuffer(16 << 10)
	}
	return nc, err
}

// The policy of a namespace applies to clients that do not read, for each protocol on real connections, and the metrics show it.
func TestSlowPolicies(t *testing.T) {
	r := run(t, parse(t, slowNamespaces, key))
	insufficient := map[string]string{ // each protocol's message about lost messages
		"channels": `"code":"insufficient"`, "pusher": fmt.Sprint("closed with ", int(pusher.CodeOverCapacity)), "centrifugo": `"code":2500`,
	}
	closed := map[string]string{"channels": fmt.Sprint("closed with ", int(wire.CloseSlow)),
		"pusher": fmt.Sprint("closed with ", int(pusher.CodeOverCapacity)), "centrifugo": "closed with 3008"}
	pad := strings.Repeat("x", 40<<10)
	for name, p := range protocols {
		for _, policy := range []string{"refill", "drop", "latest", "close", "lost"} {
			t.Run(name+"/"+policy, func(t *testing.T) {
				prefix := policy + "-"
				channel := prefix + name
				total, slow, dropped := 0, r.count(t, "slow", prefix), r.count(t, "messages_dropped", prefix)
				publish := func() {
					t.Helper()
					key := fmt.Sprint("k", total%4)
					body, err := json.Marshal(map[string]string{"channel": channel, "key": key, "data": fmt.Sprintf("#%d#%s", total, pad)})
					if err != nil {
						t.Fatal(err)
					}
					if policy == "lost" {
						body = fmt.Appendf(nil, `{"channel":%q,"data":"#%d#%s"}`, channel, total, pad)
					}
					method := map[bool]string{true: "publish", false: "map_publish"}[policy == "lost"]
					if res := post(t, r.URLs()[0]+"/api/"+method, "s", string(body)); res.StatusCode != http.StatusOK {
						t.Fatal(res.Status)
					}
					total++
				}
				o := slowDialOptions()
				o.DialContext = smallWindow
				c := &slowReader{protocolClient: p.open(t, r, o)}
				if got := sendCommand(t, c.Conn, fmt.Sprintf(p.subscribe, channel)); strings.Contains(got, "error") {
					t.Fatal(got)
				}
				for r.count(t, "slow", prefix) == slow {
					for range 20 {
						publish()
					}
				}
				go c.read(p, insufficient[name])
				lost := func() int { return r.count(t, "messages_dropped", prefix) - dropped }
				switch policy {
				case "close":
					bounded.Until(t, func() bool { return c.end() == closed[name] })
					return
				case "lost":
					bounded.Until(t, func() bool { return c.end() == insufficient[name] })
					if lost() == 0 {
						t.Error("no message is counted as lost")
					}
					return
				case "refill":
					bounded.Until(t, func() bool { return len(c.got()) == total })
				case "drop":
					bounded.Until(t, func() bool { publish(); return slices.Contains(c.got(), total-1) || len(c.got())+lost() == total })
					bounded.Until(t, func() bool { return len(c.got())+lost() == total })
				case "latest":
					bounded.Until(t, func() bool {
						got := c.got()
						for i := range 4 {
							if !slices.Contains(got, total-1-i) {
								return false
							}
						}
						return true
					})
				}
				got := c.got()
				if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
					t.Errorf("out of order, or received twice: %d", got)
				}
				if all := len(got) == total; all != (policy == "refill") {
					t.Errorf("%d of %d messages were received", len(got), total)
				}
				if policy != "drop" && lost() != 0 {
					t.Errorf("%d messages are counted as lost", lost())
				}
			})
		}
	}
}
