//go:build e2e

package cluster

import (
	"encoding/json"
	"sync"
	"syscall"
	"testing"

	"github.com/handfast/handfast/client"
	"github.com/handfast/handfast/e2e/internal/harness"
	"github.com/handfast/handfast/internal/bounded"
)

// If the engine runs inside the nodes, acknowledged messages survive kill -9 of all nodes, and a client continues at its position
// after the restart.
func TestAllNodesKilled(t *testing.T) {
	c := startCluster(t, startNATS, nil)
	const before, after = 50, 10
	var mu sync.Mutex
	var got []int
	var gaps int
	handle := func(e client.Event) {
		mu.Lock()
		defer mu.Unlock()
		if e.Gap != "" {
			gaps++
		}
		var m numbered
		if e.Message != nil && json.Unmarshal(e.Message.Data, &m) == nil {
			got = append(got, m.N)
		}
	}
	has := func(n int) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(got) >= n
		}
	}
	reader := newClient(t, c.from(0), nil)
	if _, err := reader.Subscribe(bounded.Context(t), "kept", &client.SubscribeOptions{Handle: handle}); err != nil {
		t.Fatal(err)
	}
	writer := newClient(t, c.from(1), nil)
	publish := func(n int) {
		t.Helper()
		data, err := json.Marshal(numbered{N: n})
		if err == nil {
			_, err = writer.Publish(bounded.Context(t), "kept", data, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for n := range before {
		publish(n)
	}
	harness.Until(t, "all is delivered", has(before))
	for _, n := range c.nodes {
		n.server.Signal(syscall.SIGKILL)
	}
	for _, n := range c.nodes {
		n.server.Wait()
		n.start()
	}
	for _, n := range c.nodes {
		harness.Until(t, "it is ready again: "+n.server.Log.String(), func() bool { return n.get("/readyz") == "ok\n" })
	}
	for n := range after {
		publish(before + n)
	}
	harness.Until(t, "what follows is delivered", has(before+after))
	page, err := newClient(t, c.from(2), nil).History(bounded.Context(t), "kept", client.HistoryOptions{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range page.Messages {
		var x numbered
		if err := json.Unmarshal(m.Data, &x); err != nil || x.N != i {
			t.Errorf("message %d is %s, %v", i, m.Data, err)
		}
	}
	if len(page.Messages) != before+after {
		t.Errorf("%d messages are kept, %d were acknowledged", len(page.Messages), before+after)
	}
	mu.Lock()
	defer mu.Unlock()
	for i, n := range got {
		if n != i {
			t.Fatalf("the reader got %d", got)
		}
	}
	if gaps > 0 {
		t.Errorf("the reader was informed of %d gaps", gaps)
	}
}
