package hub_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/hub/enginetest"
	"github.com/handfast/handfast/internal/bounded"
)

// start starts a hub, which is closed when the test ends.
func start(t testing.TB, o hub.Options) *hub.Hub {
	h := hub.New(o)
	t.Cleanup(func() { h.Close() })
	return h
}

// rules returns hub options with one namespace.
func rules(n hub.Namespace) hub.Options { return hub.Options{Namespaces: []hub.Namespace{n}} }

func publish(t testing.TB, h *hub.Hub, channel string, ps ...*hub.Publication) {
	t.Helper()
	for _, p := range ps {
		if _, err := h.Publish(bounded.Context(t), "app", channel, p, nil); err != nil {
			t.Fatal(err)
		}
	}
}

func text(s string) *hub.Publication { return &hub.Publication{Data: []byte(s)} }

// numbered returns the publications with the numbers from a to b.
func numbered(a, b int) (ps []*hub.Publication, texts []string) {
	for i := a; i <= b; i++ {
		ps = append(ps, text(fmt.Sprint(i)))
		texts = append(texts, fmt.Sprint(i))
	}
	return ps, texts
}

func TestNotToAClient(t *testing.T) {
	h := start(t, rules(hub.Namespace{History: 10}))
	a, b := enginetest.NewClient(t, h, nil, hub.Client{ID: "a"}), enginetest.NewClient(t, h, nil, hub.Client{ID: "b"})
	a.Subscribe(t, "c", hub.SubscribeOptions{})
	at := b.Subscribe(t, "c", hub.SubscribeOptions{}).Position
	publish(t, h, "c", text("1"), &hub.Publication{Data: []byte("2"), NotTo: "a"}, text("3"))
	a.Want(t, "1", "3")
	b.Want(t, "1", "2", "3")
	a.Session.Unsubscribe("c")
	a.Take()
	a.Subscribe(t, "c", hub.SubscribeOptions{Since: &at})
	a.Want(t, "1", "3")
}

// A filter applies to live publications, to missed ones, and to those that a slow subscriber gets later.
func TestFilter(t *testing.T) {
	h := start(t, rules(hub.Namespace{History: 10}))
	a := enginetest.NewClient(t, h, nil, hub.Client{ID: "a"})
	odd := hub.SubscribeOptions{Filter: func(p *hub.Publication) bool { return p.Tags["odd"] == "yes" }}
	tagged := func(data string) *hub.Publication {
		return &hub.Publication{Data: []byte(data), Tags: map[string]string{"odd": "yes"}}
	}
	at := a.Subscribe(t, "c", odd).Position
	publish(t, h, "c", tagged("1"), text("2"), tagged("3"), text("4"))
	a.Want(t, "1", "3")
	a.Session.Unsubscribe("c")
	a.Take()
	odd.Since = &at
	a.Subscribe(t, "c", odd)
	publish(t, h, "c", text("6"), tagged("7"))
	a.Want(t, "1", "3", "7")

	slow := enginetest.NewClient(t, h, nil, hub.Client{ID: "slow"})
	odd.Since = nil
	slow.Subscribe(t, "c", odd)
	slow.SetRoom(1)
	publish(t, h, "c", tagged("9"), text("10"), tagged("11"), text("12"), tagged("13"))
	a.Want(t, "1", "3", "7", "9", "11", "13")
	slow.Want(t, "9")
	slow.SetRoom(-1)
	slow.Session.Drained()
	slow.Want(t, "9", "11", "13")
}

func TestPublicationNamesItsPublisher(t *testing.T) {
	h := start(t, hub.Options{})
	a := enginetest.NewClient(t, h, nil, hub.Client{ID: "a", User: "ann", Data: []byte("info")})
	a.Subscribe(t, "c", hub.SubscribeOptions{})
	if _, err := a.Session.Publish(bounded.Context(t), "c", &hub.Publication{Data: []byte("1"), Client: "forged"}, nil); err != nil {
		t.Fatal(err)
	}
	a.Want(t, "1")
	p := a.Events()[1].Publication
	if p.Client != "a" || p.User != "ann" || string(p.Info) != "info" || p.Time.IsZero() {
		t.Errorf("%+v", p)
	}
}

