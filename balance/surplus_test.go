package balance

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestPlan(t *testing.T) {
	ready := func(id string, live int) Status {
		return Status{ID: id, State: Ready, Weight: 1, Share: 1, Live: live, Load: live}
	}
	with := func(s Status, change func(*Status)) Status { change(&s); return s }
	for _, tt := range []struct {
		name    string
		servers []Status
		r       Rebalance
		want    []Move
	}{
		{"no upstreams", nil, Rebalance{}, nil},
		{"no connections", []Status{ready("a", 0), ready("b", 0)}, Rebalance{}, nil},
		{"even", []Status{ready("a", 100), ready("b", 100)}, Rebalance{}, nil},
		{"within the bound", []Status{ready("a", 110), ready("b", 90)}, Rebalance{}, nil},
		{"beyond the bound", []Status{ready("a", 115), ready("b", 85)}, Rebalance{}, []Move{{"a", 5, Ready}}},
		{"a tenth at a time", []Status{ready("a", 200), ready("b", 0)}, Rebalance{}, []Move{{"a", 20, Ready}}},
		{"a quarter at a time", []Status{ready("a", 200), ready("b", 0)}, Rebalance{Percentage: 25}, []Move{{"a", 50, Ready}}},
		{"all that is beyond", []Status{ready("a", 200), ready("b", 0)}, Rebalance{Percentage: 1000}, []Move{{"a", 90, Ready}}},
		{"at least one", []Status{ready("a", 5), ready("b", 0)}, Rebalance{Percentage: 1}, []Move{{"a", 1, Ready}}},
		{"another bound", []Status{ready("a", 200), ready("b", 0)}, Rebalance{Spread: 1.5, Percentage: 100}, []Move{{"a", 50, Ready}}},
		{"a bound below 1", []Status{ready("a", 101), ready("b", 99)}, Rebalance{Spread: 0.5}, []Move{{"a", 1, Ready}}},
		{"an odd one stays", []Status{ready("a", 2), ready("b", 1)}, Rebalance{Spread: 1}, nil},
		{"weights", []Status{ready("a", 50), with(ready("b", 150), func(s *Status) { s.Weight = 3 })}, Rebalance{}, nil},
		{"beyond the bound by weight", []Status{ready("a", 80), with(ready("b", 120), func(s *Status) { s.Weight = 3 })}, Rebalance{Percentage: 50},
			[]Move{{"a", 25, Ready}}},
		{"slow start", []Status{ready("a", 110), with(ready("b", 0), func(s *Status) { s.Share = 0.1 })}, Rebalance{}, nil},
		{"late in slow start", []Status{ready("a", 150), with(ready("b", 0), func(s *Status) { s.Share = 0.9 })}, Rebalance{Percentage: 100}, nil},
		{"a drain gives all", []Status{ready("a", 30), with(ready("b", 30), func(s *Status) { s.State = Draining })}, Rebalance{},
			[]Move{{"b", 30, Draining}}},
		{"a removed one gives all", []Status{ready("a", 30), with(ready("b", 7), func(s *Status) { s.State = Removed })}, Rebalance{},
			[]Move{{"b", 7, Removed}}},
		{"what drains counts as load to come", []Status{ready("a", 100), ready("b", 80), with(ready("c", 60), func(s *Status) { s.State = Draining })},
			Rebalance{}, []Move{{"c", 60, Draining}}},
		{"an empty one that drains", []Status{ready("a", 30), with(ready("b", 0), func(s *Status) { s.State = Draining })}, Rebalance{}, nil},
		{"down and ejected neither give nor take", []Status{ready("a", 30), with(ready("b", 90), func(s *Status) { s.State = Down }),
			with(ready("c", 0), func(s *Status) { s.State = Ejected })}, Rebalance{}, nil},
		{"one that is down and drains gives all", []Status{ready("a", 30), with(ready("b", 9), func(s *Status) { s.State, s.Drained = Down, true })},
			Rebalance{}, []Move{{"b", 9, Draining}}},
		{"so does one that was removed meanwhile", []Status{ready("a", 30), with(ready("b", 9), func(s *Status) { s.State, s.Leaving = Removed, true })},
			Rebalance{}, []Move{{"b", 9, Draining}}},
		{"a full one gives", []Status{with(ready("a", 200), func(s *Status) { s.State = Full }), ready("b", 0)}, Rebalance{}, []Move{{"a", 20, Ready}}},
		{"no more than there is room for", []Status{ready("a", 200), with(ready("b", 10), func(s *Status) { s.Capacity = 13 })}, Rebalance{},
			[]Move{{"a", 3, Ready}}},
		{"no room", []Status{ready("a", 200), with(ready("b", 10), func(s *Status) { s.Capacity, s.State = 10, Full })}, Rebalance{}, nil},
		{"room that a drain needs", []Status{ready("a", 200), with(ready("b", 0), func(s *Status) { s.Capacity = 13 }),
			with(ready("c", 10), func(s *Status) { s.State = Draining })}, Rebalance{}, []Move{{"c", 10, Draining}, {"a", 3, Ready}}},
		{"its part of a surplus", []Status{with(ready("a", 50), func(s *Status) { s.Load = 200 }), ready("b", 0)}, Rebalance{Percentage: 100},
			[]Move{{"a", 23, Ready}}},
		{"a surplus of others", []Status{with(ready("a", 0), func(s *Status) { s.Load = 200 }), ready("b", 0)}, Rebalance{}, nil},
		{"one connection in a surplus of others", []Status{with(ready("a", 1), func(s *Status) { s.Load = 200 }), ready("b", 0)}, Rebalance{},
			[]Move{{"a", 1, Ready}}},
		{"only one, and it drains", []Status{with(ready("a", 9), func(s *Status) { s.State = Draining })}, Rebalance{}, []Move{{"a", 9, Draining}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Plan(tt.servers, tt.r); !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// When plans are carried out, the loads end up within the bound, no plan takes more than the percentage of an upstream at a time,
// and draining upstreams keep no connections.
func TestPlansConverge(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 12))
		r := Rebalance{Spread: 1 + rnd.Float64()/2, Percentage: 1 + rnd.Float64()*50}
		p := NewPool(Options{Policy: LeastConnections()})
		old := numberedSpecs(randomWeights(rnd, 1+rnd.IntN(4), 4)...)
		all := slices.Clone(old)
		for i := range 1 + rnd.IntN(4) {
			all = append(all, Spec{ID: fmt.Sprint("v", i), Weight: rnd.IntN(5)})
		}
		if err := p.Set(start, old); err != nil {
			t.Fatal(err)
		}
		held := map[string][]*Upstream{}
		place := func() {
			u := acquire(t, p, start, "")
			held[u.ID()] = append(held[u.ID()], u)
		}
		for range rnd.IntN(3000) {
			place()
		}
		if err := p.Set(start, all); err != nil {
			t.Fatal(err)
		}
		if rnd.IntN(2) == 0 {
			p.Drain(start, old[0].ID, true)
		}
		rounds := 0
		for moves := p.Surplus(start, r); moves != nil; moves = p.Surplus(start, r) {
			if rounds++; rounds > 2000 {
				t.Fatalf("seed %d: got moves %v after 2000 rounds, want none: %+v", seed, moves, p.Status(start))
			}
			for _, m := range moves {
				live := len(held[m.ID])
				if m.Count > live || m.Why == Ready && m.Count > max(1, int(float64(live)*r.Percentage/100)) {
					t.Fatalf("seed %d: got %+v of %d connections, want at most %v %%", seed, m, live, r.Percentage)
				}
				for range m.Count {
					u := held[m.ID][len(held[m.ID])-1]
					held[m.ID] = held[m.ID][:len(held[m.ID])-1]
					p.Release(start, u)
				}
				for range m.Count {
					place()
				}
			}
		}
		total, weight := 0, 0
		for _, s := range p.Status(start) {
			if s.State == Draining && s.Live > 0 {
				t.Fatalf("seed %d: got %d connections left at a draining upstream, want 0", seed, s.Live)
			}
			if s.State == Ready {
				total += s.Live
				weight += s.Weight
			}
		}
		for _, s := range p.Status(start) {
			if most := r.Spread*float64(total)*float64(s.Weight)/float64(weight) + 1; float64(s.Live) > most {
				t.Errorf("seed %d: %s has %d, want at most %.1f", seed, s.ID, s.Live, most)
			}
		}
	}
}

// Several balancers with the same servers move the surplus together, and each no more than its share.
func TestPlansOfSeveralBalancers(t *testing.T) {
	live := [3]int{100, 60, 40} // connections of each balancer at a; b is empty
	total, moved := 200, 0
	for _, n := range live {
		for _, m := range Plan([]Status{{ID: "a", State: Ready, Weight: 1, Share: 1, Live: n, Load: total},
			{ID: "b", State: Ready, Weight: 1, Share: 1}}, Rebalance{Percentage: 100}) {
			moved += m.Count
		}
	}
	if moved < 90 || moved > 92 { // 90 are beyond the bound; each balancer rounds up
		t.Errorf("got %d moves, want 90 to 92", moved)
	}
}

func TestSpread(t *testing.T) {
	for _, tt := range []struct {
		servers []Status
		want    float64
	}{
		{nil, 1},
		{[]Status{{State: Ready, Weight: 1, Share: 1}}, 1},
		{[]Status{{State: Ready, Weight: 1, Share: 1, Load: 30}, {State: Full, Weight: 1, Share: 1, Load: 10}}, 1.5},
		{[]Status{{State: Ready, Weight: 3, Share: 1, Load: 30}, {State: Ready, Weight: 1, Share: 1, Load: 10}}, 1},
		{[]Status{{State: Ready, Weight: 1, Share: 1, Load: 10}, {State: Ready, Weight: 1, Share: 0.5, Load: 5}, {State: Down, Weight: 1, Share: 1, Load: 99}}, 1},
	} {
		if got := Spread(tt.servers); got != tt.want {
			t.Errorf("%+v: got %v, want %v", tt.servers, got, tt.want)
		}
	}
}

// The pace keeps its rate on average, stays within its jitter for each interval, and does not catch up after a pause.
func TestPace(t *testing.T) {
	for _, jitter := range []float64{0, 0.5, 1} {
		p := NewPace(10, jitter, rand.NewPCG(1, 1))
		now, last := start, start
		const n = 2000
		different := map[time.Duration]bool{}
		for i := range n {
			if i > 0 {
				wait := p.Next(now)
				shortest, longest := time.Duration((1-jitter)*100)*time.Millisecond, time.Duration((1+jitter)*100)*time.Millisecond
				if wait < shortest-1 || wait > longest+1 || wait <= 0 && jitter < 1 {
					t.Fatalf("jitter %v: got an interval of %v, want %v to %v", jitter, wait, shortest, longest)
				}
				different[wait] = true
				if wait > 1 && p.Next(now.Add(wait-1)) != 1 {
					t.Fatal("an event is due too early")
				}
				now = now.Add(wait)
			}
			if wait := p.Next(now); wait != 0 {
				t.Fatalf("event %d: got a wait of %v, want 0", i, wait)
			}
		}
		if average := now.Sub(last) / n; average < 97*time.Millisecond || average > 103*time.Millisecond {
			t.Errorf("jitter %v: got an average interval of %v, want 97ms to 103ms", jitter, average)
		}
		if (len(different) > n/2) != (jitter > 0) {
			t.Errorf("jitter %v: got %d different intervals of %d", jitter, len(different), n)
		}
		now = now.Add(time.Hour)
		if p.Next(now) != 0 || jitter == 0 && p.Next(now) != 100*time.Millisecond {
			t.Error("after a pause: got a shorter interval, want the usual one")
		}
	}
	none := NewPace(0, 5, nil)
	for range 100 {
		if none.Next(start) != 0 {
			t.Fatal("a rate of 0 limited an event")
		}
	}
	changed := NewPace(1, -1, nil)
	changed.Next(start)
	changed.SetRate(1000)
	if wait := changed.Next(start); wait != time.Second {
		t.Errorf("after SetRate, the interval in progress: got %v, want 1s", wait)
	}
	changed.Next(start.Add(time.Second))
	if wait := changed.Next(start.Add(time.Second)); wait != time.Millisecond {
		t.Errorf("after SetRate, the next interval: got %v, want 1ms", wait)
	}
}
