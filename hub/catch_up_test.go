package hub_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/hub/enginetest"
)

// hookedHistory is an in-memory engine that calls a function with the number, from 1, of each read of a history after a position.
// The read fails with the function's error.
type hookedHistory struct {
	inner
	reads  atomic.Int32
	onRead func(n int32) error // may be nil
}

func (e *hookedHistory) History(ctx context.Context, channel string, q hub.HistoryQuery) (hub.HistoryPage, error) {
	page, err := e.inner.History(ctx, channel, q)
	if q.Since == nil || q.Limit == 0 {
		return page, err
	}
	if n := e.reads.Add(1); e.onRead != nil && err == nil {
		err = e.onRead(n)
	}
	return page, err
}

// behind returns a hub with a hooked engine, and a client that is behind: it has received only the first of count publications.
func behind(t *testing.T, n hub.Namespace, count int) (*hookedHistory, *hub.Hub, *enginetest.Client) {
	t.Helper()
	e := &hookedHistory{inner: hub.NewMemory().Node().(inner)}
	h := start(t, hub.Options{Engine: e, Namespaces: []hub.Namespace{n}})
	return e, h, newSlowClient(t, h, "slow", count)
}

// newSlowClient subscribes a client that receives only the first of count publications.
func newSlowClient(t *testing.T, h *hub.Hub, id string, count int) *enginetest.Client {
	t.Helper()
	c := enginetest.NewClient(t, h, nil, hub.Client{ID: id})
	c.Subscribe(t, "c", hub.SubscribeOptions{})
	c.SetRoom(1)
	ps, _ := numbered(1, count)
	publish(t, h, "c", ps...)
	c.Want(t, "1")
	return c
}

// drain makes room for n more messages, calls Drained, and waits until the hub has finished sending.
func drain(c *enginetest.Client, n int) {
	c.SetRoom(n)
	c.Session.Drained()
	synctest.Wait()
}

// While a subscriber catches up, the node keeps every publication, so that only earlier ones are read from the history. Afterwards
// the node keeps as little as before, even if the subscription has ended in the meantime.
func TestCatchingUpKeepsTheWindowWide(t *testing.T) {
	const before, flood = 1000, 50
	for _, leaves := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			e, h, first := behind(t, hub.Namespace{History: 100_000}, before)
			e.onRead = func(n int32) error {
				if n == 1 && leaves {
					return first.Session.Unsubscribe("c")
				}
				if n <= flood {
					ps, _ := numbered(1, 200)
					publish(t, h, "c", ps...)
				}
				return nil
			}
			drain(first, -1)
			// The window also stays wide while a second subscriber catches up.
			e.reads.Store(1)
			second := newSlowClient(t, h, "second", before)
			drain(second, -1)
			if n := e.reads.Load(); n > 10 {
				t.Errorf("the first leaves: %v; the history was read %d times", leaves, n)
			}
			publish(t, h, "c", text("live"))
			if got := second.Texts(); got[len(got)-1] != "live" || len(got) < before {
				t.Errorf("the first leaves: %v; the second got %d publications, %q at the end", leaves, len(got), got[len(got)-1])
			}
			es := second.Events()
			at := es[len(es)-1].Publication.Position
			<-time.After(time.Minute)
			e.reads.Store(flood)
			ps, _ := numbered(1, 200)
			publish(t, h, "c", ps...)
			late := enginetest.NewClient(t, h, nil, hub.Client{ID: "late"})
			late.Subscribe(t, "c", hub.SubscribeOptions{Since: &at})
			if e.reads.Load() == flood {
				t.Errorf("the first leaves: %v; the node keeps what only a slow subscriber needed", leaves)
			}
		})
	}
}

// If a queue drains just after the hub has found it full, the subscriber is still sent the rest, although Drained is
// not called again.
func TestDrainedWhileTheQueueIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count = 300
		e, _, c := behind(t, hub.Namespace{History: count}, count)
		e.onRead = func(n int32) error {
			if n == 1 {
				c.Session.Drained()
			} else {
				c.SetRoom(-1)
			}
			return nil
		}
		drain(c, 0)
		_, texts := numbered(1, count)
		c.Want(t, texts...)
	})
}

