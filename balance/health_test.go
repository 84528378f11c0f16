package balance

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// Consecutive failures cause an ejection, for a time that doubles with each ejection up to a maximum. After the maximum time in
// service, the next ejection is the shortest again.
func TestEjectionBacksOff(t *testing.T) {
	p := newListedPool(t, Options{Ejection: Ejection{Failures: 3, Base: time.Second, Max: 5 * time.Second}}, numberedSpecs(1, 1)...)
	u := p.byID["u000"]
	now := start
	eject := func(want time.Duration) {
		t.Helper()
		for i := range 3 {
			if got := p.Outcome(now, u, Failed); got != (i == 2) {
				t.Fatalf("failure %d: got ejected %v, want %v", i+1, got, i == 2)
			}
		}
		if p.Outcome(now, u, OK) || p.Outcome(now, u, Failed) {
			t.Error("an ejected upstream was ejected again")
		}
		s := status(t, p, now.Add(want-1), "u000")
		if s.State != Ejected || s.Ejected != now.Add(want) {
			t.Errorf("ejected until %v, want %v", s.Ejected, now.Add(want))
		}
		now = now.Add(want)
		if s := status(t, p, now, "u000"); s.State != Ready || !s.Ejected.IsZero() || s.Failures != 0 {
			t.Errorf("after the ejection: got %+v, want ready without failures", s)
		}
	}
	for _, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second, 5 * time.Second} {
		eject(want)
	}
	now = now.Add(5*time.Second - 1)
	eject(5 * time.Second)
	now = now.Add(5 * time.Second)
	eject(time.Second)
	eject(2 * time.Second)

	// A success in between resets the count.
	for range 5 {
		p.Outcome(now, u, ClosedEarly)
		p.Outcome(now, u, Unreachable)
		if p.Outcome(now, u, OK); status(t, p, now, "u000").State != Ready {
			t.Fatal("ejected after two consecutive failures, want three")
		}
		p.Outcome(now, u, OK)
		p.Outcome(now, u, OK)
	}
}

// Without times in the options, the first ejection lasts 10 seconds, and none lasts longer than 5 minutes.
func TestEjectionDefaults(t *testing.T) {
	p := newListedPool(t, Options{Ejection: Ejection{Failures: 1}}, numberedSpecs(1, 1)...)
	now := start
	for _, seconds := range []int{10, 20, 40, 80, 160, 300, 300} {
		want := time.Duration(seconds) * time.Second
		if !p.Outcome(now, p.byID["u000"], Failed) {
			t.Fatal("got no ejection after a failure, want one")
		}
		if got := status(t, p, now, "u000").Ejected.Sub(now); got != want {
			t.Errorf("ejected for %v, want %v", got, want)
		}
		now = now.Add(want)
	}
}

// An upstream that fails every other handshake is ejected, one that fails fewer is not.
func TestEjectionByShare(t *testing.T) {
	run := func(each int) (n int, why string) {
		p := newListedPool(t, Options{}, numberedSpecs(1, 1)...)
		for n = 1; n <= 200; n++ {
			o := OK
			if n%each == 0 {
				o = ClosedEarly
			}
			if p.Outcome(start, p.byID["u000"], o) {
				return n, status(t, p, start, "u000").Why
			}
		}
		return 0, ""
	}
	if n, why := run(2); n != 16 || why != "8 failures in 16 connections, the last: closed early, until 1970-01-12T13:46:50Z" {
		t.Errorf("every second handshake fails: got %d outcomes until the ejection, %q", n, why)
	}
	if n, why := run(3); n != 0 {
		t.Errorf("every third handshake fails: ejected after %d (%s), want no ejection", n, why)
	}
	// Outcomes before the last 32 connections do not count.
	p := newListedPool(t, Options{Ejection: Ejection{Failures: 100}}, numberedSpecs(1, 1)...)
	u := p.byID["u000"]
	report := func(n int, o Outcome) {
		for range n {
			p.Outcome(start, u, o)
		}
	}
	report(14, OK)
	report(9, Failed)
	report(32, OK)
	for i := range 16 {
		if got := p.Outcome(start, u, Failed); got != (i == 15) {
			t.Fatalf("failure %d of the last 32: got ejected %v, want %v", i+1, got, i == 15)
		}
	}
}

