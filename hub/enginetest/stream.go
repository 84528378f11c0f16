package enginetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
)

func (s *suite) publish(h *hub.Hub, channel, text string, o *hub.PublishOptions) hub.Published {
	s.Helper()
	done, err := h.Publish(bounded.Context(s), "app", channel, &hub.Publication{Data: []byte(text)}, o)
	if err != nil {
		s.Fatalf("publishing %q: %v", text, err)
	}
	return done
}

func (s *suite) history(h *hub.Hub, channel string, q hub.HistoryQuery) hub.HistoryPage {
	s.Helper()
	page, err := h.History(bounded.Context(s), "app", channel, q)
	if err != nil {
		s.Fatalf("history: %v", err)
	}
	return page
}

func texts(ps []*hub.Publication) []string {
	all := []string{}
	for _, p := range ps {
		all = append(all, string(p.Data))
	}
	return all
}

func (s *suite) wantTexts(what string, ps []*hub.Publication, want ...string) {
	s.Helper()
	if got := texts(ps); !slices.Equal(got, want) {
		s.Errorf("%s: %q, want %q", what, got, want)
	}
}

// implements reports whether the engine implements the interface T.
func implements[T any](s *suite) bool {
	s.Helper()
	_, ok := s.Node(s).(T)
	return ok
}

// numbers returns the texts of publications with consecutive numbers.
func numbers(from, to int) (all []string) {
	for i := from; i <= to; i++ {
		all = append(all, fmt.Sprint(i))
	}
	return all
}

func order(s *suite) {
	a, b := s.hub(), s.hub()
	here, there := s.client(a, ""), s.client(b, "")
	for _, channel := range []string{"history:order", "plain:order"} {
		here.Subscribe(s, channel, hub.SubscribeOptions{})
		there.Subscribe(s, channel, hub.SubscribeOptions{})
		here.Take()
		there.Take()
		for i := range 100 {
			s.publish(a, channel, fmt.Sprint(i+1), nil)
		}
		here.Want(s, numbers(1, 100)...)
		there.Want(s, numbers(1, 100)...)
		if channel == "plain:order" {
			continue
		}
		last := hub.Position{}
		for _, e := range there.Events() {
			p := e.Publication
			if p.Offset <= last.Offset || last.Offset != 0 && (p.Previous != last.Offset || p.Epoch != last.Epoch) {
				s.Errorf("%+v with previous %d after %+v", p.Position, p.Previous, last)
			}
			last = p.Position
		}
	}
}

func history(s *suite) {
	if !implements[hub.History](s) {
		return
	}
	a, b := s.hub(), s.hub()
	if page := s.history(a, "history:h", hub.HistoryQuery{Limit: -1}); page.Err != nil || len(page.Publications) > 0 || page.Top.Epoch == "" || page.Top.Offset != 0 {
		s.Errorf("an unknown channel: %+v", page)
	}
	var at []hub.Position
	for i := range 10 {
		at = append(at, s.publish(a, "history:h", fmt.Sprint(i+1), nil).Position)
	}
	page := s.history(b, "history:h", hub.HistoryQuery{Limit: -1})
	s.wantTexts("all", page.Publications, numbers(1, 10)...)
	if page.Top != at[9] || page.Err != nil {
		s.Errorf("the top is %+v, %v, want %+v", page.Top, page.Err, at[9])
	}
	page = s.history(b, "history:h", hub.HistoryQuery{})
	if page.Top != at[9] || len(page.Publications) != 0 {
		s.Errorf("without publications: %+v", page)
	}
	page = s.history(b, "history:h", hub.HistoryQuery{Since: &at[3], Limit: 3})
	s.wantTexts("three since the fourth", page.Publications, numbers(5, 7)...)
	if page.Top != at[9] || page.Err != nil {
		s.Errorf("the top is %+v, %v, want %+v", page.Top, page.Err, at[9])
	}
	for i, p := range page.Publications {
		if p.Position != at[4+i] || i > 0 && p.Previous != at[3+i].Offset {
			s.Errorf("publication %d is at %+v after %d", i, p.Position, p.Previous)
		}
	}
	page = s.history(b, "history:h", hub.HistoryQuery{Since: &at[9], Limit: -1})
	s.wantTexts("since the last", page.Publications)
	if page.Err != nil {
		s.Error(page.Err)
	}
	for name, since := range map[string]hub.Position{
		"another epoch": {Epoch: "another", Offset: at[3].Offset},
		"the future":    {Epoch: at[3].Epoch, Offset: at[9].Offset + 1},
	} {
		if page := s.history(b, "history:h", hub.HistoryQuery{Since: &since, Limit: -1}); !errors.Is(page.Err, hub.ErrNewEpoch) || page.Top != at[9] {
			s.Errorf("%s: %v, %+v", name, page.Err, page.Top)
		}
	}
}

