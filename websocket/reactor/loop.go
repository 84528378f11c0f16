package reactor

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	batchSize = 256      // events that one wait takes
	readSize  = 64 << 10 // of the buffer that connections are read into
	corkSize  = 64 << 10 // of the buffer in which a connection's answers gather
	listenBit = 1 << 63  // in the token of a listener; its number is below
)

// loop is an epoll instance with its connections. At any time one driver runs it.
type loop struct {
	s      *Server
	k      kernel
	driver atomic.Pointer[driver]

	// Lock order: a Server's mu, a Conn's, a loop's.
	mu        sync.Mutex
	slots     []*Conn
	vacant    []uint32
	births    uint32
	wheel     wheel
	todo      []work // what others ask for
	listeners []int  // descriptors; -1 for one that is closed
	asleep    bool   // the driver waits, or is about to
	wakeAt    uint32 // until this tick, when asleep
	ended     bool   // nothing is to be waited for any more

	count atomic.Int64 // connections
	asks  atomic.Bool  // todo has something

	// The driver's. They pass from one to the next by driver.state.
	events []event
	batch  []work
	at     int    // how much of the batch is done
	resume uint32 // the tick at which listeners are armed again; 0: they are
	tick   atomic.Uint32
}

// work is something to do for a connection, or for a listener.
type work struct {
	c        *Conn
	what     chore
	listener int32 // when c is nil
}

// chore is why a connection is looked at. The first bits are those of readiness.
type chore uint8

const (
	due   chore = 1 << (iota + 5) // its time has come
	asked                         // somebody has written to it or closed it, or it is new
)

func newLoop(s *Server, k kernel) *loop {
	return &loop{s: s, k: k, events: make([]event, batchSize)}
}

// add gives a new connection its place.
func (l *loop) add(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.loop = l
	l.births++
	c.birth = l.births &^ (listenBit >> 32)
	if n := len(l.vacant); n > 0 {
		c.slot = l.vacant[n-1]
		l.vacant = l.vacant[:n-1]
		l.slots[c.slot] = c
	} else {
		c.slot = uint32(len(l.slots))
		l.slots = append(l.slots, c)
	}
	l.count.Add(1)
}

// remove takes a dead connection's place away.
func (l *loop) remove(c *Conn) {
	l.mu.Lock()
	l.unschedule(c)
	l.slots[c.slot] = nil
	l.vacant = append(l.vacant, c.slot)
	l.mu.Unlock()
}

// after schedules c's next look, d from now.
func (l *loop) after(c *Conn, d time.Duration) {
	l.mu.Lock()
	l.schedule(c, uint32(l.k.now()/tick)+ticks(d))
	l.mu.Unlock()
}

// ask has c looked at by the driver soon. The caller holds c.mu.
func (l *loop) ask(c *Conn) {
	if c.asked {
		return
	}
	c.asked = true
	l.mu.Lock()
	l.todo = append(l.todo, work{c: c, what: asked})
	if !l.asks.Load() {
		l.asks.Store(true)
	}
	if l.asleep {
		l.rouse()
	}
	l.mu.Unlock()
}

// rouse ends the driver's wait. The caller holds mu.
func (l *loop) rouse() {
	l.asleep = false
	l.k.wake()
}

// stop ends the loop when its last connection has ended.
func (l *loop) stop() {
	l.mu.Lock()
	l.ended = true
	if l.asleep {
		l.rouse()
	}
	l.mu.Unlock()
}

// left counts a connection out.
func (l *loop) left() {
	if l.count.Add(-1) > 0 {
		return
	}
	l.mu.Lock()
	if l.ended && l.asleep {
		l.rouse()
	}
	l.mu.Unlock()
}

// calm reports that, for all that is known, no other message is going to be handled soon.
func (l *loop) calm() bool {
	d := l.driver.Load()
	return d != nil && d.calm.Load()
}

// takeTodo makes what others asked for the batch.
func (l *loop) takeTodo() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.todo) == 0 {
		return false
	}
	l.batch, l.todo, l.at = l.todo, l.batch[:0], 0
	l.asks.Store(false)
	return true
}

// wait makes what the kernel finds, and what is due, the batch. It returns false when the loop has ended.
func (l *loop) wait() (bool, error) {
	l.mu.Lock()
	if l.ended && len(l.todo) == 0 && l.count.Load() == 0 {
		l.mu.Unlock()
		return false, nil
	}
	timeout := time.Duration(0)
	if len(l.todo) == 0 {
		timeout = l.patience()
		l.asleep = true
	}
	l.mu.Unlock()

	n, err := l.k.wait(l.events, timeout)
	now := uint32(l.k.now() / tick)
	l.tick.Store(now)

	l.mu.Lock()
	defer l.mu.Unlock()
	l.asleep = false
	l.batch, l.at = l.batch[:0], 0
	for _, e := range l.events[:n] {
		if e.token&listenBit != 0 {
			l.batch = append(l.batch, work{listener: int32(e.token &^ listenBit)})
			continue
		}
		// The place may have been given away since the event: to another birth.
		if slot := uint32(e.token); int(slot) < len(l.slots) {
			if c := l.slots[slot]; c != nil && c.token() == e.token {
				l.batch = append(l.batch, work{c: c, what: chore(e.ready)})
			}
		}
	}
	l.batch = l.expire(now, l.batch)
	if l.resume != 0 && now >= l.resume {
		l.resume = 0
		l.listenAgain(readable)
	}
	return true, err
}

// patience returns how long to wait for events. The caller holds mu.
func (l *loop) patience() time.Duration {
	at, ok := l.nextDue()
	if l.resume != 0 && (!ok || l.resume < at) {
		at, ok = l.resume, true
	}
	if !ok {
		l.wakeAt = ^uint32(0)
		return -1
	}
	l.wakeAt = at
	return max(time.Duration(at)*tick-l.k.now(), 0)
}
