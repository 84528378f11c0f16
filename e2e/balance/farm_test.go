//go:build e2e

package balance

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/handfast/handfast/e2e/internal/harness"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/internal/redistest"
)

// farm is a group of servers behind a balancer.
type farm struct {
	u        *harness.User
	servers  []*upstream
	listen   string
	admin    string
	config   string // the path of the balancer's configuration
	balancer *harness.Server
	args     []string // additional arguments of our own servers
}

// upstream is a server that can be restarted on the same port.
type upstream struct {
	kind     string // a key of programs; "" for our own server
	port     string
	handfast *harness.Server
	program  *otherServer
}

// farmOptions configure a farm.
type farmOptions struct {
	kinds     []string // the kind of each server
	proxied   int      // number of servers in the initial configuration; 0 means all
	engine    bool     // our own servers share their channels through one Redis
	balance   string   // additional settings of the target
	endpoints string   // additional endpoints
}

// start starts servers and a balancer in front of them.
func start(t *testing.T, o farmOptions) *farm {
	t.Helper()
	f := &farm{u: harness.NewUser(t), listen: "127.0.0.1:" + harness.FreePort(t), admin: "127.0.0.1:" + harness.FreePort(t)}
	if o.engine {
		f.args = []string{"--engine", "redis", "--redis-url", redistest.Start(t, "").URL()}
	}
	for _, kind := range o.kinds {
		s := &upstream{kind: kind, port: harness.FreePort(t)}
		f.servers = append(f.servers, s)
		f.run(s)
	}
	behind := o.proxied
	if behind == 0 {
		behind = len(f.servers)
	}
	f.configure(strings.Join(f.ids()[:behind], ", "), o.balance, o.endpoints)
	f.balance()
	return f
}

// configure writes the balancer's configuration: the servers, additional settings of the target, and additional endpoints.
func (f *farm) configure(to, settings, endpoints string) {
	f.u.T.Helper()
	f.config = f.u.Write("balance.yaml", fmt.Sprintf(`listen: [{address: "%s", tls: off}]
admin: {address: "%s"}
limits: {connections: 20000}
endpoints:
  - name: front
    path: /
    auth: [anonymous]
    target: {balance: {to: [%s], health: {every: 1s}%s}}
%s`, f.listen, f.admin, to, settings, endpoints))
}

// balance starts the balancer.
func (f *farm) balance() {
	f.u.T.Helper()
	f.balancer = f.u.Serve("--config", f.config)
}

// url returns the balancer's URL for clients.
func (f *farm) url() string { return "ws://" + f.listen + "/echo" }

// id returns the name of a server in the operator's commands.
func (f *farm) id(i int) string { return "127.0.0.1:" + f.servers[i].port }

// ids returns the URLs of all servers as a list for the configuration.
func (f *farm) ids() (all []string) {
	for i := range f.servers {
		all = append(all, strconv.Quote("ws://"+f.id(i))) // without quotes, YAML would parse the URL as a key and a value
	}
	return all
}

// run starts a server on its port.
func (f *farm) run(s *upstream) {
	f.u.T.Helper()
	if s.kind == "" {
		s.handfast = f.u.Serve(append([]string{"--listen", "127.0.0.1:" + s.port, "--tls", "off"}, f.args...)...)
		return
	}
	s.program = startOther(f.u.T, programs[s.kind], s.port)
	s.program.discard()
}

// stop stops a server as an operator does.
func (f *farm) stop(s *upstream) {
	f.u.T.Helper()
	if s.kind != "" {
		s.program.end()
		return
	}
	if code := s.handfast.Stop(syscall.SIGTERM); code != 0 {
		f.u.T.Errorf("the server ends with %d", code)
	}
}

// kill kills a server without warning.
func (f *farm) kill(s *upstream) {
	f.u.T.Helper()
	if s.kind != "" {
		s.program.kill()
		return
	}
	s.handfast.Signal(syscall.SIGKILL)
	s.handfast.Wait()
}

// do runs a command of the operator, and returns the command's output.
func (f *farm) do(args ...string) string {
	f.u.T.Helper()
	r := f.u.Handfast("", append([]string{"balance"}, append(args, "--admin", f.admin)...)...)
	if r.Code != 0 {
		f.u.T.Fatalf("%v: exit %d\n%s%s", args, r.Code, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// empty drains a server, and waits until it has no connections.
func (f *farm) empty(id string) {
	f.u.T.Helper()
	if out := f.do("drain", id, "--wait"); !strings.Contains(out, "has no connections left") {
		f.u.T.Errorf("drain: %q", out)
	}
}

// serverStatus is the balancer's status of one server.
type serverStatus struct {
	ID       string `json:"id"`
	State    string `json:"state"`
	Live     int    `json:"live"`
	Failures int    `json:"failures"`
}

// status returns the status of the servers of the first endpoint, by the servers' IDs without the scheme.
func (f *farm) status() map[string]serverStatus {
	f.u.T.Helper()
	req, err := http.NewRequestWithContext(bounded.Context(f.u.T), http.MethodGet, "http://"+f.admin+"/balance", nil)
	if err != nil {
		f.u.T.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		f.u.T.Fatal(err)
	}
	defer res.Body.Close()
	var status struct {
		Endpoints []struct {
			Servers []serverStatus `json:"servers"`
		} `json:"endpoints"`
	}
	if err := json.NewDecoder(res.Body).Decode(&status); err != nil || len(status.Endpoints) == 0 {
		f.u.T.Fatal(err)
	}
	all := map[string]serverStatus{}
	for _, s := range status.Endpoints[0].Servers {
		all[strings.TrimPrefix(s.ID, "ws://")] = s
	}
	return all
}

// live returns the number of a server's connections.
func (f *farm) live(id string) int {
	f.u.T.Helper()
	return f.status()[id].Live
}