func TestDeltas(t *testing.T) {
	h := start(t, rules(hub.Namespace{History: 10}))
	codec := new(enginetest.Codec)
	with := enginetest.NewClient(t, h, codec, hub.Client{ID: "with"})
	without := enginetest.NewClient(t, h, codec, hub.Client{ID: "without"})
	with.Subscribe(t, "c", hub.SubscribeOptions{Delta: true})
	without.Subscribe(t, "c", hub.SubscribeOptions{})
	skipped := &hub.Publication{Data: []byte("3"), NotTo: "with"}
	publish(t, h, "c", text("1"), text("2"), skipped, text("4"), text("5"))
	with.Want(t, "1", "2", "4", "5")
	without.Want(t, "1", "2", "3", "4", "5")
	got := differences(with)
	if want := []string{"1", "2-1", "4", "5-4"}; !slices.Equal(got, want) {
		t.Errorf("deltas %q, want %q", got, want)
	}
	for _, e := range without.Events()[1:] {
		if e.Previous != nil {
			t.Errorf("a client without deltas got one: %s", e.Publication.Data)
		}
	}
}

func TestLimits(t *testing.T) {
	h := start(t, hub.Options{MaxSubscriptions: 2, Namespaces: []hub.Namespace{
		{MaxData: 5}, {Prefix: "one:", MaxSubscribers: 1}, {Prefix: "slow:", Rate: 1, Burst: 2}}})
	c := enginetest.NewClient(t, h, nil, hub.Client{ID: "a"})
	d := enginetest.NewClient(t, h, nil, hub.Client{ID: "b"})
	subscribe := func(c *enginetest.Client, channel string) error {
		return c.Session.Subscribe(bounded.Context(t), channel, hub.SubscribeOptions{}, func(*hub.Recovered) error { return nil })
	}
	for _, tt := range []struct {
		c       *enginetest.Client
		channel string
		want    error
	}{
		{c, "", hub.ErrBadChannel}, {c, strings.Repeat("x", hub.MaxChannel+1), hub.ErrBadChannel}, {c, "one:1", nil}, {d, "one:1", hub.ErrTooMany},
		{c, "one:1", hub.ErrSubscribed}, {c, strings.Repeat("x", hub.MaxChannel), nil}, {c, "third", hub.ErrTooMany},
	} {
		if err := subscribe(tt.c, tt.channel); !errors.Is(err, tt.want) || tt.want == nil && err != nil {
			t.Errorf("%.10q: %v, want %v", tt.channel, err, tt.want)
		}
	}
	if err := c.Session.Unsubscribe("one:1"); err != nil {
		t.Error(err)
	}
	if err := c.Session.Unsubscribe("one:1"); !errors.Is(err, hub.ErrNotSubscribed) {
		t.Errorf("unsubscribed twice: %v", err)
	}
	if err := subscribe(d, "one:1"); err != nil {
		t.Errorf("after another has left: %v", err)
	}
	for i, tt := range []struct {
		channel, data string
		want          error
	}{{"x", "12345", nil}, {"x", "123456", hub.ErrTooBig}, {"slow:1", "1", nil}, {"slow:2", "2", nil}, {"slow:1", "3", hub.ErrTooFast}} {
		if _, err := c.Session.Publish(bounded.Context(t), tt.channel, text(tt.data), nil); !errors.Is(err, tt.want) || tt.want == nil && err != nil {
			t.Errorf("publication %d: %v, want %v", i, err, tt.want)
		}
	}
	for i, p := range []*hub.Publication{
		{Data: []byte("1"), ID: "12345"}, {Data: []byte("1"), Event: "12345"}, {Data: []byte("1"), Key: "12345"}, {Key: "123456", Removed: true},
		{Data: []byte("1"), Tags: map[string]string{"12": "345"}}, {Tags: map[string]string{"123456": ""}},
	} {
		if _, err := h.Publish(bounded.Context(t), "", "x", p, nil); !errors.Is(err, hub.ErrTooBig) {
			t.Errorf("publication %d, which is too large because of other fields than its data: %v", i, err)
		}
	}
	whole := &hub.Publication{Data: []byte("1"), ID: "1", Event: "1", Key: "1", Tags: map[string]string{"1": ""}}
	if _, err := h.Publish(bounded.Context(t), "", "x", whole, nil); err != nil {
		t.Errorf("the largest publication: %v", err)
	}
	rejected := uint64(0)
	for _, s := range h.Stats() {
		rejected += s.Rejected
	}
	if rejected != 2 {
		t.Errorf("%d rejected publications are counted", rejected)
	}
}