// A slow subscription ends if the history cannot be read, but not if the missed publications have expired.
func TestSlowReadsTheHistory(t *testing.T) {
	const count = 300
	synctest.Test(t, func(t *testing.T) {
		e, h, c := behind(t, hub.Namespace{History: count}, count)
		e.onRead = func(int32) error { return errRefused }
		drain(c, -1)
		if es := c.Events(); !es[len(es)-1].Ended || es[len(es)-1].Reason != hub.EndInsufficient || c.Session.Subscribed("c") {
			t.Errorf("the history cannot be read: %+v", es[len(es)-1])
		}
		if n := e.reads.Load(); n != 1 {
			t.Errorf("the history was read %d times", n)
		}
		if s := h.Stats()[0]; s.Insufficient != 1 || s.Slow != 1 {
			t.Errorf("%+v", s)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		_, h, c := behind(t, hub.Namespace{History: count, Expiry: time.Second}, count)
		<-time.After(2 * time.Second)
		drain(c, -1)
		publish(t, h, "c", text("live"))
		c.Want(t, "1", "live")
	})
	synctest.Test(t, func(t *testing.T) { // the node still has the publications
		_, h, c := behind(t, hub.Namespace{History: count, Expiry: time.Second}, 3)
		<-time.After(2 * time.Second)
		drain(c, -1)
		publish(t, h, "c", text("live"))
		c.Want(t, "1", "live")
	})
}

// The messages that are sent together to a slow subscriber fit into its queue: 48 KiB including the cost of each message, or a
// single message.
func TestCatchingUpSendsWhatFits(t *testing.T) {
	const whole, cost = 48 << 10, 128
	for _, tt := range []struct {
		what  string
		sizes []int
		calls int
	}{
		{"small", []int{1, 1, 1}, 1},
		{"exactly", []int{whole/2 - cost, whole/2 - cost, 1}, 2},
		{"a byte too many", []int{whole/2 - cost, whole/2 - cost + 1, 1}, 2},
		{"two too many", []int{whole/2 - cost, whole/2 - cost + 1, whole/2 - cost, whole / 2}, 4},
		{"each too large", []int{whole + 1, whole + 1}, 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			_, h, c := behind(t, hub.Namespace{History: 100}, 1)
			want := []string{"1"}
			for _, n := range tt.sizes {
				want = append(want, strings.Repeat("x", n))
				publish(t, h, "c", text(want[len(want)-1]))
			}
			was, _ := c.Calls()
			drain(c, -1)
			c.Want(t, want...)
			if n, _ := c.Calls(); n-was != tt.calls {
				t.Errorf("%s: sent in %d calls, want %d", tt.what, n-was, tt.calls)
			}
			if s := h.Stats()[0]; s.Refilled != uint64(len(tt.sizes)) {
				t.Errorf("%s: %+v", tt.what, s)
			}
		})
	}
}

// If the queue is full again before the changes of members are sent, they are sent later, and no publication is sent twice.
func TestCatchingUpStopsAtTheChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, slow, _ := slow(t, hub.Namespace{Presence: true, History: 100}, nil)
		slow.SetRoom(0)
		publish(t, h, "c", text("1"))
		bob := enginetest.NewClient(t, h, nil, hub.Client{ID: "bob"})
		bob.Subscribe(t, "c", hub.SubscribeOptions{Member: true})
		synctest.Wait()
		drain(slow, 1)
		slow.Want(t, "1")
		if n := len(slow.Changes()); n != 0 {
			t.Errorf("%d changes without room", n)
		}
		publish(t, h, "c", text("2"))
		drain(slow, -1)
		slow.Want(t, "1", "2")
		if n := len(slow.Changes()); n != 1 {
			t.Errorf("%d changes with room", n)
		}
		publish(t, h, "c", text("3"))
		slow.Want(t, "1", "2", "3")
	})
}

