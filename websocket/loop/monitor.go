package loop

import (
	"sync/atomic"
	"time"
)

const (
	// normalInterval is the monitor's normal interval between checks for handlers that do not return. fastInterval is the interval after it has found
	// such a handler, since other handlers are likely to wait for the same thing.
	normalInterval = 10 * time.Millisecond
	fastInterval   = 500 * time.Microsecond

	fastChecks = 50 // number of unsuccessful checks before the interval grows again
)

// monitor watches the drivers, and takes the loop from a driver whose handler does not return. It sleeps while all loops
// wait.
type monitor struct {
	asleep atomic.Bool
	timer  *time.Timer // wakes the monitor; set by the driver that has set asleep to false
	last   []observation
}

// observation is the monitor's last observation of a loop.
type observation struct {
	d     *Driver
	state uint32
}

func (m *monitor) start(ls *Loops) {
	m.timer = time.NewTimer(normalInterval)
	m.last = make([]observation, len(ls.loops))
	ls.running.Add(1)
	go m.run(ls)
}

// wake is called by a driver that becomes busy. It sets a timer instead of waking the goroutine, because most visits end before the timer
// fires.
func (m *monitor) wake() {
	if m.asleep.Load() && m.asleep.CompareAndSwap(true, false) {
		m.timer.Reset(normalInterval)
	}
}

func (m *monitor) run(ls *Loops) {
	defer ls.running.Done()
	defer m.timer.Stop()
	period, misses := normalInterval, 0
	for {
		select {
		case <-m.timer.C:
		case <-ls.finished:
			return
		}
		found, inVisit := m.check(ls)
		switch misses++; {
		case found:
			period, misses = fastInterval, 0
		case misses > fastChecks:
			period = normalInterval
		}
		if period == normalInterval && !inVisit {
			m.asleep.Store(true)
			// This check finds a driver that became busy before it could see that the monitor is asleep.
			if _, inVisit := m.check(ls); !inVisit || !m.asleep.CompareAndSwap(true, false) {
				continue
			}
		}
		m.timer.Reset(period)
	}
}

// check takes over the loops that are still in the visit that the previous check observed. found reports whether there was such a loop, and
// inVisit whether any loop is in a visit.
func (m *monitor) check(ls *Loops) (found, inVisit bool) {
	for i, l := range ls.loops {
		d := l.driver.Load()
		if d == nil {
			continue
		}
		now := observation{d, d.state.Load()}
		before := m.last[i]
		m.last[i] = now
		if now.state&busy == 0 {
			continue
		}
		inVisit = true
		if now == before && l.takeOver(d, nil, now.state) {
			found = true
		}
	}
	return found, inVisit
}
