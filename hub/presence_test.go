package hub_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/hub/enginetest"
)

// putter is an in-memory engine that records changes of members and requests for leases, and can reject them.
type putter struct {
	inner

	mu     sync.Mutex
	sink   hub.Sink
	puts   [][]hub.Entry // by call
	leases []string      // by call

	onPut     func(ctx context.Context, n int) error // called with the number of the call; may be nil
	onLease   func(n int) error                      // as onPut
	onEntries func(n int) error                      // as onPut
	reads     int                                    // the number of reads of entries
}

func (e *putter) Run(ctx context.Context, s hub.Sink) error {
	e.mu.Lock()
	e.sink = s
	e.mu.Unlock()
	return e.inner.Run(ctx, s)
}

func (e *putter) Put(ctx context.Context, channel string, es ...hub.Entry) error {
	e.mu.Lock()
	e.puts = append(e.puts, slices.Clone(es))
	n := len(e.puts)
	f := e.onPut
	e.mu.Unlock()
	if f != nil {
		if err := f(ctx, n); err != nil {
			return err
		}
	}
	return e.inner.Put(ctx, channel, es...)
}

func (e *putter) Lease(ctx context.Context, name string, ttl time.Duration) error {
	e.mu.Lock()
	e.leases = append(e.leases, name)
	n := len(e.leases)
	f := e.onLease
	e.mu.Unlock()
	if f != nil {
		if err := f(n); err != nil {
			return err
		}
	}
	return e.inner.Lease(ctx, name, ttl)
}

func (e *putter) Entries(ctx context.Context, channel, cursor string, limit int) ([]hub.Entry, string, error) {
	e.mu.Lock()
	e.reads++
	n := e.reads
	f := e.onEntries
	e.mu.Unlock()
	if f != nil {
		if err := f(n); err != nil {
			return nil, "", err
		}
	}
	return e.inner.Entries(ctx, channel, cursor, limit)
}

// sizes returns the number of changes in each call after the first n.
func (e *putter) sizes(n int) (all []int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, es := range e.puts[n:] {
		all = append(all, len(es))
	}
	return all
}

// startPutter returns a hub with presence, and its engine.
func startPutter(t *testing.T, m *hub.Memory) (*putter, *hub.Hub) {
	e := &putter{inner: m.Node().(inner)}
	return e, start(t, hub.Options{Engine: e, Namespaces: []hub.Namespace{{Presence: true}, {Prefix: "none:"}}})
}

func enter(ctx context.Context, c *enginetest.Client) error {
	return c.Session.Subscribe(ctx, "c", hub.SubscribeOptions{Member: true}, replyNothing)
}

// usersOf returns the number of members of a channel.
func usersOf(t *testing.T, h *hub.Hub) int {
	t.Helper()
	_, _, users, err := h.Members(t.Context(), "app", "c", "", 10)
	if err != nil {
		t.Fatal(err)
	}
	return users
}