func TestRateRefills(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, rules(hub.Namespace{Rate: 2, Burst: 1}))
		c := enginetest.NewClient(t, h, nil, hub.Client{ID: "a"})
		for i, want := range []error{nil, hub.ErrTooFast, nil, nil} {
			if _, err := c.Session.Publish(t.Context(), "x", text(""), nil); err != want {
				t.Errorf("publication %d: %v, want %v", i, err, want)
			}
			if i > 0 {
				<-time.After(time.Second / 2)
			}
		}
	})
}

func TestAllow(t *testing.T) {
	h := start(t, rules(hub.Namespace{History: 5, Presence: true}))
	denied := errors.New("denied")
	var asked []string
	c := enginetest.NewClient(t, h, nil, hub.Client{ID: "a", User: "ann", Allow: func(action, channel string) error {
		asked = append(asked, action+" "+channel)
		if channel == "no" {
			return denied
		}
		return nil
	}})
	ctx, reply := bounded.Context(t), func(*hub.Recovered) error { return nil }
	for _, channel := range []string{"no", "yes"} {
		_, err1 := c.Session.Publish(ctx, channel, text("x"), nil)
		_, err2 := c.Session.History(ctx, channel, hub.HistoryQuery{})
		_, _, _, err3 := c.Session.Members(ctx, channel, "", 1)
		_, _, _, err4 := c.Session.Snapshot(ctx, channel, "", 1)
		err5 := c.Session.Subscribe(ctx, channel, hub.SubscribeOptions{}, reply)
		for i, err := range []error{err1, err2, err3, err4, err5} {
			if channel == "no" && !errors.Is(err, denied) || channel == "yes" && err != nil {
				t.Errorf("%s %d: %v", channel, i, err)
			}
		}
	}
	if want := []string{"publish no", "history no", "presence no", "subscribe no", "subscribe no"}; !slices.Equal(asked[:5], want) {
		t.Errorf("asked: %q", asked)
	}
	// Subscribing to the channel of a user does not call Allow if the client is that user.
	asked = nil
	if err := c.Session.Subscribe(ctx, hub.UserChannel("ann"), hub.SubscribeOptions{}, reply); err != nil {
		t.Error(err)
	}
	if err := c.Session.Subscribe(ctx, hub.UserChannel("bob"), hub.SubscribeOptions{}, reply); !errors.Is(err, hub.ErrNotYours) {
		t.Errorf("another user's channel: %v", err)
	}
	if _, err := c.Session.Publish(ctx, hub.UserChannel("ann"), text("x"), nil); !errors.Is(err, hub.ErrNotYours) {
		t.Errorf("publishing to oneself: %v", err)
	}
	if len(asked) > 0 {
		t.Errorf("asked: %q", asked)
	}
}

