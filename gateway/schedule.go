package gateway

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// schedule runs a function repeatedly for each of many connections, each at its own times, with one goroutine and one timer for all
// of them. Methods other than run may be called concurrently. Use newSchedule to create one.
type schedule struct {
	do func(ctx context.Context, t *task) (next time.Duration) // 0 means never again
	// slots limits the concurrent calls of do, each on its own goroutine. If nil, run calls do itself, so do must be short.
	slots chan struct{}
	wake  chan struct{} // signals that another task has become the first

	mu    sync.Mutex
	tasks taskHeap
}

// task is one connection's entry in a schedule. The zero value is not in a schedule.
type task struct {
	upkeep  *upkeep
	due     time.Time
	index   int  // the index in the heap, plus one
	removed bool // the task was removed
}

// newSchedule returns a schedule that limits the concurrent calls of do; concurrently = 0 means that run calls do itself, one at a
// time.
func newSchedule(concurrently int, do func(context.Context, *task) time.Duration) *schedule {
	s := &schedule{do: do, wake: make(chan struct{}, 1)}
	if concurrently > 0 {
		s.slots = make(chan struct{}, concurrently)
	}
	return s
}

// add schedules t. It does nothing if t is scheduled already or was removed.
func (s *schedule) add(t *task, after time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.removed || t.index > 0 {
		return
	}
	t.due = time.Now().Add(after)
	heap.Push(&s.tasks, t)
	if t.index == 1 {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// remove removes t permanently. A call of do that has begun may still be running.
func (s *schedule) remove(t *task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.removed = true
	if t.index > 0 {
		heap.Remove(&s.tasks, t.index-1)
	}
}

// next removes and returns the first task if it is due, and otherwise returns how long to wait.
func (s *schedule) next() (t *task, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.tasks) == 0 {
		return nil, time.Hour
	}
	if wait = time.Until(s.tasks[0].due); wait > 0 {
		return nil, wait
	}
	return heap.Pop(&s.tasks).(*task), 0
}

// run runs due tasks until ctx ends, and then waits for the calls that are still running.
func (s *schedule) run(ctx context.Context) {
	var under sync.WaitGroup
	defer under.Wait()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		t, wait := s.next()
		if t == nil {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-s.wake:
			case <-ctx.Done():
			}
			continue
		}
		if s.slots == nil {
			s.runTask(ctx, t)
			continue
		}
		select {
		case s.slots <- struct{}{}:
			under.Go(func() {
				defer func() { <-s.slots }()
				s.runTask(ctx, t)
			})
		case <-ctx.Done():
		}
	}
}

func (s *schedule) runTask(ctx context.Context, t *task) {
	if next := s.do(ctx, t); next > 0 {
		s.add(t, next)
	}
}

// taskHeap is a heap of tasks, ordered by due time.
type taskHeap []*task

func (h taskHeap) Len() int           { return len(h) }
func (h taskHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h taskHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i+1, j+1
}

// Push implements [heap.Interface].
func (h *taskHeap) Push(x any) {
	t := x.(*task)
	*h = append(*h, t)
	t.index = len(*h)
}

// Pop implements [heap.Interface].
func (h *taskHeap) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	t.index = 0
	return t
}
