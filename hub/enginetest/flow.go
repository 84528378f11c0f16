package enginetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
)

const (
	flowChannels   = 3
	flowPublishers = 2 // for each channel
	flowReaders    = 4 // for each channel and hub
	flowTime       = 2 * time.Minute

	flood         = "a flood" // the name of the fault that the suite itself causes
	floodSize     = 8 << 10   // bytes of a message
	floodTogether = 8         // publishers on each node
)

// flow publishes continuously on three nodes, while subscribers connect and disconnect on all of them, and while a fault happens. Each
// subscriber receives every message after its first message exactly once and in order, or is notified of a gap. A gap is allowed only if
// the engine may forget.
func flow(s *suite, fault string) {
	if !implements[hub.History](s) {
		return
	}
	f := &flowTest{suite: s, allPublished: make(chan struct{})}
	for range 3 {
		f.hubs = append(f.hubs, s.hub())
	}
	ctx, cancel := context.WithTimeout(s.Context(), flowTime)
	defer cancel()
	var publishers, readers sync.WaitGroup
	f.subscribed.Add(flowChannels * flowReaders * len(f.hubs))
	for ch := range flowChannels {
		for i := range f.hubs {
			for r := range flowReaders {
				readers.Go(func() { f.read(ctx, fmt.Sprint("history:flow", ch), i+r, r) })
			}
		}
		for p := range flowPublishers {
			publishers.Go(func() {
				f.subscribed.Wait() // so that each reader can receive every message
				f.publish(ctx, fmt.Sprint("history:flow", ch), p)
			})
		}
	}
	if fault != "" {
		bounded.Until(s, func() bool { return f.published.Load() > int64(s.opts.Flow)/2 })
		begin := s.Faults[fault]
		if fault == flood {
			begin = f.flood
		}
		end := begin(s)
		t := time.NewTimer(s.Hold)
		<-t.C
		end()
	}
	publishers.Wait()
	close(f.allPublished)
	readers.Wait()
	if n := f.gaps.Load(); n > 0 && !(s.Forgets && fault != "") {
		s.Errorf("%d subscribers were notified of a gap", n)
	}
	s.Logf("%d published, %d read, %d recoveries, %d gaps, %v", f.published.Load(), f.seen.Load(), f.recoveries.Load(), f.gaps.Load(), f.hubs[0].Stats()[1])
}

type flowTest struct {
	*suite
	hubs                              []*hub.Hub
	subscribed                        sync.WaitGroup // done when all readers have subscribed once
	allPublished                      chan struct{}  // closed when all messages are published
	published, seen, recoveries, gaps atomic.Int64
}

// flood publishes large messages in another channel, as fast as the engine accepts them, with a subscriber on each node.
func (f *flowTest) flood(t testing.TB) (end func()) {
	lost, stop := func() bool { return true }, func() {}
	if f.Flood != nil {
		lost, stop = f.Flood(t)
	}
	ctx, cancel := context.WithCancel(f.Context())
	var publishers sync.WaitGroup
	var sent atomic.Int64
	for i, h := range f.hubs {
		c := f.client(h, fmt.Sprint("flooded ", i))
		c.Subscribe(t, "plain:flood", hub.SubscribeOptions{})
		for range floodTogether {
			publishers.Go(func() {
				for ctx.Err() == nil {
					p := &hub.Publication{Data: make([]byte, floodSize)}
					if _, err := h.Publish(ctx, "app", "plain:flood", p, nil); err == nil {
						sent.Add(1)
					}
					c.Take() // which would otherwise use much memory
				}
			})
		}
	}
	return func() {
		bounded.Until(f, func() bool { return sent.Load() > 100 && lost() })
		cancel()
		publishers.Wait()
		stop()
		f.Logf("%d messages of %d bytes in the flood", sent.Load(), floodSize)
	}
}

