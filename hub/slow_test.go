package hub_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/hub/enginetest"
	"github.com/handfast/handfast/internal/bounded"
)

// slow returns a hub with one namespace, a client whose queue has room for one message, and a client that reads.
func slow(t *testing.T, n hub.Namespace, codec *enginetest.Codec) (h *hub.Hub, slow, fast *enginetest.Client) {
	h = start(t, rules(n))
	slow = enginetest.NewClient(t, h, codec, hub.Client{ID: "slow"})
	fast = enginetest.NewClient(t, h, nil, hub.Client{ID: "fast"})
	for _, c := range []*enginetest.Client{slow, fast} {
		c.Subscribe(t, "c", hub.SubscribeOptions{Changes: true, Positions: true})
	}
	slow.SetRoom(1)
	return h, slow, fast
}

func TestSlowIsRefilled(t *testing.T) {
	for _, count := range []int{2, 100, 5000} { // few come from the window, many from the history
		t.Run(fmt.Sprint(count), func(t *testing.T) {
			h, slow, fast := slow(t, hub.Namespace{History: 10_000}, nil)
			ps, texts := numbered(1, count)
			publish(t, h, "c", ps...)
			fast.Want(t, texts...)
			slow.Want(t, "1")
			slow.SetRoom(400)
			slow.Session.Drained()
			slow.Until(t, func([]enginetest.Event) bool { return len(slow.Texts()) >= 2 })
			slow.SetRoom(-1)
			slow.Session.Drained()
			slow.Want(t, texts...)
			publish(t, h, "c", text("live"))
			slow.Want(t, append(texts, "live")...)
			for _, e := range slow.Events() {
				if e.Publication != nil && !e.Positioned {
					t.Fatalf("without its position: %+v", e)
				}
			}
			s := h.Stats()[0]
			if s.Slow != 1 || s.Refilled != uint64(count-1) || s.Dropped != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// A continuous flow of publications does not prevent a slow subscriber from catching up.
func TestSlowIsRefilledInAFlood(t *testing.T) {
	h, slow, fast := slow(t, hub.Namespace{History: 100_000}, nil)
	count := 20_000
	if raceEnabled {
		count = 2000
	}
	ps, texts := numbered(1, count)
	var wg sync.WaitGroup
	wg.Go(func() { publish(t, h, "c", ps...) })
	over := make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-over:
				slow.SetRoom(-1)
				slow.Session.Drained()
				return
			default:
				slow.SetRoom(100 * (i%5 + 1))
				slow.Session.Drained()
			}
		}
	})
	wg.Wait()
	fast.Want(t, texts...)
	close(over)
	reading.Wait()
	slow.Want(t, texts...)
}

func TestSlowWithoutEnoughHistory(t *testing.T) {
	for _, silent := range []bool{false, true} {
		t.Run(fmt.Sprintf("silent %v", silent), func(t *testing.T) {
			h, slow, fast := slow(t, hub.Namespace{History: 5}, &enginetest.Codec{Silent: silent})
			ps, texts := numbered(1, 1000)
			publish(t, h, "c", ps...)
			fast.Want(t, texts...)
			slow.SetRoom(-1)
			slow.Session.Drained()
			slow.Until(t, func(es []enginetest.Event) bool {
				e := es[len(es)-1]
				return !silent && e.Ended && e.Reason == hub.EndInsufficient || silent && e.Closing && e.Reason == hub.EndSlow
			})
			if slow.Session.Subscribed("c") {
				t.Error("the slow client is still subscribed")
			}
			bounded.Until(t, func() bool { return h.Stats()[0].Insufficient == 1 }) // counted after the client has received the message
		})
	}
}

func TestSlowWithoutHistory(t *testing.T) {
	h, slow, _ := slow(t, hub.Namespace{}, nil)
	ps, _ := numbered(1, 5)
	publish(t, h, "c", ps...)
	slow.SetRoom(-1)
	slow.Session.Drained()
	slow.Until(t, func(es []enginetest.Event) bool { return es[len(es)-1].Ended })
	bounded.Until(t, func() bool { return h.Stats()[0].Insufficient == 1 }) // counted after the client has received the message
	if s := h.Stats()[0]; s.Dropped != 4 {
		t.Errorf("%+v", s)
	}
}

func TestSlowDrops(t *testing.T) {
	for _, history := range []int{0, 100} {
		h, slow, fast := slow(t, hub.Namespace{History: history, Slow: hub.SlowDrop}, nil)
		ps, texts := numbered(1, 5)
		publish(t, h, "c", ps...)
		fast.Want(t, texts...)
		slow.SetRoom(-1)
		slow.Session.Drained()
		next := 6
		bounded.Until(t, func() bool { // the subscription becomes live a moment later
			publish(t, h, "c", text(fmt.Sprint(next)))
			next++
			return len(slow.Texts()) > 1
		})
		if got := slow.Texts(); got[0] != "1" || slices.Contains(texts[1:], got[1]) {
			t.Errorf("the slow client got %q", got)
		}
	}
}

func TestSlowGetsTheLatest(t *testing.T) {
	h, slow, fast := slow(t, hub.Namespace{History: 5, Slow: hub.SlowLatest}, nil)
	set := func(key, data string) *hub.Publication {
		return &hub.Publication{Key: key, Data: []byte(data), Removed: data == ""}
	}
	publish(t, h, "c", set("a", "a0"))
	for i := range 100 {
		publish(t, h, "c", set("a", fmt.Sprint("a", i+1)), set("b", fmt.Sprint("b", i)))
	}
	publish(t, h, "c", set("a", ""), set("c", "c0"))
	fast.Until(t, func([]enginetest.Event) bool { return slices.Contains(fast.Texts(), "c0") })
	slow.SetRoom(-1)
	slow.Session.Drained()
	slow.Want(t, "a0", "b99", "", "c0")
	publish(t, h, "c", set("b", "b100"))
	slow.Want(t, "a0", "b99", "", "c0", "b100")
}

