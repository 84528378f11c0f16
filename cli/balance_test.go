package cli

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/handfast/handfast/gateway"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// running is a running balancer, with the arguments for its admin listener.
type running struct {
	url   string
	admin []string
}

// startBalance runs a balancer in front of servers, without health checks. Arguments that are flags are passed on.
func startBalance(t *testing.T, servers ...string) running {
	t.Helper()
	args := []string{"balance", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--check", "off", "--policy", "round_robin"}
	for _, s := range servers {
		if !strings.HasPrefix(s, "--") {
			s = "--to=" + s
		}
		args = append(args, s)
	}
	s := startServer(t, args...)
	t.Cleanup(func() {
		s.signals <- os.Interrupt
		s.signals <- os.Interrupt // the second signal ends the wait for the clients
		bounded.Receive(t, s.code)
	})
	if page, ok := s.banner["page"]; ok {
		t.Errorf("the banner shows a page: %q", page)
	}
	return running{s.banner["balance"], []string{"--admin", strings.Trim(strings.TrimPrefix(s.banner["admin"], "http://"), "/")}}
}

// run runs a command for the balancer.
func (r running) run(t *testing.T, args ...string) result {
	t.Helper()
	return runCommand(t, append(append([]string{"balance"}, args...), r.admin...)...)
}

// connect opens connections through the balancer until the test ends.
func (r running) connect(t *testing.T, n int) (all []*websocket.Conn) {
	t.Helper()
	for range n {
		c, err := websocket.Dial(bounded.Context(t), r.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.CloseNow() })
		all = append(all, c)
	}
	return all
}

// tableRows returns the words in each row of a table, without the heading.
func tableRows(table string) (all [][]string) {
	for line := range strings.Lines(table) {
		all = append(all, strings.Fields(line))
	}
	return all[1:]
}

func serverOf(url string) string { return strings.TrimSuffix(url, "/") }

// The commands change a running balancer, and show its state.
func TestBalanceServers(t *testing.T) {
	a, b := serverOf(peer(t, echo)), serverOf(peer(t, echo))
	r := startBalance(t, a, b)
	clients := r.connect(t, 4)
	states := func(got result, want ...string) {
		t.Helper()
		if got.code != exitOK {
			t.Fatalf("%+v", got)
		}
		all := map[string]string{}
		for _, row := range tableRows(got.stdout) {
			all[row[0]] = strings.Join(row[1:], " ")
		}
		if len(all) != len(want)/2 {
			t.Errorf("%q", got.stdout)
		}
		for i := 0; i < len(want); i += 2 {
			if all[want[i]] != want[i+1] {
				t.Errorf("%s: %q, want %q", want[i], all[want[i]], want[i+1])
			}
		}
	}
	states(r.run(t, "status"), a, "ready 2 1", b, "ready 2 1")

	if got := r.run(t, "drain", a, "--wait", "--pace", "1000/s"); got.code != exitOK || !strings.HasPrefix(got.stdout, a+" has no connections left, after ") || got.stderr != "" {
		t.Errorf("%+v", got)
	}
	moved := 0
	for _, c := range clients {
		if err := c.Write(bounded.Context(t), websocket.Message{Type: websocket.Text, Data: []byte("x")}); err == nil {
			_, err = c.Read(bounded.Context(t))
			if e, ok := errors.AsType[*websocket.CloseError](err); ok && e.Code == websocket.CodeServiceRestart {
				moved++
			}
		} else {
			moved++
		}
	}
	if moved != 2 {
		t.Errorf("%d clients were moved, want 2", moved)
	}
	states(r.run(t, "status"), a, "draining 0 1 by the operator", b, "ready 2 1")
	states(r.run(t, "undrain", a), a, "ready 0 1", b, "ready 2 1")

	c := "ws://127.0.0.1:1"
	states(r.run(t, "add", c, "--weight", "2", "--capacity", "5"), a, "ready 0 1", b, "ready 2 1", c, "ready 0 2")
	var all gateway.Balance
	if err := json.Unmarshal([]byte(r.run(t, "status", "--json", "--endpoint", "balance").stdout), &all); err != nil || len(all.Endpoints) != 1 || all.Endpoints[0].Endpoint != "balance" {
		t.Fatalf("%v, %+v", err, all)
	}
	for _, s := range all.Endpoints[0].Servers {
		if s.ID == c && (s.Weight != 2 || s.Capacity != 5) || s.ID == b && (s.Live != 2 || s.Opened != 2) {
			t.Errorf("%+v", s)
		}
	}
	states(r.run(t, "remove", c), a, "ready 0 1", b, "ready 2 1")

	got := r.run(t, "top", "--every", "100ms")
	if got.code != exitOK || !strings.HasPrefix(got.stdout, "SERVER ") || !strings.Contains(got.stdout, "OPENED/s") || !strings.Contains(got.stdout, strings.Repeat("#", 20)) ||
		!strings.Contains(got.stdout, "\nbalance: 0 handshakes are waiting, ") {
		t.Errorf("%+v", got)
	}
	for _, bad := range []struct{ args, want string }{
		{"remove " + a, "was not added by an operator: it is configured by --to \"" + a + "\"\n  next step: remove the server there, and restart the balancer"},
		{"remove " + c, "there is no server " + c},
		{"drain " + c, "there is no server " + c},
		{"drain " + a + " --endpoint other", `there is no endpoint "other" with a balancer`},
		{"add " + a + " --weight 3", "is already in the list of the endpoint \"balance\": it is configured by --to \"" + a + "\"\n  next step: restart the balancer without that flag"},
		{"status --endpoint other", `there is no endpoint "other" with a balancer`},
	} {
		if got := r.run(t, strings.Fields(bad.args)...); got.code != exitFailed || got.stdout != "" || !strings.Contains(got.stderr, bad.want) {
			t.Errorf("%s: %+v", bad.args, got)
		}
	}
}

