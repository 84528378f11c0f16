package balance

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var start = time.Unix(1_000_000, 0)

// newListedPool returns a pool with newly listed upstreams.
func newListedPool(t testing.TB, o Options, specs ...Spec) *Pool {
	t.Helper()
	p := NewPool(o)
	if err := p.Set(start, specs); err != nil {
		t.Fatal(err)
	}
	return p
}

// numberedSpecs returns upstreams u000, u001, ... with these weights.
func numberedSpecs(weights ...int) []Spec {
	specs := make([]Spec, len(weights))
	for i, w := range weights {
		specs[i] = Spec{ID: fmt.Sprintf("u%03d", i), Weight: w}
	}
	return specs
}

func randomWeights(rnd *rand.Rand, n, limit int) []int {
	weights := make([]int, n)
	for i := range weights {
		weights[i] = 1 + rnd.IntN(limit)
	}
	return weights
}

func acquire(t testing.TB, p *Pool, now time.Time, key string, tried ...*Upstream) *Upstream {
	t.Helper()
	u, err := p.Acquire(now, key, tried...)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func sumOf(weights []int) (sum int) {
	for _, w := range weights {
		sum += w
	}
	return sum
}

// If connections never end, the numbers of connections are in proportion to the weights, whatever the weights are.
func TestWeights(t *testing.T) {
	for name, tolerance := range map[string]func(want float64) float64{
		"power of two":      func(want float64) float64 { return 3 + want*0.02 },
		"least connections": func(float64) float64 { return 2 },
		"round robin":       func(float64) float64 { return 1 },
		"hash":              func(want float64) float64 { return 6*math.Sqrt(want) + want*0.25 },
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(8) {
				rnd := rand.New(rand.NewPCG(seed, 4))
				weights := randomWeights(rnd, 1+rnd.IntN(20), 10)
				p := newListedPool(t, Options{Policy: policies(seed)[name]}, numberedSpecs(weights...)...)
				const n = 5000
				for i := range n {
					acquire(t, p, start, fmt.Sprintf("key %d", i))
				}
				for i, s := range p.Status(start) {
					want := n * float64(weights[i]) / float64(sumOf(weights))
					if got := float64(s.Live); math.Abs(got-want) > tolerance(want) {
						t.Errorf("seed %d: weights %v: %s has %v, want %.1f", seed, weights, s.ID, got, want)
					}
				}
			}
		})
	}
}

// If connections end at random, the policies that look at loads keep the spread within a limit.
func TestFairnessUnderChurn(t *testing.T) {
	for name, bound := range map[string]float64{"power of two": 1.06, "least connections": 1.02, "hash": 1.26} {
		t.Run(name, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(7, 7))
			p := newListedPool(t, Options{Policy: policies(7)[name]}, numberedSpecs(1, 2, 3, 1, 2, 3, 1, 2, 3, 2)...)
			var held []*Upstream
			for i := range 50_000 {
				if len(held) >= 4000 {
					at := rnd.IntN(len(held))
					p.Release(start, held[at])
					held[at] = held[len(held)-1]
					held = held[:len(held)-1]
				}
				held = append(held, acquire(t, p, start, fmt.Sprint(rnd.IntN(300))))
				if i > 4000 && i%1000 == 0 {
					// Only new connections are balanced, not the releases.
					if got := Spread(p.Status(start)); got > bound {
						t.Fatalf("after %d: spread %.3f, want at most %v", i, got, bound)
					}
				}
			}
		})
	}
}

