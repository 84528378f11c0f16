package enginetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
)

var member = hub.SubscribeOptions{Member: true, Changes: true, Members: 100}

// changeNotation returns changes in a short notation: "+user", "-user", "=user data".
func changeNotation(cs []hub.Change) []string {
	all := []string{}
	for _, c := range cs {
		switch c.Kind {
		case hub.Joined:
			all = append(all, "+"+c.User)
		case hub.Left:
			all = append(all, "-"+c.User)
		default:
			all = append(all, "="+c.User+" "+string(c.Data))
		}
	}
	return all
}

// wantChanges waits until c has received exactly these changes.
func (s *suite) wantChanges(c *Client, want ...string) {
	s.Helper()
	c.Until(s, func([]Event) bool { return len(c.Changes()) >= len(want) })
	if got := changeNotation(c.Changes()); !slices.Equal(got, want) {
		s.Errorf("client %s got %q, want %q", c.Session.Client().ID, got, want)
	}
}

// members returns the users in a channel.
func (s *suite) members(h *hub.Hub, channel string) []string {
	s.Helper()
	all := []string{}
	for cursor := ""; ; {
		ms, next, users, err := h.Members(bounded.Context(s), "app", channel, cursor, 50)
		if err != nil {
			s.Fatal(err)
		}
		for _, m := range ms {
			all = append(all, m.User)
		}
		if cursor = next; next == "" {
			if users != len(all) {
				s.Logf("%d members, %d in the pages", users, len(all)) // some may have joined or left between two pages
			}
			slices.Sort(all)
			return all
		}
	}
}

func (s *suite) untilMembers(h *hub.Hub, channel string, want ...string) {
	s.Helper()
	var got []string
	ok := false
	defer func() {
		if !ok {
			s.Logf("members: %q, want %q", got, want)
		}
	}()
	bounded.Until(s, func() bool {
		got = s.members(h, channel)
		ok = slices.Equal(got, want)
		return ok
	})
}

func presence(s *suite) {
	if !implements[hub.Presence](s) {
		return
	}
	a, b := s.hub(), s.hub()
	ann, bob := s.client(a, "ann"), s.client(b, "bob")
	r := ann.Subscribe(s, "room:1", member)
	if len(r.Members) != 1 || r.Users != 1 || r.Members[0].User != "ann" || string(r.Members[0].Data) != "data of ann" {
		s.Errorf("the first member sees %+v", r)
	}
	r = bob.Subscribe(s, "room:1", member)
	if r.Users != 2 || len(r.Members) != 2 {
		s.Errorf("the second member sees %+v", r)
	}
	s.wantChanges(ann, "+bob")
	if err := bob.Session.Update(bounded.Context(s), "room:1", []byte("away")); err != nil {
		s.Fatal(err)
	}
	s.wantChanges(ann, "+bob", "=bob away")
	if err := bob.Session.Unsubscribe("room:1"); err != nil {
		s.Fatal(err)
	}
	s.wantChanges(ann, "+bob", "=bob away", "-bob")
	s.untilMembers(b, "room:1", "ann")
	cem := s.client(b, "cem")
	cem.Subscribe(s, "room:1", member)
	s.wantChanges(ann, "+bob", "=bob away", "-bob", "+cem")
	ann.Session.Leave()
	s.wantChanges(cem, "-ann")
	s.wantChanges(bob)
	s.untilMembers(a, "room:1", "cem")
	watcher := s.client(a, "watcher")
	if r := watcher.Subscribe(s, "room:1", hub.SubscribeOptions{Changes: true, Members: 10}); r.Users != 1 || len(r.Members) != 1 || r.Members[0].User != "cem" {
		s.Errorf("a non-member sees %+v", r)
	}
	cem.Session.Leave()
	s.wantChanges(watcher, "-cem")
	plain := s.client(a, "")
	if err := plain.Session.Update(bounded.Context(s), "room:1", nil); !errors.Is(err, hub.ErrNotSubscribed) {
		s.Errorf("an update of a non-member: %v", err)
	}
}

// A user with several connections is one member.
func presenceByUser(s *suite) {
	if !implements[hub.Presence](s) {
		return
	}
	a, b := s.hub(), s.hub()
	watcher := s.client(a, "watcher")
	watcher.Subscribe(s, "room:u", hub.SubscribeOptions{Changes: true})
	tabs := []*Client{s.client(a, "ann"), s.client(b, "ann"), s.client(b, "ann")}
	for i, tab := range tabs {
		if r := tab.Subscribe(s, "room:u", member); r.Users != 1 || len(r.Members) != 1 {
			s.Errorf("tab %d sees %+v", i, r)
		}
	}
	anon := s.client(b, "")
	anon.Subscribe(s, "room:u", member)
	id := anon.Session.Client().ID
	s.wantChanges(watcher, "+ann", "+"+id)
	es, next, err := a.Entries(bounded.Context(s), "app", "room:u", "", 100)
	if err != nil || next != "" || len(es) != 4 {
		s.Errorf("%d connections, next %q, %v", len(es), next, err)
	}
	for _, e := range es {
		if e.User == "ann" && string(e.Data) != "data of ann" || e.Gone {
			s.Errorf("%+v", e)
		}
	}
	for _, tab := range tabs[:2] {
		tab.Session.Leave()
	}
	anon.Session.Leave()
	s.wantChanges(watcher, "+ann", "+"+id, "-"+id)
	tabs[2].Session.Leave()
	s.wantChanges(watcher, "+ann", "+"+id, "-"+id, "-ann")
	for i, tab := range tabs {
		if i < 2 && len(tab.Changes()) > 0 && slices.Contains(changeNotation(tab.Changes()), "+ann") {
			s.Errorf("tab %d got its own join: %q", i, changeNotation(tab.Changes()))
		}
	}
}