// The command that waits for a drain exits when another command ends the drain.
func TestBalanceDrainEnded(t *testing.T) {
	a, b := serverOf(peer(t, echo)), serverOf(peer(t, echo))
	r := startBalance(t, a, b)
	r.connect(t, 6)
	code := make(chan result, 1)
	go func() { code <- r.run(t, "drain", a, "--wait", "--pace", "0.1/s") }()
	bounded.Until(t, func() bool { return strings.Contains(r.run(t, "status").stdout, "draining") })
	if got := r.run(t, "undrain", a); got.code != exitOK {
		t.Errorf("%+v", got)
	}
	if got := bounded.Receive(t, code); got.code != exitFailed || !strings.Contains(got.stderr, "the drain of "+a+" was ended before the server was empty; connections left: ") {
		t.Errorf("%+v", got)
	}
}

// The drain of a server that is down has nothing to move, and the command reports that.
func TestBalanceDrainDown(t *testing.T) {
	a, b := serverOf(peer(t, echo)), "ws://127.0.0.1:1"
	r := startBalance(t, "--check=tcp", a, b)
	bounded.Until(t, func() bool { return strings.Contains(r.run(t, "status").stdout, "down") })
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"drain", b}, b + " has no connections left; it is down: "},
		{[]string{"drain", b, "--wait"}, "; it is down: "},
		{[]string{"drain", a}, a + " has no connections left\n"},
	} {
		if got := r.run(t, tt.args...); got.code != exitOK || !strings.Contains(got.stdout, tt.want) {
			t.Errorf("%s: %+v", tt.args, got)
		}
	}
	if got := r.run(t, "drain", b, "--json"); got.code != exitOK || !json.Valid([]byte(got.stdout)) {
		t.Errorf("%+v", got)
	}
}

// The drain of the last server that accepts clients prints a warning.
func TestBalanceDrainLast(t *testing.T) {
	a, b := serverOf(peer(t, echo)), serverOf(peer(t, echo))
	r := startBalance(t, a, b)
	const warning = "no other server accepts new clients"
	if got := r.run(t, "drain", a, "--json"); got.code != exitOK || strings.Contains(got.stderr, warning) {
		t.Errorf("%+v", got)
	}
	if got := r.run(t, "drain", b, "--json"); got.code != exitOK || !strings.Contains(got.stderr, warning) || !json.Valid([]byte(got.stdout)) {
		t.Errorf("%+v", got)
	}
}

// Invalid flags are errors in the command line, with the valid values.
func TestBalanceUsage(t *testing.T) {
	state(t)
	for _, bad := range []struct{ args, want string }{
		{"", "--to is missing"},
		{"nonsense", "unknown command"},
		{"--to http://a", `the scheme "http" is not ws or wss`},
		{"--to a --policy hash --by query", "the name is missing"},
		{"--to a --by query:room", "add --policy hash"},
		{"--to a --check-path /x", "--check-path cannot be used with --check tcp"},
		{"--to a --check http --check-path x", "does not begin with a slash"},
		{"--to a --pace 0", "0.1/s to 100000/s"},
		{"--to a --pace 20/m", "0.1/s to 100000/s"},
		{"--to a --tls files", "--tls files requires --cert and --key"},
		{"--to a --to a:80", "handfast: --to \"a:80\": the server is already in the list\n  expected:  each server once\n"},
		{"--to ws://_ws._tcp.a", "handfast: --to \"ws://_ws._tcp.a\": the host is a name of SRV records\n"},
		{"--to a --listen 127.0.0.1:9 --listen 127.0.0.1:9", "handfast: --listen \"127.0.0.1:9\": the address is already in the list\n"},
		{"--to a --sticky ;", "handfast: --sticky: \";\" cannot be the name of a cookie\n"},
		{"--to a --sticky yes", "--sticky \"yes\" is not the name of a cookie\n  next step: name the cookie"},
		{"--to a --cacert /nowhere", "handfast: --cacert: \"/nowhere\" cannot be read: "},
		{"--to a --tls files --cert /nowhere --key /nowhere", "handfast: --key: \"/nowhere\" cannot be read: "},
		{"--to a --admin 0.0.0.0:0", "handfast: --admin \"0.0.0.0:0\": other machines may reach this address, and there is no token\n"},
		{"--to a --admin 0.0.0.0:0", "HANDFAST_ADMIN_TOKEN"},
		{"drain", "name one server"},
		{"drain a b", "drain takes one server"},
		{"drain http://a", `the scheme "http" is not ws or wss`},
		{"drain a --pace x", "0.1/s to 100000/s"},
		{"add a --weight 0", "--weight 0 is too small"},
		{"add a --weight 1001", "--weight 1001 is too large"},
		{"add a --capacity -1", "--capacity -1 is too small"},
		{"status --admin nonsense", "write host:port"},
		{"top --every 1ms", "write 100ms or more"},
	} {
		if got := runCommand(t, append([]string{"balance"}, strings.Fields(bad.args)...)...); got.code != exitUsage || got.stdout != "" || !strings.Contains(got.stderr, bad.want) ||
			strings.Contains(got.stderr, "[0]") || strings.Contains(got.stderr, "config doc") {
			t.Errorf("%s: %+v", bad.args, got)
		}
	}
}

