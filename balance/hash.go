package balance

import (
	"math"
	"math/rand/v2"
)

// defaultBound is the default bound of Hash. HAProxy's manual (hash-balance-factor) suggests this value as a first compromise
// between an even load and few moved keys.
const defaultBound = 1.25

// Hash picks by key: the same key gets the same upstream, in every process with the same list, so that the members of a room are on
// one server. When an upstream leaves, only its keys move; when one joins, it takes its part of the keys and no others move.
//
// The construction is rendezvous hashing (Thaler and Ravishankar, 1998) with weights (Schindelhauer and Schomaker, 2005): each
// upstream has a score for the key, and the best score wins. A ring of virtual nodes would be faster for a thousand upstreams, but
// must be rebuilt for each change of the list, and approximates weights by its number of nodes.
//
// bound keeps a popular key from overloading one upstream (Mirrokni, Thorup and Zadimoghaddam, "Consistent Hashing with Bounded
// Loads", 2018): no upstream gets a connection that would raise its load above bound times the average for its weight, rounded
// up. The key then goes to its next best upstream. 0 means 1.25; a bound below 1 is treated as 1.
//
// Slow start has no effect, because it would move keys. A client with the key "" is placed by [PowerOfTwo] with src. The hash is
// not keyed: clients that can choose their keys can find keys of one upstream, and only the bound limits the consequences. A Pick
// looks at every upstream.
func Hash(bound float64, src rand.Source) Policy {
	if bound == 0 {
		bound = defaultBound
	}
	return &hashing{bound: math.Max(bound, 1), unkeyed: PowerOfTwo(src)}
}

type hashing struct {
	bound   float64
	unkeyed Policy
}

func (p *hashing) Pick(ready []*Upstream, key string) *Upstream {
	if key == "" {
		return p.unkeyed.Pick(ready, key)
	}
	load, weight := 1, 0 // including the connection to place
	for _, u := range ready {
		load += u.Load()
		weight += u.weight
	}
	most := p.bound * float64(load) / float64(weight) * exact
	k := hash(key)
	best := ready[0] // an upstream is always below its bound, because the bounds add up to more than the load
	lowest := math.Inf(1)
	for _, u := range ready {
		// With x uniform in (0, 1], -ln(x)/weight has the exponential distribution of rate weight, and the probability that an
		// upstream has the lowest value is proportional to its weight. 1-x is never more than -ln(x), and saves most logarithms.
		x := unit(mix(k ^ u.hash))
		if 1-x >= lowest*float64(u.weight) || float64(u.Load()) >= most*float64(u.weight) {
			continue
		}
		if score := -math.Log(x) / float64(u.weight); score < lowest {
			best, lowest = u, score
		}
	}
	return best
}

// exact is a factor for bounds before they are rounded up, so that a rounding error does not add a connection.
const exact = 1 - 1e-12

// hash is FNV-1a, mixed: it is the same in every process.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return mix(h)
}

// mix is the finalizer of SplitMix64: every bit of the result depends on every bit of x.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// unit maps x to a number in (0, 1].
func unit(x uint64) float64 { return float64(x>>11+1) / (1 << 53) }
