package hub

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	shards               = 64
	engineTimeout        = 10 * time.Second // the maximum wait for the engine
	minRunPause          = 100 * time.Millisecond
	housekeepingInterval = time.Second // the time between two rounds of housekeeping
	maxPauseRun          = 5 * time.Second
	maxEngineNames       = 1000 // the maximum number of channel names in one call of the engine
)

// Hub manages the channels of one node. New makes one.
type Hub struct {
	opts       Options
	engine     Engine
	history    History  // nil if the engine does not implement the interface; the same applies to the fields below
	presence   Presence //
	keyed      Keyed
	occupancy  Occupancy
	namespaces namespaces

	channels channelTable
	sessions sessionTable

	ctx    context.Context // canceled by Close
	cancel context.CancelFunc
	wg     sync.WaitGroup
	tasks  tasks
	fan    workerPool
	report reporter

	health   health
	node     presenceNode
	reported string // the lease that the numbers of subscribers were last reported under; used by housekeeping only
}

// New starts a hub. Close ends it.
func New(o Options) *Hub {
	o = o.withDefaults()
	h := &Hub{opts: o, engine: o.Engine, namespaces: newNamespaces(o.Namespaces)}
	h.history, _ = o.Engine.(History)
	h.presence, _ = o.Engine.(Presence)
	h.keyed, _ = o.Engine.(Keyed)
	h.occupancy, _ = o.Engine.(Occupancy)
	_, probes := o.Engine.(Probe)
	h.health.probing = probes && o.ProbeEvery > 0
	h.health.changed = o.EngineState
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.tasks.wg = &h.wg
	h.channels.seed, h.sessions.seed = maphash.MakeSeed(), maphash.MakeSeed()
	h.fan.start(h, runtime.GOMAXPROCS(0))
	h.node.init(h)
	h.report.start(h)
	h.wg.Go(h.run)
	h.wg.Go(h.housekeeping)
	if h.presence != nil {
		h.wg.Go(h.node.keepLease)
	}
	if h.health.probing {
		h.wg.Go(h.keepProbing)
	}
	return h
}

// Close closes the hub: sessions are closed with EndShutdown, and the node's members leave. When it returns, all goroutines of the
// hub have ended, and no more messages are sent.
func (h *Hub) Close() error {
	h.health.mu.Lock()
	was := h.health.closing
	h.health.closing = true
	h.health.mu.Unlock()
	if was {
		h.wg.Wait()
		return nil
	}
	h.sessions.each(func(s *Session) {
		s.end(EndShutdown)
		s.Leave()
	})
	h.report.settle()
	var err error
	if h.presence != nil {
		ctx, cancel := context.WithTimeout(context.Background(), h.opts.Lease)
		err = h.presence.Release(ctx, h.node.currentLease())
		cancel()
	}
	h.cancel()
	h.tasks.close()
	h.fan.close()
	h.wg.Wait()
	return err
}

// closed reports whether Close was called.
func (h *Hub) closed() bool {
	h.health.mu.Lock()
	defer h.health.mu.Unlock()
	return h.health.closing
}

// run runs the engine, and restarts it when it fails.
func (h *Hub) run() {
	pause := minRunPause
	for again := false; ; again = true {
		if again {
			h.tasks.do(h.subscribeAgain)
		}
		began := time.Now()
		err := h.engine.Run(h.ctx, (*sink)(h))
		if h.ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errors.New("it stopped without an error")
		}
		h.health.setDown(fmt.Errorf("hub: the engine has failed: %w", err))
		if time.Since(began) > maxPauseRun {
			pause = minRunPause
		}
		if !h.sleep(pause) {
			return
		}
		pause = min(2*pause, maxPauseRun)
		h.health.setDown(nil) // with Probe, only a probe reports that the engine works
	}
}

// sleep waits for d, and reports false if the hub is closed first.
func (h *Hub) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-h.ctx.Done():
		return false
	}
}

// subscribeAgain subscribes to all channels again after the engine was restarted.
func (h *Hub) subscribeAgain() {
	var names []string
	h.channels.each(func(ch *channel) { names = append(names, ch.name) })
	for len(names) > 0 {
		n := min(len(names), maxEngineNames)
		ctx, cancel := context.WithTimeout(h.ctx, engineTimeout)
		err := h.engine.Subscribe(ctx, names[:n]...)
		cancel()
		if err != nil {
			if !h.sleep(minRunPause) {
				return
			}
			continue
		}
		(*sink)(h).Gap(names[:n]...)
		names = names[n:]
	}
}