// The members of a node that was killed are removed everywhere within five seconds, and each leaves once.
func presenceOfKilledNode(s *suite) {
	if !implements[hub.Presence](s) || s.Kill == nil {
		return
	}
	a, b := s.hub(), s.hub()
	e := s.Node(s)
	c := s.hubOn(e)
	watchers := []*Client{s.client(a, "w1"), s.client(b, "w2")}
	for _, w := range watchers {
		w.Subscribe(s, "room:kill", hub.SubscribeOptions{Changes: true})
	}
	both, only := s.client(b, "both"), s.client(c, "only")
	also := s.client(c, "both")
	for _, x := range []*Client{both, only, also} {
		x.Subscribe(s, "room:kill", member)
	}
	for _, w := range watchers {
		w.Until(s, func([]Event) bool { return len(w.Changes()) >= 2 })
	}
	ran := bounded.Clock(s)
	s.Kill(e)
	for _, w := range watchers {
		s.wantLast(w, "-only")
	}
	if took := ran(); took > 5*time.Second {
		s.Errorf("the members of the killed node were gone after %v", took)
	}
	both.Session.Leave()
	for _, w := range watchers {
		s.wantLast(w, "-both")
		got := changeNotation(w.Changes())
		slices.Sort(got)
		if !slices.Equal(got, []string{"+both", "+only", "-both", "-only"}) {
			s.Errorf("announced: %q", got)
		}
	}
	s.untilMembers(a, "room:kill")
}

func (s *suite) wantLast(c *Client, want string) {
	s.Helper()
	c.Until(s, func([]Event) bool {
		cs := changeNotation(c.Changes())
		return len(cs) > 0 && cs[len(cs)-1] == want
	})
}

func presencePages(s *suite) {
	if !implements[hub.Presence](s) {
		return
	}
	a, b := s.hub(), s.hub()
	watcher := s.client(b, "watcher")
	watcher.Subscribe(s, "room:many", hub.SubscribeOptions{Changes: true})
	var want []string
	for i := range 120 {
		user := fmt.Sprintf("user %03d", i)
		want = append(want, user)
		s.client([]*hub.Hub{a, b}[i%2], user).Subscribe(s, "room:many", hub.SubscribeOptions{Member: true})
	}
	// In a room of a hundred members or more, joins are announced together, and a node without a roster reads all members.
	s.untilMembers(b, "room:many", want...)
	s.untilMembers(s.hub(), "room:many", want...)
	watcher.Until(s, func([]Event) bool { return len(watcher.Changes()) >= len(want) })
	got := changeNotation(watcher.Changes())
	slices.Sort(got)
	for i, w := range want {
		if got[i] != "+"+w {
			s.Fatalf("announced: %q", got)
		}
	}
	_, next, users, err := b.Members(bounded.Context(s), "app", "room:many", "", 70)
	if err != nil || users != 120 || next == "" {
		s.Errorf("the first page: %d users, next %q, %v", users, next, err)
	}
}

// Of two changes of an entry, the one with the larger version is kept, whichever arrives last.
func versions(s *suite) {
	e1, ok := s.Node(s).(hub.Presence)
	if !ok {
		return
	}
	e2 := s.Node(s)
	s.hubOn(e1.(hub.Engine))
	s.hubOn(e2)
	ctx, channel := bounded.Context(s), hub.ChannelOf("app", "room:versions")
	engines := []hub.Presence{e1, e2.(hub.Presence)}
	if err := e1.Lease(ctx, "lease", time.Minute); err != nil {
		s.Fatal(err)
	}
	entry := func(version int) hub.Entry {
		return hub.Entry{Lease: "lease", Client: "ann", Data: fmt.Append(nil, version), Version: uint64(version)} // version is not negative
	}
	put := func(e hub.Presence, x hub.Entry) {
		if err := e.Put(ctx, channel, x); err != nil {
			s.Errorf("version %d: %v", x.Version, err)
		}
	}
	want := func(what string, versions ...uint64) {
		s.Helper()
		got := []uint64{}
		es, _, err := e2.(hub.Presence).Entries(ctx, channel, "", 10)
		for _, x := range es {
			got = append(got, x.Version)
		}
		if err != nil || !slices.Equal(got, versions) {
			s.Errorf("%s: versions %d, %v, want %d", what, got, err, versions)
		}
	}
	const last = 40
	var wg sync.WaitGroup
	for i := range last {
		wg.Go(func() { put(engines[i%2], entry((i*7)%last+1)) })
	}
	wg.Wait()
	want("put concurrently", last)
	put(e1, entry(3))
	want("an older one follows", last)
	gone := entry(last - 1)
	gone.Gone = true
	put(e2.(hub.Presence), gone)
	want("an older one is gone", last)
	gone.Version = last + 2
	put(e2.(hub.Presence), gone)
	want("gone")
	if err := e1.Put(ctx, channel, entry(last+3), entry(last+4)); err != nil {
		s.Error(err)
	}
	want("two together", last+4)
}

