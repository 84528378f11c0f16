package auth

import (
	"container/heap"
	"time"
)

// expiryHeap contains the open sessions that will be warned or closed, the earliest first.
type expiryHeap []*Session

func (h expiryHeap) Len() int           { return len(h) }
func (h expiryHeap) Less(i, j int) bool { return h[i].due().Before(h[j].due()) }
func (h expiryHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = int32(i+1), int32(j+1)
}

func (h *expiryHeap) Push(x any) {
	s := x.(*Session)
	*h = append(*h, s)
	s.index = int32(len(*h))
}

func (h *expiryHeap) Pop() any {
	last := len(*h) - 1
	s := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	s.index = 0
	return s
}

// maxTimerWait is the maximum delay of an expiry if the clock jumps or the machine sleeps, which timers do not take into account.
const maxTimerWait = 10 * time.Second

// due returns the time of the next event of s: the warning, then the end.
func (s *Session) due() time.Time {
	if s.warned || s.lead <= 0 {
		return s.Identity.Expires
	}
	return s.Identity.Expires.Add(-s.lead)
}

// schedule puts s in its place in the heap. The caller holds mu.
func (l *Live) schedule(s *Session, now time.Time) {
	if s.Identity.Expires.IsZero() {
		return
	}
	heap.Push(&l.expiring, s)
	if s.index == 1 {
		l.arm(s.due().Sub(now))
	}
}

// unschedule removes s from the heap. The caller holds mu.
func (l *Live) unschedule(s *Session) {
	if s.index > 0 {
		heap.Remove(&l.expiring, int(s.index-1))
	}
}

// arm sets the timer for expire. The caller holds mu.
func (l *Live) arm(wait time.Duration) {
	wait = max(0, min(wait, maxTimerWait))
	if l.timer == nil {
		l.timer = time.AfterFunc(wait, l.expire)
		return
	}
	l.timer.Reset(wait)
}

// expire handles all sessions that are due. They share one timer.
func (l *Live) expire() {
	for _, s := range l.expired(time.Now()) {
		s.Close(CodeExpired, ReasonExpired)
	}
}

// expired returns the sessions that have expired, warns those whose warning is due, and arms the timer for the rest.
func (l *Live) expired(now time.Time) []*Session {
	l.mu.Lock()
	defer l.mu.Unlock()
	var expired []*Session
	for len(l.expiring) > 0 {
		s := l.expiring[0]
		if wait := s.due().Sub(now); wait > 0 {
			l.arm(wait)
			break
		}
		heap.Pop(&l.expiring)
		if !s.Identity.Expires.After(now) {
			expired = append(expired, s)
			continue
		}
		s.warned = true
		go l.Expiring(s.handle, s.Identity.Expires.Sub(now))
		l.schedule(s, now)
	}
	return expired
}
