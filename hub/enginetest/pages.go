package enginetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
)

// largeData is the maximum data size that the namespace allows for a publication with a tag and a key.
var largeData = []byte(strings.Repeat("x", 64<<10-64))

// largeCount is the number of large publications.
func largeCount() int {
	if testing.Short() || raceEnabled { // copying is slow under the race detector
		return 100
	}
	return 1000
}

// fill publishes many large publications, each with its own key.
func (s *suite) fill(h *hub.Hub, channel string) {
	s.Helper()
	ctx := bounded.Context(s)
	var wg sync.WaitGroup
	failed := make(chan error, largeCount())
	turns := make(chan struct{}, 8)
	for i := range largeCount() {
		turns <- struct{}{}
		wg.Go(func() {
			key := fmt.Sprintf("%04d", i)
			_, err := h.Publish(ctx, "app", channel, &hub.Publication{Data: largeData, Key: key, Tags: map[string]string{"n": key}}, nil)
			<-turns
			failed <- err
		})
	}
	wg.Wait()
	close(failed)
	for err := range failed {
		if err != nil {
			s.Fatal(err)
		}
	}
}

// wantPage checks the size of a page in bytes.
func (s *suite) wantPage(what string, ps []*hub.Publication, bytes int) {
	s.Helper()
	n := 0
	for _, p := range ps {
		n += p.Size()
	}
	if n > bytes && len(ps) > 1 || bytes > n+len(largeData)+1024 && len(ps) > 0 {
		s.Errorf("%s has %d publications of %d bytes, with room for %d", what, len(ps), n, bytes)
	}
}

// A page of large publications ends when its size limit is reached, and the next page continues after the last publication.
func pages(s *suite) {
	h := s.hub()
	const channel = "history:pages"
	s.fill(h, channel)
	if implements[hub.History](s) {
		s.historyPages(h, channel)
		s.recoverPages(h, channel)
	}
	if !implements[hub.Keyed](s) {
		return
	}
	seen := map[string]bool{}
	for cursor := ""; ; {
		ps, next, _, err := h.Snapshot(bounded.Context(s), "app", channel, cursor, largeCount())
		if err != nil || len(ps) == 0 {
			s.Fatalf("%d keys, %v", len(ps), err)
		}
		if next != "" {
			s.wantPage("a page of keys", ps, hub.PageBytes)
		}
		for _, p := range ps {
			if seen[p.Key] {
				s.Errorf("key %s is returned again", p.Key)
			}
			seen[p.Key] = true
		}
		if cursor = next; next == "" {
			break
		}
	}
	if len(seen) != largeCount() {
		s.Errorf("%d keys", len(seen))
	}
}

func (s *suite) historyPages(h *hub.Hub, channel string) {
	for _, q := range []hub.HistoryQuery{
		{Limit: -1}, {Limit: -1, Reverse: true}, {Limit: largeCount(), Bytes: 1 << 20}, {Limit: largeCount(), Bytes: 1 << 20, Reverse: true},
	} {
		what, bytes := fmt.Sprintf("%+v", q), q.Bytes
		if bytes == 0 {
			bytes = hub.PageBytes
		}
		n, last := 0, uint64(0)
		for {
			page := s.history(h, channel, q)
			if page.Err != nil {
				s.Fatal(what, page.Err)
			}
			if len(page.Publications) == 0 {
				break
			}
			if n+len(page.Publications) < largeCount() {
				s.wantPage(what, page.Publications, bytes)
			}
			for _, p := range page.Publications {
				if last != 0 && (p.Offset > last) == q.Reverse {
					s.Errorf("%s: offset %d follows %d", what, p.Offset, last)
				}
				last = p.Offset
			}
			n += len(page.Publications)
			q.Since = &hub.Position{Epoch: page.Top.Epoch, Offset: last}
		}
		if n != largeCount() {
			s.Errorf("%s: %d publications", what, n)
		}
	}
	for _, reverse := range []bool{false, true} {
		if n := len(s.history(h, channel, hub.HistoryQuery{Limit: 20, Bytes: -1, Reverse: reverse}).Publications); n != 20 {
			s.Errorf("%d of 20 publications without a limit in bytes", n)
		}
		if n := len(s.history(h, channel, hub.HistoryQuery{Limit: 20, Bytes: 1, Reverse: reverse}).Publications); n != 1 {
			s.Errorf("%d publications in a page of one byte, want 1", n)
		}
	}
}

