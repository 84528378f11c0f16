//go:build linux

package compare

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/handfast/handfast/bench/internal/load"
	"github.com/handfast/handfast/bench/internal/peers"
)

var anyTLS = &tls.Config{}

// Options are the options of a run.
type Options struct {
	Modes   []Mode
	Servers []peers.Peer
	Rounds  int           // number of rounds for each server in each mode
	Least   bool          // report the minimum of the rounds instead of the median
	Warm    time.Duration // duration of the warm-up before each round
	For     time.Duration // duration of each round
	Tell    func(string)  // called with the progress
}

// Cell is the result of one server in one mode: the medians of the rounds. With Options.Least, Cost is the minimum.
type Cell struct {
	Does   bool  // whether the server supports the mode
	Err    error // the error, if the measurement failed
	Rounds int

	Cost    float64 // microseconds of CPU time per operation, or KiB per connection
	PerSec  float64 // operations per second
	P50     time.Duration
	P99     time.Duration
	Answer  float64 // bytes of a response on the wire
	costs   []float64
	results []load.Result
}

// Table is the result of a run.
type Table struct {
	Modes   []Mode
	Servers []peers.Peer
	Cells   [][]Cell // the result of each mode, for each server
}

// Run performs all measurements in o.
func (b *Bench) Run(ctx context.Context, o Options) (*Table, error) {
	t := &Table{Modes: o.Modes, Servers: o.Servers}
	for _, m := range o.Modes {
		o.Tell(m.Name)
		cells := make([]Cell, len(o.Servers))
		for i, p := range o.Servers {
			cells[i].Does = m.does(p)
		}
		var err error
		if m.memory() {
			err = b.memory(ctx, o, m, cells)
		} else {
			err = b.timed(ctx, o, m, cells)
		}
		if err != nil {
			return nil, err
		}
		for i := range cells {
			cells[i].settle()
			if o.Least && !m.memory() && cells[i].Rounds > 0 {
				cells[i].Cost = slices.Min(cells[i].costs)
			}
			if err := cells[i].Err; err != nil {
				o.Tell(fmt.Sprintf("%s, %s: %v", m.Name, o.Servers[i].Name, err))
			}
		}
		t.Cells = append(t.Cells, cells)
	}
	return t, ctx.Err()
}

// timed measures the CPU time of all servers in a mode. The rounds of the servers alternate.
func (b *Bench) timed(ctx context.Context, o Options, m Mode, cells []Cell) (err error) {
	servers := make([]*server, len(cells))
	defer func() {
		for _, s := range servers {
			if s != nil {
				err = errors.Join(err, s.stop())
			}
		}
	}()
	for i := range cells {
		if cells[i].Does {
			servers[i], cells[i].Err = b.serve(ctx, m, o.Servers[i])
		}
	}
	for round := range o.Rounds {
		for k := range cells {
			i := (k + round) % len(cells) // rotates the order, so that no server always follows the same one
			if servers[i] == nil || cells[i].Err != nil {
				continue
			}
			c := m.load
			c.Warm, c.For, c.Raw = cmp.Or(c.Warm, o.Warm), cmp.Or(c.For, o.For), o.Servers[i].Raw
			r, err := b.round(ctx, c, servers[i])
			if err != nil {
				cells[i].Err = err
				continue
			}
			cells[i].results = append(cells[i].results, r)
			cells[i].costs = append(cells[i].costs, m.cost(r))
		}
	}
	return ctx.Err()
}

// memoryRounds is the number of CPU time rounds for each memory round, because the memory varies little.
const memoryRounds = 3

func (b *Bench) memory(ctx context.Context, o Options, m Mode, cells []Cell) error {
	for range (o.Rounds + memoryRounds - 1) / memoryRounds {
		for i := range cells {
			if !cells[i].Does || cells[i].Err != nil {
				continue
			}
			kib, err := b.measureMemory(ctx, m, o.Servers[i])
			if err != nil {
				cells[i].Err = err
				continue
			}
			cells[i].costs = append(cells[i].costs, kib)
		}
	}
	return ctx.Err()
}

// measureMemory returns the memory per connection, in KiB, of a newly started server that has served a few connections before.
func (b *Bench) measureMemory(ctx context.Context, m Mode, p peers.Peer) (kib float64, err error) {
	s, err := b.serve(ctx, m, p)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	few := m.load
	few.Conns, few.Raw = min(few.Conns, 64), p.Raw
	if err := b.hold(ctx, few, s, func() error { return nil }); err != nil {
		return 0, err
	}
	before, err := s.resident()
	if err != nil {
		return 0, err
	}
	many := m.load
	many.Raw = p.Raw
	err = b.hold(ctx, many, s, func() error {
		after, err := s.resident()
		kib = float64(after-before) / 1024 / float64(many.Conns)
		return err
	})
	return kib, err
}

// settle computes the medians over the rounds.
func (c *Cell) settle() {
	c.Cost, c.Rounds = median(c.costs), len(c.costs)
	var perSec, p50, p99, answer []float64
	for _, r := range c.results {
		perSec = append(perSec, float64(r.Ops)/r.Took.Seconds())
		p50, p99, answer = append(p50, float64(r.P50)), append(p99, float64(r.P99)), append(answer, r.Answer)
	}
	c.PerSec, c.Answer = median(perSec), median(answer)
	c.P50, c.P99 = time.Duration(median(p50)), time.Duration(median(p99))
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}
