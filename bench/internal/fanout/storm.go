//go:build linux

package fanout

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/handfast/handfast/bench/internal/load"
)

// Storm is the result of reconnecting all clients.
type Storm struct {
	Took    time.Duration // time until the last client had received everything
	CPU     time.Duration // the server's CPU time per client
	Clients time.Duration // CPU time of the clients themselves, per client
	Late    int64         // number of publications received later than deliveryTimeout
	Missed  int64         // number of publications that a client never received
	Twice   int           // number of publications that a client received again
}

// Least returns the minimum of the times of two storms, and the sums of the errors. The zero Storm is ignored.
func (r Storm) Least(o Storm) Storm {
	if r.CPU == 0 {
		return o
	}
	return Storm{
		Took: min(r.Took, o.Took), CPU: min(r.CPU, o.CPU), Clients: min(r.Clients, o.Clients),
		Late: r.Late + o.Late, Missed: r.Missed + o.Missed, Twice: r.Twice + o.Twice,
	}
}

// missed is the number of publications in its channel that a client misses.
const missed = 10

// storm is a number of clients driven by one goroutine, each in one channel.
type storm struct {
	p           *Protocol
	clients     *load.Clients
	subscribers []subscriber
	together    int // number of clients that may connect and subscribe concurrently
	begun       int // number of clients that have begun to connect
	waiting     int // number of clients that have begun to connect and are not subscribed yet
	after       int // only publications with a larger number are counted
	due         int // number of publications that have not arrived
	twice       int
	first       [][]byte
}

// subscriber is one client in a storm.
type subscriber struct {
	subscribe []byte // the subscribe command
	position  string // the client's last position
	stage     stage
	seen      []int // the numbers of the received publications
}

// stage is what a client is waiting for.
type stage uint8

const (
	away stage = iota
	greeted
	subscribed
	settled // the client is subscribed
)

// Storm cuts the connections of n clients, each of which is subscribed to a channel of its own, publishes in each channel, and
// reconnects all clients with their positions, with at most together concurrent handshakes.
func (s *Server) Storm(ctx context.Context, n, channels, together int) (r Storm, err error) {
	w := &storm{p: s.protocol, subscribers: make([]subscriber, n), together: dialers}
	for _, text := range s.protocol.First {
		w.first = append(w.first, []byte(text))
	}
	if w.clients, err = load.NewClients(n, s.Addr, s.protocol.Path, s.protocol.Subprotocol); err != nil {
		return r, err
	}
	defer w.clients.Close()
	name := func(client int) string { return fmt.Sprintf("storm-%d", client%channels) }
	publisher, err := s.protocol.connect(ctx, s.Addr, &tally{})
	if err != nil {
		return r, err
	}
	defer publisher.cut()
	publisher.read(ctx)
	publish := func() error { // one publication in each channel
		for i := range channels {
			w.after++
			text := s.protocol.Publish(w.after, name(i), stamped(time.Now().UnixNano(), w.after, size))
			if err := publisher.send(ctx, text); err != nil {
				return err
			}
		}
		if !waitUntil(func() bool { return publisher.accepted.Load() >= int64(w.after) || publisher.refused.Load() > 0 }, timeout) {
			return fmt.Errorf("%d of %d publications are acknowledged", publisher.accepted.Load(), w.after)
		}
		return publisher.complaint()
	}
	if err := publish(); err != nil { // gives each channel a position
		return r, err
	}
	for i := range w.subscribers {
		w.subscribers[i].subscribe = []byte(s.protocol.Subscribe(name(i), ""))
	}
	if err := w.connectAll(ctx); err != nil {
		return r, err
	}
	w.clients.Cut()
	w.away(name, together)
	before := w.after
	for range missed {
		if err := publish(); err != nil {
			return r, err
		}
	}
	w.after, w.due = before, n*missed
	return w.measure(ctx, s.pid())
}

// away prepares all clients to subscribe to the named channels, each from its position.
func (w *storm) away(name func(client int) string, together int) {
	w.begun, w.together = 0, together
	for i := range w.subscribers {
		c := &w.subscribers[i]
		c.stage, c.subscribe, c.seen = away, []byte(w.p.Subscribe(name(i), c.position)), make([]int, 0, missed+1)
	}
}

// measure reconnects all clients.
func (w *storm) measure(ctx context.Context, server int) (r Storm, err error) {
	n := time.Duration(len(w.subscribers))
	cpu, own, begun := load.CPUTime(server), load.CPUTime(os.Getpid()), time.Now()
	if err := w.connectAll(ctx); err != nil {
		return r, err
	}
	if r.Late, r.Missed, err = w.rest(); err != nil {
		return r, err
	}
	r.Took = time.Since(begun)
	r.CPU, r.Clients = (load.CPUTime(server)-cpu)/n, (load.CPUTime(os.Getpid())-own)/n
	r.Twice = w.twice
	return r, nil
}

// connectAll connects all clients, and returns when all are subscribed.
func (w *storm) connectAll(ctx context.Context) error {
	for w.begun < len(w.subscribers) || w.waiting > 0 {
		for w.begun < len(w.subscribers) && w.waiting < w.together {
			if err := w.clients.Open(w.begun); err != nil {
				return err
			}
			w.begun, w.waiting = w.begun+1, w.waiting+1
		}
		if err := w.round(timeout); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

var errSilent = errors.New("the server is silent")

// round handles the available messages. If there are none, it waits for at most wait.
func (w *storm) round(wait time.Duration) error {
	any, err := w.clients.Round(wait, w.opened, w.received)
	if err == nil && !any {
		return errSilent
	}
	return err
}

// rest handles the publications that subscribed clients have not received yet.
func (w *storm) rest() (late, missed int64, err error) {
	begun := time.Now()
	for bound := deliveryTimeout; bound <= timeout; bound += timeout - deliveryTimeout {
		for w.due > 0 && time.Since(begun) < bound {
			if err := w.round(bound - time.Since(begun)); err != nil && !errors.Is(err, errSilent) {
				return 0, 0, err
			}
		}
		if bound == deliveryTimeout {
			late = int64(w.due)
		}
	}
	return late - int64(w.due), int64(w.due), nil
}

func (w *storm) opened(i int) {
	for _, text := range w.first {
		w.clients.Send(i, text)
	}
	w.subscribers[i].stage = greeted
}

// received handles a message of client i.
func (w *storm) received(i int, message []byte) error {
	c := &w.subscribers[i]
	if w.p.Pong != nil {
		if pong := w.p.Pong(message); pong != nil {
			w.clients.Send(i, pong)
			return nil
		}
	}
	if bytes.Contains(message, []byte(`"error"`)) {
		return fmt.Errorf("%s", message)
	}
	switch {
	case c.stage == greeted && bytes.Contains(message, []byte(w.p.Hello)):
		w.clients.Send(i, c.subscribe)
		c.stage = subscribed
	case c.stage == subscribed && bytes.Contains(message, []byte(w.p.Subscribed)):
		c.stage = settled
		w.waiting--
		if c.position == "" && w.p.Position != nil {
			c.position = w.p.Position("", message)
		}
	}
	stamps(message, func(_ int64, number int) {
		switch {
		case number <= w.after:
		case slices.Contains(c.seen, number):
			w.twice++
		default:
			c.seen = append(c.seen, number)
			w.due--
		}
	})
	return nil
}
