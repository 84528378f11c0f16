package client

import (
	"testing"
	"testing/synctest"

	"github.com/handfast/handfast/channels/wire"
	"github.com/handfast/handfast/internal/bounded"
)

// next removes an event from the queue. It wakes a goroutine that waits for room and, if there are more events, another loop.
func TestQueue(t *testing.T) {
	s := &Subscription{client: new(Client), ready: make(chan struct{}, 1), room: make(chan struct{}, 1)}
	const count = 3
	for i := range count {
		s.position.Offset = uint64(i + 1)
		s.enqueue(Event{Gap: wire.TooOld})
	}
	bounded.Receive(t, s.ready)
	queue := s.queue
	for i := range count {
		e, ok := s.next()
		if !ok || e.Gap != wire.TooOld || s.Position().Offset != uint64(i+1) {
			t.Errorf("event %d: %+v, %v, at %+v", i, e, ok, s.Position())
		}
		if queue[i] != (queuedEvent{}) {
			t.Errorf("event %d is kept", i)
		}
		if more := i < count-1; (len(s.ready) == 1) != more || len(s.room) != 1 {
			t.Errorf("after event %d: %d signals that there are more, %d that there is room", i, len(s.ready), len(s.room))
		}
		if len(s.ready) == 1 {
			bounded.Receive(t, s.ready)
		}
		bounded.Receive(t, s.room)
	}
	if e, ok := s.next(); ok {
		t.Errorf("%+v from an empty queue", e)
	}
	if len(s.ready)+len(s.room) != 0 {
		t.Error("next has sent a signal although the queue was empty")
	}
}

// The queue holds a limited number of events. When it is full, enqueue waits until an event is received, or until a command waits for its
// reply.
func TestFullQueue(t *testing.T) {
	for name, more := range map[string]func(*Subscription){
		"taken": func(s *Subscription) { s.next() },
		"asked": func(s *Subscription) {
			s.client.mu.Lock()
			defer s.client.mu.Unlock()
			s.client.calls = map[uint64]*call{1: {}}
			signal(s.client.commandPending)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &Client{ctx: bounded.Context(t), commandPending: make(chan struct{}, 1)}
				s := &Subscription{client: c, ready: make(chan struct{}, 1), room: make(chan struct{}, 1)}
				for range maxQueued {
					s.enqueue(Event{Gap: wire.TooOld}) // returns immediately
				}
				go s.enqueue(Event{Gap: wire.NoAck})
				synctest.Wait()
				if len(s.queue) != maxQueued {
					t.Errorf("%d events wait, want %d", len(s.queue), maxQueued)
				}
				more(s)
				synctest.Wait()
				if last := s.queue[len(s.queue)-1]; last.Gap != wire.NoAck {
					t.Errorf("the last event was not added: %d events", len(s.queue))
				}
			})
		})
	}
}

// Messages that arrive between the end of a subscription and the reply to the next attempt belong to the subscription that has
// ended.
func TestBetweenSubscriptions(t *testing.T) {
	p := play(t)
	c := connect(t, &server{url: p.url}, Options{})
	conn := bounded.Receive(t, p.conns)
	subscribed := subscribing(t, c)
	const answer = `"type":"subscribed","channel":"chat","position":{"epoch":"e","offset":3}`
	p.command(conn, "subscribe", answer)
	s := bounded.Receive(t, subscribed)
	p.answer(conn, `{"type":"unsubscribed","channel":"chat","code":"`+string(wire.Unavailable)+`"}`) // the client subscribes again after a pause
	p.answer(conn, `{"type":"message","channel":"chat","data":1,"offset":4}`)
	p.command(conn, "subscribe", answer)
	p.answer(conn, `{"type":"message","channel":"chat","data":2,"offset":4}`)
	if e := next(t, s); e.Message == nil || string(e.Message.Data) != "2" || s.Position().Offset != 4 {
		t.Errorf("%+v", e)
	}
}
