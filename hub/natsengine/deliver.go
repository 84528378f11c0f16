package natsengine

import (
	"context"
	"hash/maphash"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/hub/internal/record"
)

const (
	laneCount    = 4       // the number of delivering goroutines; each channel is assigned to one
	laneCapacity = 1 << 16 // the number of messages that may wait in a lane
	maxLaneBatch = 256     // the maximum number of messages that are handled together
)

// inbound delivers messages to this node. A lane is a queue with a goroutine that empties it.
type inbound struct {
	engine *Engine
	seed   maphash.Seed
	pause  sync.RWMutex // held for reading during delivery, and for writing while a gap is reported
	epoch  string       // the epoch of the delivered publications; guarded by pause

	mu     sync.Mutex
	nc     *nats.Conn
	sink   hub.Sink
	lanes  [laneCount]chan *nats.Msg
	subs   map[string]*nats.Subscription // by channel
	routes sync.Map                      // from subject to *route
}

// route is the destination of the messages of a subject.
type route struct {
	channel string
	handle  func(*nats.Msg) // if not nil, called instead of delivering to channel
}

func (in *inbound) init(e *Engine) { in.engine, in.seed = e, maphash.MakeSeed() }

// start begins the delivery to sink. The returned function stops the delivery, and waits until it has stopped.
func (in *inbound) start(nc *nats.Conn, sink hub.Sink) (stop func()) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.nc, in.sink, in.subs = nc, sink, map[string]*nats.Subscription{}
	in.routes.Clear()
	var wg sync.WaitGroup
	over := make(chan struct{})
	for i := range in.lanes {
		lane := make(chan *nats.Msg, laneCapacity)
		in.lanes[i] = lane
		wg.Go(func() { in.deliver(lane, sink, over) })
	}
	return func() {
		in.mu.Lock()
		in.nc = nil
		in.mu.Unlock()
		close(over)
		wg.Wait()
	}
}

// followLocked subscribes to a subject. The caller holds mu.
func (in *inbound) followLocked(subject string, r *route) (*nats.Subscription, error) {
	if in.nc == nil {
		return nil, errDisconnected
	}
	in.routes.Store(subject, r)
	return in.nc.ChanSubscribe(subject, in.lanes[maphash.String(in.seed, subject)%laneCount])
}

// follow subscribes to a subject that does not belong to a channel.
func (in *inbound) follow(subject string, take func(*nats.Msg)) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	_, err := in.followLocked(subject, &route{handle: take})
	return err
}

func (in *inbound) subscribe(channels []string) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, name := range channels {
		if in.subs[name] != nil {
			continue
		}
		sub, err := in.followLocked(in.engine.sub.live(name), &route{channel: name})
		if err != nil {
			return err
		}
		in.subs[name] = sub
	}
	return nil
}

func (in *inbound) unsubscribe(channels []string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, name := range channels {
		if sub := in.subs[name]; sub != nil {
			sub.Unsubscribe() //nolint:errcheck // Unsubscribe fails only if the connection is closed
			in.routes.Delete(sub.Subject)
			delete(in.subs, name)
		}
	}
}

// Subscribe implements [hub.Engine].
func (e *Engine) Subscribe(ctx context.Context, channels ...string) error {
	return e.call(ctx, func(s *store, _ string) error {
		if err := e.inbound.subscribe(channels); err != nil {
			return sendError(err)
		}
		return e.peers.settle(ctx, s)
	})
}

// Unsubscribe implements [hub.Engine].
func (e *Engine) Unsubscribe(_ context.Context, channels ...string) error {
	e.inbound.unsubscribe(channels)
	return nil
}

// gap reports that messages may have been missed in these channels, or in all of them if none are named.
func (in *inbound) gap(channels ...string) {
	in.mu.Lock()
	sink := in.sink
	in.mu.Unlock()
	in.pause.Lock()
	defer in.pause.Unlock()
	sink.Gap(channels...)
}

// dropped reports the gap that a full lane has caused.
func (in *inbound) dropped(subject string) {
	r := in.lookup(subject)
	switch {
	case r == nil:
	case r.channel != "":
		in.gap(r.channel)
	default:
		signal(in.engine.resync)
	}
}

// lookup returns the route of a subject. The subjects of leases share the route of a wildcard subject.
func (in *inbound) lookup(subject string) *route {
	if r, ok := in.routes.Load(subject); ok {
		return r.(*route)
	}
	if w := in.engine.sub.nodeRecords(); len(subject) >= len(w) && subject[:len(w)-1] == w[:len(w)-1] {
		if r, ok := in.routes.Load(w); ok {
			return r.(*route)
		}
	}
	return nil
}

// deliver delivers the messages of a lane until over is closed.
func (in *inbound) deliver(lane chan *nats.Msg, sink hub.Sink, over chan struct{}) {
	some := make([]*nats.Msg, 0, maxLaneBatch)
	var ps []*hub.Publication
	for {
		select {
		case m := <-lane:
			some = append(some[:0], m)
		case <-over:
			return
		}
	more:
		for len(some) < maxLaneBatch {
			select {
			case m := <-lane:
				some = append(some, m)
			default:
				break more
			}
		}
		in.pause.RLock()
		ps = in.handle(some, sink, ps)
		in.pause.RUnlock()
		clear(some)
	}
}

// handle delivers messages. Consecutive publications of one channel are delivered together.
func (in *inbound) handle(some []*nats.Msg, sink hub.Sink, ps []*hub.Publication) []*hub.Publication {
	for i := 0; i < len(some); {
		subject := some[i].Subject
		r := in.lookup(subject)
		ps = ps[:0]
		for ; i < len(some) && some[i].Subject == subject; i++ {
			m := some[i]
			switch {
			case r == nil:
			case r.handle != nil:
				r.handle(m)
			case len(m.Data) == 0:
				ps = flush(sink, r.channel, ps)
				sink.Gap(r.channel)
			case m.Data[0] == record.KindEntries:
				ps = flush(sink, r.channel, ps)
				if es, err := record.Entries(m.Data); err == nil {
					sink.Members(r.channel, es)
				}
			default:
				if p := in.publication(m); p != nil {
					in.engine.expiries.addReceived(r.channel, p, m.Header)
					ps = append(ps, p)
				}
			}
		}
		if r != nil {
			ps = flush(sink, r.channel, ps)
		}
	}
	return ps
}

func flush(sink hub.Sink, channel string, ps []*hub.Publication) []*hub.Publication {
	if len(ps) > 0 {
		sink.Deliver(channel, ps)
	}
	clear(ps)
	return ps[:0]
}

// publication decodes a message that the stream has republished, or that was not stored. It returns nil if the message is not a valid
// publication.
func (in *inbound) publication(m *nats.Msg) *hub.Publication {
	p, err := record.Publication(m.Data)
	if err != nil {
		return nil
	}
	p.Epoch = in.epoch
	p.Offset, p.Previous = number(m.Header, "Nats-Sequence"), number(m.Header, "Nats-Last-Sequence")
	return p
}