// If the engine rejects a member, the caller gets the error immediately and the member is removed, even if the engine has stored the entry.
func TestMemberIsRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, h := startPutter(t, hub.NewMemory())
		c := enginetest.NewClient(t, h, nil, hub.Client{ID: "1"})
		e.onPut = func(_ context.Context, n int) error {
			if n == 1 || n == 3 {
				return errRefused
			}
			return nil
		}
		if err := enter(t.Context(), c); !errors.Is(err, errRefused) || c.Session.Subscribed("c") {
			t.Errorf("refused: %v; subscribed: %v", err, c.Session.Subscribed("c"))
		}
		synctest.Wait()
		if got := e.sizes(0); !slices.Equal(got, []int{1, 1}) || !e.puts[1][0].Gone || e.puts[1][0].Client != "1" {
			t.Errorf("the engine got %+v", e.puts)
		}
		if err := enter(t.Context(), c); !errors.Is(err, errRefused) {
			t.Errorf("refused again: %v", err)
		}
		if err := enter(t.Context(), c); err != nil || usersOf(t, h) != 1 {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// When the lease of the node has expired, a member enters under a new lease. Entering is tried up to ten times.
func TestMemberEntersUnderAnotherLease(t *testing.T) {
	for _, fails := range []int{10, 11} {
		synctest.Test(t, func(t *testing.T) {
			e, h := startPutter(t, hub.NewMemory())
			c := enginetest.NewClient(t, h, nil, hub.Client{ID: "1"})
			e.onPut = func(_ context.Context, n int) error {
				if n <= fails {
					return hub.ErrLeaseEnded
				}
				return nil
			}
			err := enter(t.Context(), c)
			want := 1
			if fails > 10 {
				want = 0
			}
			if (err == nil) != (want == 1) || err != nil && !errors.Is(err, hub.ErrLeaseEnded) {
				t.Errorf("after %d leases have ended: %v", fails, err)
			}
			<-time.After(time.Second)
			if n := usersOf(t, h); n != want {
				t.Errorf("after %d leases have ended: %d members", fails, n)
			}
			names := map[string]bool{}
			for _, es := range e.puts[:fails+1] {
				names[es[0].Lease] = true
			}
			if len(names) != fails+1 {
				t.Errorf("%d attempts under %d leases", fails+1, len(names))
			}
		})
	}
}

// Changes of members stop waiting for the engine when the hub is closed, or when their own context is done.
func TestMemberChangesAreCanceled(t *testing.T) {
	for _, what := range []string{"closed", "canceled"} {
		for _, call := range []string{"enter", "update"} {
			synctest.Test(t, func(t *testing.T) {
				e, h := startPutter(t, hub.NewMemory())
				c := enginetest.NewClient(t, h, nil, hub.Client{ID: "1"})
				stuck := func(ctx context.Context, _ int) error {
					<-ctx.Done()
					return ctx.Err()
				}
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				if call == "enter" {
					e.onPut = stuck
					go func() { ended <- enter(ctx, c) }()
				} else {
					if err := enter(ctx, c); err != nil {
						t.Fatal(err)
					}
					e.onPut = stuck
					go func() { ended <- c.Session.Update(ctx, "c", []byte("new")) }()
				}
				synctest.Wait()
				want := context.Canceled
				if what == "closed" {
					want = hub.ErrClosed
					h.Close()
				} else {
					cancel()
				}
				if err := <-ended; !errors.Is(err, want) {
					t.Errorf("%s, %s: %v", call, what, err)
				}
				cancel()
			})
		}
	}
}

// Changes that arrive during a call are sent to the engine together, up to 256 of them; of several changes of one member, only the last is
// sent.
func TestMembersAreChangedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, h := startPutter(t, hub.NewMemory())
		gate := make(chan struct{})
		e.onPut = func(_ context.Context, n int) error {
			if n == 2 {
				<-gate
			}
			return nil
		}
		first := enginetest.NewClient(t, h, nil, hub.Client{ID: "first"})
		if err := enter(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		update := func(data string) {
			wg.Go(func() {
				if err := first.Session.Update(t.Context(), "c", []byte(data)); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		update("1") // during the first change
		update("2")
		update("3")
		for i := range 300 {
			c := enginetest.NewClient(t, h, nil, hub.Client{ID: fmt.Sprint(i)})
			wg.Go(func() {
				if err := enter(t.Context(), c); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		close(gate)
		wg.Wait()
		if got, want := e.sizes(1), []int{1, 255, 46}; !slices.Equal(got, want) {
			t.Errorf("changes by call: %v, want %v", got, want)
		}
		if got := e.puts[2][0]; got.Client != "first" || string(got.Data) != "3" {
			t.Errorf("the last update: %+v", got)
		}
		<-time.After(2 * time.Second) // a large room announces changes once a second
		if n := usersOf(t, h); n != 301 {
			t.Errorf("%d members", n)
		}
	})
}

// Only members can update their data, and an update does not change the user of the member.
func TestUpdateOfAMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, h := startPutter(t, hub.NewMemory())
		c := enginetest.NewClient(t, h, nil, hub.Client{ID: "1", User: "ann"})
		for _, what := range []string{"not subscribed", "not a member"} {
			if err := c.Session.Update(t.Context(), "c", nil); !errors.Is(err, hub.ErrNotSubscribed) {
				t.Errorf("%s: %v", what, err)
			}
			if what == "not subscribed" {
				c.Subscribe(t, "c", hub.SubscribeOptions{})
			}
		}
		c.Session.Unsubscribe("c")
		c.Subscribe(t, "c", hub.SubscribeOptions{Member: true, User: "ann in c", Data: []byte("1")})
		if err := c.Session.Update(t.Context(), "c", []byte("2")); err != nil {
			t.Fatal(err)
		}
		ms, _, users, err := h.Members(t.Context(), "app", "c", "", 10)
		if err != nil || users != 1 || ms[0].User != "ann in c" || string(ms[0].Data) != "2" {
			t.Errorf("%+v of %d, %v", ms, users, err)
		}
	})
}

// Entries under an expired lease are ignored if they arrive late.
func TestEntriesOfAnEndedNodeArriveLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := hub.NewMemory()
		e := &delayingEngine{inner: m.Node().(inner)}
		ns := []hub.Namespace{{Presence: true}}
		here := start(t, hub.Options{Engine: e, Namespaces: ns})
		there := start(t, hub.Options{Engine: m.Node(), Namespaces: ns})
		watcher := enginetest.NewClient(t, here, nil, hub.Client{ID: "watcher"})
		watcher.Subscribe(t, "c", hub.SubscribeOptions{Changes: true})
		bob := enginetest.NewClient(t, there, nil, hub.Client{ID: "b", User: "bob"})
		bob.Subscribe(t, "c", hub.SubscribeOptions{Member: true})
		there.Close()
		synctest.Wait()
		<-time.After(9 * time.Minute)
		other := start(t, hub.Options{Engine: m.Node(), Namespaces: ns})
		other.Close() // so that the node forgets expired data
		synctest.Wait()
		if n := e.deliverHeld(); n == 0 {
			t.Fatal("no entries were held back")
		}
		synctest.Wait()
		if got := watcher.Changes(); len(got) != 0 {
			t.Errorf("announced: %+v", got)
		}
	})
}