// While an upstream is out of service, nothing is counted, and earlier counts are forgotten.
func TestOutcomesWhileNotServing(t *testing.T) {
	p := newListedPool(t, Options{Ejection: Ejection{Failures: 3}}, numberedSpecs(1, 1)...)
	u := p.byID["u000"]
	p.Outcome(start, u, Failed)
	p.Outcome(start, u, Failed)
	p.DrainReported(start, "u000", true)
	for range 40 {
		if p.Outcome(start, u, ClosedEarly) {
			t.Fatal("ejected while draining")
		}
	}
	p.DrainReported(start, "u000", false)
	for i := range 3 {
		if got := p.Outcome(start, u, Failed); got != (i == 2) {
			t.Errorf("failure %d after the drain: got ejected %v, want %v", i+1, got, i == 2)
		}
	}
}

// A maximum that is shorter than the first ejection does not shorten it.
func TestEjectionMaxBelowBase(t *testing.T) {
	p := newListedPool(t, Options{Ejection: Ejection{Failures: 1, Base: 10 * time.Second, Max: 1}}, numberedSpecs(1, 1)...)
	for i := range 2 {
		now := start.Add(time.Duration(i) * 10 * time.Second)
		p.Outcome(now, p.byID["u000"], Failed)
		if s := status(t, p, now, "u000"); s.Ejected != now.Add(10*time.Second) {
			t.Errorf("ejection %d: got %v, want 10s", i+1, s.Ejected.Sub(now))
		}
	}
}

func TestEjectionDisabled(t *testing.T) {
	p := newListedPool(t, Options{Ejection: Ejection{Failures: -1}}, numberedSpecs(1, 1)...)
	for range 100 {
		if p.Outcome(start, p.byID["u000"], Failed) {
			t.Fatal("ejected, although ejection is off")
		}
	}
	if s := status(t, p, start, "u000"); s.State != Ready {
		t.Errorf("got %+v, want ready", s)
	}
}

// No more than the configured share of the upstreams is ejected, but at least one may be. The last serving upstream is never
// ejected, and ejections end when the other upstreams leave.
func TestEjectionLimits(t *testing.T) {
	for _, tt := range []struct{ upstreams, want int }{{1, 0}, {2, 1}, {3, 1}, {4, 2}, {5, 2}, {10, 5}} {
		weights := make([]int, tt.upstreams)
		p := newListedPool(t, Options{Ejection: Ejection{Failures: 1}}, numberedSpecs(weights...)...)
		ejected := 0
		for _, u := range slices.Clone(p.all) {
			if p.Outcome(start, u, Failed) {
				ejected++
			}
		}
		if ejected != tt.want {
			t.Errorf("%d of %d were ejected, want %d", ejected, tt.upstreams, tt.want)
		}
	}
	p := newListedPool(t, Options{Ejection: Ejection{Failures: 1, Share: 5}}, numberedSpecs(1, 1, 1)...)
	for i, want := range []bool{true, true, false} {
		if got := p.Outcome(start, p.all[i], Failed); got != want {
			t.Errorf("%s: got ejected %v, want %v", p.all[i].id, got, want)
		}
	}
	if got := states(p, start); !slices.Equal(got, []State{Ejected, Ejected, Ready}) {
		t.Fatalf("got %v, want ejected, ejected, ready", got)
	}
	p.Drain(start, "u002", true)
	if got := states(p, start); !slices.Equal(got, []State{Ready, Ready, Draining}) {
		t.Errorf("the last serving one drains: got %v, want ready, ready, draining", got)
	}

	p = newListedPool(t, Options{Ejection: Ejection{Failures: 1}}, numberedSpecs(1, 1, 1, 1)...)
	p.Outcome(start, p.all[1], Failed)
	p.Outcome(start.Add(time.Second), p.all[0], Failed)
	if err := p.Set(start.Add(time.Second), numberedSpecs(1, 1, 1)); err != nil {
		t.Fatal(err)
	}
	if got := states(p, start.Add(time.Second)); !slices.Equal(got, []State{Ejected, Ready, Ready}) {
		t.Errorf("after one was removed: got %v, want ejected, ready, ready", got)
	}
	p.Probe(start.Add(2*time.Second), "u001", errors.New("refused"))
	p.Drain(start.Add(2*time.Second), "u000", true)
	p.Drain(start.Add(2*time.Second), "u002", true)
	if got := states(p, start.Add(2*time.Second)); !slices.Equal(got, []State{Draining, Down, Draining}) {
		t.Errorf("no other one serves: got %v, want draining, down, draining", got)
	}
}

