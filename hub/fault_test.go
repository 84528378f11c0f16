package hub_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/hub/enginetest"
	"github.com/handfast/handfast/internal/bounded"
)

// restartableEngine is an in-memory engine that can fail and restart, with or without its data.
type restartableEngine struct {
	mu      sync.Mutex
	current inner
	fail    chan struct{} // closed to make Run fail
	runs    int           // the number of calls of Run

	runErr   error // the result of Run
	probeErr error // the result of probes
}

// refuse makes Run return err now and whenever it is called again; if err is nil, Run works again.
func (r *restartableEngine) refuse(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.runErr = err
	close(r.fail)
	r.fail = make(chan struct{})
}

// answer makes probes return err; if it is nil, they succeed.
func (r *restartableEngine) answer(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.probeErr = err
}

func newRestarted(m *hub.Memory) *restartableEngine {
	return &restartableEngine{current: m.Node().(inner), fail: make(chan struct{})}
}

var errRestart = errors.New("the server has restarted")

// restart makes Run fail, and uses another Memory when it is called again.
func (r *restartableEngine) restart(m *hub.Memory) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current = m.Node().(inner)
	close(r.fail)
	r.fail = make(chan struct{})
}

func (r *restartableEngine) now() inner {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.current
}

func (r *restartableEngine) Run(ctx context.Context, s hub.Sink) error {
	r.mu.Lock()
	e, fail := r.current, r.fail
	r.runs++
	refusal := r.runErr
	r.mu.Unlock()
	if refusal != nil {
		return refusal
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx, s) }()
	select {
	case err := <-ended:
		return err
	case <-fail:
		cancel()
		<-ended
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.runErr != nil {
			return r.runErr
		}
		return errRestart
	}
}

func (r *restartableEngine) Subscribe(ctx context.Context, channels ...string) error {
	return r.now().Subscribe(ctx, channels...)
}

func (r *restartableEngine) Unsubscribe(ctx context.Context, channels ...string) error {
	return r.now().Unsubscribe(ctx, channels...)
}

func (r *restartableEngine) Publish(ctx context.Context, channel string, p *hub.Publication, o hub.PublishOptions) (hub.Published, error) {
	return r.now().Publish(ctx, channel, p, o)
}

func (r *restartableEngine) History(ctx context.Context, channel string, q hub.HistoryQuery) (hub.HistoryPage, error) {
	return r.now().History(ctx, channel, q)
}

func (r *restartableEngine) Trim(ctx context.Context, channel string, through uint64) error {
	return r.now().Trim(ctx, channel, through)
}

func (r *restartableEngine) Probe(ctx context.Context) error {
	r.mu.Lock()
	mute := r.probeErr
	r.mu.Unlock()
	if mute != nil {
		return mute
	}
	return r.now().Probe(ctx)
}

// delayingEngine is an in-memory engine that does not deliver entries to its node until deliverHeld is called.
type delayingEngine struct {
	inner
	mu   sync.Mutex
	held []func()
}

func (l *delayingEngine) Run(ctx context.Context, s hub.Sink) error {
	return l.inner.Run(ctx, &lateSink{s, l})
}

// deliverHeld delivers the held entries, and returns their number.
func (l *delayingEngine) deliverHeld() int {
	l.mu.Lock()
	held := l.held
	l.held = nil
	l.mu.Unlock()
	for _, deliver := range held {
		deliver()
	}
	return len(held)
}

type lateSink struct {
	hub.Sink
	l *delayingEngine
}

func (s *lateSink) Members(channel string, es []hub.Entry) {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	s.l.held = append(s.l.held, func() { s.Sink.Members(channel, es) })
}

// A node ignores the entries of its own members if they are delivered after the members have left.
func TestOwnEntriesArriveLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &delayingEngine{inner: hub.NewMemory().Node().(inner)}
		h := start(t, hub.Options{Engine: e, Namespaces: []hub.Namespace{{Presence: true}}})
		watcher := enginetest.NewClient(t, h, nil, hub.Client{ID: "watcher"})
		watcher.Subscribe(t, "room", hub.SubscribeOptions{Changes: true})
		bob := enginetest.NewClient(t, h, nil, hub.Client{ID: "b", User: "bob"})
		bob.Subscribe(t, "room", hub.SubscribeOptions{Member: true})
		bob.Session.Leave()
		watcher.Until(t, func([]enginetest.Event) bool { return len(watcher.Changes()) == 2 })
		if n := e.deliverHeld(); n != 2 {
			t.Fatalf("%d changes of entries were late", n)
		}
		synctest.Wait()
		<-time.After(time.Minute)
		if got := watcher.Changes(); len(got) != 2 || got[0].Kind != hub.Joined || got[1].Kind != hub.Left {
			t.Errorf("announced: %+v", got)
		}
	})
}