// A node renews its lease at a third of its duration, retries soon if the engine rejects the renewal, and acquires another lease
// when the lease has expired.
func TestLeaseIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &putter{inner: hub.NewMemory().Node().(inner)}
		names := func() []string {
			e.mu.Lock()
			defer e.mu.Unlock()
			return slices.Clone(e.leases)
		}
		calls := func() int { return len(names()) }
		have := func(f func(n int) error) {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.onLease = f
		}
		start(t, hub.Options{Engine: e, Lease: 30 * time.Second, Namespaces: []hub.Namespace{{Presence: true}}})
		<-time.After(time.Second)
		was := calls()
		<-time.After(time.Minute)
		if n := calls() - was; n != 6 {
			t.Errorf("renewed %d times in a minute", n)
		}
		have(func(int) error { return errRefused })
		<-time.After(20*time.Second + time.Millisecond) // between two attempts
		was = calls()
		<-time.After(time.Second)
		if n := calls() - was; n != 10 {
			t.Errorf("%d attempts in a second", n)
		}
		n := calls()
		have(nil)
		<-time.After(time.Second)
		if got := names(); got[n] != got[0] {
			t.Errorf("another lease although the first has not ended: %q", got)
		}
		end := calls() + 1
		have(func(n int) error {
			if n == end {
				return hub.ErrLeaseEnded
			}
			return nil
		})
		<-time.After(15 * time.Second)
		if got := names(); len(got) == end || got[end] == got[0] {
			t.Errorf("after the lease has ended: %q", got)
		}
	})
}