// The status contains the number of connections at the beginning of a drain, which shows its progress.
func TestDrainFrom(t *testing.T) {
	p := newListedPool(t, Options{Policy: RoundRobin()}, numberedSpecs(1, 1)...)
	var all []*Upstream
	for range 4 {
		u, err := p.Acquire(start, "")
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, u)
	}
	shows := func(what string, from ...int) {
		t.Helper()
		for i, s := range p.Status(start) {
			if s.From != from[i] {
				t.Errorf("%s: %s: from %d, want %d", what, s.ID, s.From, from[i])
			}
		}
	}
	shows("before", 0, 0)
	p.Drain(start, "u000", true)
	p.Probe(start, "u000", errors.New("refused"))
	for _, u := range all {
		if u.ID() == "u000" {
			p.Release(start, u)
			break
		}
	}
	p.DrainReported(start, "u000", true)
	shows("during a drain", 2, 0)
	p.Drain(start, "u000", false)
	p.DrainReported(start, "u000", false)
	shows("after it", 0, 0)
	if err := p.Set(start, numberedSpecs(1)); err != nil {
		t.Fatal(err)
	}
	shows("removed", 0, 2)
}

// An upstream goes down after Fall consecutive failed probes, and up after Rise successful ones; the first probe decides alone.
func TestProbes(t *testing.T) {
	refused := errors.New("refused")
	for _, tt := range []struct {
		options Options
		probes  string // + for success
		changes string // the state after each probe: u or d
	}{
		{Options{}, "+---+-++", "uuuddddu"},
		{Options{}, "-++", "ddu"},
		{Options{}, "+--+--+---", "uuuuuuuuud"},
		{Options{Rise: 1, Fall: 1}, "+-+-", "udud"},
		{Options{Rise: 3, Fall: 2}, "-+++--", "ddduud"},
	} {
		p := newListedPool(t, tt.options, numberedSpecs(1, 1)...)
		down := false
		for i, c := range tt.probes {
			var result error
			if c == '-' {
				result = refused
			}
			changed := p.Probe(start, "u000", result)
			s := status(t, p, start, "u000")
			if want := tt.changes[i] == 'd'; (s.State == Down) != want || changed != (want != down) {
				t.Errorf("%s: after probe %d: got %s, changed %v, want down %v, changed %v", tt.probes, i+1, s.State, changed, want, want != down)
			}
			down = s.State == Down
			if want := (result != nil) != down; p.Wavers("u000") != want {
				t.Errorf("%s: after %d: it wavers: %v", tt.probes, i+1, !want)
			}
		}
	}
	p := newListedPool(t, Options{}, numberedSpecs(1)...)
	if p.Probe(start, "x", refused) || p.Wavers("x") || p.Drain(start, "x", true) || p.DrainReported(start, "x", true) {
		t.Error("Probe, Wavers, Drain or DrainReported returned true for an unknown upstream")
	}
	p.Probe(start, "u000", refused)
	p.Probe(start, "u000", errors.New("timeout"))
	if s := status(t, p, start, "u000"); s.Why != "timeout" || s.Probed != "timeout" {
		t.Errorf("got %+v, want the error of the last probe", s)
	}
}

// The two kinds of drain are independent.
func TestDrains(t *testing.T) {
	p := newListedPool(t, Options{}, numberedSpecs(1, 1)...)
	u := acquire(t, p, start, "")
	for i, tt := range []struct {
		do   func(time.Time, string, bool) bool
		on   bool
		want State
		why  string
	}{
		{p.Drain, true, Draining, "by the operator"},
		{p.DrainReported, true, Draining, "by the operator"},
		{p.Drain, false, Draining, "reported by the server"},
		{p.DrainReported, true, Draining, "reported by the server"},
		{p.DrainReported, false, Ready, ""},
	} {
		at := start.Add(time.Duration(i+1) * time.Second)
		if !tt.do(at, u.ID(), tt.on) {
			t.Errorf("step %d: got an unknown upstream", i)
		}
		s := status(t, p, at, u.ID())
		if s.State != tt.want || s.Why != tt.why || s.Live != 1 {
			t.Errorf("step %d: got %+v, want %s (%s) with 1 connection", i, s, tt.want, tt.why)
		}
		since := start.Add(time.Second)
		if tt.want == Ready {
			since = at
		}
		if s.Since != since {
			t.Errorf("%d: since %v, want %v", i, s.Since.Sub(start), since.Sub(start))
		}
	}
}

// The drain of an upstream that is down only appears in the reason for the state, because the state remains down.
func TestDrainOfDown(t *testing.T) {
	p := newListedPool(t, Options{}, numberedSpecs(1, 1)...)
	p.Probe(start, "u000", errors.New("refused"))
	for _, tt := range []struct {
		on   bool
		want string
	}{{true, "refused; drained by the operator"}, {false, "refused"}} {
		p.Drain(start, "u000", tt.on)
		if s := status(t, p, start, "u000"); s.State != Down || s.Why != tt.want || s.Drained != tt.on {
			t.Errorf("%+v, want %s", s, tt.want)
		}
	}
}
