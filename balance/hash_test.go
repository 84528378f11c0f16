package balance

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

const noBound = 1e9

// upstreamsByKey returns the upstream of each key, without counting load.
func upstreamsByKey(t *testing.T, p *Pool, keys int) []string {
	t.Helper()
	all := make([]string, keys)
	for i := range all {
		u := acquire(t, p, start, fmt.Sprint("room ", i))
		p.Release(start, u)
		all[i] = u.ID()
	}
	return all
}

// Minimal movement: when an upstream leaves, only its keys move; when one joins, keys move only to it, in proportion to its weight.
// The same applies to a change of weight, and to an upstream that drains or is down.
func TestHashMinimalMovement(t *testing.T) {
	const keys = 4000
	for seed := range uint64(6) {
		rnd := rand.New(rand.NewPCG(seed, 6))
		weights := randomWeights(rnd, 2+rnd.IntN(10), 5)
		specs := numberedSpecs(weights...)
		p := newListedPool(t, Options{Policy: Hash(noBound, nil)}, specs...)
		before := upstreamsByKey(t, p, keys)

		i := rnd.IntN(len(specs))
		gone := specs[i].ID
		check := func(how string, now []string, moves func(from, to string) bool) {
			t.Helper()
			moved := 0
			for k := range now {
				if now[k] == before[k] {
					continue
				}
				moved++
				if !moves(before[k], now[k]) {
					t.Fatalf("seed %d: %s: key %d moved from %s to %s", seed, how, k, before[k], now[k])
				}
			}
			part := float64(weights[i]) / float64(sumOf(weights))
			if sigma := math.Sqrt(keys * part * (1 - part)); math.Abs(float64(moved)-keys*part) > 5*sigma {
				t.Errorf("seed %d: %s: %d of %d keys moved, want about %.0f", seed, how, moved, keys, keys*part)
			}
		}
		if err := p.Set(start, slices.Delete(slices.Clone(specs), i, i+1)); err != nil {
			t.Fatal(err)
		}
		without := upstreamsByKey(t, p, keys)
		check("removed", without, func(from, _ string) bool { return from == gone })
		if err := p.Set(start, specs); err != nil {
			t.Fatal(err)
		}
		if again := upstreamsByKey(t, p, keys); !slices.Equal(again, before) {
			t.Fatalf("seed %d: some keys did not return to %s when it was listed again", seed, gone)
		}
		p.Drain(start, gone, true)
		if drained := upstreamsByKey(t, p, keys); !slices.Equal(drained, without) {
			t.Fatalf("seed %d: draining %s moved other keys than removing it", seed, gone)
		}
		p.Drain(start, gone, false)

		heavier := slices.Clone(specs)
		heavier[i].Weight++
		if err := p.Set(start, heavier); err != nil {
			t.Fatal(err)
		}
		for k, id := range upstreamsByKey(t, p, keys) {
			if id != before[k] && id != gone {
				t.Fatalf("seed %d: key %d moved from %s to %s when the weight of %s grew, want it to stay or move there", seed, k, before[k], id, gone)
			}
		}
	}
}

// Keys are distributed by weight: the number at each upstream is within five standard deviations of its share.
func TestHashSpreadsKeys(t *testing.T) {
	const keys = 20_000
	weights := []int{1, 1, 2, 3, 5, 8, 13}
	p := newListedPool(t, Options{Policy: Hash(noBound, nil)}, numberedSpecs(weights...)...)
	got := map[string]int{}
	for _, id := range upstreamsByKey(t, p, keys) {
		got[id]++
	}
	for i, s := range numberedSpecs(weights...) {
		part := float64(weights[i]) / float64(sumOf(weights))
		if sigma := math.Sqrt(keys * part * (1 - part)); math.Abs(float64(got[s.ID])-keys*part) > 5*sigma {
			t.Errorf("%s has %d keys, want about %.0f", s.ID, got[s.ID], keys*part)
		}
	}
}