// Publications from the time in which a node's engine was down reach its subscribers when the engine works again.
func TestEngineRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := hub.NewMemory()
		e := newRestarted(m)
		h := start(t, hub.Options{Engine: e, Namespaces: []hub.Namespace{{History: 100}}})
		other := start(t, hub.Options{Engine: m.Node(), Namespaces: []hub.Namespace{{History: 100}}})
		c := enginetest.NewClient(t, h, nil, hub.Client{ID: "a"})
		c.Subscribe(t, "c", hub.SubscribeOptions{})
		publish(t, other, "c", text("1"))
		c.Want(t, "1")
		bounded.Until(t, func() bool { return h.Ready() == nil })
		e.restart(m)
		synctest.Wait()
		if err := h.Ready(); !errors.Is(err, errRestart) {
			t.Errorf("without its engine: %v", err)
		}
		publish(t, other, "c", text("2"), text("3"))
		c.Want(t, "1", "2", "3")
		publish(t, h, "c", text("4"))
		c.Want(t, "1", "2", "3", "4")
		bounded.Until(t, func() bool { return h.Ready() == nil })
		if s := h.Stats()[0]; s.Refilled != 2 {
			t.Errorf("%+v", s)
		}
	})
}

// Subscribers are notified if the engine restarts without its streams; if the protocol has no message for that, the subscription
// continues.
func TestEngineLosesItsStreams(t *testing.T) {
	for _, silent := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			e := newRestarted(hub.NewMemory())
			h := start(t, hub.Options{Engine: e, Namespaces: []hub.Namespace{{History: 100}}})
			c := enginetest.NewClient(t, h, &enginetest.Codec{Silent: silent}, hub.Client{ID: "a"})
			c.Subscribe(t, "c", hub.SubscribeOptions{})
			publish(t, h, "c", text("1"), text("2"))
			c.Want(t, "1", "2")
			at := c.Events()[2].Publication.Position
			e.restart(hub.NewMemory())
			<-time.After(time.Second)
			if !silent {
				c.Until(t, func(es []enginetest.Event) bool {
					return es[len(es)-1].Ended && es[len(es)-1].Reason == hub.EndInsufficient
				})
				c.Take()
				if r := c.Subscribe(t, "c", hub.SubscribeOptions{Since: &at}); !errors.Is(r.Err, hub.ErrNewEpoch) {
					t.Errorf("subscribed again: %v", r.Err)
				}
			}
			publish(t, h, "c", text("3"))
			c.Until(t, func([]enginetest.Event) bool { return slices.Contains(c.Texts(), "3") })
			if s := h.Stats()[0]; s.Gaps != 1 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// If the engine restarts without its streams, a subscription with positions continues, and its client is notified of
// the new position.
func TestEngineLosesItsStreamsWithPositions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newRestarted(hub.NewMemory())
		h := start(t, hub.Options{Engine: e, Namespaces: []hub.Namespace{{History: 100}}})
		c := enginetest.NewClient(t, h, nil, hub.Client{ID: "a"})
		c.Subscribe(t, "c", hub.SubscribeOptions{Positions: true})
		publish(t, h, "c", text("1"))
		c.Want(t, "1")
		e.restart(hub.NewMemory())
		c.Until(t, func(es []enginetest.Event) bool { return es[len(es)-1].Lost != nil })
		at := *c.Events()[len(c.Events())-1].Lost
		publish(t, h, "c", text("2"))
		c.Want(t, "1", "2")
		for _, e := range c.Events() {
			if p := e.Publication; p != nil && (!e.Positioned || string(p.Data) == "2" && p.Position != (hub.Position{Epoch: at.Epoch, Offset: at.Offset + 1})) {
				t.Errorf("%+v after %+v", e, at)
			}
		}
		if s := h.Stats()[0]; s.Gaps != 1 || s.Insufficient != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// If a node is unreachable for longer than its lease, its members leave, and join again when it is back. Its own subscribers notice
// nothing.
func TestLeaseLapses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &faultyCluster{memory: hub.NewMemory()}
		ns := []hub.Namespace{{Presence: true}}
		e := c.node()
		away := start(t, hub.Options{Engine: e, Namespaces: ns})
		here := start(t, hub.Options{Engine: c.memory.Node(), Namespaces: ns})
		watch := func(h *hub.Hub, id string) *enginetest.Client {
			w := enginetest.NewClient(t, h, nil, hub.Client{ID: id})
			w.Subscribe(t, "c", hub.SubscribeOptions{Changes: true})
			return w
		}
		inside, outside := watch(away, "inside"), watch(here, "outside")
		ann := enginetest.NewClient(t, away, nil, hub.Client{ID: "1", User: "ann"})
		ann.Subscribe(t, "c", hub.SubscribeOptions{Member: true})
		bob := enginetest.NewClient(t, away, nil, hub.Client{ID: "2", User: "bob"})
		bob.Subscribe(t, "c", hub.SubscribeOptions{Member: true})
		kinds := func(w *enginetest.Client) (all []string) {
			for _, c := range w.Changes() {
				all = append(all, []string{"+", "=", "-"}[c.Kind]+c.User)
			}
			slices.Sort(all)
			return all
		}
		<-time.After(time.Second)
		e.set(paused)
		<-time.After(5 * time.Second)
		if got, want := kinds(outside), []string{"+ann", "+bob", "-ann", "-bob"}; !slices.Equal(got, want) {
			t.Errorf("while the node is away: %q, want %q", got, want)
		}
		bob.Session.Leave() // the engine cannot be notified
		e.set(healthy)
		<-time.After(5 * time.Second)
		// Bob's entry may have been stored again before the engine was notified that he has left.
		got := kinds(outside)
		if len(got) == 7 {
			got = slices.DeleteFunc(got, func(s string) bool { return s == "+bob" || s == "-bob" })
			got = append(got, "+bob", "-bob")
			slices.Sort(got)
		}
		if want := []string{"+ann", "+ann", "+bob", "-ann", "-bob"}; !slices.Equal(got, want) {
			t.Errorf("when it is back: %q, want %q", got, want)
		}
		if _, _, users, err := here.Members(t.Context(), "app", "c", "", 10); err != nil || users != 1 {
			t.Errorf("%d members at the end, %v", users, err)
		}
		if got, want := kinds(inside), []string{"+ann", "+bob", "-bob"}; !slices.Equal(got, want) {
			t.Errorf("on the node itself: %q, want %q", got, want)
		}
	})
}

