package natsengine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/hub/enginetest"
	"github.com/handfast/handfast/internal/bounded"
)

// startCluster starts servers that join the first one.
func startCluster(t testing.TB, n int) []*Server {
	t.Helper()
	first := start(t, Embedded{Dir: t.TempDir(), ClusterListen: "127.0.0.1:0", Secret: "secret"})
	all := []*Server{first}
	for len(all) < n {
		all = append(all, start(t, Embedded{
			Dir: t.TempDir(), ClusterListen: "127.0.0.1:0", Secret: "secret", Join: []string{first.ClusterAddr().String()},
		}))
	}
	ctx, cancel := context.WithTimeout(t.Context(), clusterWait)
	defer cancel()
	for _, s := range all {
		if err := s.WaitReady(ctx); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

const clusterWait = time.Minute

func TestCluster(t *testing.T) {
	servers := startCluster(t, 3)
	made := 0
	enginetest.Run(t, enginetest.Options{Flow: 300}, func(t testing.TB) enginetest.Cluster {
		made++
		prefix := fmt.Sprint("test", made)
		next := 0
		c := enginetest.Cluster{Kill: func(e hub.Engine) { e.(*node).kill() }}
		c.Node = func(t testing.TB) hub.Engine {
			next++
			return &node{newEngine(t, Options{Server: servers[next%3], Prefix: prefix}), make(chan struct{})}
		}
		return c
	})
}

// With three servers the history survives the loss of one server.
func TestClusterLosesServer(t *testing.T) {
	servers := startCluster(t, 3)
	var hubs []*hub.Hub
	for _, s := range servers {
		h := hub.New(hub.Options{Engine: newEngine(t, Options{Server: s}), Namespaces: []hub.Namespace{{Prefix: "h:", History: 100}}})
		defer h.Close() //nolint:errcheck // Close fails for the hub whose server the test has shut down
		hubs = append(hubs, h)
	}
	ctx := bounded.Context(t)
	publish := func(h *hub.Hub, id string) {
		t.Helper()
		bounded.Until(t, func() bool {
			_, err := h.Publish(ctx, "app", "h:1", &hub.Publication{ID: id, Data: []byte(id)}, nil)
			return err == nil
		})
	}
	reader := enginetest.NewClient(t, hubs[2], nil, hub.Client{ID: "reader"})
	reader.Subscribe(t, "h:1", hub.SubscribeOptions{})
	for i := range 20 {
		publish(hubs[i%3], fmt.Sprint(i))
	}
	servers[0].Shutdown()
	for i := 20; i < 30; i++ {
		publish(hubs[1+i%2], fmt.Sprint(i))
	}
	var want []string
	for i := range 30 {
		want = append(want, fmt.Sprint(i))
	}
	reader.Want(t, want...)
	page, err := hubs[1].History(ctx, "app", "h:1", hub.HistoryQuery{Limit: -1})
	if err != nil || len(page.Publications) != 30 {
		t.Errorf("%d publications are left, %v", len(page.Publications), err)
	}
}

func TestClusterBeyondLoopback(t *testing.T) {
	for _, tt := range []struct {
		e    Embedded
		want string
	}{
		{Embedded{ClusterListen: "0.0.0.0:0"}, "a secret that all nodes share is required"},
		{Embedded{ClusterListen: ":0", Secret: "secret"}, "TLS between the nodes is required"},
		{Embedded{Join: []string{"192.0.2.1:6222"}}, "a secret that all nodes share is required"},
		{Embedded{Join: []string{"192.0.2.1"}}, "missing port"},
		{Embedded{ClusterListen: "127.0.0.1:x"}, "address of the cluster"},
	} {
		tt.e.Dir = t.TempDir()
		s, err := Start(tt.e)
		if err == nil {
			s.Shutdown()
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\"secret\"") {
			t.Errorf("%+v: %v, want %q", tt.e, err, tt.want)
		}
	}
}

func TestDirectoryInUse(t *testing.T) {
	dir := t.TempDir()
	start(t, Embedded{Dir: dir})
	if s, err := Start(Embedded{Dir: dir}); !errors.Is(err, ErrInUse) {
		t.Error(s, err)
	}
}