func TestPublishToAUser(t *testing.T) {
	m := hub.NewMemory()
	a, b := start(t, hub.Options{Engine: m.Node()}), start(t, hub.Options{Engine: m.Node()})
	c := enginetest.NewClient(t, a, nil, hub.Client{ID: "a", User: "ann"})
	d := enginetest.NewClient(t, b, nil, hub.Client{ID: "b"})
	d.Session.SetUser("ann", nil)
	for _, c := range []*enginetest.Client{c, d} {
		c.Subscribe(t, hub.UserChannel("ann"), hub.SubscribeOptions{})
	}
	publish(t, a, hub.UserChannel("ann"), text("hello"))
	c.Want(t, "hello")
	d.Want(t, "hello")
	if err := a.Do(bounded.Context(t), hub.Command{App: "app", User: "ann", Reason: hub.EndExpired}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*enginetest.Client{c, d} {
		bounded.Until(t, func() bool { _, code := c.Calls(); return code == 4003 })
	}
}

func TestNamespaces(t *testing.T) {
	h := start(t, hub.Options{Namespaces: []hub.Namespace{
		{History: 1}, {Prefix: "a", History: 2}, {Prefix: "ab", History: 3}, {Prefix: "a", App: "other", History: 4}}})
	for _, tt := range []struct {
		app, channel string
		want         int
	}{{"app", "x", 1}, {"app", "a", 2}, {"app", "axb", 2}, {"app", "abc", 3}, {"other", "abc", 4}, {"other", "x", 1}} {
		for range 6 {
			if _, err := h.Publish(bounded.Context(t), tt.app, tt.channel, text("x"), nil); err != nil {
				t.Fatal(err)
			}
		}
		page, err := h.History(bounded.Context(t), tt.app, tt.channel, hub.HistoryQuery{Limit: -1})
		if err != nil || len(page.Publications) != tt.want {
			t.Errorf("%s of %s: %d publications, want %d; %v", tt.channel, tt.app, len(page.Publications), tt.want, err)
		}
	}
}

func TestReplyFails(t *testing.T) {
	h := start(t, rules(hub.Namespace{Presence: true}))
	c := enginetest.NewClient(t, h, nil, hub.Client{ID: "a"})
	failed := errors.New("failed")
	err := c.Session.Subscribe(bounded.Context(t), "x", hub.SubscribeOptions{Member: true}, func(*hub.Recovered) error { return failed })
	if !errors.Is(err, failed) || c.Session.Subscribed("x") {
		t.Errorf("%v; subscribed: %v", err, c.Session.Subscribed("x"))
	}
	bounded.Until(t, func() bool {
		_, _, users, err := h.Members(bounded.Context(t), "app", "x", "", 1)
		return err == nil && users == 0
	})
}

// The node unsubscribes from a channel without subscribers after a while. Before and after that, clients can subscribe to the channel
// again.
func TestLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, hub.Options{Linger: 10 * time.Second})
		c := enginetest.NewClient(t, h, nil, hub.Client{ID: "a"})
		for range 3 {
			c.Subscribe(t, "x", hub.SubscribeOptions{})
			if got := h.Sizes(); got != (hub.Sizes{Sessions: 1, Channels: 1, Subscriptions: 1}) {
				t.Errorf("subscribed: %+v", got)
			}
			c.Take()
			publish(t, h, "x", text("1"))
			c.Want(t, "1")
			c.Session.Unsubscribe("x")
			<-time.After(9 * time.Second)
			if got := h.Sizes(); got.Channels != 1 {
				t.Errorf("after nine seconds: %+v", got)
			}
			<-time.After(5 * time.Second)
			if got := h.Sizes(); got.Channels != 0 {
				t.Errorf("after fourteen seconds: %+v", got)
			}
		}
	})
}