// Bounded load: whatever the keys are, no connection raises a load above the bound while connections come and go, and keys stay
// where they are if the bound allows that.
func TestHashBoundsLoad(t *testing.T) {
	for seed := range uint64(40) {
		rnd := rand.New(rand.NewPCG(seed, 8))
		bound := []float64{0, 0.5, 1, 1.1, 1.25, 2}[rnd.IntN(6)]
		weights := randomWeights(rnd, 1+rnd.IntN(12), 6)
		effective := max(bound, 1)
		if bound == 0 {
			effective = 1.25
		}
		p := newListedPool(t, Options{Policy: Hash(bound, nil)}, numberedSpecs(weights...)...)
		popular := rand.NewZipf(rnd, 1.5, 1, 200)
		var held []*Upstream
		for i := range 2000 {
			if len(held) > 0 && rnd.IntN(3) == 0 {
				at := rnd.IntN(len(held))
				p.Release(start, held[at])
				held = slices.Delete(held, at, at+1)
				continue
			}
			u := acquire(t, p, start, fmt.Sprint(popular.Uint64()))
			held = append(held, u)
			most := math.Ceil(effective * float64(len(held)) * float64(u.weight) / float64(sumOf(weights)))
			if float64(u.live) > most {
				t.Fatalf("seed %d, step %d: bound %v, weights %v: %s has %d of %d, want at most %v", seed, i, bound, weights, u.id, u.live, len(held), most)
			}
		}
	}
}

// One key alone fills its upstream up to the bound, and no further.
func TestHashFillsToBound(t *testing.T) {
	for bound, want := range map[float64]int{0: 625, 0.2: 500, 1: 500, 1.5: 750} {
		p := newListedPool(t, Options{Policy: Hash(bound, nil)}, numberedSpecs(1, 1)...)
		for range 1000 {
			acquire(t, p, start, "room")
		}
		all := p.Status(start)
		if got := max(all[0].Live, all[1].Live); got != want {
			t.Errorf("bound %v: %d of 1000, want %d", bound, got, want)
		}
	}
}

// A key whose upstream has reached the bound goes to the upstream that follows after a failed attempt, and returns when its own
// upstream has room again.
func TestHashOverflow(t *testing.T) {
	p := newListedPool(t, Options{Policy: Hash(1.5, nil)}, numberedSpecs(1, 1, 1, 1)...)
	first := acquire(t, p, start, "room")
	p.Release(start, first)
	second := acquire(t, p, start, "room", first)
	p.Release(start, second)
	if first == second {
		t.Fatalf("got %s, which was tried", first.ID())
	}
	var got []*Upstream
	for range 3 { // the bound of an upstream is 1 for 1 or 2 connections in total, and 2 for 3
		got = append(got, acquire(t, p, start, "room"))
	}
	if want := []*Upstream{first, second, first}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", ids(got), ids(want))
	}
}

func ids(us []*Upstream) (ids []string) {
	for _, u := range us {
		ids = append(ids, u.ID())
	}
	return ids
}

// Balancers of different versions, and several processes, have to agree, so these values must not change.
func TestHashIsStable(t *testing.T) {
	p := newListedPool(t, Options{Policy: Hash(noBound, nil)},
		Spec{ID: "ws://10.0.0.1:9001"}, Spec{ID: "ws://10.0.0.2:9001"}, Spec{ID: "ws://10.0.0.3:9001", Weight: 2})
	var got string
	for _, id := range upstreamsByKey(t, p, 24) {
		got += id[len("ws://10.0.0."):][:1]
	}
	if want := "333321133321132111333213"; got != want {
		t.Errorf("rooms 0 to 23 go to %s, want %s", got, want)
	}
	if h := hash("handfast"); h != 0x76d85429a23e6443 {
		t.Errorf("hash(handfast): got %#x, want 0x76d85429a23e6443", h)
	}
}

// A client without a key goes where the load is low, rather than where "" hashes to.
func TestHashWithoutKey(t *testing.T) {
	p := newListedPool(t, Options{Policy: Hash(0, rand.NewPCG(1, 2))}, numberedSpecs(1, 1, 1)...)
	for range 300 {
		acquire(t, p, start, "")
	}
	for _, s := range p.Status(start) {
		if s.Live < 98 || s.Live > 102 {
			t.Errorf("%s: got %d of 300 connections, want 98 to 102", s.ID, s.Live)
		}
	}
}
