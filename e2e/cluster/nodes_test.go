//go:build e2e

package cluster

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/handfast/handfast/client"
	"github.com/handfast/handfast/e2e/internal/harness"
	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/reconnect"
)

// config is the configuration of a node. All clients may use all channels. The history of a channel can contain all messages of a
// run.
const (
	config = common + onlyChannels
	common = `
listen: [{address: %q, tls: off}]
admin: {address: %q, token: drill, pprof: true}
apps: [{id: dev, key: dev, secret: 5d2a8f0c6b7e4a19}]
hub: {namespaces: [{prefix: "", history: 20000, history_age: 1h, presence: true}]}
`
	onlyChannels = `
endpoints:
  - name: channels
    path: /channels
    target: channels
    auth: [anonymous]
    rules: [{actions: [connect, subscribe, publish, presence, history], do: allow}]
`
)

// node is one of the servers of a cluster.
type node struct {
	u       *harness.User
	address string // the address for clients
	admin   string
	args    []string
	server  *harness.Server
}

// start starts or restarts the node.
func (n *node) start() { n.server = n.u.Serve(n.args...) }

// kill terminates the node with SIGKILL.
func (n *node) kill() { n.server.Stop(syscall.SIGKILL) }

// cluster contains three nodes that share one engine.
type cluster struct {
	*backend
	nodes []*node
	net   *network // nil means that all nodes are on 127.0.0.1
}

func startCluster(t *testing.T, start func(*testing.T, *network) *backend, lan *network) *cluster {
	t.Helper()
	return startClusterWith(t, start, lan, onlyChannels)
}

// startClusterWith starts a cluster whose nodes have the given endpoints.
func startClusterWith(t *testing.T, start func(*testing.T, *network) *backend, lan *network, endpoints string) *cluster {
	t.Helper()
	c := &cluster{net: lan, backend: start(t, lan)}
	for i := range 3 {
		u := harness.NewUser(t)
		host := lan.host(i)
		u.Under = lan.inNamespace(i)
		n := &node{u: u, address: net.JoinHostPort(host, harness.FreePort(t)), admin: net.JoinHostPort(host, harness.FreePort(t))}
		text := fmt.Sprintf(common, n.address, n.admin) + endpoints
		n.args = append([]string{"--config", u.Write("handfast.yaml", text)}, c.args(i)...)
		n.start()
		c.nodes = append(c.nodes, n)
	}
	for _, n := range c.nodes {
		harness.Until(t, "it is ready: "+n.server.Log.String(), func() bool { return n.get("/readyz") == "ok\n" })
	}
	return c
}

// get returns the response of the admin listener, "" if the request fails.
func (n *node) get(path string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.admin+path, http.NoBody)
	if err != nil {
		return ""
	}
	r.Header.Set("Authorization", "Bearer drill")
	r.Close = true
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return ""
	}
	return string(text)
}

// resources counts the resources of a process. It excludes the up to 64 goroutines of package websocket that wait for a handshake.
type resources struct{ goroutines, descriptors int }

func (n *node) resources() (h resources) {
	for line := range strings.Lines(n.get("/metrics")) {
		_, _ = fmt.Sscanf(line, "process_open_fds %d", &h.descriptors)
	}
	_, profile, _ := strings.Cut(n.get("/debug/pprof/goroutine?debug=1"), "\n")
	for same := range strings.SplitSeq(profile, "\n\n") {
		count := 0
		_, _ = fmt.Sscanf(same, "%d @", &count)
		if !strings.Contains(same, "websocket.(*source).next+") {
			h.goroutines += count
		}
	}
	return h
}

// newClient starts a client that dials the first node, and then the next node for each reconnect. connected, which may be nil, is called
// with the name and the node of each connection.
func newClient(t *testing.T, nodes []*node, connected func(id string, on *node)) *client.Client {
	var dials atomic.Int64
	opts := &client.Options{
		Dial: &websocket.DialOptions{HandshakeTimeout: 3 * time.Second, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, nodes[int(dials.Add(1)-1)%len(nodes)].address)
		}},
		Reconnect: &reconnect.Options{MinDelay: 200 * time.Millisecond, MaxDelay: 2 * time.Second},
	}
	if connected != nil {
		opts.Connected = func(w client.Welcome) { connected(w.Client, nodes[int(dials.Load()-1)%len(nodes)]) }
	}
	c := client.New("ws://localhost/channels", opts)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// from returns the nodes in the order in which a client that starts with node i tries them.
func (c *cluster) from(i int) []*node {
	i %= len(c.nodes)
	return append(slices.Clone(c.nodes[i:]), c.nodes[:i]...)
}
