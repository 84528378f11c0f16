package loop

import (
	"sync/atomic"
	"time"
)

const (
	// patient is how often the monitor looks for a handler that does not return; hasty is how often after it has found one, since
	// the next handlers are likely to wait for the same thing.
	patient = 10 * time.Millisecond
	hasty   = 500 * time.Microsecond

	calmDown = 50 // checks without a result, before the interval grows again
)

// monitor watches the drivers, and takes the loop from a driver whose handler does not return. It sleeps while all connections
// wait.
type monitor struct {
	asleep atomic.Bool
	timer  *time.Timer // of the driver that has set asleep to false
	seen   []sight
}

// sight is what the monitor saw of a loop.
type sight struct {
	d     *Driver
	state uint32
}

func (m *monitor) start(ls *Loops) {
	m.timer = time.NewTimer(patient)
	m.seen = make([]sight, len(ls.loops))
	ls.running.Add(1)
	go m.run(ls)
}

// alert is called by a driver that becomes busy. It sets the timer, which is cheaper than waking the goroutine: most visits end
// before it fires.
func (m *monitor) alert() {
	if m.asleep.Load() && m.asleep.CompareAndSwap(true, false) {
		m.timer.Reset(patient)
	}
}

func (m *monitor) run(ls *Loops) {
	defer ls.running.Done()
	defer m.timer.Stop()
	period, calm := patient, 0
	for {
		select {
		case <-m.timer.C:
		case <-ls.over:
			return
		}
		found, inVisit := m.look(ls)
		switch calm++; {
		case found:
			period, calm = hasty, 0
		case calm > calmDown:
			period = patient
		}
		if period == patient && !inVisit {
			m.asleep.Store(true)
			// A driver that became busy before it could see this is found now.
			if _, inVisit := m.look(ls); !inVisit || !m.asleep.CompareAndSwap(true, false) {
				continue
			}
		}
		m.timer.Reset(period)
	}
}

// look takes over the loops that are in the same visit as at the previous look. inVisit reports whether a loop is in a visit.
func (m *monitor) look(ls *Loops) (found, inVisit bool) {
	for i, l := range ls.loops {
		d := l.driver.Load()
		if d == nil {
			continue
		}
		now := sight{d, d.state.Load()}
		before := m.seen[i]
		m.seen[i] = now
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