// rejectingEngine is a node whose engine rejects changes of members, and then its lease, until the test allows them.
type rejectingEngine struct {
	*faultyNode
	put, lease atomic.Bool
	leaseCalls atomic.Int32 // the number of requests for a lease
}

var errRefused = errors.New("the engine has no leader")

func (r *rejectingEngine) Put(ctx context.Context, channel string, es ...hub.Entry) error {
	if r.put.Load() {
		return errRefused
	}
	return r.faultyNode.Put(ctx, channel, es...)
}

func (r *rejectingEngine) Lease(ctx context.Context, name string, ttl time.Duration) error {
	if r.lease.Load() {
		r.leaseCalls.Add(1)
		return errRefused
	}
	return r.faultyNode.Lease(ctx, name, ttl)
}

// When the lease of a node has expired, its members are stored again, however long the engine rejects the changes, and members that have
// left in the meantime are removed.
func TestMembersAfterRejectedChanges(t *testing.T) {
	for _, what := range []string{"entries", "leases"} {
		synctest.Test(t, func(t *testing.T) {
			c := &faultyCluster{memory: hub.NewMemory()}
			ns := []hub.Namespace{{Presence: true}}
			e := &rejectingEngine{faultyNode: c.node()}
			away := start(t, hub.Options{Engine: e, Namespaces: ns})
			here := start(t, hub.Options{Engine: c.memory.Node(), Namespaces: ns})
			watcher := enginetest.NewClient(t, here, nil, hub.Client{ID: "watcher"})
			watcher.Subscribe(t, "c", hub.SubscribeOptions{Changes: true})
			var members []*enginetest.Client
			for _, id := range []string{"stays", "leaves"} {
				m := enginetest.NewClient(t, away, nil, hub.Client{ID: id})
				m.Subscribe(t, "c", hub.SubscribeOptions{Member: true})
				members = append(members, m)
			}
			e.set(paused)
			<-time.After(5 * time.Second)
			e.put.Store(what == "entries")
			e.lease.Store(what == "leases")
			e.set(healthy)
			<-time.After(time.Second)
			members[1].Session.Leave()
			<-time.After(20 * time.Second)
			e.put.Store(false)
			e.lease.Store(false)
			<-time.After(2 * time.Second)
			ms, _, users, err := here.Members(t.Context(), "app", "c", "", 10)
			if err != nil || users != 1 || ms[0].User != "stays" {
				t.Errorf("%s were refused: %d members, %v, %v", what, users, ms, err)
			}
			if n := len(watcher.Changes()); n < 5 { // both join and leave, and one joins again
				t.Errorf("%s were refused: %d changes", what, n)
			}
			if n := e.leaseCalls.Load(); n > 300 {
				t.Errorf("%d attempts to take a lease", n)
			}
			if _, _, users, err := away.Members(t.Context(), "app", "c", "", 10); err != nil || users != 1 {
				t.Errorf("on the node itself: %d members, %v", users, err)
			}
		})
	}
}

