package balance

import (
	"math/rand/v2"
	"testing"
	"time"
)

// balancerGroup is a simulation of balancers in front of the same servers. Clients connect at random times, most of them to the
// first balancer, and stay for random durations. A server reports its number of connections in each response to a handshake.
type balancerGroup struct {
	rnd     *rand.Rand
	now     time.Time
	pools   []*Pool
	held    []placedConn
	total   map[string]int // number of connections of each server
	reports bool
}

type placedConn struct {
	pool *Pool
	at   *Upstream
}

const (
	severalServers     = 6
	severalConnections = 3000
	severalLifetime    = 5 * time.Minute
	severalPast        = 300 // connections of the first server that bypass the balancers
)

// severalParts are the cumulative shares of the clients of each balancer.
var severalParts = []float64{0.6, 0.9, 1}

func newBalancerGroup(t *testing.T, policy func(seed uint64) Policy, reports bool) *balancerGroup {
	s := &balancerGroup{rnd: rand.New(rand.NewPCG(6, 3)), now: start, total: map[string]int{}, reports: reports}
	weights := make([]int, severalServers)
	for i := range weights {
		weights[i] = 1
	}
	for i := range severalParts {
		s.pools = append(s.pools, newListedPool(t, Options{Policy: policy(uint64(i))}, numberedSpecs(weights...)...))
	}
	s.total["u000"] = severalPast
	return s
}

// step simulates one second. The numbers of new and ended connections are those of a Poisson process, within limits.
func (s *balancerGroup) step(t *testing.T) {
	s.now = s.now.Add(time.Second)
	for i := len(s.held) - 1; i >= 0; i-- {
		if s.rnd.Float64() < 1/severalLifetime.Seconds() {
			s.end(i)
		}
	}
	rate := severalConnections / severalLifetime.Seconds()
	for at := s.rnd.ExpFloat64() / rate; at < 1; at += s.rnd.ExpFloat64() / rate {
		s.connect(t)
	}
}

func (s *balancerGroup) connect(t *testing.T) {
	where, i := s.rnd.Float64(), 0
	for where > severalParts[i] {
		i++
	}
	u := acquire(t, s.pools[i], s.now, "")
	s.held = append(s.held, placedConn{s.pools[i], u})
	s.total[u.ID()]++
	if s.reports {
		s.pools[i].ReportLoad(s.now, u, s.total[u.ID()])
	}
}

func (s *balancerGroup) end(i int) {
	c := s.held[i]
	c.pool.Release(s.now, c.at)
	s.total[c.at.ID()]--
	s.held[i] = s.held[len(s.held)-1]
	s.held = s.held[:len(s.held)-1]
}

// restart closes all connections of a server.
func (s *balancerGroup) restart(id string) {
	for i := len(s.held) - 1; i >= 0; i-- {
		if s.held[i].at.ID() == id {
			s.end(i)
		}
	}
}

// spread returns the highest load of a server, as a multiple of the average.
func (s *balancerGroup) spread() float64 {
	highest := 0
	for _, n := range s.total {
		highest = max(highest, n)
	}
	return float64(highest) * severalServers / float64(len(s.held)+severalPast)
}

// run returns the worst spread in a period.
func (s *balancerGroup) run(t *testing.T, lasts time.Duration) (worst float64) {
	for until := s.now.Add(lasts); s.now.Before(until); {
		s.step(t)
		worst = max(worst, s.spread())
	}
	return worst
}

// Three balancers in front of six servers keep their load even with the reports of the servers, although most clients use one of
// the balancers, and one server has 300 connections that bypass them all: no server has more than five percent above the average,
// and after a restart of one server the same is true again when the connections have been replaced. Without the reports the
// balancers cannot know of the 300 connections.
func TestSeveralBalancers(t *testing.T) {
	const bound = 1.05
	for name, policy := range map[string]func(seed uint64) Policy{
		"power of two":      func(seed uint64) Policy { return PowerOfTwo(rand.NewPCG(seed, 1)) },
		"least connections": func(uint64) Policy { return LeastConnections() },
	} {
		for _, reports := range []bool{true, false} {
			s := newBalancerGroup(t, policy, reports)
			s.run(t, 4*severalLifetime)
			steady := s.run(t, 4*severalLifetime)
			s.restart("u003")
			after := s.spread()
			s.run(t, 2*severalLifetime)
			again := s.run(t, 4*severalLifetime)
			t.Logf("%s, reports %v: at most %.3f of the average in 20 minutes; %.3f after a restart, and at most %.3f from 10 minutes later on", name, reports, steady, after, again)
			if reports && (steady > bound || again > bound) {
				t.Errorf("%s: %.3f and %.3f of the average, want %v at most", name, steady, again, bound)
			}
			if !reports && steady < 1.2 {
				t.Errorf("%s, without reports: got a spread of %.3f, want at least 1.2, or the comparison shows nothing", name, steady)
			}
		}
	}
}
