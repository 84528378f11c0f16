//go:build e2e

package balance

import (
	"encoding/json"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/handfast/handfast/e2e/internal/house"
	"github.com/handfast/handfast/internal/bounded"
)

// clients is how many there are in these tests. The drill has more.
const clients = 150

// farm is servers behind a balancer.
type farm struct {
	u       *house.User
	ports   []string
	servers []*house.Server
	url     string
	admin   string
}

// start starts n servers and a balancer in front of the first of them, with more arguments.
func start(t *testing.T, n, behind int, args ...string) *farm {
	t.Helper()
	f := &farm{u: house.NewUser(t), admin: "127.0.0.1:" + house.FreePort(t)}
	all := []string{"--listen", "127.0.0.1:0", "--admin", f.admin, "--pace", "1000"}
	for i := range n {
		f.ports = append(f.ports, house.FreePort(t))
		f.servers = append(f.servers, f.server(i))
		if i < behind {
			all = append(all, "--to", f.id(i))
		}
	}
	b := f.u.Balance(append(all, args...)...)
	f.url = strings.TrimSuffix(b.First("balance"), "/") + "/echo"
	return f
}

func (f *farm) id(i int) string { return "127.0.0.1:" + f.ports[i] }

// server starts a server on its port.
func (f *farm) server(i int) *house.Server {
	f.u.T.Helper()
	return f.u.Serve("--listen", f.id(i), "--tls", "off")
}

// run runs a command of the balancer.
func (f *farm) run(args ...string) string {
	f.u.T.Helper()
	r := f.u.Handfast("", append([]string{"balance"}, append(args, "--admin", f.admin)...)...)
	if r.Code != 0 {
		f.u.T.Fatalf("%v: exit %d\n%s%s", args, r.Code, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// live returns the connections of each server, by its port.
func (f *farm) live() map[string]int {
	f.u.T.Helper()
	var status struct {
		Endpoints []struct {
			Servers []struct {
				ID   string `json:"id"`
				Live int    `json:"live"`
			} `json:"servers"`
		} `json:"endpoints"`
	}
	if err := json.Unmarshal([]byte(f.run("status", "--json")), &status); err != nil || len(status.Endpoints) != 1 {
		f.u.T.Fatal(err)
	}
	n := map[string]int{}
	for _, s := range status.Endpoints[0].Servers {
		n[s.ID[strings.LastIndex(s.ID, ":")+1:]] = s.Live
	}
	return n
}

// Three servers are restarted one after the other: no client sees anything but a proper close, and no handshake fails.
func TestRollingRestart(t *testing.T) {
	f := start(t, 3, 3)
	c := gather(t, f.url, clients, 20*time.Millisecond)
	for i := range f.servers {
		out := f.run("drain", f.id(i), "--wait")
		if !strings.Contains(out, "has no connection any more") {
			t.Errorf("drain: %q", out)
		}
		if code := f.servers[i].Stop(syscall.SIGTERM); code != 0 {
			t.Errorf("the server ends with %d", code)
		}
		f.servers[i] = f.server(i)
		f.run("undrain", f.id(i))
		c.goesOn(clients)
	}
	c.expect("1012", clients/2, 4*clients)
}

// A server that is killed takes its own clients with it, which get a close frame, and no others.
func TestKill(t *testing.T) {
	f := start(t, 3, 3)
	c := gather(t, f.url, clients, 20*time.Millisecond)
	had := f.live()[f.ports[0]]
	if had == 0 {
		t.Fatal("the server has no clients")
	}
	f.servers[0].Signal(os.Kill)
	f.servers[0].Wait()
	c.goesOn(clients)
	c.expect("1012", had, had)
	bounded.Until(t, func() bool { return f.live()[f.ports[0]] == 0 })
}

// Two servers become four: connections are moved, with a proper close, until all have about the same.
func TestScaleOut(t *testing.T) {
	f := start(t, 4, 2, "--rebalance")
	c := gather(t, f.url, clients, 20*time.Millisecond)
	f.run("add", f.id(2))
	f.run("add", f.id(3))
	bounded.Until(t, func() bool {
		live := f.live()
		most := 0
		for _, n := range live {
			most = max(most, n)
		}
		return len(live) == 4 && most <= clients*3/10+1
	})
	c.goesOn(clients)
	c.expect("1012", clients/3, 2*clients)
}
