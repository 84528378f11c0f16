//go:build e2e

package redisengine

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/hub/enginetest"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/internal/redistest"
)

// redisCluster starts a cluster of three primaries, the first of which has the slot of a prefix, and a replica.
func redisCluster(t testing.TB, prefix string) (primaries []*redistest.Server, replica *redistest.Server) {
	t.Helper()
	var all []*redistest.Server
	for range 4 {
		all = append(all, redistest.StartClusterNode(t))
	}
	command := func(s *redistest.Server, want string, args ...string) string {
		return retryCommand(t, s, redistest.Password, want, args...)
	}
	slot := 0
	fmt.Sscan(command(all[0], "", "CLUSTER", "KEYSLOT", prefix), &slot)
	ranges := [][2]int{{0, 5460}, {5461, 10922}, {10923, 16383}}
	slices.SortFunc(ranges, func(a, b [2]int) int { // puts the server with the slot first
		switch {
		case a[0] <= slot && slot <= a[1]:
			return -1
		case b[0] <= slot && slot <= b[1]:
			return 1
		}
		return 0
	})
	for i, s := range all {
		if i < len(ranges) {
			command(s, "OK", "CLUSTER", "ADDSLOTSRANGE", fmt.Sprint(ranges[i][0]), fmt.Sprint(ranges[i][1]))
		}
		if i > 0 {
			bus := strings.Fields(command(all[0], "@", "CLUSTER", "NODES"))
			port := bus[slices.IndexFunc(bus, func(f string) bool { return strings.Contains(f, "@") })]
			_, port, _ = strings.Cut(port, "@")
			command(s, "OK", "CLUSTER", "MEET", "127.0.0.1", all[0].Port(), port)
		}
	}
	for _, s := range all {
		command(s, "cluster_known_nodes:4", "CLUSTER", "INFO")
		command(s, "cluster_state:ok", "CLUSTER", "INFO")
	}
	command(all[3], "OK", "CLUSTER", "REPLICATE", strings.TrimSpace(command(all[0], "", "CLUSTER", "MYID")))
	command(all[0], "state=online", "INFO", "replication")
	for _, s := range all[1:3] {
		command(s, "slave", "CLUSTER", "NODES")
	}
	return all[:3], all[3]
}

// Any server of a cluster directs a node to the server with the node's keys, and nodes follow a failover.
func TestRedisCluster(t *testing.T) {
	const prefix = "{handfast}"
	primaries, replica := redisCluster(t, prefix)
	a, told := node(t, Options{URL: primaries[1].URL(), Prefix: prefix})
	b, _ := node(t, Options{URL: primaries[2].URL(), Prefix: prefix})
	c := enginetest.NewClient(t, a, nil, hub.Client{ID: "c", User: "ann"})
	at := c.Subscribe(t, "room", hub.SubscribeOptions{}).Position
	publish(t, b, "one")
	publish(t, a, "two")
	c.Want(t, "one", "two")
	late := enginetest.NewClient(t, b, nil, hub.Client{ID: "late"})
	if r := late.Subscribe(t, "room", hub.SubscribeOptions{Since: &at}); r.Err != nil || len(r.Publications) != 2 {
		t.Errorf("%+v", r)
	}
	retryCommand(t, replica, redistest.Password, "{handfast}:{app/room}:log", "KEYS", "*")
	retryCommand(t, primaries[0], redistest.Password, "{handfast}:{app/room}", "PUBSUB", "SHARDCHANNELS") // only this server has the channel

	primaries[0].Stop()
	waitForFailure(t, told)
	c.Until(t, func(es []enginetest.Event) bool {
		return slices.ContainsFunc(es, func(e enginetest.Event) bool { return e.Ended && e.Reason == hub.EndInsufficient })
	})
	bounded.Until(t, func() bool { return a.Ready() == nil && b.Ready() == nil })
	if r := c.Subscribe(t, "room", hub.SubscribeOptions{Since: &at}); !errors.Is(r.Err, hub.ErrNewEpoch) {
		t.Errorf("%+v", r)
	}
	publish(t, b, "three")
	c.Want(t, "one", "two", "three")
}

// When the slot of the keys moves to another server of the cluster, nodes follow, and subscribers are notified of a gap, because
// publications during the move may be on either server.
func TestSlotIsMoved(t *testing.T) {
	const prefix = "{handfast}"
	primaries, _ := redisCluster(t, prefix)
	from, to := primaries[0], primaries[1]
	command := func(s *redistest.Server, want string, args ...string) string {
		return strings.TrimSpace(retryCommand(t, s, redistest.Password, want, args...))
	}
	a, told := node(t, Options{URL: from.URL(), Prefix: prefix})
	b, _ := node(t, Options{URL: primaries[2].URL(), Prefix: prefix})
	c := enginetest.NewClient(t, a, nil, hub.Client{ID: "c", User: "ann"})
	at := c.Subscribe(t, "room", hub.SubscribeOptions{}).Position
	publish(t, b, "one")
	c.Want(t, "one")

	slot := command(from, "", "CLUSTER", "KEYSLOT", prefix)
	source, target := command(from, "", "CLUSTER", "MYID"), command(to, "", "CLUSTER", "MYID")
	command(to, "OK", "CLUSTER", "SETSLOT", slot, "IMPORTING", source)
	command(from, "OK", "CLUSTER", "SETSLOT", slot, "MIGRATING", target)
	for {
		keys := strings.Fields(command(from, "", "CLUSTER", "GETKEYSINSLOT", slot, "100"))
		if len(keys) == 0 {
			break
		}
		command(from, "", append([]string{"MIGRATE", "127.0.0.1", to.Port(), "", "0", "10000", "AUTH", redistest.Password, "KEYS"}, keys...)...)
	}
	command(to, "OK", "CLUSTER", "SETSLOT", slot, "NODE", target)
	command(from, "OK", "CLUSTER", "SETSLOT", slot, "NODE", target)

	waitForFailure(t, told)
	c.Until(t, func(es []enginetest.Event) bool {
		return slices.ContainsFunc(es, func(e enginetest.Event) bool { return e.Ended && e.Reason == hub.EndInsufficient })
	})
	bounded.Until(t, func() bool { return a.Ready() == nil && b.Ready() == nil })
	if r := c.Subscribe(t, "room", hub.SubscribeOptions{Since: &at}); !errors.Is(r.Err, hub.ErrNewEpoch) {
		t.Errorf("%+v", r)
	}
	publish(t, b, "two")
	c.Want(t, "one", "two")
	retryCommand(t, to, redistest.Password, "{handfast}:{app/room}", "PUBSUB", "SHARDCHANNELS")
}

// A prefix that would spread the keys over several servers is rejected.
func TestPrefixForCluster(t *testing.T) {
	for prefix, want := range map[string]bool{"{a}": true, "{a}:b": true, "a": false, "{}": false, "{a": false, "a{b}": false, "{a}{b}": false} {
		e, err := New(Options{URL: "redis://127.0.0.1", Prefix: prefix})
		if err != nil {
			t.Fatal(err)
		}
		if got := errors.Is(e.find.foundCluster(), errFound); got != want {
			t.Errorf("%s: %v", prefix, got)
		}
	}
}