// The entries of a channel are read page by page when the channel is opened. If the read fails, the subscription fails, and the next
// subscription reads the entries again. After a gap, the read is repeated until it succeeds.
func TestEntriesAreRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := hub.NewMemory()
		_, there := startPutter(t, m)
		for i := range 1001 {
			if err := enter(t.Context(), enginetest.NewClient(t, there, nil, hub.Client{ID: fmt.Sprint(i)})); err != nil {
				t.Fatal(err)
			}
		}
		e, h := startPutter(t, m)
		reads := 0
		e.onEntries = func(n int) error {
			if reads = n; n == 2 || n == 5 || n == 6 {
				return errRefused
			}
			return nil
		}
		c := enginetest.NewClient(t, h, nil, hub.Client{ID: "c"})
		if err := c.Session.Subscribe(t.Context(), "c", hub.SubscribeOptions{}, replyNothing); !errors.Is(err, errRefused) {
			t.Errorf("the second page is refused: %v", err)
		}
		if r := c.Subscribe(t, "c", hub.SubscribeOptions{Members: 1}); r.Users != 1001 || reads != 4 {
			t.Errorf("%d members after %d reads", r.Users, reads)
		}
		e.sink.Gap("app/c")
		<-time.After(time.Second)
		if n := usersOf(t, h); n != 1001 || reads != 8 {
			t.Errorf("after a gap: %d members after %d reads", n, reads)
		}
	})
}

// Reading the members of a channel without presence is an error.
func TestEntriesRejected(t *testing.T) {
	_, h := startPutter(t, hub.NewMemory())
	for channel, want := range map[string]error{"": hub.ErrBadChannel, "none:c": hub.ErrNoPresence, "c": nil} {
		if _, _, err := h.Entries(t.Context(), "app", channel, "", 10); !errors.Is(err, want) {
			t.Errorf("entries of %q: %v", channel, err)
		}
		if _, _, _, err := h.Members(t.Context(), "app", channel, "", 10); !errors.Is(err, want) {
			t.Errorf("members of %q: %v", channel, err)
		}
	}
}

// The first subscriber of a node to a large room gets the current members in the reply, and their joins are not sent to it later.
func TestFirstSubscriberToALargeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const users = 1000 // more than are announced in a few rounds
		m, ns := hub.NewMemory(), []hub.Namespace{{Presence: true, LargeRoom: 10}}
		there := start(t, hub.Options{Engine: m.Node(), Namespaces: ns})
		for i := range users {
			enginetest.NewClient(t, there, nil, hub.Client{ID: fmt.Sprint(i)}).Subscribe(t, "c", hub.SubscribeOptions{Member: true})
		}
		here := start(t, hub.Options{Engine: m.Node(), Namespaces: ns})
		c := enginetest.NewClient(t, here, nil, hub.Client{ID: "c"})
		if r := c.Subscribe(t, "c", hub.SubscribeOptions{Changes: true, Members: 10}); r.Users != users || len(r.Members) != 10 {
			t.Errorf("the reply has %d members, %d of them in its first page", r.Users, len(r.Members))
		}
		<-time.After(3500 * time.Millisecond) // between two rounds of announcements
		if n := len(c.Changes()); n != 0 {
			t.Errorf("%d changes are announced", n)
		}
		enginetest.NewClient(t, there, nil, hub.Client{ID: "late"}).Subscribe(t, "c", hub.SubscribeOptions{Member: true})
		synctest.Wait()
		if n := len(c.Changes()); n != 0 {
			t.Errorf("%d changes are announced before their time", n)
		}
		<-time.After(3500 * time.Millisecond) // between two rounds of announcements
		if n := len(c.Changes()); n != 1 {
			t.Errorf("%d changes are announced in their time", n)
		}
	})
}