func reverse(s *suite) {
	if !implements[hub.History](s) {
		return
	}
	h := s.hub()
	var at []hub.Position
	for i := range 6 {
		at = append(at, s.publish(h, "history:r", fmt.Sprint(i+1), nil).Position)
	}
	s.wantTexts("all", s.history(h, "history:r", hub.HistoryQuery{Limit: -1, Reverse: true}).Publications, "6", "5", "4", "3", "2", "1")
	s.wantTexts("two", s.history(h, "history:r", hub.HistoryQuery{Limit: 2, Reverse: true}).Publications, "6", "5")
	s.wantTexts("two before the fourth", s.history(h, "history:r", hub.HistoryQuery{Since: &at[3], Limit: 2, Reverse: true}).Publications, "3", "2")
}

func tooOld(s *suite) {
	if !implements[hub.History](s) {
		return
	}
	h := s.hub()
	var at []hub.Position
	for i := range 5 {
		at = append(at, s.publish(h, "small:old", fmt.Sprint(i+1), nil).Position)
	}
	page := s.history(h, "small:old", hub.HistoryQuery{Since: &at[0], Limit: -1})
	if !errors.Is(page.Err, hub.ErrTooOld) || page.Top != at[4] {
		s.Errorf("since the first of five, with two kept: %v, %+v", page.Err, page.Top)
	}
	page = s.history(h, "small:old", hub.HistoryQuery{Since: &at[2], Limit: -1})
	s.wantTexts("since the third", page.Publications, "4", "5")
	if page.Err != nil {
		s.Error(page.Err)
	}
	for i, want := range []error{hub.ErrTooOld, hub.ErrTooOld, nil, nil, nil} {
		c := s.client(h, "")
		r := c.Subscribe(s, "small:old", hub.SubscribeOptions{Since: &at[i]})
		if !errors.Is(r.Err, want) || want == nil && r.Err != nil || r.Position != at[4] {
			s.Errorf("subscribing since %d: %v at %+v", i+1, r.Err, r.Position)
		}
		if want == nil {
			s.wantTexts("missed", r.Publications, numbers(i+2, 5)...)
		} else if r.Publications != nil {
			s.Errorf("subscribing since %d: %q", i+1, texts(r.Publications))
		}
	}
	c := s.client(h, "")
	if r := c.Subscribe(s, "small:old", hub.SubscribeOptions{Since: &hub.Position{Epoch: "another", Offset: 4}}); !errors.Is(r.Err, hub.ErrNewEpoch) {
		s.Errorf("subscribing since another epoch: %v", r.Err)
	}
}

func byAge(s *suite) {
	if !implements[hub.History](s) {
		return
	}
	h := s.hub()
	first := s.publish(h, "short:age", "1", nil).Position
	second := s.publish(h, "short:age", "2", nil).Position
	bounded.Until(s, func() bool {
		return len(s.history(h, "short:age", hub.HistoryQuery{Limit: -1}).Publications) == 0
	})
	if page := s.history(h, "short:age", hub.HistoryQuery{Since: &second, Limit: -1}); page.Err != nil || page.Top != second {
		s.Errorf("since the last, which is too old itself: %v, %+v", page.Err, page.Top)
	}
	if page := s.history(h, "short:age", hub.HistoryQuery{Since: &first, Limit: -1}); !errors.Is(page.Err, hub.ErrTooOld) {
		s.Errorf("since the first: %v", page.Err)
	}
}

