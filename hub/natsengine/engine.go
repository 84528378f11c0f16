package natsengine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/handfast/handfast/hub"
)

// Engine is the engine of one node. New makes one.
type Engine struct {
	opts  Options
	id    string
	calls calls         // of Publish
	back  chan struct{} // the connection is there again

	link               // to the server
	sub       subjects // names of subjects
	in        inward   // what is delivered
	leases    leases   // of all nodes
	peers     peers    // other nodes
	alarms    alarms   // when keys are to be removed
	known     memo     // channels that have a publication
	trimming  trimming // channels with more than they are to keep
	emptied   emptied  // channels that were trimmed to the end
	entries   entries  // of this node
	occupancy occupancy
	probes    probing
	commands  commands
	resync    chan struct{} // leases and commands may have been missed
}

var (
	_ hub.Engine    = (*Engine)(nil)
	_ hub.History   = (*Engine)(nil)
	_ hub.Keyed     = (*Engine)(nil)
	_ hub.Presence  = (*Engine)(nil)
	_ hub.Occupancy = (*Engine)(nil)
	_ hub.Broadcast = (*Engine)(nil)
	_ hub.Probe     = (*Engine)(nil)
	_ hub.Positions = (*Engine)(nil)
)

// New returns the engine of a node. It connects when the hub runs it.
func New(o Options) (*Engine, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	e := &Engine{opts: o, id: rand.Text(), back: make(chan struct{}, 1), resync: make(chan struct{}, 1), sub: subjects(o.Prefix)}
	e.calls.node = e.id[:10]
	e.link.up = make(chan struct{})
	e.in.init(e)
	e.leases.init(e)
	e.occupancy.turn = make(chan struct{}, 1)
	e.peers.engine, e.commands.engine = e, e
	return e, nil
}

// subjects are the subjects below a prefix.
type subjects string

func (s subjects) log(channel string) string  { return string(s) + ".p." + channelTokens(channel) }
func (s subjects) live(channel string) string { return string(s) + ".l." + channelTokens(channel) }
func (s subjects) commands() string           { return string(s) + ".p.!c" }
func (s subjects) liveCommands() string       { return string(s) + ".l.!c" }
func (s subjects) probe(id string) string     { return string(s) + ".p.!p." + id }
func (s subjects) liveProbe(id string) string { return string(s) + ".l.!p." + id }
func (s subjects) nodes() string              { return string(s) + ".n" }
func (s subjects) settle() string             { return string(s) + ".y" }
func (s subjects) watched(rest string) string { return string(s) + ".s.w." + rest }
func (s subjects) lease(name string) string   { return s.watched("l." + token(name)) }
func (s subjects) key(channel, key string) string {
	return s.state("k", channelTokens(channel)+"."+token(key))
}
func (s subjects) device(channel, device string) string {
	return s.state("d", channelTokens(channel)+"."+token(device))
}
func (s subjects) claim(key string) string { return s.state("c", hash(key)) }
func (s subjects) watch() string           { return string(s) + ".v.>" }
func (s subjects) state(kind string, tokens string) string {
	return string(s) + ".s." + kind + "." + tokens
}

// link is the connection, while there is one that is ready.
type link struct {
	mu    sync.Mutex
	up    chan struct{} // closed while store may be used
	isUp  bool
	store *store
	epoch string
	why   error // store may not be used; nil while there was no reason yet
}

// ready waits until the engine is connected. When it is not in time, the error says why.
func (l *link) ready(ctx context.Context) (s *store, epoch string, err error) {
	for {
		l.mu.Lock()
		up, ok, why := l.up, l.isUp, l.why
		s, epoch = l.store, l.epoch
		l.mu.Unlock()
		if ok {
			return s, epoch, ctx.Err()
		}
		select {
		case <-up:
		case <-ctx.Done():
			if why != nil {
				return nil, "", fmt.Errorf("natsengine: waiting for the NATS server: %w: %v", ctx.Err(), why) //nolint:errorlint // why belongs to no call
			}
			return nil, "", ctx.Err()
		}
	}
}

// because notes why store may not be used.
func (l *link) because(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.why = why
}

