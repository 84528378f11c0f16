package balance

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func status(t *testing.T, p *Pool, now time.Time, id string) Status {
	t.Helper()
	for _, s := range p.Status(now) {
		if s.ID == id {
			return s
		}
	}
	t.Fatalf("the status does not contain %s", id)
	return Status{}
}

// states returns the states of all upstreams, in the order of their IDs.
func states(p *Pool, now time.Time) (all []State) {
	for _, s := range p.Status(now) {
		all = append(all, s.State)
	}
	return all
}

// An invalid list changes nothing.
func TestSetRejects(t *testing.T) {
	p := newListedPool(t, Options{}, numberedSpecs(1)...)
	for want, specs := range map[string][]Spec{
		"upstream 2 has no ID":                                {{ID: "a"}, {}},
		"upstream a is in the list twice":                     {{ID: "a"}, {ID: "b"}, {ID: "a"}},
		"upstream a: weight -1 is not from 0 to 1048576":      {{ID: "a", Weight: -1}},
		"upstream a: weight 1048577 is not from 0 to 1048576": {{ID: "a", Weight: 1048577}},
		"upstream a: capacity -1 is negative":                 {{ID: "a", Capacity: -1}},
	} {
		if err := p.Set(start, specs); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if all := p.Status(start); len(all) != 1 || all[0].ID != "u000" || all[0].Weight != 1 {
		t.Errorf("got %+v, want only u000 of weight 1", all)
	}
	if err := p.Set(start, []Spec{{ID: "a", Weight: maxWeight}}); err != nil {
		t.Error(err)
	}
}

// Counts, health and drains belong to the ID: they survive every change of the list, and a removed upstream is known until its last
// connection has ended.
func TestSetKeepsState(t *testing.T) {
	p := newListedPool(t, Options{}, numberedSpecs(1, 1, 1)...)
	a := acquire(t, p, start, "")
	p.Drain(start, a.ID(), true)
	p.Probe(start, a.ID(), errors.New("no route to host"))
	if err := p.Set(start, []Spec{{ID: a.ID(), Weight: 7, Capacity: 9}, {ID: "new"}}); err != nil {
		t.Fatal(err)
	}
	s := status(t, p, start, a.ID())
	if s.Live != 1 || !s.Drained || s.State != Down || s.Why != "no route to host; drained by the operator" || s.Weight != 7 || s.Capacity != 9 {
		t.Errorf("got %+v, want the connection and the health of before, and the new weight and capacity", s)
	}
	if len(p.Status(start)) != 2 {
		t.Errorf("got %+v, want only the listed one and the one with a connection", p.Status(start))
	}
	if err := p.Set(start, []Spec{{ID: "new"}}); err != nil {
		t.Fatal(err)
	}
	if s := status(t, p, start, a.ID()); s.State != Removed || s.Live != 1 || s.Why != "no longer in the list" {
		t.Errorf("got %+v, want removed with 1 connection", s)
	}
	for range 5 {
		if u := acquire(t, p, start, ""); u.ID() != "new" {
			t.Errorf("got %s, want new", u.ID())
		}
	}
	p.Release(start, a)
	if all := p.Status(start); len(all) != 1 {
		t.Errorf("got %+v, want only the listed one", all)
	}
	// If the ID is listed again now, the upstream is new, and reports for the old upstream do not count.
	if err := p.Set(start, []Spec{{ID: a.ID()}}); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if p.Outcome(start, a, Failed) {
			t.Fatal("an outcome of the removed upstream ejected the new one")
		}
	}
	p.ReportLoad(start, a, 50)
	if s := status(t, p, start, a.ID()); s.State != Ready || s.Drained || s.Failures != 0 || s.Load != 0 {
		t.Errorf("got %+v, want a new upstream", s)
	}
}

func TestReleaseTwicePanics(t *testing.T) {
	p := newListedPool(t, Options{}, numberedSpecs(1)...)
	u := acquire(t, p, start, "")
	p.Release(start, u)
	defer func() {
		if v := recover(); v != "balance: more connections of u000 released than acquired" {
			t.Errorf("got panic %v, want one that names u000", v)
		}
	}()
	p.Release(start, u)
}