// Calls return when their context is done, even if the engine does not respond.
func TestEngineDoesNotRespond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &faultyCluster{memory: hub.NewMemory()}
		e := c.node()
		h := start(t, hub.Options{Engine: e, Namespaces: []hub.Namespace{{Prefix: "room", Presence: true}, {Prefix: "h", History: 5}}})
		client := enginetest.NewClient(t, h, nil, hub.Client{ID: "1"})
		client.Subscribe(t, "room", hub.SubscribeOptions{})
		e.set(paused)
		for _, channel := range []string{"room", "h", "x"} {
			if channel == "room" {
				client.Session.Unsubscribe("room")
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			err := client.Session.Subscribe(ctx, channel, hub.SubscribeOptions{Member: true}, replyNothing)
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", channel, err)
			}
			if client.Session.Subscribed(channel) {
				t.Errorf("subscribed to %s", channel)
			}
		}
		e.set(healthy)
		for _, channel := range []string{"room", "h", "x"} {
			client.Subscribe(t, channel, hub.SubscribeOptions{Member: true})
		}
		<-time.After(time.Second)
		if _, _, users, err := h.Members(t.Context(), "app", "room", "", 10); err != nil || users != 1 {
			t.Errorf("%d members, %v", users, err)
		}
	})
}

// laggingEngine is an engine whose history lags behind its deliveries, and that delivers only every second publication.
type laggingEngine struct {
	inner
	mu    sync.Mutex
	seen  map[string]int // the number of reads by channel
	count int
}

func (l *laggingEngine) History(ctx context.Context, channel string, q hub.HistoryQuery) (hub.HistoryPage, error) {
	page, err := l.inner.History(ctx, channel, q)
	l.mu.Lock()
	defer l.mu.Unlock()
	if q.Since == nil {
		return page, err
	}
	if l.seen[channel]++; l.seen[channel] < l.count {
		page.Publications, page.Top = nil, *q.Since
	}
	return page, err
}

func (l *laggingEngine) Run(ctx context.Context, s hub.Sink) error {
	return l.inner.Run(ctx, &lossySink{Sink: s})
}

type lossySink struct {
	hub.Sink
	n int
}

func (e *lossySink) Deliver(channel string, ps []*hub.Publication) {
	if e.n++; e.n%2 == 1 {
		e.Sink.Deliver(channel, ps)
	}
}

// A history that lags behind is read again for some time; after that, subscribers are notified of the gap.
func TestHistoryIsBehind(t *testing.T) {
	for _, count := range []int{5, 1 << 30} {
		synctest.Test(t, func(t *testing.T) {
			e := &laggingEngine{inner: hub.NewMemory().Node().(inner), seen: map[string]int{}, count: count}
			h := start(t, hub.Options{Engine: e, Namespaces: []hub.Namespace{{History: 100}}})
			c := enginetest.NewClient(t, h, nil, hub.Client{ID: "a"})
			c.Subscribe(t, "c", hub.SubscribeOptions{})
			publish(t, h, "c", text("1"), text("2"), text("3"))
			if count == 5 {
				c.Want(t, "1", "2", "3")
				return
			}
			c.Until(t, func(es []enginetest.Event) bool { return es[len(es)-1].Ended })
			if got := c.Texts(); !slices.Equal(got, []string{"1"}) {
				t.Errorf("before the end: %q", got)
			}
		})
	}
}