// Every ready upstream keeps getting connections, even one with a small weight among large ones and one in slow start.
func TestNoStarvation(t *testing.T) {
	for name := range policies(0) {
		t.Run(name, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(9, 9))
			p := newListedPool(t, Options{Policy: policies(9)[name], SlowStart: time.Hour}, numberedSpecs(1, 10, 10, 10)...)
			if err := p.Set(start, numberedSpecs(1, 10, 10, 10, 1)); err != nil {
				t.Fatal(err)
			}
			last := map[string]int{}
			var held []*Upstream
			for i := range 20_000 {
				if len(held) == 1000 {
					at := rnd.IntN(len(held))
					p.Release(start, held[at])
					held = slices.Delete(held, at, at+1)
				}
				u := acquire(t, p, start, fmt.Sprint("k", rnd.IntN(10_000)))
				held = append(held, u)
				if i-last[u.id] > 4000 {
					t.Errorf("%s got none of %d consecutive connections", u.id, i-last[u.id])
				}
				last[u.id] = i
			}
			for _, s := range p.Status(start) {
				if last[s.ID] < 16_000 {
					t.Errorf("%s got none of the last %d connections", s.ID, 20_000-last[s.ID])
				}
			}
		})
	}
}

// The turns of an upstream are spaced as evenly as the weights allow, and every round contains each upstream exactly as often as
// its weight.
func TestRoundRobinIsSmooth(t *testing.T) {
	p := newListedPool(t, Options{Policy: RoundRobin()}, Spec{ID: "a", Weight: 5}, Spec{ID: "b"}, Spec{ID: "c"})
	var got string
	for range 14 {
		got += acquire(t, p, start, "").ID()
	}
	if want := "aabacaaaabacaa"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 5))
		weights := randomWeights(rnd, 1+rnd.IntN(8), 9)
		p := newListedPool(t, Options{Policy: RoundRobin()}, numberedSpecs(weights...)...)
		for round := 1; round <= 3; round++ {
			for range sumOf(weights) {
				acquire(t, p, start, "")
			}
			for i, s := range p.Status(start) {
				if s.Live != round*weights[i] {
					t.Fatalf("weights %v: %s: got %d connections after %d rounds, want %d", weights, s.ID, s.Live, round, round*weights[i])
				}
			}
		}
	}
}

// Upstreams of equal load take turns, so that a list whose connections are short does not favor its first entry.
func TestLeastConnectionsTakesTurns(t *testing.T) {
	p := newListedPool(t, Options{Policy: LeastConnections()}, numberedSpecs(1, 1, 1, 1)...)
	seen := map[string]int{}
	for range 8 {
		u := acquire(t, p, start, "")
		seen[u.ID()]++
		p.Release(start, u)
	}
	for id, n := range seen {
		if n != 2 {
			t.Errorf("%s: got %d of 8 connections, want 2", id, n)
		}
	}
	if len(seen) != 4 {
		t.Errorf("got connections at %v, want at all 4", seen)
	}
}

// If there are two upstreams, both are always compared, so that the lower load wins, whatever the weights are.
func TestPowerOfTwoOfTwo(t *testing.T) {
	for _, heavy := range []int{1, 1000, maxWeight} {
		p := newListedPool(t, Options{Policy: PowerOfTwo(rand.NewPCG(1, 1))}, numberedSpecs(1, heavy)...)
		for i := range 3000 {
			before := p.Status(start)
			u := acquire(t, p, start, "")
			cost := func(s Status) float64 { return float64(s.Live+1) / float64(s.Weight) }
			want := min(cost(before[0]), cost(before[1]))
			at := slices.IndexFunc(before, func(s Status) bool { return s.ID == u.ID() })
			if got := cost(before[at]); got > want*1.0000001 {
				t.Fatalf("weight %d, connection %d: got %s, want the one of lower cost of %+v", heavy, i, u.ID(), before)
			}
		}
	}
}

// With equal weights and many upstreams the highest load is close to the average, far below that with one random draw.
func TestPowerOfTwoOfMany(t *testing.T) {
	p := newListedPool(t, Options{Policy: PowerOfTwo(rand.NewPCG(3, 3))}, numberedSpecs(randomWeights(rand.New(rand.NewPCG(3, 4)), 100, 1)...)...)
	for range 10_000 {
		acquire(t, p, start, "")
	}
	for _, s := range p.Status(start) {
		if s.Live < 95 || s.Live > 104 { // a single draw gives 70 to 130
			t.Errorf("%s: got %d of 10000 connections, want 95 to 104", s.ID, s.Live)
		}
	}
}

