//go:build e2e

package gateway

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/handfast/handfast/client"
	"github.com/handfast/handfast/e2e/internal/harness"
	"github.com/handfast/handfast/internal/bounded"
)

// Three processes with embedded NATS act as one server: messages that are published at one process arrive at the others, and the loss
// of one process affects neither the history nor the service of the others.
func TestEmbeddedCluster(t *testing.T) {
	u := harness.NewUser(t) // all nodes run as one user, and thus share a secret
	var nodes []*harness.Server
	first := "127.0.0.1:" + harness.FreePort(t)
	for i := range 3 {
		args := []string{"--listen", "127.0.0.1:0", "--tls", "off", "--admin", "127.0.0.1:0", "--engine", "nats", "--join", first}
		listen := first
		if i > 0 {
			listen = "127.0.0.1:" + harness.FreePort(t)
		}
		nodes = append(nodes, u.Serve(append(args, "--cluster-listen", listen)...))
	}
	t.Cleanup(func() {
		for _, n := range nodes {
			fmt.Fprint(&allOutput, n.Log.String())
		}
	})
	for _, n := range nodes {
		s := &server{Server: n}
		harness.Until(t, "it is ready: "+n.Log.String(), func() bool { status, _ := s.admin(t, "/readyz"); return status == "200" })
		s.logged(t, "level=INFO", "the engine of channels is ready")
	}
	ctx := bounded.Context(t)
	clients := make([]*client.Client, len(nodes))
	for i, n := range nodes {
		clients[i] = client.New(n.First("channels"), nil)
		defer clients[i].Close() //nolint:errcheck // Close always returns nil
	}
	sub, err := clients[2].Subscribe(ctx, "room", nil)
	if err != nil {
		t.Fatal(err)
	}
	publish := func(node, n int) {
		t.Helper()
		if _, err := clients[node].Publish(ctx, "room", fmt.Appendf(nil, "%d", n), nil); err != nil {
			t.Errorf("%d: %v", n, err)
		}
	}
	for n := range 10 {
		publish(n%3, n)
	}
	nodes[0].Stop(syscall.SIGKILL)
	began := time.Now()
	for n := 10; n < 20; n++ {
		publish(1+n%2, n)
	}
	t.Logf("ten messages are published %v after a node was killed", time.Since(began).Round(time.Millisecond))
	var got []string
	for e, err := range sub.Events(ctx) {
		if err != nil || e.Gap != "" {
			t.Fatal(err, e.Gap)
		}
		if e.Message != nil {
			got = append(got, string(e.Message.Data))
		}
		if len(got) == 20 {
			break
		}
	}
	want := "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19"
	if strings.Join(got, " ") != want {
		t.Errorf("a subscriber got %v", got)
	}
	kept := u.Handfast("", "subscribe", "--url", nodes[1].First("channels"), "--history", "100", "--count", "20", "room")
	if strings.Join(strings.Fields(kept.Stdout), " ") != want {
		t.Errorf("the history is %+v", kept)
	}
}