func TestSlowIsClosed(t *testing.T) {
	h, slow, fast := slow(t, hub.Namespace{History: 5, Slow: hub.SlowClose}, nil)
	publish(t, h, "c", text("1"), text("2"), text("3"))
	fast.Want(t, "1", "2", "3")
	if _, code := slow.Calls(); code != 4002 {
		t.Errorf("closed with %d", code)
	}
}

// A slow subscriber gets the missed changes as one change for each member.
func TestSlowMissesChanges(t *testing.T) {
	h, slow, fast := slow(t, hub.Namespace{Presence: true, History: 100}, nil)
	join := func(id, user string) *enginetest.Client {
		c := enginetest.NewClient(t, h, nil, hub.Client{ID: id, User: user, Data: []byte("1")})
		c.Subscribe(t, "c", hub.SubscribeOptions{Member: true})
		return c
	}
	want := 0
	fastHas := func(n int) {
		t.Helper()
		want += n
		fast.Until(t, func([]enginetest.Event) bool { return len(fast.Changes()) >= want })
	}
	slow.SetRoom(-1)
	leaves, stays := join("1", "leaves"), join("2", "stays")
	fastHas(2)
	slow.Until(t, func([]enginetest.Event) bool { return len(slow.Changes()) == 2 })
	slow.SetRoom(0)
	comes, comesAndGoes := join("3", "comes"), join("4", "comes and goes")
	fastHas(2)
	leaves.Session.Leave()
	comesAndGoes.Session.Leave()
	fastHas(2)
	for _, c := range []*enginetest.Client{comes, stays} {
		if err := c.Session.Update(bounded.Context(t), "c", []byte("2")); err != nil {
			t.Fatal(err)
		}
	}
	fastHas(2)
	slow.SetRoom(-1)
	slow.Session.Drained()
	slow.Until(t, func([]enginetest.Event) bool { return len(slow.Changes()) >= 5 })
	var got []string
	for _, c := range slow.Changes()[2:] {
		got = append(got, fmt.Sprint(c.Kind, " ", c.User, " ", string(c.Data)))
	}
	slices.Sort(got)
	if want := []string{"0 comes 2", "1 stays 2", "2 leaves 1"}; !slices.Equal(got, want) {
		t.Errorf("the slow one got %q, want %q", got, want)
	}
}

// In a large room, joins and leaves are sent together.
func TestLargeRoom(t *testing.T) {
	const users = 1000
	h := start(t, rules(hub.Namespace{Presence: true, LargeRoom: 10}))
	watcher := enginetest.NewClient(t, h, nil, hub.Client{ID: "watcher"})
	watcher.Subscribe(t, "c", hub.SubscribeOptions{Changes: true})
	var all []*enginetest.Client
	for i := range users {
		c := enginetest.NewClient(t, h, nil, hub.Client{ID: fmt.Sprint(i)})
		c.Subscribe(t, "c", hub.SubscribeOptions{Member: true})
		all = append(all, c)
	}
	watcher.Until(t, func([]enginetest.Event) bool { return len(watcher.Changes()) == users })
	for _, c := range all {
		c.Session.Leave()
	}
	watcher.Until(t, func([]enginetest.Event) bool { return len(watcher.Changes()) == 2*users })
	if calls, _ := watcher.Calls(); calls > users/2 {
		t.Errorf("%d calls for %d changes", calls, 2*users)
	}
	if s := h.Stats()[0]; s.Joins != users || s.Leaves != users {
		t.Errorf("%+v", s)
	}
}

// Publications that are delivered together are sent together.
func TestPublishedTogether(t *testing.T) {
	h := start(t, hub.Options{})
	var all []*enginetest.Client
	codec := new(enginetest.Codec)
	for i := range 100 {
		c := enginetest.NewClient(t, h, codec, hub.Client{ID: fmt.Sprint(i)})
		c.Subscribe(t, "c", hub.SubscribeOptions{})
		all = append(all, c)
	}
	ps, texts := numbered(1, 2000)
	publish(t, h, "c", ps...)
	for _, c := range all {
		c.Want(t, texts...)
	}
	if calls, _ := all[0].Calls(); calls >= len(ps) {
		t.Errorf("%d messages in %d calls", len(ps), calls)
	}
}

// In a room that announces changes once a second, a member is in the reply to its own subscription, and its join is not sent to its
// own connections.
func TestOwnJoinInALargeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, rules(hub.Namespace{Presence: true, LargeRoom: 1}))
		watcher := enginetest.NewClient(t, h, nil, hub.Client{ID: "watcher"})
		watcher.Subscribe(t, "c", hub.SubscribeOptions{Changes: true})
		tabs := []*enginetest.Client{}
		for _, id := range []string{"1", "2"} {
			tab := enginetest.NewClient(t, h, nil, hub.Client{ID: id, User: "ann"})
			r := tab.Subscribe(t, "c", hub.SubscribeOptions{Member: true, Changes: true, Members: 10})
			if r.Users != 1 || len(r.Members) != 1 || r.Members[0].User != "ann" {
				t.Errorf("tab %s sees %+v", id, r)
			}
			tabs = append(tabs, tab)
		}
		<-time.After(3 * time.Second)
		if got := watcher.Changes(); len(got) != 1 || got[0].User != "ann" {
			t.Errorf("the watcher got %+v", got)
		}
		for i, tab := range tabs {
			if got := tab.Changes(); len(got) != 0 {
				t.Errorf("tab %d got %+v", i, got)
			}
		}
	})
}