// A new upstream gets a share that grows linearly from a tenth of its weight. The upstreams of the first list have no slow start.
func TestSlowStart(t *testing.T) {
	p := newListedPool(t, Options{SlowStart: 10 * time.Second}, numberedSpecs(1, 1)...)
	if err := p.Set(start, numberedSpecs(1, 1, 1)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		after time.Duration
		share float64
	}{{0, 0.1}, {time.Second, 0.19}, {5 * time.Second, 0.55}, {9 * time.Second, 0.91}, {10 * time.Second, 1}, {time.Hour, 1}} {
		s := p.Status(start.Add(tt.after))
		if math.Abs(s[2].Share-tt.share) > 1e-9 || s[0].Share != 1 || s[1].Share != 1 {
			t.Errorf("after %v: %v, %v, %v, want 1, 1, %v", tt.after, s[0].Share, s[1].Share, s[2].Share, tt.share)
		}
	}
	now := start.Add(2 * time.Hour)
	p.Drain(now, "u001", true)
	p.Drain(now, "u001", false)
	if s := p.Status(now.Add(5 * time.Second))[1]; math.Abs(s.Share-0.55) > 1e-9 {
		t.Errorf("after a drain: got a share of %v, want 0.55", s.Share)
	}
	without := newListedPool(t, Options{}, numberedSpecs(1)...)
	if err := without.Set(start, numberedSpecs(1, 1)); err != nil {
		t.Fatal(err)
	}
	if s := without.Status(start)[1]; s.Share != 1 {
		t.Errorf("without slow start: got a share of %v, want 1", s.Share)
	}
}

// A third upstream joins two upstreams with 500 connections each, and the test counts how many of the next 210 connections each
// policy gives to the third. With a share of a tenth, round robin gives it exactly its turns, power of two about twice as many, and
// least connections a tenth of all. Without slow start, each policy gives it far more.
func TestSlowStartOfPolicies(t *testing.T) {
	for name, want := range map[string]struct{ least, most, without int }{
		"round robin":       {10, 10, 70},
		"power of two":      {10, 30, 100},
		"least connections": {20, 21, 200},
	} {
		t.Run(name, func(t *testing.T) {
			joined := func(slow time.Duration) int {
				p := newListedPool(t, Options{Policy: policies(5)[name], SlowStart: slow}, numberedSpecs(1, 1)...)
				for range 1000 {
					acquire(t, p, start, "")
				}
				if err := p.Set(start, numberedSpecs(1, 1, 1)); err != nil {
					t.Fatal(err)
				}
				for range 210 {
					acquire(t, p, start, "")
				}
				return p.Status(start)[2].Live
			}
			if got := joined(time.Minute); got < want.least || got > want.most {
				t.Errorf("with slow start it gets %d, want %d to %d", got, want.least, want.most)
			}
			if got := joined(0); got < want.without {
				t.Errorf("without slow start it gets %d, want at least %d", got, want.without)
			}
		})
	}
}

// The cost of an upstream is its load, including the connection to place, relative to its weight.
func TestCost(t *testing.T) {
	p := newListedPool(t, Options{}, Spec{ID: "a", Weight: 4})
	var u *Upstream
	for _, want := range []float64{0.5, 0.75, 1} {
		var err error
		if u, err = p.Acquire(start, ""); err != nil {
			t.Fatal(err)
		}
		if got := u.Cost(); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	p.ReportLoad(start, u, 7)
	if got := u.Cost(); got != 2 {
		t.Errorf("with the connections of other balancers: got %v, want 2", got)
	}
}
