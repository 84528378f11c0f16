package loop

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/handfast/handfast/websocket/internal/accepting"
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
	freeSlots []uint32
	lastBirth uint32
	wheel     wheel
	todo      []task // requests from other goroutines
	listeners []listener
	asleep    bool   // the driver is waiting, or about to wait
	wakeAt    uint32 // the tick until which the driver waits; only valid if asleep is true
	ended     bool   // the loop ends once it has no descriptors left
	finished  bool   // the last driver has finished

	count   atomic.Int64 // number of descriptors
	hasTodo atomic.Bool  // todo is not empty

	// These fields belong to the driver. Driver.state passes them to the next driver.
	events       []Event
	batch        []task
	done         int    // number of finished items in the batch
	resumeAccept uint32 // the tick at which to accept again; 0 while accepting
	tick         atomic.Uint32

	acceptBackoff accepting.Backoff // how long to accept no connections after the process has run out of descriptors; of the driver, too
}

// task is one item of a batch, for a descriptor or a listener.
type task struct {
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
	l.lastBirth++
	f.birth = l.lastBirth &^ (listenBit >> 32)
	if n := len(l.freeSlots); n > 0 {
		f.slot = l.freeSlots[n-1]
		l.freeSlots = l.freeSlots[:n-1]
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
	l.freeSlots = append(l.freeSlots, f.slot)
	l.uncount()
}

// hold prevents the loop from ending until release. It returns false if the loop has ended.
func (l *loop) hold() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.finished {
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
		l.wakeDriver()
	}
}

// requestVisit schedules a visit of f. The caller holds f's lock.
func (l *loop) requestVisit(f *FD) {
	l.mu.Lock()
	l.todo = append(l.todo, task{f: f, what: Woken})
	if !l.hasTodo.Load() {
		l.hasTodo.Store(true)
	}
	if l.asleep {
		l.wakeDriver()
	}
	l.mu.Unlock()
}

// wakeDriver terminates the driver's wait. The caller holds mu.
func (l *loop) wakeDriver() {
	l.asleep = false
	l.k.Wake()
}

// stop makes the loop end once it has no descriptors left.
func (l *loop) stop() {
	l.mu.Lock()
	l.ended = true
	if l.asleep {
		l.wakeDriver()
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
	l.batch, l.todo, l.done = l.todo, l.batch[:0], 0
	l.hasTodo.Store(false)
	return true
}

// wait fills the batch with the kernel's events and the due visits. It returns false if the loop has ended.
func (l *loop) wait() (bool, error) {
	l.mu.Lock()
	if l.ended && len(l.todo) == 0 && l.count.Load() == 0 {
		l.finished = true
		l.mu.Unlock()
		return false, nil
	}
	timeout := time.Duration(0)
	if len(l.todo) == 0 {
		timeout = l.waitTimeout()
		l.asleep = true
	}
	l.mu.Unlock()

	n, err := l.k.Wait(l.events, timeout)
	now := uint32(l.k.Now() / tick)
	l.tick.Store(now)

	l.mu.Lock()
	defer l.mu.Unlock()
	l.asleep = false
	l.batch, l.done = l.batch[:0], 0
	for _, e := range l.events[:n] {
		if e.Token&listenBit != 0 {
			l.batch = append(l.batch, task{listener: int32(e.Token &^ listenBit)})
			continue
		}
		// The slot may have another owner than at the time of the event. In that case the birth number differs.
		if slot := uint32(e.Token); int(slot) < len(l.slots) {
			if f := l.slots[slot]; f != nil && f.token() == e.Token {
				l.batch = append(l.batch, task{f: f, what: e.Ready})
			}
		}
	}
	l.batch = l.expire(now, l.batch)
	if l.resumeAccept != 0 && now >= l.resumeAccept {
		l.resumeAccept = 0
		l.armListeners(Readable)
	}
	return true, err
}

// waitTimeout returns how long to wait for events. The caller holds mu.
func (l *loop) waitTimeout() time.Duration {
	at, ok := l.nextDue()
	if l.resumeAccept != 0 && (!ok || l.resumeAccept < at) {
		at, ok = l.resumeAccept, true
	}
	if !ok {
		l.wakeAt = ^uint32(0)
		return -1
	}
	l.wakeAt = at
	return max(time.Duration(at)*tick-l.k.Now(), 0)
}