// The hub does not wait for publications that expired before the history was read.
func TestGapOfExpiredPublications(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &laggingEngine{inner: hub.NewMemory().Node().(inner), seen: map[string]int{}}
		h := start(t, hub.Options{Engine: e, Namespaces: []hub.Namespace{{History: 100}}})
		c := enginetest.NewClient(t, h, nil, hub.Client{ID: "a"})
		c.Subscribe(t, "c", hub.SubscribeOptions{})
		publish(t, h, "c", text("1"), &hub.Publication{Data: []byte("2"), Expires: time.Now().Add(time.Second)})
		<-time.After(2 * time.Second)
		publish(t, h, "c", text("3"), text("4"), text("5"))
		c.Want(t, "1", "3", "4", "5")
		if s := h.Stats()[0]; s.Gaps != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// A node may remember more than the history contains, but publications that are too old are not recovered.
func TestWindowIsNotTheHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, hub.Options{Namespaces: []hub.Namespace{{History: 2}, {Prefix: "age", History: 10, HistoryAge: time.Second}}})
		c := enginetest.NewClient(t, h, nil, hub.Client{ID: "a"})
		for _, channel := range []string{"c", "age"} {
			at := c.Subscribe(t, channel, hub.SubscribeOptions{}).Position
			publish(t, h, channel, text("1"), text("2"), text("3"))
			<-time.After(2 * time.Second)
			late := enginetest.NewClient(t, h, nil, hub.Client{ID: "b"})
			if r := late.Subscribe(t, channel, hub.SubscribeOptions{Since: &at}); !errors.Is(r.Err, hub.ErrTooOld) {
				t.Errorf("%s: %v", channel, r.Err)
			}
		}
	})
}

// Changes of members that happened while a node was disconnected are announced when it has reconnected.
func TestRosterAfterADisconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &faultyCluster{memory: hub.NewMemory()}
		ns := []hub.Namespace{{Presence: true}}
		e := c.node()
		away := start(t, hub.Options{Engine: e, Namespaces: ns})
		here := start(t, hub.Options{Engine: c.memory.Node(), Namespaces: ns})
		w := enginetest.NewClient(t, away, nil, hub.Client{ID: "w"})
		w.Subscribe(t, "c", hub.SubscribeOptions{Changes: true})
		join := func(id string) *enginetest.Client {
			m := enginetest.NewClient(t, here, nil, hub.Client{ID: id})
			m.Subscribe(t, "c", hub.SubscribeOptions{Member: true})
			return m
		}
		leaves := join("leaves")
		w.Until(t, func([]enginetest.Event) bool { return len(w.Changes()) == 1 })
		e.set(disconnected)
		leaves.Session.Leave()
		join("comes")
		<-time.After(time.Second)
		if n := len(w.Changes()); n != 1 {
			t.Errorf("%d changes while the node is cut off", n)
		}
		e.set(healthy)
		w.Until(t, func([]enginetest.Event) bool { return len(w.Changes()) == 3 })
		var got []string
		for _, c := range w.Changes()[1:] {
			got = append(got, []string{"+", "=", "-"}[c.Kind]+c.User)
		}
		slices.Sort(got)
		if want := []string{"+comes", "-leaves"}; !slices.Equal(got, want) {
			t.Errorf("when it is back: %q, want %q", got, want)
		}
	})
}

// A subscriber that is behind when publications are lost is notified of the loss when it reads again.
func TestLostWhileBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newRestarted(hub.NewMemory())
		h := start(t, hub.Options{Engine: e, Namespaces: []hub.Namespace{{History: 100}}})
		c := enginetest.NewClient(t, h, nil, hub.Client{ID: "a"})
		c.Subscribe(t, "c", hub.SubscribeOptions{})
		c.SetRoom(0)
		publish(t, h, "c", text("1"))
		e.restart(hub.NewMemory())
		<-time.After(time.Second)
		c.SetRoom(-1)
		c.Session.Drained()
		c.Until(t, func(es []enginetest.Event) bool {
			return es[len(es)-1].Ended && es[len(es)-1].Reason == hub.EndInsufficient
		})
		if got := c.Texts(); len(got) > 0 {
			t.Errorf("before that the client got %q", got)
		}
	})
}