func TestClose(t *testing.T) {
	h := hub.New(rules(hub.Namespace{Presence: true}))
	c := enginetest.NewClient(t, h, nil, hub.Client{ID: "a", User: "ann"})
	c.Subscribe(t, "x", hub.SubscribeOptions{Member: true})
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	es := c.Events()
	if _, code := c.Calls(); code != 4006 || !es[len(es)-1].Closing || es[len(es)-1].Reason != hub.EndShutdown {
		t.Errorf("closed with %d, %+v", code, es[len(es)-1])
	}
	if _, err := h.Join(hub.Client{ID: "b", Out: c, Codec: new(enginetest.Codec)}); !errors.Is(err, hub.ErrClosed) {
		t.Errorf("joining a closed hub: %v", err)
	}
	err := c.Session.Subscribe(bounded.Context(t), "y", hub.SubscribeOptions{}, func(*hub.Recovered) error { return nil })
	if !errors.Is(err, hub.ErrClosed) {
		t.Errorf("subscribing after the end: %v", err)
	}
	if err := h.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	if got := h.Sizes(); got.Sessions+got.Subscriptions != 0 {
		t.Errorf("left: %+v", got)
	}
}

// countedHistory counts the reads of the history.
type countedHistory struct {
	inner
	reads atomic.Int32
	gate  chan struct{}
}

func (c *countedHistory) History(ctx context.Context, channel string, q hub.HistoryQuery) (hub.HistoryPage, error) {
	if q.Limit != 0 {
		c.reads.Add(1)
		<-c.gate
	}
	return c.inner.History(ctx, channel, q)
}

// When many clients reconnect to a node at the same time, the history is read only a few times.
func TestManyReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := hub.NewMemory()
		o := rules(hub.Namespace{History: 1000, HistoryAge: time.Hour})
		o.Engine = m.Node()
		first := start(t, o)
		var at []hub.Position
		_, texts := numbered(1, 500)
		for _, s := range texts {
			done, err := first.Publish(t.Context(), "app", "c", text(s), nil)
			if err != nil {
				t.Fatal(err)
			}
			at = append(at, done.Position)
		}
		e := &countedHistory{inner: m.Node().(inner), gate: make(chan struct{})}
		o.Engine = e
		h := start(t, o) // a node that has received none of the publications
		var wg sync.WaitGroup
		const n = 300
		for i := range n {
			c := enginetest.NewClient(t, h, nil, hub.Client{ID: fmt.Sprint(i)})
			since := i * 7 % 400
			wg.Go(func() {
				if r := c.Subscribe(t, "c", hub.SubscribeOptions{Since: &at[since]}); r.Err != nil {
					t.Errorf("since %d: %v", since, r.Err)
				}
				if got := c.Texts(); !slices.Equal(got, texts[since+1:]) {
					t.Errorf("since %d: %d publications", since, len(got))
				}
			})
		}
		synctest.Wait()
		close(e.gate)
		wg.Wait()
		if got := e.reads.Load(); got > 4 {
			t.Errorf("the history was read %d times for %d clients", got, n)
		}
	})
}

// A session can read the settings of its channels, and list their connections.
func TestSessionReads(t *testing.T) {
	h := start(t, rules(hub.Namespace{History: 7, Presence: true}))
	denied := errors.New("denied")
	c := enginetest.NewClient(t, h, nil, hub.Client{ID: "a", User: "ann", Allow: func(action, channel string) error {
		if action == hub.ActionPresence && channel == "secret" {
			return denied
		}
		return nil
	}})
	c.Subscribe(t, "c", hub.SubscribeOptions{Member: true})
	if n := c.Session.Namespace("c"); n.History != 7 {
		t.Errorf("%+v", n)
	}
	es, _, err := c.Session.Entries(bounded.Context(t), "c", "", 10)
	if err != nil || len(es) != 1 || es[0].User != "ann" || es[0].Client != "a" {
		t.Errorf("%+v, %v", es, err)
	}
	if _, _, err := c.Session.Entries(bounded.Context(t), "secret", "", 10); !errors.Is(err, denied) {
		t.Error(err)
	}
}

