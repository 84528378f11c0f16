package balance

import (
	"math"
	"math/rand/v2"
	"sort"
)

// Policy chooses an upstream for a connection. A policy belongs to one [Pool], which calls it with its lock held: it must not call
// the pool, and needs no lock of its own.
type Policy interface {
	// Pick returns one of ready, which is never empty, and sorted by ID. Pick must not keep the slice or its elements. key is the
	// argument of [Pool.Acquire]; "" means that the client has no key.
	Pick(ready []*Upstream, key string) *Upstream
}

// source returns a generator that uses src, or, if that is nil, a random seed.
func source(src rand.Source) *rand.Rand {
	if src == nil {
		src = rand.NewPCG(rand.Uint64(), rand.Uint64())
	}
	return rand.New(src)
}

// PowerOfTwo draws two upstreams at random, by weight, and picks the one with the lower load for its weight (Mitzenmacher, "The
// Power of Two Choices in Randomized Load Balancing", 2001). It balances almost as well as [LeastConnections], but a new, empty
// upstream does not attract every connection, nor do several balancers with the same numbers choose the same upstream. Slow start
// makes an upstream less likely to be drawn. The key is not used. The time of a Pick grows with the logarithm of the number of
// upstreams.
//
// src is the source of randomness; nil means one with a random seed. It is only used under the lock of the pool.
func PowerOfTwo(src rand.Source) Policy { return &powerOfTwo{rnd: source(src)} }

type powerOfTwo struct{ rnd *rand.Rand }

func (p *powerOfTwo) Pick(ready []*Upstream, _ string) *Upstream {
	if len(ready) == 1 {
		return ready[0]
	}
	a := p.draw(ready)
	for range draws {
		if p.refused(ready[a]) {
			a = p.draw(ready)
		}
	}
	b := p.draw(ready)
	for range draws {
		if b == a {
			b = p.draw(ready)
		}
	}
	if b == a { // a has nearly all of the weight
		b = p.rnd.IntN(len(ready) - 1)
		if b >= a {
			b++
		}
	}
	if ready[b].Cost() < ready[a].Cost() && !p.refused(ready[b]) {
		return ready[b]
	}
	return ready[a]
}

// draws is the maximum number of draws for one upstream.
const draws = 8

// draw returns the index of an upstream, with a probability in proportion to its weight.
func (p *powerOfTwo) draw(ready []*Upstream) int {
	at := p.rnd.Int64N(ready[len(ready)-1].cumulativeWeight)
	return sort.Search(len(ready)-1, func(i int) bool { return at < ready[i].cumulativeWeight })
}

// refused decides at random whether u is passed over in this draw because of slow start.
func (p *powerOfTwo) refused(u *Upstream) bool { return u.share < 1 && p.rnd.Float64() >= u.share }

// LeastConnections picks the upstream with the lowest load for its weight. Upstreams of equal load take turns. It balances best if
// one balancer places every connection. After scale-out every new connection goes to the new upstream until its load equals that of
// the others. In slow start an upstream takes part in a share of the picks only, and counts with that share of its weight. The key
// is not used. A Pick looks at every upstream.
func LeastConnections() Policy { return &leastConnections{} }

type leastConnections struct{ turn uint }

func (p *leastConnections) Pick(ready []*Upstream, _ string) *Upstream {
	from := int(p.turn % uint(len(ready)))
	p.turn++
	best, lowest := ready[from], math.Inf(1)
	for _, part := range [2][]*Upstream{ready[from:], ready[:from]} {
		for _, u := range part {
			if u.share < 1 {
				if u.turn += u.share; u.turn < 1 {
					continue
				}
				u.turn--
			}
			if cost := u.Cost(); cost < lowest {
				best, lowest = u, cost
			}
		}
	}
	return best
}

// RoundRobin gives each upstream a number of turns in proportion to its weight and its share during slow start, and spaces the
// turns of one upstream as evenly as possible (the smooth weighted round robin of nginx, 2012). It does not look at loads. The key
// is not used. A Pick looks at every upstream.
func RoundRobin() Policy { return roundRobin{} }

type roundRobin struct{}

func (roundRobin) Pick(ready []*Upstream, _ string) *Upstream {
	var total float64
	best := ready[0]
	for _, u := range ready {
		part := float64(u.weight) * u.share
		u.turn += part
		total += part
		if u.turn > best.turn {
			best = u
		}
	}
	best.turn -= total
	return best
}