// A slow subscriber that was sent only some of the publications gets no delta whose base is a publication that it was not sent.
func TestCatchingUpHasNoBase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, rules(hub.Namespace{History: 10}))
		c := enginetest.NewClient(t, h, nil, hub.Client{ID: "slow"})
		c.Subscribe(t, "c", hub.SubscribeOptions{Delta: true})
		publish(t, h, "c", text("1"))
		c.SetRoom(0)
		publish(t, h, "c", text("2"), text("3"), &hub.Publication{Data: []byte("4"), NotTo: "slow"})
		drain(c, -1)
		publish(t, h, "c", text("5"), text("6"))
		c.Want(t, "1", "2", "3", "5", "6")
		if got, want := differences(c), []string{"1", "2", "3", "5", "6-5"}; !slices.Equal(got, want) {
			t.Errorf("deltas %q, want %q", got, want)
		}
	})
}

// Missed publications that are not kept are counted. They end the subscription if the channel keeps no history and the subscriber
// must get every publication.
func TestMissedAndNotKept(t *testing.T) {
	kept, unkept := &hub.PublishOptions{History: 10}, &hub.PublishOptions{History: -1}
	for _, tt := range []struct {
		what    string
		n       hub.Namespace
		o       *hub.PublishOptions
		key     string
		dropped uint64
		lost    bool
	}{
		{"all is kept", hub.Namespace{History: 10}, kept, "", 0, false},
		{"one is not", hub.Namespace{History: 10}, unkept, "", 1, false},
		{"nothing is", hub.Namespace{}, unkept, "", 1, true},
		{"dropped", hub.Namespace{History: 10, Slow: hub.SlowDrop}, kept, "", 1, false},
		{"dropped and not kept", hub.Namespace{Slow: hub.SlowDrop}, unkept, "", 1, false},
		{"the latest", hub.Namespace{History: 10, Slow: hub.SlowLatest}, kept, "key", 0, false},
		{"without a key", hub.Namespace{History: 10, Slow: hub.SlowLatest}, unkept, "", 1, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := start(t, rules(tt.n))
			c := enginetest.NewClient(t, h, nil, hub.Client{ID: "slow"})
			c.Subscribe(t, "c", hub.SubscribeOptions{})
			c.SetRoom(0)
			if _, err := h.Publish(t.Context(), "app", "c", &hub.Publication{Data: []byte("1"), Key: tt.key}, tt.o); err != nil {
				t.Fatal(err)
			}
			drain(c, -1)
			if s := h.Stats()[0]; s.Dropped != tt.dropped || s.Slow != 1 {
				t.Errorf("%s: %+v", tt.what, s)
			}
			if c.Session.Subscribed("c") == tt.lost {
				t.Errorf("%s: still subscribed: %v", tt.what, !tt.lost)
			}
		})
	}
}

// If the queue of a subscriber is full when publications are lost, the subscriber is notified when there is room again; with SlowClose its
// connection is closed.
func TestLostWithAFullQueue(t *testing.T) {
	for _, slow := range []hub.SlowPolicy{hub.SlowRefill, hub.SlowClose} {
		synctest.Test(t, func(t *testing.T) {
			e := newRestarted(hub.NewMemory())
			h := start(t, hub.Options{Engine: e, Namespaces: []hub.Namespace{{History: 100, Slow: slow}}})
			c := enginetest.NewClient(t, h, nil, hub.Client{ID: "a"})
			c.Subscribe(t, "c", hub.SubscribeOptions{})
			publish(t, h, "c", text("1"))
			c.Want(t, "1")
			c.SetRoom(0)
			e.restart(hub.NewMemory())
			<-time.After(time.Second)
			if slow == hub.SlowClose {
				if _, code := c.Calls(); code != 4002 || c.Session.Subscribed("c") {
					t.Errorf("closed with %d; subscribed: %v", code, c.Session.Subscribed("c"))
				}
				return
			}
			drain(c, 0)
			if s := h.Stats()[0]; s.Insufficient != 0 || !c.Session.Subscribed("c") {
				t.Errorf("without room: %+v", s)
			}
			drain(c, -1)
			es := c.Events()
			if !es[len(es)-1].Ended || es[len(es)-1].Reason != hub.EndInsufficient || c.Session.Subscribed("c") {
				t.Errorf("with room: %+v", es[len(es)-1])
			}
			if s := h.Stats()[0]; s.Insufficient != 1 || s.Slow != 1 {
				t.Errorf("with room: %+v", s)
			}
		})
	}
}
