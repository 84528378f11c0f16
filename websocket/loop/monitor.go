package loop

import (
	"sync/atomic"
	"time"
)

const (
	// patient is the monitor's normal interval between checks for handlers that do not return. hasty is the interval after it has found
	// such a handler, since other handlers are likely to wait for the same thing.
	patient = 10 * time.Millisecond
	hasty   = 500 * time.Microsecond

	calmDown = 50 // number of unsuccessful checks before the interval grows again
)

// monitor watches the drivers, and takes the loop from a driver whose handler does not return. It sleeps while all loops
// wait.
type monitor struct {
	asleep atomic.Bool
	timer  *time.Timer // wakes the monitor; set by the driver that has set asleep to false
	seen   []sight
}

// sight is the monitor's last observation of a loop.
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

// alert is called by a driver that becomes busy. It sets a timer instead of waking the goroutine, because most visits end before the timer
// fires.
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
			// This check finds a driver that became busy before it could see that the monitor is asleep.
			if _, inVisit := m.look(ls); !inVisit || !m.asleep.CompareAndSwap(true, false) {
				continue
			}
		}
		m.timer.Reset(period)
	}
}

// look takes over the loops that are still in the visit that the previous look observed. found reports whether there was such a loop, and
// inVisit whether any loop is in a visit.
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
