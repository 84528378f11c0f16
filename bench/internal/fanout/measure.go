//go:build linux

package fanout

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/handfast/handfast/bench/internal/load"
)

// Delivery is the cost of publications to all subscribers of a channel.
type Delivery struct {
	CPU      time.Duration // the server's CPU time per delivery
	P50, P99 time.Duration // percentiles of the time from publishing to delivery
	Late     int64         // number of deliveries that happened later than deliveryTimeout after the last publication
	Missed   int64         // number of deliveries that never happened
}

const (
	channel = "bench"
	size    = 128 // bytes of a publication
	dialers = 50  // clients that connect concurrently

	// deliveryTimeout is the time limit for deliveries. Later ones are counted as late; publications that have not arrived after timeout
	// are counted as missed.
	deliveryTimeout = 10 * time.Second
)

// Deliver subscribes n clients to one channel, and has another client publish in it for the given duration: at a constant rate per
// second, or, if the rate is 0, whenever all clients have received the previous publication.
func (s *Server) Deliver(ctx context.Context, n int, rate float64, long time.Duration) (d Delivery, err error) {
	t := &tally{times: make(chan time.Duration, 1<<20)}
	subscribers := make([]*client, n)
	defer func() { cutAll(subscribers) }()
	err = clients(n, dialers, func(i int) (err error) {
		if subscribers[i], err = s.protocol.connect(ctx, s.Addr, t); err != nil {
			return err
		}
		if err := subscribers[i].subscribe(ctx, channel); err != nil {
			return err
		}
		subscribers[i].read(ctx)
		return nil
	})
	if err != nil {
		return d, err
	}
	publisher, err := s.protocol.connect(ctx, s.Addr, &tally{})
	if err != nil {
		return d, err
	}
	defer publisher.cut()
	if s.protocol.Sign != nil {
		if err := publisher.subscribe(ctx, channel); err != nil {
			return d, err
		}
	}
	publisher.read(ctx)

	published := 0
	publish := func() error {
		published++
		return publisher.send(ctx, s.protocol.Publish(published, channel, stamped(time.Now().UnixNano(), published, size)))
	}
	missing := func() int64 { return int64(published*n) - t.delivered.Load() }
	all := func() bool { return waitUntil(func() bool { return missing() <= 0 }, deliveryTimeout) }
	for range 3 { // warms up; these publications are not counted
		if err := publish(); err != nil {
			return d, err
		}
	}
	if !all() {
		return d, fmt.Errorf("%d of %d deliveries", t.delivered.Load(), published*n)
	}
	for len(t.times) > 0 {
		<-t.times
	}
	before, cpu, begun := t.delivered.Load(), load.CPUTime(s.pid()), time.Now()
	for i := 0; time.Since(begun) < long; i++ {
		if err := publish(); err != nil {
			return d, err
		}
		if rate == 0 {
			if !all() {
				break
			}
			continue
		}
		time.Sleep(time.Until(begun.Add(time.Duration(float64(i+1) / rate * float64(time.Second))))) //nolint:forbidigo // Sleep keeps the publishing rate
	}
	d.Late, d.Missed = lateness(missing)
	got := t.delivered.Load() - before
	d.CPU = (load.CPUTime(s.pid()) - cpu) / time.Duration(max(got, 1))
	d.P50, d.P99 = quantiles(t.times)
	return d, publisher.complaint()
}

// lateness waits until no publication is missing, up to a limit, and returns the number of late deliveries and of missing ones.
func lateness(missing func() int64) (late, missed int64) {
	none := func() bool { return missing() <= 0 }
	if waitUntil(none, deliveryTimeout) {
		return 0, 0
	}
	late = missing()
	waitUntil(none, timeout)
	missed = max(0, missing())
	return max(0, late-missed), missed
}

// complaint returns an error if the server has refused a publication.
func (c *client) complaint() error {
	if n := c.refused.Load(); n > 0 {
		return fmt.Errorf("the server has refused %d publications", n)
	}
	return nil
}

// quantiles returns the median and the 99th percentile of the values in a channel.
func quantiles(times chan time.Duration) (p50, p99 time.Duration) {
	var all []time.Duration
	for len(times) > 0 {
		all = append(all, <-times)
	}
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	return all[len(all)/2], all[len(all)*99/100]
}

// cutAll disconnects the connected clients.
func cutAll(all []*client) {
	for _, c := range all {
		if c != nil {
			c.cut()
		}
	}
}

// waitUntil polls so every 0.2 ms, and reports whether it returned true within the time limit.
func waitUntil(so func() bool, bound time.Duration) bool {
	late := time.Now().Add(bound)
	for !so() {
		if time.Now().After(late) {
			return false
		}
		time.Sleep(200 * time.Microsecond) //nolint:forbidigo // the loop polls, so that the many goroutines of clients need not wake this one
	}
	return true
}

// Idle returns the server's memory per client, in bytes, for n clients with three subscriptions each.
func (s *Server) Idle(ctx context.Context, n int) (int64, error) {
	t := &tally{}
	open := func(n int) ([]*client, error) {
		all := make([]*client, n)
		err := clients(n, dialers, func(i int) (err error) {
			if all[i], err = s.protocol.connect(ctx, s.Addr, t); err != nil {
				return err
			}
			for k := range 3 {
				if err := all[i].subscribe(ctx, fmt.Sprintf("bench-%d", (i*3+k)%300)); err != nil {
					return err
				}
			}
			return nil
		})
		return all, err
	}
	warm, err := open(300)
	defer cutAll(warm)
	if err != nil {
		return 0, err
	}
	before, err := load.Resident(s.pid())
	if err != nil {
		return 0, err
	}
	all, err := open(n)
	defer cutAll(all)
	if err != nil {
		return 0, err
	}
	after, err := load.Resident(s.pid())
	return (after - before) / int64(n), err
}