func claim(s *suite) {
	e1, ok := s.Node(s).(hub.Presence)
	if !ok {
		return
	}
	e2 := s.Node(s)
	s.hubOn(e1.(hub.Engine))
	s.hubOn(e2)
	ctx := bounded.Context(s)
	for i, e := range []hub.Presence{e1, e2.(hub.Presence), e1} {
		got, err := e.Claim(ctx, "key", time.Minute)
		if err != nil || got != (i == 0) {
			s.Errorf("claim %d: %v, %v", i, got, err)
		}
	}
	if got, err := e1.Claim(ctx, "ends", 2*s.Second); err != nil || !got {
		s.Errorf("another claim: %v, %v", got, err)
	}
	bounded.Until(s, func() bool {
		got, err := e2.(hub.Presence).Claim(ctx, "ends", 2*s.Second)
		return got && err == nil
	})
}

func occupied(s *suite) {
	if !implements[hub.Occupancy](s) {
		return
	}
	a, b := s.hub(), s.hub()
	clients := []*Client{s.client(a, ""), s.client(b, ""), s.client(b, "")}
	clients[0].Subscribe(s, "plain:x", hub.SubscribeOptions{})
	clients[1].Subscribe(s, "plain:x", hub.SubscribeOptions{})
	clients[2].Subscribe(s, "plain:x", hub.SubscribeOptions{})
	clients[2].Subscribe(s, "plain:y", hub.SubscribeOptions{})
	clients[2].Subscribe(s, "other", hub.SubscribeOptions{})
	list := func(prefix, after string, limit int) string {
		cs, more, err := a.Occupied(bounded.Context(s), "app", prefix, after, limit)
		if err != nil {
			s.Fatal(err)
		}
		return fmt.Sprint(cs, more)
	}
	until := func(want, prefix, after string, limit int) {
		s.Helper()
		got := ""
		s.Logf("waiting for %s", want)
		bounded.Until(s, func() bool { got = list(prefix, after, limit); return got == want })
	}
	until("[{other 1} {plain:x 3} {plain:y 1}] false", "", "", 10)
	until("[{plain:x 3}] true", "plain:", "", 1)
	until("[{plain:y 1}] false", "plain:", "plain:x", 1)
	clients[1].Session.Leave()
	clients[2].Session.Leave()
	until("[{plain:x 1}] false", "", "", 10)
}

// presenceFlow lets members join and leave on three nodes: in the end all nodes agree, and each watcher has received a consistent
// sequence of joins and leaves.
func presenceFlow(s *suite) {
	if !implements[hub.Presence](s) {
		return
	}
	hubs := []*hub.Hub{s.hub(), s.hub(), s.hub()}
	var watchers []*Client
	for _, h := range hubs {
		w := s.client(h, "")
		w.Subscribe(s, "room:flow", hub.SubscribeOptions{Changes: true})
		watchers = append(watchers, w)
	}
	var wg sync.WaitGroup
	rounds := max(10, s.opts.Flow/40)
	for i := range 12 {
		user := fmt.Sprintf("user %d", i%8)
		c := s.client(hubs[i%3], user)
		wg.Go(func() {
			for n := range rounds {
				err := c.Session.Subscribe(bounded.Context(s), "room:flow", hub.SubscribeOptions{Member: true}, func(*hub.Recovered) error { return nil })
				if err != nil {
					s.Errorf("%s: %v", user, err)
					return
				}
				if n < rounds-1 || i%8 > 3 {
					c.Session.Unsubscribe("room:flow") //nolint:errcheck // Unsubscribe fails only if the client is not subscribed
				}
			}
		})
	}
	wg.Wait()
	for _, h := range hubs {
		s.untilMembers(h, "room:flow", "user 0", "user 1", "user 2", "user 3")
	}
	for i, w := range watchers {
		here := map[string]bool{}
		w.Until(s, func([]Event) bool {
			clear(here)
			for _, c := range w.Changes() {
				here[c.User] = c.Kind == hub.Joined
			}
			n := 0
			for _, there := range here {
				if there {
					n++
				}
			}
			return n == 4
		})
		clear(here)
		for _, c := range w.Changes() {
			if (c.Kind == hub.Joined) == here[c.User] {
				s.Errorf("watcher %d: %s is announced twice: %v", i, c.User, c.Kind)
			}
			here[c.User] = c.Kind == hub.Joined
		}
	}
}
