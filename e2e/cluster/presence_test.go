//go:build e2e

package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handfast/handfast/client"
	"github.com/handfast/handfast/e2e/internal/harness"
	"github.com/handfast/handfast/internal/bounded"
)

// watcher is a client of one node that receives the joins and leaves of the first channel.
type watcher struct {
	node *node
	c    *client.Client

	mu         sync.Mutex
	last       map[string]string // the last announcement about each member
	leaves     int
	duplicates []string
}

// watch adds a watcher that is connected to a node.
func (w *crowd) watch(t *testing.T, n *node) {
	t.Helper()
	v := &watcher{node: n, last: map[string]string{}, c: newClient(w.t, []*node{n}, nil)}
	if _, err := v.c.Subscribe(bounded.Context(t), channel(0), &client.SubscribeOptions{Changes: true, Handle: v.handle}); err != nil {
		t.Fatalf("subscribe: %v", err)
	}
	w.watchers = append(w.watchers, v)
	w.clients = append(w.clients, v.c)
}

// unwatch stops the watchers of a node.
func (w *crowd) unwatch(n *node) {
	w.watchers = slices.DeleteFunc(w.watchers, func(v *watcher) bool {
		if v.node == n {
			_ = v.c.Close()
		}
		return v.node == n
	})
}

// handle checks that a member's joins and leaves alternate.
func (v *watcher) handle(e client.Event) {
	if e.Change == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	user, what := e.Change.Member.User, e.Change.Type
	if what == "leave" {
		v.leaves++
	}
	if v.last[user] == what {
		v.duplicates = append(v.duplicates, fmt.Sprintf("%s of %s", what, user))
	}
	v.last[user] = what
}

// announcements returns the total number of leaves that all watchers received since the last call, and the duplicate announcements.
func (w *crowd) announcements() (leaves int, twice []string) {
	for _, v := range w.watchers {
		v.mu.Lock()
		leaves += v.leaves
		twice = append(twice, v.duplicates...)
		v.leaves, v.duplicates = 0, nil
		v.mu.Unlock()
	}
	return leaves, twice
}

// present returns the names of the connections that are subscribed to the channel, according to the clients.
func (w *crowd) present(channel string) map[string]bool {
	all := map[string]bool{}
	for _, s := range w.subscribers {
		s.mu.Lock()
		if s.channel == channel {
			all[s.id] = true
		}
		s.mu.Unlock()
	}
	return all
}

// connectedTo returns the names of a node's connections in the first channel.
func (w *crowd) connectedTo(n *node) map[string]bool {
	all := map[string]bool{}
	for _, s := range w.subscribers {
		s.mu.Lock()
		if s.node == n && s.channel == channel(0) {
			all[s.id] = true
		}
		s.mu.Unlock()
	}
	return all
}

// members returns the members of the first channel that the watcher's node lists, or nil if the node does not respond.
func (v *watcher) members(t *testing.T) map[string]bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	all := map[string]bool{}
	for after := ""; ; {
		page, err := v.c.Members(ctx, channel(0), after, 1000)
		if err != nil {
			t.Logf("%s does not list members: %v", v.node.address, err)
			return nil
		}
		for _, m := range page.Members {
			all[m.User] = true
		}
		if after = page.Next; after == "" {
			return all
		}
	}
}

// waitGone waits until no watched node other than leftOut lists any of the dead members, and returns the current time.
func (w *crowd) waitGone(t *testing.T, dead map[string]bool, leftOut *node) time.Time {
	t.Helper()
	for _, v := range w.watchers {
		if v.node == leftOut {
			continue
		}
		harness.Until(t, "members of the lost node are gone at "+v.node.address, func() bool {
			all := v.members(t)
			for id := range dead {
				if all[id] {
					return false
				}
			}
			return all != nil
		})
	}
	return time.Now()
}

// waitAgreement waits until all nodes list exactly the members that the clients know.
func (w *crowd) waitAgreement(t *testing.T) {
	t.Helper()
	for _, v := range w.watchers {
		var got, want map[string]bool
		defer func() {
			if t.Failed() {
				t.Logf("%s lists %d members, there are %d: %s\n%s", v.node.address, len(got), len(want), difference(got, want), &v.node.server.Log)
			}
		}()
		harness.Until(t, v.node.address+" lists the members that there are", func() bool {
			got, want = v.members(t), w.present(channel(0))
			return maps.Equal(got, want)
		})
	}
}

func difference(got, want map[string]bool) string {
	var parts []string
	for id := range got {
		if !want[id] {
			parts = append(parts, "+"+id)
		}
	}
	for id := range want {
		if !got[id] {
			parts = append(parts, "-"+id)
		}
	}
	return strings.Join(parts, " ")
}