// With several endpoints, tables have a column for the endpoint, because a server may be at more than one endpoint.
func TestBalanceTables(t *testing.T) {
	endpoint := func(name string, live int, opened uint64) gateway.BalancedEndpoint {
		e := gateway.BalancedEndpoint{Endpoint: name}
		s := gateway.BalancedServer{}
		s.ID, s.State, s.Live, s.Weight, s.Opened, s.FromServer = "ws://a:1", "ready", live, 1, opened, int64(opened)*1000
		e.Servers = append(e.Servers, s)
		return e
	}
	before := &balancerState{gateway.Balance{Endpoints: []gateway.BalancedEndpoint{endpoint("x", 1, 1)}}}
	now := &balancerState{gateway.Balance{Endpoints: []gateway.BalancedEndpoint{endpoint("x", 1, 1), endpoint("y", 2, 21)}}}
	var b strings.Builder
	if err := (&serversFlags{}).show(&b, now); err != nil {
		t.Fatal(err)
	}
	if want := "ENDPOINT  SERVER    STATE  CONNECTIONS  WEIGHT  REASON\nx         ws://a:1  ready  1            1       \ny         ws://a:1  ready  2            1       \n"; b.String() != want {
		t.Errorf("%s", b.String())
	}
	b.Reset()
	if err := (&serversFlags{}).show(&b, &balancerState{gateway.Balance{Endpoints: []gateway.BalancedEndpoint{{Endpoint: "x"}, endpoint("y", 2, 21)}}}); err != nil {
		t.Fatal(err)
	}
	if want := "x - no server 0 - the list is empty"; strings.Join(tableRows(b.String())[0], " ") != want {
		t.Errorf("%s", b.String())
	}
	b.Reset()
	if err := topTable(&b, before, now, 2e9, 4); err != nil {
		t.Fatal(err)
	}
	if e := (gateway.BalancedServer{}); drainProgress(e) != "" {
		t.Errorf("without a drain: %q", drainProgress(e))
	}
	leaves := gateway.BalancedServer{}
	if leaves.Live, leaves.From = 1, 4; drainProgress(leaves) != "; 3 of 4 connections have left" {
		t.Errorf("%q", drainProgress(leaves))
	}
	want := []string{"x ws://a:1 ready 1 ##.. 0 0 0 B 0 B 0", "y ws://a:1 ready 2 #### 10 0 0 B 10.5 kB 0"}
	for i, row := range tableRows(b.String())[:2] {
		if got := strings.Join(row, " "); got != want[i] {
			t.Errorf("%q, want %q", got, want[i])
		}
	}
	if !strings.Contains(b.String(), "\ny: 0 handshakes are waiting, the rate is not limited, 0 were refused\n") {
		t.Errorf("%s", b.String())
	}
	b.Reset()
	y := &now.Endpoints[1]
	y.Waiting, y.Storm.Limited, y.Storm.Rate, y.Storm.Refused, y.Storm.RefusedResuming = 2, true, 1200.4, 9, 4
	if err := topTable(&b, before, now, 2e9, 4); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "\ny: 2 handshakes are waiting, the rate is limited to 1200 per second, 9 were refused, 4 of which resume a session\n") {
		t.Errorf("%s", b.String())
	}
	for n, want := range map[float64]string{0: "0 B", 999: "999 B", 1500: "1.5 kB", 2e6: "2 MB", 3e12: "3e+03 GB"} {
		if got := formatBytes(n); got != want {
			t.Errorf("%v: %q, want %q", n, got, want)
		}
	}
}
