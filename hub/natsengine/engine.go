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
	opts        Options
	id          string
	calls       calls         // creates IDs for calls of Publish
	reconnected chan struct{} // signaled when the connection was restored

	link          link          // the connection to the server
	sub           subjects      // the names of subjects
	inbound       inbound       // the delivery to this node
	leases        leases        // the leases of all nodes
	peers         peers         // the other nodes
	expiries      keyExpiries   // the expiry of keys
	knownChannels nameSet       // channels that have a publication
	trimming      trimQueue     // channels with more publications than they should keep
	emptied       emptyChannels // channels whose publications were all trimmed
	entries       entries       // the entries of this node
	occupancy     occupancy
	probes        pendingProbes
	commands      commands
	resync        chan struct{} // signaled when leases and commands may have been missed
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

// New returns the engine of a node. It connects when the hub calls Run.
func New(o Options) (*Engine, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	e := &Engine{opts: o, id: rand.Text(), reconnected: make(chan struct{}, 1), resync: make(chan struct{}, 1), sub: subjects(o.Prefix)}
	e.calls.node = e.id[:10]
	e.link.up = make(chan struct{})
	e.inbound.init(e)
	e.leases.init(e)
	e.occupancy.lock = make(chan struct{}, 1)
	e.peers.engine, e.commands.engine = e, e
	return e, nil
}

// subjects returns the names of subjects. Its value is their prefix.
type subjects string

func (s subjects) log(channel string) string     { return string(s) + ".p." + channelTokens(channel) }
func (s subjects) live(channel string) string    { return string(s) + ".l." + channelTokens(channel) }
func (s subjects) commands() string              { return string(s) + ".p.!c" }
func (s subjects) liveCommands() string          { return string(s) + ".l.!c" }
func (s subjects) probe(id string) string        { return string(s) + ".p.!p." + id }
func (s subjects) liveProbe(id string) string    { return string(s) + ".l.!p." + id }
func (s subjects) nodes() string                 { return string(s) + ".n" }
func (s subjects) settle() string                { return string(s) + ".y" }
func (s subjects) nodeRecord(rest string) string { return string(s) + ".s.w." + rest }
func (s subjects) lease(name string) string      { return s.nodeRecord("l." + token(name)) }
func (s subjects) key(channel, key string) string {
	return s.state("k", channelTokens(channel)+"."+token(key))
}
func (s subjects) device(channel, device string) string {
	return s.state("d", channelTokens(channel)+"."+token(device))
}
func (s subjects) claim(key string) string { return s.state("c", hash(key)) }
func (s subjects) nodeRecords() string     { return string(s) + ".v.>" }
func (s subjects) state(kind string, tokens string) string {
	return string(s) + ".s." + kind + "." + tokens
}

// link holds the store while the engine is connected.
type link struct {
	mu     sync.Mutex
	up     chan struct{} // closed while store can be used
	isUp   bool
	store  *store
	epoch  string
	reason error // the reason why store cannot be used; nil if none is known
}

// ready waits until the engine is connected. If ctx ends first, the error contains the reason.
func (l *link) ready(ctx context.Context) (s *store, epoch string, err error) {
	for {
		l.mu.Lock()
		up, ok, why := l.up, l.isUp, l.reason
		s, epoch = l.store, l.epoch
		l.mu.Unlock()
		if ok {
			return s, epoch, ctx.Err()
		}
		select {
		case <-up:
		case <-ctx.Done():
			if why != nil {
				return nil, "", fmt.Errorf("natsengine: waiting for the NATS server: %w: %v", ctx.Err(), why) //nolint:errorlint // why is the error of the connection, not of this call
			}
			return nil, "", ctx.Err()
		}
	}
}

// setReason records why store cannot be used.
func (l *link) setReason(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reason = why
}

func (l *link) set(s *store, epoch string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.store, l.epoch, l.reason = s, epoch, nil
	if !l.isUp {
		l.isUp = true
		close(l.up)
	}
}

// disconnected makes new calls wait for a connection, and fails the calls that are waiting for a reply.
func (e *Engine) disconnected() {
	l := &e.link
	l.mu.Lock()
	s := l.store
	if l.isUp {
		l.isUp, l.up = false, make(chan struct{})
	}
	l.mu.Unlock()
	if s != nil {
		s.failAll()
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
	stop := e.inbound.start(nc, sink)
	var helpers sync.WaitGroup
	defer func() {
		e.disconnected()
		m.failAll()
		cancel()
		nc.Close()
		stop()
		helpers.Wait()
	}()
	if err := e.follow(); err != nil {
		return err
	}
	if err := e.prepare(ctx, m, nil); err != nil {
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
		case <-e.reconnected:
			if err := e.prepare(ctx, m, sink); err != nil {
				return err
			}
		case <-e.resync:
			helpers.Go(func() { e.catchUp(ctx, sink) })
		case now := <-ticks.C:
			if nc.IsClosed() {
				return errDisconnected
			}
			e.peers.sendHeartbeat(now)
			e.leases.endExpired(ctx, &helpers, now)
			e.expiries.removeDue(ctx, e, &helpers, now)
		}
	}
}

// connect connects, and retries until ctx is done. It does not retry after an error that concerns the credentials.
func (e *Engine) connect(ctx context.Context) (*nats.Conn, error) {
	for {
		nc, err := nats.Connect(e.opts.URL, e.opts.connection(e)...)
		if err == nil {
			return nc, nil
		}
		if errors.Is(err, nats.ErrAuthorization) || e.opts.Credentials != "" && errors.Is(err, nats.ErrNoUserCB) {
			return nil, fmt.Errorf("natsengine: connecting: %w", err)
		}
		e.link.setReason(err)
		if !sleep(ctx, reconnectPause) {
			return nil, ctx.Err()
		}
	}
}

// prepare prepares the engine after the first connection, with a nil sink, and after each later one.
func (e *Engine) prepare(ctx context.Context, m *mux, sink hub.Sink) error {
	for {
		s, epoch, err := e.ensure(ctx, m)
		if err == nil && sink == nil { // before calls are possible, so that a command that follows a call is not considered old
			err = e.reread(ctx, s, false)
		}
		if err == nil {
			e.inbound.pause.Lock() // so that nothing is delivered with the wrong epoch
			e.link.set(s, epoch)
			e.inbound.epoch = epoch
			e.inbound.pause.Unlock()
			if sink == nil {
				return nil
			}
			if err = e.reread(ctx, s, true); err == nil {
				e.inbound.gap()
				return nil
			}
			e.disconnected()
		}
		var bad *configError
		if errors.As(err, &bad) {
			return err
		}
		e.link.setReason(err)
		if !sleep(ctx, reconnectPause) {
			return ctx.Err()
		}
	}
}

// catchUp reads leases and commands that may have been missed.
func (e *Engine) catchUp(ctx context.Context, sink hub.Sink) {
	for {
		s, _, err := e.link.ready(ctx)
		if err == nil {
			err = e.reread(ctx, s, true)
		}
		if err == nil || !sleep(ctx, reconnectPause) {
			return
		}
	}
}

// asyncError is called by the NATS client for errors that do not belong to a call.
func (e *Engine) asyncError(_ *nats.Conn, sub *nats.Subscription, err error) {
	if sub != nil && errors.Is(err, nats.ErrSlowConsumer) {
		e.inbound.dropped(sub.Subject)
	}
}
