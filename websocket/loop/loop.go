package loop

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	batchSize  = 256      // the maximum number of events per wait
	bufferSize = 64 << 10 // the size of the read buffer
	listenBit  = 1 << 63  // set in the token of a listener, whose number is in the lower bits
)

// loop consists of an epoll instance and its descriptors. At any time one driver runs it.
type loop struct {
	ls     *Loops
	k      Kernel
	driver atomic.Pointer[Driver]

	// Lock order: an FD's mu, then a loop's.
	mu        sync.Mutex
	slots     []*FD
	vacant    []uint32
	births    uint32
	wheel     wheel
	todo      []work // requests from other goroutines
	listeners []listener
	asleep    bool   // the driver is waiting, or about to wait
	wakeAt    uint32 // the tick until which the driver waits; only valid if asleep is true
	ended     bool   // the loop ends once it has no descriptors left
	over      bool   // the last driver has finished

	count atomic.Int64 // number of descriptors
	asks  atomic.Bool  // todo is not empty

	// These fields belong to the driver. Driver.state passes them to the next driver.
	events []Event
	batch  []work
	at     int    // number of finished items in the batch
	resume uint32 // the tick at which to accept again; 0 while accepting
	tick   atomic.Uint32
}

// work is one item of a batch, for a descriptor or a listener.
type work struct {
	f        *FD
	what     Events
	listener int32 // the listener's number, if f is nil
}

func newLoop(ls *Loops, k Kernel) *loop {
	return &loop{ls: ls, k: k, events: make([]Event, batchSize)}
}

// add assigns a slot to a new descriptor.
func (l *loop) add(f *FD) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f.loop = l
	l.births++
	f.birth = l.births &^ (listenBit >> 32)
	if n := len(l.vacant); n > 0 {
		f.slot = l.vacant[n-1]
		l.vacant = l.vacant[:n-1]
		l.slots[f.slot] = f
	} else {
		f.slot = uint32(len(l.slots))
		l.slots = append(l.slots, f)
	}
	l.count.Add(1)
}

// remove frees the slot of a closed descriptor.
func (l *loop) remove(f *FD) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unschedule(f)
	l.slots[f.slot] = nil
	l.vacant = append(l.vacant, f.slot)
	l.uncount()
}

// hold prevents the loop from ending until release. It returns false if the loop has ended.
func (l *loop) hold() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return false
	}
	l.count.Add(1)
	return true
}

// release undoes hold.
func (l *loop) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.uncount()
}

// uncount decrements the number of descriptors, and ends the loop if it was stopped and has none left. The caller holds mu.
func (l *loop) uncount() {
	if l.count.Add(-1) == 0 && l.ended && l.asleep {
		l.rouse()
	}
}

// ask schedules a visit of f. The caller holds f's lock.
func (l *loop) ask(f *FD) {
	l.mu.Lock()
	l.todo = append(l.todo, work{f: f, what: Woken})
	if !l.asks.Load() {
		l.asks.Store(true)
	}
	if l.asleep {
		l.rouse()
	}
	l.mu.Unlock()
}

// rouse terminates the driver's wait. The caller holds mu.
func (l *loop) rouse() {
	l.asleep = false
	l.k.Wake()
}

// stop makes the loop end once it has no descriptors left.
func (l *loop) stop() {
	l.mu.Lock()
	l.ended = true
	if l.asleep {
		l.rouse()
	}
	l.mu.Unlock()
}

// takeTodo moves the requests of other goroutines to the batch.
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

// wait fills the batch with the kernel's events and the due visits. It returns false if the loop has ended.
func (l *loop) wait() (bool, error) {
	l.mu.Lock()
	if l.ended && len(l.todo) == 0 && l.count.Load() == 0 {
		l.over = true
		l.mu.Unlock()
		return false, nil
	}
	timeout := time.Duration(0)
	if len(l.todo) == 0 {
		timeout = l.patience()
		l.asleep = true
	}
	l.mu.Unlock()

	n, err := l.k.Wait(l.events, timeout)
	now := uint32(l.k.Now() / tick)
	l.tick.Store(now)

	l.mu.Lock()
	defer l.mu.Unlock()
	l.asleep = false
	l.batch, l.at = l.batch[:0], 0
	for _, e := range l.events[:n] {
		if e.Token&listenBit != 0 {
			l.batch = append(l.batch, work{listener: int32(e.Token &^ listenBit)})
			continue
		}
		// The slot may have another owner than at the time of the event. In that case the birth number differs.
		if slot := uint32(e.Token); int(slot) < len(l.slots) {
			if f := l.slots[slot]; f != nil && f.token() == e.Token {
				l.batch = append(l.batch, work{f: f, what: e.Ready})
			}
		}
	}
	l.batch = l.expire(now, l.batch)
	if l.resume != 0 && now >= l.resume {
		l.resume = 0
		l.listenAgain(Readable)
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
	return max(time.Duration(at)*tick-l.k.Now(), 0)
}
