package balance

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// scaleOut is a simulation: two servers hold 5,000 connections, which last 20 minutes on average and are replaced when they end.
// Then two more servers join, and half an hour passes.
type scaleOut struct {
	rnd  *rand.Rand
	pool *Pool
	now  time.Time
	held []*Upstream
}

const (
	scaleConnections = 5000
	scaleLifetime    = 20 * time.Minute
)

// newScaleOut returns the simulation at the moment when the new servers have joined.
func newScaleOut(tb testing.TB, policy Policy, slowStart time.Duration) *scaleOut {
	s := &scaleOut{rnd: rand.New(rand.NewPCG(1, 20)), pool: NewPool(Options{Policy: policy, SlowStart: slowStart}), now: start}
	if err := s.pool.Set(s.now, numberedSpecs(1, 1)); err != nil {
		tb.Fatal(err)
	}
	for range scaleConnections {
		s.place(tb)
	}
	if err := s.pool.Set(s.now, numberedSpecs(1, 1, 1, 1)); err != nil {
		tb.Fatal(err)
	}
	return s
}

func (s *scaleOut) place(tb testing.TB) *Upstream {
	u := acquire(tb, s.pool, s.now, fmt.Sprint("room ", s.rnd.IntN(400)))
	s.held = append(s.held, u)
	return u
}

func (s *scaleOut) end(i int) {
	s.pool.Release(s.now, s.held[i])
	last := len(s.held) - 1
	s.held[i] = s.held[last]
	s.held = s.held[:last]
}

// maxOfNextHundred returns the maximum number of the next hundred connections that one of the new servers gets.
func (s *scaleOut) maxOfNextHundred(tb testing.TB) (most int) {
	got := map[*Upstream]int{}
	for range 100 {
		got[s.place(tb)]++
	}
	for u, n := range got {
		if u.id >= "u002" {
			most = max(most, n)
		}
	}
	for range 100 {
		s.end(len(s.held) - 1)
	}
	return most
}

// step simulates one second, in which connections end and begin.
func (s *scaleOut) step(tb testing.TB) {
	s.now = s.now.Add(time.Second)
	for i := len(s.held) - 1; i >= 0; i-- {
		if s.rnd.Float64() < 1/scaleLifetime.Seconds() {
			s.end(i)
		}
	}
	for range s.rnd.IntN(2*int(scaleConnections/scaleLifetime.Seconds()) + 1) {
		s.place(tb)
	}
	for len(s.held) < scaleConnections {
		s.place(tb)
	}
}

// move carries out a plan at perSecond connections per second: they are closed, and reconnect.
func (s *scaleOut) move(tb testing.TB, r Rebalance, perSecond int) (moved int) {
	for _, m := range s.pool.Surplus(s.now, r) {
		for i := len(s.held) - 1; i >= 0 && m.Count > 0 && moved < perSecond; i-- {
			if s.held[i].id == m.ID {
				s.end(i)
				s.place(tb)
				m.Count--
				moved++
			}
		}
	}
	return moved
}

func (s *scaleOut) spread() float64 { return Spread(s.pool.Status(s.now)) }

// After scale-out, plans at ten connections per second bring the spread within the bound in a few minutes, for each policy.
func TestScaleOutIsRebalanced(t *testing.T) {
	for name, bound := range map[string]float64{"power of two": 1.1, "least connections": 1.1, "round robin": 1.1, "hash": 1.25} {
		t.Run(name, func(t *testing.T) {
			s := newScaleOut(t, policies(1)[name], 30*time.Second)
			seconds, moved := 0, 0
			for s.spread() > bound+0.001 || s.now.Sub(start) < 30*time.Second {
				if seconds++; seconds > 900 {
					t.Fatalf("got spread %.3f after %d seconds and %d moves, want at most %v", s.spread(), seconds, moved, bound)
				}
				s.step(t)
				moved += s.move(t, Rebalance{Spread: bound}, 10)
			}
			t.Logf("spread %.3f after %d seconds, %d moved", s.spread(), seconds, moved)
		})
	}
}

// BenchmarkScaleOut reports two figures for each policy: the spread some minutes after scale-out from two servers to four, if
// nothing is moved, and the largest number of the first hundred connections that a new server gets. An even share is 25.
func BenchmarkScaleOut(b *testing.B) {
	for _, name := range policyNames {
		for _, slowStart := range []time.Duration{0, time.Minute} {
			b.Run(fmt.Sprintf("%s/slow start %v", name, slowStart), func(b *testing.B) {
				for b.Loop() {
					s := newScaleOut(b, policies(1)[name], slowStart)
					b.ReportMetric(float64(s.maxOfNextHundred(b)), "of-100")
					for minute := 1; minute <= 30; minute++ {
						for range 60 {
							s.step(b)
						}
						switch minute {
						case 1, 5, 15, 30:
							b.ReportMetric(math.Round(s.spread()*100)/100, fmt.Sprintf("spread-%02dmin", minute))
						}
					}
				}
			})
		}
	}
}