func recovery(s *suite) {
	if !implements[hub.History](s) {
		return
	}
	a, b := s.hub(), s.hub()
	first := s.client(a, "")
	first.Subscribe(s, "history:back", hub.SubscribeOptions{})
	s.publish(b, "history:back", "1", nil)
	first.Want(s, "1")
	at := first.Events()[1].Publication.Position
	first.Session.Leave()
	for i := 2; i <= 30; i++ {
		s.publish(b, "history:back", fmt.Sprint(i), nil)
	}
	for _, h := range []*hub.Hub{a, b} {
		again := s.client(h, "")
		r := again.Subscribe(s, "history:back", hub.SubscribeOptions{Since: &at})
		if r.Err != nil {
			s.Fatal(r.Err)
		}
		again.Want(s, numbers(2, 30)...) // with the reply, or after the reply if this node has not received the publications yet
		again.Session.Leave()
	}
	last := s.client(a, "")
	last.Subscribe(s, "history:back", hub.SubscribeOptions{Since: &at})
	s.publish(b, "history:back", "31", nil)
	last.Want(s, numbers(2, 31)...)
}

func notKept(s *suite) {
	h := s.hub()
	c := s.client(h, "")
	c.Subscribe(s, "history:some", hub.SubscribeOptions{})
	s.publish(h, "history:some", "kept", nil)
	s.publish(h, "history:some", "not kept", &hub.PublishOptions{History: -1})
	s.publish(h, "history:some", "kept, too", nil)
	c.Want(s, "kept", "not kept", "kept, too")
	if implements[hub.History](s) {
		s.wantTexts("history", s.history(h, "history:some", hub.HistoryQuery{Limit: -1}).Publications, "kept", "kept, too")
	}
}

func idempotency(s *suite) {
	a, b := s.hub(), s.hub()
	c := s.client(b, "")
	c.Subscribe(s, "history:once", hub.SubscribeOptions{})
	publish := func(h *hub.Hub, channel, id, text string) hub.Published {
		s.Helper()
		done, err := h.Publish(bounded.Context(s), "app", channel, &hub.Publication{ID: id, Data: []byte(text)}, nil)
		if err != nil {
			s.Fatal(err)
		}
		return done
	}
	first := publish(a, "history:once", "one", "1")
	for _, h := range []*hub.Hub{a, b} {
		if again := publish(h, "history:once", "one", "1 again"); !again.Duplicate || again.Position != first.Position {
			s.Errorf("published again: %+v, at first %+v", again, first)
		}
	}
	if other := publish(a, "history:other", "one", "1"); other.Duplicate {
		s.Error("an ID that was used in another channel is a duplicate")
	}
	if second := publish(a, "history:once", "two", "2"); second.Duplicate {
		s.Errorf("another ID: %+v", second)
	}
	c.Want(s, "1", "2")
}

// idempotencyEnds requires fake time; other engines have their own tests for the duration of hub.Idempotency.
func idempotencyEnds(s *suite) {
	h := s.hub()
	for _, channel := range []string{"history:window", "plain:window"} {
		again := func(after time.Duration, want bool) {
			s.Helper()
			<-time.After(after)
			done, err := h.Publish(bounded.Context(s), "app", channel, &hub.Publication{ID: "id", Data: []byte("1")}, nil)
			if err != nil || done.Duplicate != want {
				s.Errorf("%s: %+v, %v", channel, done, err)
			}
		}
		again(0, false)
		again(hub.Idempotency-time.Second, true)
		again(2*time.Second, false)
		again(time.Second, true)
	}
}

func expectedOffset(s *suite) {
	if !implements[hub.History](s) {
		return
	}
	h := s.hub()
	zero := uint64(0)
	first := s.publish(h, "history:cas", "1", &hub.PublishOptions{Expect: &zero})
	for _, wrong := range []uint64{0, first.Offset + 1} {
		_, err := h.Publish(bounded.Context(s), "app", "history:cas", &hub.Publication{Data: []byte("x")}, &hub.PublishOptions{Expect: &wrong})
		if !errors.Is(err, hub.ErrConflict) {
			s.Errorf("expecting %d: %v", wrong, err)
		}
	}
	s.publish(h, "history:cas", "2", &hub.PublishOptions{Expect: &first.Offset})
	s.wantTexts("history", s.history(h, "history:cas", hub.HistoryQuery{Limit: -1}).Publications, "1", "2")
}

