package hub_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/hub/enginetest"
	"github.com/handfast/handfast/internal/bounded"
)

// journal records the events of nodes.
type journal struct {
	mu   sync.Mutex
	all  []string
	hold bool // do not call Done
	open []func()
}

var eventNames = map[hub.EventKind]string{
	hub.EventConnected: "connected", hub.EventDisconnected: "disconnected", hub.EventSubscribed: "subscribed", hub.EventUnsubscribed: "unsubscribed",
	hub.EventPublished: "published", hub.EventMemberAdded: "added", hub.EventMemberRemoved: "removed", hub.EventOccupied: "occupied",
	hub.EventVacated: "vacated",
}

func (j *journal) event(e hub.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	text := eventNames[e.Kind]
	for _, part := range []string{e.Channel, e.Client, e.User, e.Reason} {
		if part != "" {
			text += " " + part
		}
	}
	j.all = append(j.all, text)
	switch {
	case e.Done == nil:
	case j.hold:
		j.open = append(j.open, e.Done)
	default:
		e.Done()
	}
}

// of returns the events of the given kinds.
func (j *journal) of(kinds ...string) []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := []string{}
	for _, text := range j.all {
		if kind, _, _ := strings.Cut(text, " "); slices.Contains(kinds, kind) {
			all = append(all, text)
		}
	}
	return all
}

// want compares the events of the given kinds after everything has settled.
func (j *journal) want(t *testing.T, kinds string, want ...string) {
	t.Helper()
	<-time.After(10 * time.Second) // in fake time: longer than housekeeping and the delays of reports
	synctest.Wait()
	got := j.of(strings.Fields(kinds)...)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// nodesOf starts the nodes of a cluster, each with a journal.
func nodesOf(t *testing.T, js ...*journal) ([]*hub.Hub, []*faultyNode) {
	t.Helper()
	c := &faultyCluster{memory: hub.NewMemory()}
	var hubs []*hub.Hub
	var engines []*faultyNode
	for _, j := range js {
		e := c.node()
		h := hub.New(hub.Options{Engine: e, Events: j.event, Namespaces: []hub.Namespace{{Prefix: "room:", Presence: true, History: 10}}})
		t.Cleanup(func() { h.Close() })
		hubs, engines = append(hubs, h), append(engines, e)
	}
	return hubs, engines
}

func TestEventsOfOneNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		hubs, _ := nodesOf(t, &j)
		a := enginetest.NewClient(t, hubs[0], nil, hub.Client{ID: "a", User: "ann"})
		b := enginetest.NewClient(t, hubs[0], nil, hub.Client{ID: "b", User: "ann"})
		a.Subscribe(t, "room:1", hub.SubscribeOptions{Member: true})
		b.Subscribe(t, "room:1", hub.SubscribeOptions{Member: true})
		if _, err := a.Session.Publish(bounded.Context(t), "room:1", &hub.Publication{Data: []byte("x")}, nil); err != nil {
			t.Fatal(err)
		}
		j.want(t, "connected subscribed published added occupied", "connected a ann", "connected b ann", "subscribed room:1 a ann",
			"subscribed room:1 b ann", "published room:1 a ann", "added room:1 a ann", "occupied room:1")
		a.Session.Leave()
		b.Session.Unsubscribe("room:1")
		<-time.After(time.Second)
		b.Subscribe(t, "room:1", hub.SubscribeOptions{Member: true})
		j.want(t, "disconnected unsubscribed removed vacated added occupied", "disconnected a ann client", "unsubscribed room:1 b ann",
			"added room:1 a ann", "occupied room:1")
		if err := hubs[0].Do(bounded.Context(t), hub.Command{Kind: hub.CommandDisconnect, App: "app", Client: "b", Reason: hub.EndDenied}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		b.Session.Leave()
		j.want(t, "disconnected removed vacated", "disconnected a ann client", "disconnected b ann denied", "removed room:1 b ann", "vacated room:1")
	})
}

// When a second node uses a channel that is already in use, only one node reports each change.
func TestEventsOfTwoNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		hubs, _ := nodesOf(t, &j, &j)
		var cs []*enginetest.Client
		for i, h := range hubs {
			c := enginetest.NewClient(t, h, nil, hub.Client{ID: fmt.Sprint("c", i), User: "ann"})
			c.Subscribe(t, "room:1", hub.SubscribeOptions{Member: true})
			cs = append(cs, c)
			<-time.After(5 * time.Second)
		}
		j.want(t, "added occupied removed vacated", "added room:1 c0 ann", "occupied room:1")
		cs[0].Session.Leave()
		j.want(t, "added occupied removed vacated", "added room:1 c0 ann", "occupied room:1")
		cs[1].Session.Leave()
		j.want(t, "added occupied removed vacated", "added room:1 c0 ann", "occupied room:1", "removed room:1 c1 ann", "vacated room:1")
	})
}