// publish publishes consecutive numbers, each until it is acknowledged.
func (f *flowTest) publish(ctx context.Context, channel string, p int) {
	for n := 1; n <= f.opts.Flow; n++ {
		for {
			h := f.hubs[(n+p)%len(f.hubs)]
			pub := &hub.Publication{ID: fmt.Sprint(p, "/", n), Data: fmt.Appendf(nil, "%d %d", p, n)}
			_, err := h.Publish(ctx, "app", channel, pub, nil)
			if err == nil {
				break
			}
			if ctx.Err() != nil {
				f.Errorf("publishing: %v", err)
				return
			}
			t := time.NewTimer(time.Millisecond)
			<-t.C
		}
		f.published.Add(1)
	}
}

// reader is a subscriber that disconnects and reconnects.
type reader struct {
	f        *flowTest
	name     string
	at       *hub.Position
	last     [flowPublishers]int
	notified bool // the reader was notified of a gap
}

// take records a publication.
func (r *reader) take(p *hub.Publication) {
	var who, n int
	if _, err := fmt.Sscanf(string(p.Data), "%d %d", &who, &n); err != nil {
		r.f.Errorf("%q: %v", p.Data, err)
		return
	}
	// The first number after a gap may be any.
	if last := r.last[who]; n != last+1 && (last != 0 || !r.notified) {
		r.f.Errorf("%s: number %d of publisher %d after %d (at %+v)", r.name, n, who, last, p.Position)
	}
	r.last[who] = n
	r.f.seen.Add(1)
	at := p.Position
	r.at = &at
}

// gap records that messages are lost: the next number of each publisher may be any.
func (r *reader) gap() {
	r.f.gaps.Add(1)
	r.last = [flowPublishers]int{}
	r.at, r.notified = nil, true
}

func (r *reader) hasAll() bool {
	for _, n := range r.last {
		if n != r.f.opts.Flow {
			return false
		}
	}
	return true
}

// read subscribes, reads some messages, leaves, and reconnects to the next node, until it has received the last messages. r varies
// the number of messages that it reads each time.
func (f *flowTest) read(ctx context.Context, channel string, at, r int) {
	x := &reader{f: f, name: fmt.Sprint(channel, " ", at, " ", r)}
	there := sync.OnceFunc(f.subscribed.Done)
	defer there()
	for turn := 0; ; turn++ {
		c := newClient(f.hubs[(at+turn)%len(f.hubs)], fmt.Sprint(x.name, "/", turn))
		if c == nil {
			f.Errorf("%s cannot join", x.name)
			return
		}
		since := x.at
		err := c.Session.Subscribe(ctx, channel, hub.SubscribeOptions{Since: since}, func(got *hub.Recovered) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.add(Event{Reply: got})
			return nil
		})
		if err != nil && ctx.Err() == nil {
			c.Session.Leave()
			continue // expected during a fault
		}
		there()
		over := false
		for some := 0; err == nil && !over && some < 50<<r; {
			es := c.Take()
			for _, e := range es {
				some += x.event(e)
				over = over || e.Ended
			}
			over = over || x.hasAll()
			if len(es) == 0 && !over {
				err = c.wait(ctx, f.allPublished, x.maybeComplete)
			}
		}
		c.Session.Leave()
		for _, e := range c.Take() {
			x.event(e)
		}
		if x.hasAll() {
			return
		}
		if errors.Is(err, errNoEvent) {
			return // the reader was notified of a gap that includes the last message
		}
		if err != nil {
			f.Errorf("%s: %v; it has %v", x.name, err, x.last)
			return
		}
	}
}

// maybeComplete reports whether the reader may already have lost the last message.
func (r *reader) maybeComplete() bool { return r.notified }

// event records an event, and returns the number of publications in it.
func (r *reader) event(e Event) int {
	switch {
	case e.Reply != nil:
		if e.Reply.Err != nil {
			r.gap()
			return 0
		}
		if r.at != nil {
			r.f.recoveries.Add(1)
		}
		for _, p := range e.Reply.Publications {
			r.take(p)
		}
		at := e.Reply.Position
		r.at = &at
		return len(e.Reply.Publications)
	case e.Ended:
		r.gap()
	case e.Publication != nil:
		r.take(e.Publication)
		return 1
	}
	return 0
}
