package client

import (
	"context"
	"errors"
	"iter"
)

// maxQueued is the maximum number of events in the queue of a subscription, unless a command is waiting for its reply.
const maxQueued = 256

// queuedEvent is an event, with the position of the subscription after the event.
type queuedEvent struct {
	Event
	position Position
}

// enqueue adds an event to the queue. It waits for room in the queue, but not while a command waits for its reply: the reply arrives after the
// event, and the loop that receives the events may be waiting for the reply.
func (s *Subscription) enqueue(e Event) {
	for {
		pending := s.client.hasPendingCommand() // before s.mu is locked, because client.mu must be locked first
		s.mu.Lock()
		if s.opts.Handle != nil {
			s.read = s.position
			s.mu.Unlock()
			s.opts.Handle(e)
			return
		}
		if len(s.queue) < maxQueued || pending {
			s.queue = append(s.queue, queuedEvent{e, s.position})
			s.mu.Unlock()
			signal(s.ready)
			return
		}
		s.mu.Unlock()
		select {
		case <-s.room:
		case <-s.client.commandPending:
		case <-s.done:
			return
		case <-s.client.ctx.Done():
			return
		}
	}
}

// next returns the next event, if there is one.
func (s *Subscription) next() (Event, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return Event{}, false
	}
	r := s.queue[0]
	s.queue[0] = queuedEvent{}
	if s.queue = s.queue[1:]; len(s.queue) > 0 {
		signal(s.ready) // wakes another loop over the events
	}
	s.read = r.position
	signal(s.room)
	return r.Event, true
}

// signal sends on a channel with a buffer of one, unless a signal is already pending.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Events returns the events of the subscription, until ctx is done or the subscription ends. The last element then contains the error,
// unless Close was called. If several loops run, each event goes to one of them. A loop may call methods of the client: all events that
// arrive before the reply to a command are queued, regardless of their number.
func (s *Subscription) Events(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for ended := false; ; {
			if e, ok := s.next(); ok {
				if !yield(e, nil) {
					return
				}
				continue
			}
			if ended {
				if err := s.Err(); err != nil && !errors.Is(err, ErrClosed) {
					yield(Event{}, err)
				}
				return
			}
			select {
			case <-s.ready:
			case <-s.done:
				ended = true // the loop first returns the events that are still in the queue
			case <-ctx.Done():
				yield(Event{}, ctx.Err())
				return
			}
		}
	}
}