// housekeeping closes channels without subscribers, announces the changes in large rooms, and reports to the engine which channels
// have subscribers.
func (h *Hub) housekeeping() {
	next := time.NewTimer(housekeepingInterval)
	defer next.Stop()
	for {
		select {
		case <-next.C:
		case <-h.report.first:
			r := newHousekeepingRound(h)
			r.reportAll = false
			for _, ch := range h.report.takeFirstSubscribed() {
				r.countFirst(ch)
			}
			r.report()
			continue
		case <-h.ctx.Done():
			return
		}
		r := newHousekeepingRound(h)
		h.channels.each(r.visit)
		h.reported = r.lease
		r.report()
		h.report.reportDue(r.now)
		for len(r.idle) > 0 {
			n := min(len(r.idle), maxEngineNames)
			some := r.idle[:n]
			r.idle = r.idle[n:]
			h.tasks.do(func() { h.unsubscribeAll(some) })
		}
		next.Reset(housekeepingInterval)
	}
}

// Publish publishes p in a channel for a server. It checks only the size of p, and nothing if p is a record. p must not be modified
// afterwards. For zero fields of o, the settings of the namespace apply; if o.History is negative, p is not kept. o may be nil.
func (h *Hub) Publish(ctx context.Context, app, channel string, p *Publication, o *PublishOptions) (Published, error) {
	if err := checkName(channel); err != nil {
		return Published{}, err
	}
	return h.namespaces.of(app, channel).publish(ctx, h, ChannelOf(app, channel), p, o)
}

func (ns *namespace) publish(ctx context.Context, h *Hub, name string, p *Publication, o *PublishOptions) (Published, error) {
	all, err := ns.complete(ctx, p, o)
	if err != nil {
		return Published{}, err
	}
	done, err := h.engine.Publish(ctx, name, p, all)
	ns.published(h, name, p, done, err)
	return done, err
}

// complete checks p. It fills in the missing fields of p, and returns o completed with the defaults of the namespace.
func (ns *namespace) complete(ctx context.Context, p *Publication, o *PublishOptions) (PublishOptions, error) {
	var all PublishOptions
	if o != nil {
		all = *o
	}
	if p.written() > ns.MaxData && !all.Record {
		return all, ErrTooBig
	}
	switch {
	case all.History < 0:
		all.History = 0
	case all.History == 0:
		all.History, all.HistoryAge = ns.History, ns.HistoryAge
	}
	if all.KeyTTL == 0 {
		all.KeyTTL = ns.KeyTTL
	}
	if p.Time.IsZero() {
		p.Time = time.Now()
	}
	if p.Expires.IsZero() && ns.Expiry > 0 && !all.Record {
		p.Expires = p.Time.Add(ns.Expiry)
	}
	if p.Trace == "" && !p.internal() {
		p.Trace = traceOf(ctx, ns)
	}
	return all, nil
}

// published counts and reports the result of publishing.
func (ns *namespace) published(h *Hub, name string, p *Publication, done Published, err error) {
	if err == nil && !done.Duplicate {
		ns.counters.publications.Add(1)
		h.report.published(name, p)
	}
	if p.Trace != "" {
		tracePublished(h.opts.Traced, ns, name, p, done, err)
	}
}

// checkName returns an error if channel is not a valid name.
func checkName(channel string) error {
	if channel == "" || len(channel) > MaxChannel {
		return ErrBadChannel
	}
	return nil
}

// tasks runs functions that wait for the engine, on goroutines that end when the queue is empty.
type tasks struct {
	wg      *sync.WaitGroup
	mu      sync.Mutex
	queue   []func()
	running int
	closed  bool
}

const maxTasks = 64

// do queues f, unless the hub is closed.
func (t *tasks) do(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	t.queue = append(t.queue, f)
	if t.running < maxTasks {
		t.running++
		t.wg.Go(t.work)
	}
}

func (t *tasks) work() {
	for {
		t.mu.Lock()
		if len(t.queue) == 0 {
			t.running--
			t.mu.Unlock()
			return
		}
		f := t.queue[0]
		t.queue[0] = nil
		t.queue = t.queue[1:]
		t.mu.Unlock()
		f()
	}
}

// close discards the tasks that have not started.
func (t *tasks) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed, t.queue = true, nil
}

// counters are the statistics of a namespace.
type counters struct {
	publications, deliveries, recovered, unrecovered      atomic.Uint64
	slow, dropped, refilled, gaps, insufficient, rejected atomic.Uint64
	joins, leaves                                         atomic.Uint64
}