func (l *link) set(s *store, epoch string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.store, l.epoch, l.why = s, epoch, nil
	if !l.isUp {
		l.isUp = true
		close(l.up)
	}
}

// lost has calls wait from now on, and those that wait for an answer fail.
func (e *Engine) lost() {
	l := &e.link
	l.mu.Lock()
	s := l.store
	if l.isUp {
		l.isUp, l.up = false, make(chan struct{})
	}
	l.mu.Unlock()
	if s != nil {
		s.cut()
	}
}

const tick = 100 * time.Millisecond

// Run implements [hub.Engine].
func (e *Engine) Run(ctx context.Context, sink hub.Sink) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	nc, err := e.connect(ctx)
	if err != nil {
		return err
	}
	m, err := newMux(nc)
	if err != nil {
		nc.Close()
		return fmt.Errorf("natsengine: %w", err)
	}
	stop := e.in.start(nc, sink)
	var helpers sync.WaitGroup
	defer func() {
		e.lost()
		m.cut()
		cancel()
		nc.Close()
		stop()
		helpers.Wait()
	}()
	if err := e.follow(); err != nil {
		return err
	}
	if err := e.arrive(ctx, m, nil); err != nil {
		return err
	}
	helpers.Go(func() { e.upgrade(ctx) })
	helpers.Go(func() { e.keepTrimming(ctx) })
	ticks := time.NewTicker(tick)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-e.back:
			if err := e.arrive(ctx, m, sink); err != nil {
				return err
			}
		case <-e.resync:
			helpers.Go(func() { e.catchUp(ctx, sink) })
		case now := <-ticks.C:
			if nc.IsClosed() {
				return errCut
			}
			e.peers.beat(now)
			e.leases.look(ctx, &helpers, now)
			e.alarms.look(ctx, e, &helpers, now)
		}
	}
}

// connect connects, and tries again until ctx ends. A mistake in the options is not tried again.
func (e *Engine) connect(ctx context.Context) (*nats.Conn, error) {
	for {
		nc, err := nats.Connect(e.opts.URL, e.opts.connection(e)...)
		if err == nil {
			return nc, nil
		}
		if errors.Is(err, nats.ErrAuthorization) || e.opts.Credentials != "" && errors.Is(err, nats.ErrNoUserCB) {
			return nil, fmt.Errorf("natsengine: connecting: %w", err)
		}
		e.because(err)
		if !sleep(ctx, reconnectPause) {
			return nil, ctx.Err()
		}
	}
}

// arrive makes the engine ready: when it is connected, and when it is connected again. Then sink is not nil.
func (e *Engine) arrive(ctx context.Context, m *mux, sink hub.Sink) error {
	for {
		s, epoch, err := e.ensure(ctx, m)
		if err == nil && sink == nil { // before calls may be made: a command that follows one of them is not taken for an old one
			err = e.reread(ctx, s, false)
		}
		if err == nil {
			e.in.pause.Lock() // nothing is delivered under another epoch
			e.set(s, epoch)
			e.in.epoch = epoch
			e.in.pause.Unlock()
			if sink == nil {
				return nil
			}
			if err = e.reread(ctx, s, true); err == nil {
				e.in.gap()
				return nil
			}
			e.lost()
		}
		var bad *configError
		if errors.As(err, &bad) {
			return err
		}
		e.because(err)
		if !sleep(ctx, reconnectPause) {
			return ctx.Err()
		}
	}
}

// catchUp reads what may have been missed of leases and commands.
func (e *Engine) catchUp(ctx context.Context, sink hub.Sink) {
	for {
		s, _, err := e.ready(ctx)
		if err == nil {
			err = e.reread(ctx, s, true)
		}
		if err == nil || !sleep(ctx, reconnectPause) {
			return
		}
	}
}

// trouble is called by the client for errors that belong to no call.
func (e *Engine) trouble(_ *nats.Conn, sub *nats.Subscription, err error) {
	if sub != nil && errors.Is(err, nats.ErrSlowConsumer) {
		e.in.dropped(sub.Subject)
	}
}
