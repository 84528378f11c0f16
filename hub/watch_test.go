package hub_test

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/hub/enginetest"
	"github.com/handfast/handfast/internal/bounded"
)

// changeRecorder records the calls of a watcher.
type changeRecorder struct {
	mu  sync.Mutex
	all []string
	end bool // the next call stops the watch
}

func (s *changeRecorder) users(cs []hub.Change) bool {
	return s.record(cs, func(c hub.Change) string { return c.User })
}

func (s *changeRecorder) connections(cs []hub.Change) bool {
	return s.record(cs, func(c hub.Change) string { return c.User + "/" + c.Client })
}

func (s *changeRecorder) record(cs []hub.Change, name func(hub.Change) string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range cs {
		s.all = append(s.all, []string{"+", "=", "-"}[c.Kind]+name(c))
	}
	return !s.end
}

func (s *changeRecorder) want(t *testing.T, want ...string) {
	t.Helper()
	bounded.Until(t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return slices.Equal(s.all, want)
	})
}

// A watch follows the members of a channel on every node without a subscription, by user and by connection, until it is stopped.
func TestWatch(t *testing.T) {
	m := hub.NewMemory()
	ns := []hub.Namespace{{Presence: true}, {Prefix: "none:"}}
	here := start(t, hub.Options{Engine: m.Node(), Namespaces: ns})
	there := start(t, hub.Options{Engine: m.Node(), Namespaces: ns})
	member := func(h *hub.Hub, id, user string) *enginetest.Client {
		c := enginetest.NewClient(t, h, nil, hub.Client{ID: id, User: user})
		c.Subscribe(t, "c", hub.SubscribeOptions{Member: true})
		return c
	}
	member(there, "1", "ann")
	var users, conns changeRecorder
	ctx := bounded.Context(t)
	stop, err := here.Watch(ctx, "app", "c", hub.Watcher{Users: users.users, Connections: conns.connections})
	if err != nil {
		t.Fatal(err)
	}
	users.want(t, "+ann")
	second := member(here, "2", "ann")
	conns.want(t, "+ann/2")
	bob := member(there, "3", "bob")
	users.want(t, "+ann", "+bob")
	second.Session.Leave()
	conns.want(t, "+ann/2", "+bob/3", "-ann/2")
	if err := bob.Session.Update(ctx, "c", []byte("new")); err != nil {
		t.Fatal(err)
	}
	users.want(t, "+ann", "+bob", "=bob")
	conns.want(t, "+ann/2", "+bob/3", "-ann/2", "=bob/3")

	var brief changeRecorder
	brief.end = true // after the first call
	if _, err := here.Watch(ctx, "app", "c", hub.Watcher{Users: brief.users}); err != nil {
		t.Fatal(err)
	}
	leave, err := there.Enter(ctx, "app", "c", hub.Member{User: "eve", Client: "4", Data: []byte("e")})
	if err != nil {
		t.Fatal(err)
	}
	users.want(t, "+ann", "+bob", "=bob", "+eve")
	leave()
	users.want(t, "+ann", "+bob", "=bob", "+eve", "-eve")
	brief.want(t, "+ann", "+bob")
	if n, err := here.Subscribers(ctx, "app", "c"); n > 2 || err != nil {
		t.Errorf("%d subscribers, %v: a watch, or an entry, counts as one", n, err)
	}
	stop()
	bob.Session.Leave()
	var late changeRecorder
	if _, err := here.Watch(ctx, "app", "c", hub.Watcher{Users: late.users}); err != nil {
		t.Fatal(err)
	}
	bounded.Until(t, func() bool {
		_, _, n, err := here.Members(ctx, "app", "c", "", 0)
		return err == nil && n == 1
	})
	there.Close() // its member leaves together with the node
	bounded.Until(t, func() bool {
		_, _, n, err := here.Members(ctx, "app", "c", "", 0)
		return err == nil && n == 0
	})
	users.want(t, "+ann", "+bob", "=bob", "+eve", "-eve")
}

// Watching a channel without presence is an error.
func TestWatchRejected(t *testing.T) {
	h := start(t, hub.Options{Namespaces: []hub.Namespace{{Presence: true}, {Prefix: "none:"}}})
	ctx := bounded.Context(t)
	if _, err := h.Watch(ctx, "app", "none:c", hub.Watcher{}); !errors.Is(err, hub.ErrNoPresence) {
		t.Error(err)
	}
	if _, err := h.Enter(ctx, "app", "none:c", hub.Member{Client: "1"}); !errors.Is(err, hub.ErrNoPresence) {
		t.Error(err)
	}
	if _, err := h.Watch(ctx, "app", "", hub.Watcher{}); !errors.Is(err, hub.ErrBadChannel) {
		t.Error(err)
	}
	c := enginetest.NewClient(t, h, nil, hub.Client{ID: "1", User: "ann"})
	if _, err := c.Session.Watch(ctx, hub.UserChannel("bob"), hub.Watcher{}); !errors.Is(err, hub.ErrNotYours) {
		t.Error(err)
	}
	if stop, err := c.Session.Watch(ctx, hub.UserChannel("ann"), hub.Watcher{}); err != nil {
		t.Error(err)
	} else {
		stop()
	}
}
