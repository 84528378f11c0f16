package enginetest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
)

// set sets a key, or removes it if text is "".
func (s *suite) set(h *hub.Hub, channel, key, text string, ttl time.Duration) hub.Position {
	s.Helper()
	p := &hub.Publication{Key: key, Data: []byte(text), Removed: text == ""}
	done, err := h.Publish(bounded.Context(s), "app", channel, p, &hub.PublishOptions{KeyTTL: ttl})
	if err != nil {
		s.Fatal(err)
	}
	return done.Position
}

// snapshot reads a collection in pages, and returns it with the position of the first page.
func (s *suite) snapshot(h *hub.Hub, channel string, limit int) (map[string]string, hub.Position) {
	s.Helper()
	all := map[string]string{}
	var first hub.Position
	for cursor, page := "", 0; ; page++ {
		ps, next, top, err := h.Snapshot(bounded.Context(s), "app", channel, cursor, limit)
		if err != nil {
			s.Fatal(err)
		}
		if page == 0 {
			first = top
		}
		if len(ps) > limit {
			s.Errorf("a page of %d, limited to %d", len(ps), limit)
		}
		for _, p := range ps {
			if _, again := all[p.Key]; again || p.Removed {
				s.Errorf("key %q is there again, or removed", p.Key)
			}
			all[p.Key] = string(p.Data)
		}
		if cursor = next; next == "" {
			return all, first
		}
		if page > 1000 {
			s.Fatal("the pages have no end")
		}
	}
}

func keyed(s *suite) {
	if !implements[hub.Keyed](s) {
		return
	}
	a, b := s.hub(), s.hub()
	if all, _ := s.snapshot(a, "keyed:none", 10); len(all) != 0 {
		s.Errorf("an unknown collection: %v", all)
	}
	want := map[string]string{}
	var last hub.Position
	for i := range 25 {
		key := fmt.Sprintf("key %d", i%20)
		want[key] = fmt.Sprint(i)
		last = s.set(a, "keyed:k", key, want[key], 0)
	}
	for _, key := range []string{"key 3", "key 7", "never set"} {
		delete(want, key)
		last = s.set(b, "keyed:k", key, "", 0)
	}
	for _, limit := range []int{1, 7, 18, 100} {
		got, top := s.snapshot(b, "keyed:k", limit)
		if !maps.Equal(got, want) {
			s.Errorf("in pages of %d: %v, want %v", limit, got, want)
		}
		if top != last {
			s.Errorf("in pages of %d: at %+v, want %+v", limit, top, last)
		}
	}
}

func keysExpire(s *suite) {
	if !implements[hub.Keyed](s) {
		return
	}
	a, b := s.hub(), s.hub()
	c, d := s.client(a, ""), s.client(b, "")
	c.Subscribe(s, "keyed:ttl", hub.SubscribeOptions{})
	d.Subscribe(s, "keyed:ttl", hub.SubscribeOptions{})
	s.set(a, "keyed:ttl", "short", "1", 2*s.Second)
	s.set(a, "keyed:ttl", "long", "2", time.Hour)
	s.set(a, "keyed:ttl", "again", "3", 2*s.Second)
	s.set(a, "keyed:ttl", "again", "4", time.Hour)
	s.set(a, "keyed:ttl", "removed", "5", 2*s.Second)
	s.set(a, "keyed:ttl", "removed", "", 0)
	for _, c := range []*Client{c, d} {
		c.Until(s, func(es []Event) bool { return len(removals(es)) >= 2 })
	}
	if all, _ := s.snapshot(b, "keyed:ttl", 10); !maps.Equal(all, map[string]string{"long": "2", "again": "4"}) {
		s.Errorf("left: %v", all)
	}
	s.set(a, "keyed:ttl", "end", "6", 0)
	for i, c := range []*Client{c, d} {
		c.Until(s, func([]Event) bool { return slices.Contains(c.Texts(), "6") })
		if got := removals(c.Events()); !slices.Equal(got, []string{"removed", "short"}) {
			s.Errorf("client %d got the removals %v", i, got)
		}
	}
}

// removals returns the removed keys, in order.
func removals(es []Event) (keys []string) {
	for _, e := range es {
		if e.Publication != nil && e.Publication.Removed {
			keys = append(keys, e.Publication.Key)
		}
	}
	return keys
}

// A client that reads a snapshot while the collection changes, and then follows the changes, ends up with the current state.
func keyedCatchUp(s *suite) {
	if !implements[hub.Keyed](s) || !implements[hub.History](s) {
		return
	}
	a, b := s.hub(), s.hub()
	for i := range 40 {
		s.set(a, "keyed:c", fmt.Sprint("key ", i), "0", 0)
	}
	view := map[string]string{}
	var first hub.Position
	for cursor, page := "", 0; ; page++ {
		ps, next, top, err := b.Snapshot(bounded.Context(s), "app", "keyed:c", cursor, 10)
		if err != nil {
			s.Fatal(err)
		}
		if page == 0 {
			first = top
		}
		for _, p := range ps {
			view[p.Key] = string(p.Data)
		}
		for i := range 8 {
			s.set(a, "keyed:c", fmt.Sprint("key ", (page*7+i*5)%40), fmt.Sprint("page ", page), 0)
		}
		s.set(a, "keyed:c", fmt.Sprint("key ", page*9), "", 0)
		if cursor = next; next == "" {
			break
		}
	}
	c := s.client(b, "")
	if r := c.Subscribe(s, "keyed:c", hub.SubscribeOptions{Since: &first}); r.Err != nil {
		s.Fatal(r.Err)
	}
	s.set(a, "keyed:c", "end", "end", 0)
	c.Until(s, func([]Event) bool { return slices.Contains(c.Texts(), "end") })
	apply := func(p *hub.Publication) {
		if view[p.Key] = string(p.Data); p.Removed {
			delete(view, p.Key)
		}
	}
	for _, e := range c.Events() {
		if e.Reply != nil {
			for _, p := range e.Reply.Publications {
				apply(p)
			}
		} else if e.Publication != nil {
			apply(e.Publication)
		}
	}
	if want, _ := s.snapshot(a, "keyed:c", 100); !maps.Equal(view, want) {
		s.Errorf("the client has\n%s\nwant\n%s", sorted(view), sorted(want))
	}
}

func sorted(m map[string]string) string {
	var all []string
	for k, v := range m {
		all = append(all, k+"="+v)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}
