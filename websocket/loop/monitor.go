package loop

import (
	"sync/atomic"
	"time"
)

const (
	// patient is how often the monitor looks for a handler that does not return; hasty is how often after it has found
	// one, for the next ones are likely to wait for the same thing.
	patient = 10 * time.Millisecond
	hasty   = 500 * time.Microsecond

	calmDown = 50 // looks without a find, until it is patient again
	doze     = 20 // looks at which nothing moved, until it sleeps
)

// monitor watches the drivers, and takes the loop from one whose handler does not return. While all connections wait,
// it sleeps.
type monitor struct {
	asleep atomic.Bool
	wake   chan struct{}
	seen   []sight
}

// sight is what was seen of a loop.
type sight struct {
	d     *Driver
	state uint32
}

func (m *monitor) start(ls *Loops) {
	m.wake = make(chan struct{}, 1)
	m.seen = make([]sight, len(ls.loops))
	ls.running.Add(1)
	go m.run(ls)
}

// alert is called by a driver that is busy from here on.
func (m *monitor) alert() {
	if m.asleep.Load() && m.asleep.CompareAndSwap(true, false) {
		m.wake <- struct{}{} // one at most is under way
	}
}

func (m *monitor) run(ls *Loops) {
	defer ls.running.Done()
	timer := time.NewTimer(patient)
	defer timer.Stop()
	period, calm, still := patient, 0, 0
	for {
		select {
		case <-timer.C:
		case <-ls.over:
			return
		}
		found, moved := m.look(ls)
		switch calm++; {
		case found:
			period, calm = hasty, 0
		case calm > calmDown:
			period = patient
		}
		if still++; moved || found {
			still = 0
		}
		if still > doze && period == patient { // what wakes it has moved, and the next look sees that
			m.asleep.Store(true)
			// A driver that became busy before it could see that shows now.
			if _, moved := m.look(ls); moved && m.asleep.CompareAndSwap(true, false) {
				m.wake <- struct{}{}
			}
			select {
			case <-m.wake:
			case <-ls.over:
				return
			}
		}
		timer.Reset(period)
	}
}

// look takes over the loops that are where they were at the look before, in a visit. moved reports that a loop is in a
// visit, or has been in one since.
func (m *monitor) look(ls *Loops) (found, moved bool) {
	for i, l := range ls.loops {
		d := l.driver.Load()
		if d == nil {
			continue
		}
		now := sight{d, d.state.Load()}
		before := m.seen[i]
		m.seen[i] = now
		if now.state&busy == 0 && now == before {
			continue
		}
		moved = true
		if now == before && l.takeOver(d, nil, now.state) {
			found = true
		}
	}
	return found, moved
}