// recoverPages lets a subscriber recover all publications, page by page.
func (s *suite) recoverPages(h *hub.Hub, channel string) {
	c := s.client(h, "")
	first := s.history(h, channel, hub.HistoryQuery{Limit: 1})
	since := hub.Position{Epoch: first.Top.Epoch, Offset: first.Publications[0].Offset}
	n := 1
	for more := true; more; {
		err := c.Session.Subscribe(bounded.Context(s), channel, hub.SubscribeOptions{Since: &since, MissedBytes: hub.PageBytes},
			func(r *hub.Recovered) error {
				if r.Err != nil {
					s.Fatal(r.Err)
				}
				if more = r.More; more {
					s.wantPage("a reply", r.Publications, hub.PageBytes)
				}
				for _, p := range r.Publications {
					if p.Offset <= since.Offset {
						s.Errorf("offset %d follows %d", p.Offset, since.Offset)
					}
					since.Offset = p.Offset
				}
				if n += len(r.Publications); r.Position != since {
					s.Errorf("the reply ends at %+v, its last publication is at %+v", r.Position, since)
				}
				return nil
			})
		if more != errors.Is(err, hub.ErrMore) || err != nil && !more || more == c.Session.Subscribed(channel) {
			s.Fatalf("more %v: %v", more, err)
		}
	}
	if n != largeCount() {
		s.Errorf("%d publications", n)
	}
}

// Pages of connections are limited in size, too.
func entryPages(s *suite) {
	e, ok := s.Node(s).(hub.Presence)
	if !ok {
		return
	}
	h := s.hubOn(e.(hub.Engine))
	ctx := bounded.Context(s)
	const channel, n = "app/room:pages", 400
	if err := e.Lease(ctx, "large", time.Minute); err != nil {
		s.Fatal(err)
	}
	for i := range n {
		x := hub.Entry{Lease: "large", Client: fmt.Sprint("c", i), User: fmt.Sprint("u", i), Data: largeData[:4096], Version: 1}
		if err := e.Put(ctx, channel, x); err != nil {
			s.Fatal(err)
		}
	}
	seen := map[string]bool{}
	for cursor, more := "", true; more; more = cursor != "" {
		es, next, err := e.Entries(ctx, channel, cursor, n)
		if err != nil {
			s.Fatal(err)
		}
		bytes := 0
		for _, x := range es {
			seen[x.Client] = true
			bytes += x.Size()
		}
		if bytes > 4*hub.PageBytes {
			s.Errorf("a page of %d connections has %d bytes", len(es), bytes)
		}
		cursor = next
	}
	if len(seen) != n {
		s.Errorf("%d connections", len(seen))
	}
	bounded.Until(s, func() bool {
		_, _, all, err := h.Members(ctx, "app", "room:pages", "", 0)
		return err == nil && all == n
	})
	users := map[string]bool{}
	for cursor, more := "", true; more; more = cursor != "" {
		ms, next, all, err := h.Members(ctx, "app", "room:pages", cursor, n)
		if err != nil || all != n {
			s.Fatalf("%d members, %v", all, err)
		}
		bytes := 0
		for _, m := range ms {
			users[m.User] = true
			bytes += m.Size()
		}
		if bytes > hub.PageBytes || next != "" && bytes < hub.PageBytes-8192 {
			s.Errorf("a page of %d members has %d bytes", len(ms), bytes)
		}
		cursor = next
	}
	if len(users) != n {
		s.Errorf("%d members", len(users))
	}
}
