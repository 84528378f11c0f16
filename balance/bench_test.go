package balance

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// loadedPool returns a pool with n upstreams of different weights with four connections each, and a list of keys.
func loadedPool(tb testing.TB, policy Policy, n int) (*Pool, []string) {
	rnd := rand.New(rand.NewPCG(1, 1))
	p := newListedPool(tb, Options{Policy: policy, SlowStart: time.Hour}, numberedSpecs(randomWeights(rnd, n, 10)...)...)
	keys := make([]string, 1024)
	for i := range keys {
		keys[i] = fmt.Sprintf("/rooms/%d", i)
	}
	for i := range 4 * n {
		acquire(tb, p, start, keys[i%len(keys)])
	}
	return p, keys
}

var sizes = []int{3, 100, 1000}

// BenchmarkPick measures placing and releasing a connection.
func BenchmarkPick(b *testing.B) {
	for _, name := range policyNames {
		for _, n := range sizes {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				p, keys := loadedPool(b, policies(1)[name], n)
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					u, err := p.Acquire(start, keys[i%len(keys)])
					if err != nil {
						b.Fatal(err)
					}
					p.Release(start, u)
					i++
				}
			})
		}
	}
}

// Placing, reporting and releasing a connection does not allocate, even if the connection fills an upstream or one upstream has
// been tried.
func TestPickDoesNotAllocate(t *testing.T) {
	for _, name := range policyNames {
		for _, n := range sizes {
			p, keys := loadedPool(t, policies(1)[name], n)
			full := numberedSpecs(make([]int, n)...)
			full[1].Capacity = p.all[1].live + 1
			if err := p.Set(start, full); err != nil {
				t.Fatal(err)
			}
			i := 0
			now := start
			tried := []*Upstream{p.all[2]}
			pick := func() {
				i++
				now = now.Add(time.Millisecond)
				u, err := p.Acquire(now, keys[i%len(keys)], tried[:i%2]...)
				if err != nil {
					t.Fatal(err)
				}
				p.Outcome(now, u, OK)
				p.ReportLoad(now, u, u.live)
				p.Release(now, u)
			}
			for range 10 {
				pick()
			}
			if allocs := testing.AllocsPerRun(200, pick); allocs != 0 {
				t.Errorf("%s, %d upstreams: got %v allocations, want 0", name, n, allocs)
			}
		}
	}
}

// BenchmarkAdmit measures a Storm that admits or refuses a handshake.
func BenchmarkAdmit(b *testing.B) {
	s := NewStorm(StormOptions{})
	now := start
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(10 * time.Microsecond)
		if s.Admit(now, true) == 0 {
			s.Begin()
			s.Done(now, time.Millisecond, true)
		}
	}
}