// The error contains one reason for each upstream, and its text is limited.
func TestUnavailable(t *testing.T) {
	p := newListedPool(t, Options{Ejection: Ejection{Failures: 1, Base: 20 * time.Second}}, Spec{ID: "a"}, Spec{ID: "b"}, Spec{ID: "c"}, Spec{ID: "d", Capacity: 2}, Spec{ID: "e"})
	find := func(id string) *Upstream { return p.byID[id] }
	p.Probe(start, "a", errors.New("connection refused"))
	p.Drain(start, "b", true)
	p.DrainReported(start, "c", true)
	if !p.Outcome(start, find("e"), Unreachable) {
		t.Fatal("e was not ejected after a failure")
	}
	for range 2 {
		acquire(t, p, start, "")
	}
	_, err := p.Acquire(start, "")
	var e *Unavailable
	if !errors.Is(err, ErrFull) || errors.Is(err, ErrNone) || !errors.As(err, &e) || e.RetryAfter != 5*time.Second {
		t.Fatalf("got %v (%+v), want ErrFull, retry after 5s", err, e)
	}
	want := "every upstream that is ready is full: a: down: connection refused, b: draining: by the operator, " +
		"c: draining: reported by the server, d: full: 2 of 2 connections, " +
		"e: ejected: 1 failures in a row, the last: unreachable, until 1970-01-12T13:47:00Z"
	if err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
	_, err = p.Acquire(start.Add(4*time.Second), "", find("d"))
	if !errors.Is(err, ErrNone) || errors.Is(err, ErrFull) || !errors.As(err, &e) || e.RetryAfter != 16*time.Second {
		t.Errorf("got %v (%+v), want ErrNone, retry after 16s", err, e)
	}
	if !strings.Contains(err.Error(), ", d: tried, ") {
		t.Error(err)
	}

	_, err = NewPool(Options{}).Acquire(start, "")
	if !errors.Is(err, ErrNone) || err.Error() != "no upstream is ready: the list of upstreams is empty" {
		t.Error(err)
	}
	var many []Spec
	for i := range 20 {
		many = append(many, Spec{ID: fmt.Sprint("u", i)})
	}
	p = newListedPool(t, Options{}, many...)
	for _, s := range many {
		p.Drain(start, s.ID, true)
	}
	_, err = p.Acquire(start, "")
	if n := strings.Count(err.Error(), "draining"); n != 8 || !strings.HasSuffix(err.Error(), ", and 12 more") {
		t.Errorf("got %d reasons in %v, want 8 and the number of the others", n, err)
	}
	_, again := p.Acquire(start, "")
	if again != err {
		t.Error("got a new error for the same refusal, want the cached one")
	}
	p.Drain(start, "u0", false)
	acquire(t, p, start, "")
}

// If the remaining upstreams are ejected, Retry-After is the end of the first ejection, wherever it is in the list.
func TestRetryAfterFollowsEjections(t *testing.T) {
	for first := range 4 {
		p := newListedPool(t, Options{Ejection: Ejection{Failures: 1, Base: 10 * time.Second}}, numberedSpecs(1, 1, 1, 1)...)
		second, tried := (first+1)%4, p.all[(first+2)%4]
		p.Outcome(start, p.all[first], Failed)
		p.Outcome(start.Add(3*time.Second), p.all[second], Failed)
		p.Drain(start, p.all[(first+3)%4].id, true)
		_, err := p.Acquire(start.Add(4*time.Second), "", tried)
		var e *Unavailable
		if !errors.As(err, &e) || e.RetryAfter != 6*time.Second {
			t.Errorf("%v: got %v, want 6s", err, e.RetryAfter)
		}
	}
}

// If all upstreams are full, Retry-After depends on the rate at which connections end, within its limits.
func TestRetryAfterFollowsReleases(t *testing.T) {
	for every, want := range map[time.Duration][2]time.Duration{
		10 * time.Millisecond: {time.Second, time.Second},
		8 * time.Second:       {7 * time.Second, 8 * time.Second},
		5 * time.Minute:       {30 * time.Second, 30 * time.Second},
	} {
		p := newListedPool(t, Options{}, Spec{ID: "a", Capacity: 1})
		now := start
		for range 40 {
			u := acquire(t, p, now, "")
			now = now.Add(every)
			p.Release(now, u)
		}
		acquire(t, p, now, "")
		_, err := p.Acquire(now, "")
		var e *Unavailable
		if !errors.As(err, &e) || e.RetryAfter < want[0] || e.RetryAfter > want[1] {
			t.Errorf("a release every %v: got %v, want %v to %v", every, e.RetryAfter, want[0], want[1])
		}
	}
}