// publishTogether publishes several publications with PublishAll: all of them are delivered and kept, in order. With a wrong
// expected offset, none is published.
func publishTogether(s *suite) {
	if !implements[hub.History](s) {
		return
	}
	h, other := s.hub(), s.hub()
	c := s.client(other, "")
	c.Subscribe(s, "history:all", hub.SubscribeOptions{})
	all := func(from, to int, expect uint64) (int, hub.Position, error) {
		var ps []*hub.Publication
		for _, text := range numbers(from, to) {
			ps = append(ps, &hub.Publication{Data: []byte(text)})
		}
		return h.PublishAll(bounded.Context(s), "app", "history:all", ps, hub.PublishOptions{Expect: &expect})
	}
	n, first, err := all(1, 50, 0)
	if n != 50 || err != nil {
		s.Fatalf("%d of 50: %v", n, err)
	}
	for _, wrong := range []uint64{0, first.Offset + 1} {
		if n, _, err := all(51, 60, wrong); n != 0 || !errors.Is(err, hub.ErrConflict) {
			s.Errorf("expecting %d: %d, %v", wrong, n, err)
		}
	}
	n, last, err := all(51, 100, first.Offset)
	if n != 50 || err != nil || last.Epoch != first.Epoch {
		s.Fatalf("%d of 50: %v, %v", n, last, err)
	}
	c.Want(s, numbers(1, 100)...)
	page := s.history(other, "history:all", hub.HistoryQuery{Limit: -1})
	s.wantTexts("history", page.Publications, numbers(1, 100)...)
	if page.Top != last {
		s.Errorf("the last is at %v, the channel at %v", last, page.Top)
	}
	s.publish(h, "history:all", "101", &hub.PublishOptions{Expect: &last.Offset})
	zero := uint64(0)
	for _, p := range []*hub.Publication{{ID: "i"}, {Key: "k"}} {
		if n, _, err := h.PublishAll(bounded.Context(s), "app", "history:all", []*hub.Publication{p}, hub.PublishOptions{Expect: &zero}); n != 0 || !errors.Is(err, hub.ErrUnsupported) {
			s.Errorf("%d, %v", n, err)
		}
	}
	if n, _, err := h.PublishAll(bounded.Context(s), "app", "history:all", nil, hub.PublishOptions{}); n != 0 || !errors.Is(err, hub.ErrUnsupported) {
		s.Errorf("without Expect: %d, %v", n, err)
	}
	if n, _, err := h.PublishAll(bounded.Context(s), "app", "history:all", nil, hub.PublishOptions{Expect: &zero}); n != 0 || err != nil {
		s.Errorf("none: %d, %v", n, err)
	}
}

func expiry(s *suite) {
	if !implements[hub.History](s) {
		return
	}
	h := s.hub()
	c := s.client(h, "")
	c.Subscribe(s, "history:gone", hub.SubscribeOptions{})
	since := s.publish(h, "history:gone", "1", nil).Position
	p := &hub.Publication{Data: []byte("2"), Expires: time.Now().Add(2 * s.Second)}
	if _, err := h.Publish(bounded.Context(s), "app", "history:gone", p, nil); err != nil {
		s.Fatal(err)
	}
	s.publish(h, "history:gone", "3", nil)
	c.Want(s, "1", "2", "3")
	bounded.Until(s, func() bool { return time.Now().After(p.Expires) })
	late := s.client(h, "")
	r := late.Subscribe(s, "history:gone", hub.SubscribeOptions{Since: &since})
	if r.Err != nil {
		s.Fatal(r.Err)
	}
	s.wantTexts("missed", r.Publications, "3")
}

func trim(s *suite) {
	if !implements[hub.History](s) {
		return
	}
	h := s.hub()
	var at []hub.Position
	for i := range 5 {
		at = append(at, s.publish(h, "history:trim", fmt.Sprint(i+1), nil).Position)
	}
	if err := h.Trim(bounded.Context(s), "app", "history:trim", at[2].Offset); err != nil {
		s.Fatal(err)
	}
	page := s.history(h, "history:trim", hub.HistoryQuery{Limit: -1})
	s.wantTexts("what is left", page.Publications, "4", "5")
	if page.Top != at[4] {
		s.Errorf("the top is %+v, want %+v", page.Top, at[4])
	}
	if page := s.history(h, "history:trim", hub.HistoryQuery{Since: &at[1], Limit: -1}); !errors.Is(page.Err, hub.ErrTooOld) {
		s.Errorf("since a trimmed publication: %v", page.Err)
	}
}