// The clients of a killed node are reported as gone once, and so are the users and channels that existed only through them.
func TestEventsOfAKilledNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lost, j journal
		hubs, engines := nodesOf(t, &lost, &j, &j)
		want := []string{}
		for i := range 20 {
			c := enginetest.NewClient(t, hubs[0], nil, hub.Client{ID: fmt.Sprint("c", i), User: fmt.Sprint("u", i)})
			c.Subscribe(t, fmt.Sprint("room:", i), hub.SubscribeOptions{Member: true})
			want = append(want, fmt.Sprintf("disconnected c%d u%d node", i, i))
			if i > 0 {
				want = append(want, fmt.Sprintf("removed room:%d c%d u%d", i, i, i), fmt.Sprintf("vacated room:%d", i))
			}
		}
		other := enginetest.NewClient(t, hubs[1], nil, hub.Client{ID: "other", User: "u0"})
		other.Subscribe(t, "room:0", hub.SubscribeOptions{Member: true})
		lost.want(t, "disconnected")
		engines[0].set(dead)
		j.want(t, "disconnected removed vacated", want...)
	})
}

// A disconnect is reported again only if its Done was not called.
func TestUnprocessedDisconnectIsReportedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lost, j journal
		hubs, engines := nodesOf(t, &lost, &j)
		done := enginetest.NewClient(t, hubs[0], nil, hub.Client{ID: "done"})
		waits := enginetest.NewClient(t, hubs[0], nil, hub.Client{ID: "waits"})
		lost.want(t, "connected", "connected done", "connected waits")
		done.Session.Leave()
		lost.mu.Lock()
		lost.hold = true
		lost.mu.Unlock()
		waits.Session.Leave()
		lost.want(t, "disconnected", "disconnected done client", "disconnected waits client")
		engines[0].set(dead)
		j.want(t, "disconnected", "disconnected waits node")
	})
}

// A node that shuts down reports the disconnects of its own clients, and leaves events that concern all nodes to others.
func TestEventsOfANodeThatShutsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var first, j journal
		hubs, _ := nodesOf(t, &first, &j)
		c := enginetest.NewClient(t, hubs[0], nil, hub.Client{ID: "a", User: "ann"})
		c.Subscribe(t, "room:1", hub.SubscribeOptions{Member: true})
		first.want(t, "occupied added", "occupied room:1", "added room:1 a ann")
		if err := hubs[0].Close(); err != nil {
			t.Fatal(err)
		}
		first.want(t, "disconnected", "disconnected a ann shutdown")
		j.want(t, "disconnected vacated removed", "vacated room:1", "removed room:1 a ann")
	})
}

// The clients of a node that was unreachable for too long are reported as gone, and then as connected again.
func TestEventsOfANodeThatWasAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		hubs, engines := nodesOf(t, &j, &j)
		c := enginetest.NewClient(t, hubs[0], nil, hub.Client{ID: "a"})
		j.want(t, "connected disconnected", "connected a")
		engines[0].set(paused)
		j.want(t, "connected disconnected", "connected a", "disconnected a node")
		engines[0].set(healthy)
		j.want(t, "connected disconnected", "connected a", "disconnected a node", "connected a")
		c.Session.Leave()
		j.want(t, "connected disconnected", "connected a", "disconnected a node", "connected a", "disconnected a client")
	})
}

// A channel is reported as occupied as soon as it gets its first subscriber, without waiting for the next round of housekeeping,
// and only once, even if that subscriber leaves a moment later. Subscribers that come and go in the meantime change nothing.
func TestOccupiedImmediately(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		hubs, _ := nodesOf(t, &j, &j)
		<-time.After(1500 * time.Millisecond) // halfway between two rounds of housekeeping
		began := time.Now()
		var occupied, vacated []string
		for i := range 50 {
			name := fmt.Sprintf("room:%d", i)
			c := enginetest.NewClient(t, hubs[i%2], nil, hub.Client{ID: fmt.Sprint("c", i)})
			for range 3 {
				c.Subscribe(t, name, hub.SubscribeOptions{})
				if i%5 != 0 {
					break
				}
				c.Session.Unsubscribe(name)
			}
			occupied = append(occupied, "occupied "+name)
			if i%5 == 0 {
				vacated = append(vacated, "vacated "+name)
			}
		}
		synctest.Wait()
		got := j.of("occupied")
		slices.Sort(got)
		slices.Sort(occupied)
		if !slices.Equal(got, occupied) || !time.Now().Equal(began) {
			t.Errorf("after %v: %q, want %q", time.Since(began), got, occupied)
		}
		j.want(t, "occupied", occupied...)
		j.want(t, "vacated", vacated...)
	})
}