// The capacity limits the connections of all balancers: those that the server reports for other balancers count until the report is
// a minute old.
func TestReportedLoad(t *testing.T) {
	p := newListedPool(t, Options{Policy: LeastConnections()}, Spec{ID: "a", Capacity: 10}, Spec{ID: "b"})
	a := acquire(t, p, start, "")
	if a.ID() != "a" {
		t.Fatalf("got %s, want a", a.ID())
	}
	p.ReportLoad(start, a, 9) // eight connections of other balancers
	for range 5 {
		if u := acquire(t, p, start, ""); u.ID() != "b" {
			t.Errorf("got %s, want b", u.ID())
		}
	}
	if s := status(t, p, start, "a"); s.Load != 9 || s.Live != 1 {
		t.Errorf("got %+v, want load 9, live 1", s)
	}
	for range 6 {
		acquire(t, p, start, "")
	}
	// The pool's own count changes immediately, the count of other balancers with the next report.
	s := status(t, p, start, "a")
	if s.Live != 2 && s.Live != 3 || s.Load != s.Live+8 {
		t.Errorf("got %+v, want 8 more than the own connections", s)
	}
	p.ReportLoad(start, a, 10)
	if s := status(t, p, start, "a"); s.State != Full || s.Why != "10 of 10 connections" {
		t.Errorf("got %+v, want full with 10 of 10", s)
	}
	p.ReportLoad(start, a, -5)
	if s := status(t, p, start, "a"); s.State != Ready || s.Load != s.Live {
		t.Errorf("after a negative report: got %+v, want ready with only the own connections", s)
	}
	p.ReportLoad(start, a, 1<<62)
	if s := status(t, p, start, "a"); s.Load != 1<<24 {
		t.Errorf("after a huge report: got %+v, want load %d", s, 1<<24)
	}
	if u := acquire(t, p, start.Add(time.Minute-1), ""); u.ID() != "b" {
		t.Errorf("report younger than a minute: got %s, want b", u.ID())
	}
	if u := acquire(t, p, start.Add(time.Minute), ""); u.ID() != "a" {
		t.Errorf("report a minute old: got %s, want a", u.ID())
	}
}

// An upstream that was tried is not chosen again, and stays in the pool for other clients.
func TestTried(t *testing.T) {
	for name, policy := range policies(3) {
		p := newListedPool(t, Options{Policy: policy}, numberedSpecs(5, 1, 1, 3)...)
		var tried []*Upstream
		for range 4 {
			u := acquire(t, p, start, "k", tried...)
			if slices.Contains(tried, u) {
				t.Errorf("%s: got %s, which was tried", name, u.ID())
			}
			p.Release(start, u)
			tried = append(tried, u)
		}
		if _, err := p.Acquire(start, "k", tried...); !errors.Is(err, ErrNone) {
			t.Errorf("%s: got %v, want ErrNone", name, err)
		}
		for range 1000 {
			acquire(t, p, start, fmt.Sprint(rand.Uint64()))
		}
		for _, s := range p.Status(start) {
			if s.Live < 50 {
				t.Errorf("%s: %s: got %d of 1000 connections, want 50 at least", name, s.ID, s.Live)
			}
		}
	}
}

// Goroutines use a pool while its list changes; when they have finished, no upstream is left.
func TestPoolConcurrently(t *testing.T) {
	for name, policy := range policies(11) {
		p := newListedPool(t, Options{Policy: policy, SlowStart: time.Second}, numberedSpecs(1, 2, 3, 4)...)
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				now := start
				for i := range 500 {
					now = now.Add(10 * time.Millisecond)
					u, err := p.Acquire(now, fmt.Sprint(i))
					if err != nil {
						t.Errorf("%s: Acquire: %v", name, err)
						return
					}
					p.Outcome(now, u, OK)
					p.ReportLoad(now, u, i%7)
					if g == 0 {
						if err := p.Set(now, numberedSpecs(1, 2, 3, 4)[i%3:]); err != nil {
							t.Errorf("%s: Set: %v", name, err)
						}
						p.Surplus(now, Rebalance{})
					}
					p.Release(now, u)
				}
			})
		}
		wg.Wait()
		for _, s := range p.Status(start.Add(time.Hour)) {
			if s.Live != 0 || s.Load != 0 {
				t.Errorf("%s: got %+v, want no connections", name, s)
			}
		}
	}
}