// A session can acknowledge messages of channels that it is subscribed to, and read the acknowledged positions of channels that it may
// subscribe to.
func TestSessionAcks(t *testing.T) {
	h := start(t, rules(hub.Namespace{History: 7}))
	denied := errors.New("denied")
	c := enginetest.NewClient(t, h, nil, hub.Client{ID: "a", User: "ann", Allow: func(_, channel string) error {
		if channel == "secret" {
			return denied
		}
		return nil
	}})
	ctx, at := bounded.Context(t), hub.Position{Epoch: "e", Offset: 3}
	if err := c.Session.Ack(ctx, "c", "phone", at); !errors.Is(err, hub.ErrNotSubscribed) {
		t.Errorf("without a subscription: %v", err)
	}
	if _, err := c.Session.Acked(ctx, "secret", "phone"); !errors.Is(err, denied) {
		t.Errorf("in a denied channel: %v", err)
	}
	if p, err := c.Session.Acked(ctx, "c", "phone"); p != nil || err != nil {
		t.Errorf("before the first Ack: %v, %v", p, err)
	}
	c.Subscribe(t, "c", hub.SubscribeOptions{})
	if err := c.Session.Ack(ctx, "c", "phone", at); err != nil {
		t.Fatal(err)
	}
	if p, err := c.Session.Acked(ctx, "c", "phone"); err != nil || p == nil || *p != at {
		t.Errorf("%v, %v", p, err)
	}
}

// After a change of permissions, Recheck ends the subscriptions that are no longer allowed; their members leave, and the others
// stay.
func TestRecheck(t *testing.T) {
	h := start(t, rules(hub.Namespace{Presence: true}))
	var denied atomic.Value
	denied.Store("")
	c := enginetest.NewClient(t, h, nil, hub.Client{ID: "a", User: "ann", Allow: func(action, channel string) error {
		if strings.Contains(denied.Load().(string), action+" "+channel+";") {
			return errors.New("denied")
		}
		return nil
	}})
	for channel, o := range map[string]hub.SubscribeOptions{
		"stays": {}, "denied": {Member: true}, "seen": {Changes: true}, "plain": {}, "granted": {}, hub.UserChannel("ann"): {},
	} {
		c.Subscribe(t, channel, o)
	}
	c.Take()
	denied.Store("subscribe denied;subscribe granted;presence seen;presence plain;")
	c.Session.Recheck(func(channel string) bool { return channel == "granted" })
	got := c.Session.Subscriptions()
	slices.Sort(got)
	if want := []string{hub.UserChannel("ann"), "granted", "plain", "stays"}; !slices.Equal(got, want) {
		t.Errorf("subscribed to %q, want %q", got, want)
	}
	var ended []string
	for _, e := range c.Events() {
		if e.Ended && e.Reason == hub.EndDenied {
			ended = append(ended, e.Channel)
		}
	}
	if slices.Sort(ended); !slices.Equal(ended, []string{"denied", "seen"}) {
		t.Errorf("ended: %q", ended)
	}
	bounded.Until(t, func() bool {
		_, _, users, err := h.Members(bounded.Context(t), "app", "denied", "", 1)
		return err == nil && users == 0
	})
}

// Only clients that may see the members of a channel get the members, also in the reply to a subscription.
func TestSubscribeWithMembersNeedsPresence(t *testing.T) {
	h := start(t, hub.Options{Namespaces: []hub.Namespace{{Prefix: "room:", Presence: true}}})
	c := enginetest.NewClient(t, h, nil, hub.Client{ID: "a", Allow: func(action, _ string) error {
		if action == hub.ActionPresence {
			return errors.New("denied")
		}
		return nil
	}})
	reply := func(*hub.Recovered) error { return nil }
	for _, o := range []hub.SubscribeOptions{{Members: 1}, {Changes: true}} {
		if err := c.Session.Subscribe(bounded.Context(t), "room:1", o, reply); err == nil {
			t.Errorf("%+v", o)
		}
		c.Subscribe(t, "without members", o)
		c.Session.Unsubscribe("without members")
	}
	c.Subscribe(t, "room:1", hub.SubscribeOptions{Member: true})
}
