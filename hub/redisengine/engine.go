// Package redisengine is the [hub.Engine] for nodes that share a Redis server. It distributes publications by pub/sub, and stores
// the history, the keys, the members and the positions in Redis. It implements every optional interface of package hub.
//
// A single script appends a publication to the history, assigns its offset, and publishes it. Offsets are contiguous. The epoch is
// stored with the channel, so a Redis that has lost its data begins new epochs, of which subscribers are notified. A Redis with
// persistence may lose the writes of its last second in a crash of the machine. Such a loss cannot be detected, but "appendfsync
// always" prevents it. With sentinels, a failover to another primary begins new epochs.
package redisengine

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/redisurl"
)

// Options configures an engine. URL is required.
type Options struct {
	// URL is redis://USER:PASSWORD@HOST:PORT/DATABASE, rediss:// for TLS, or unix://PATH. The server must have version 7.0 or
	// later. If the server is a node of a cluster, the engine connects to the node that has the keys. With ?master_set=NAME the
	// host is a sentinel, and each &addr=HOST:PORT adds a sentinel. The sentinels provide the address of the primary.
	URL string

	// TLS replaces the default TLS settings of rediss://, unless it is nil.
	TLS *tls.Config

	// Prefix is the prefix of all keys, so that several services can share a Redis server. "" means "handfast". For a cluster it
	// must be in braces, such as "{handfast}", so that all keys are on one node.
	Prefix string

	// Warn is called if the configuration of the server may cause loss of data. If nil, warnings are discarded.
	Warn func(text string)
}

// Engine is the engine of one node. New makes one.
type Engine struct {
	o    Options
	find finder
	id   string // identifies the probes of this node

	subs  table
	shard [deliverers]queue

	mu        sync.Mutex
	conn      rueidis.Client // nil while not connected
	connErr   error          // the error that ended or prevented the last connection; nil while connected
	ready     chan struct{}  // closed when conn is set
	running   bool
	lastSeen  string // the ID of the last event that was received; "" before the first connection
	probes    map[string]chan struct{}
	ownLeases map[string]bool // the leases that this node has acquired

	slots chan struct{} // limits concurrent calls
	calls sync.WaitGroup
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

const (
	dialTimeout   = 2 * time.Second
	maxCalls      = 4096 // the maximum number of concurrent calls
	sweepInterval = 250 * time.Millisecond
	minPause      = 50 * time.Millisecond // the first pause before reconnecting
	maxPause      = 2 * time.Second
	epochTTL      = 30 * 24 * time.Hour // how long an epoch is kept after the history of its channel has expired
	bufferSize    = 64 << 10            // the buffer size in bytes, for each connection and direction
)

// New returns an Engine. It checks the options; only Run connects to the server.
func New(o Options) (*Engine, error) {
	c, err := redisurl.Parse(o.URL)
	if err != nil {
		return nil, fmt.Errorf("redisengine: %w", err)
	}
	if o.TLS != nil {
		c.TLSConfig = o.TLS
	}
	if o.Prefix == "" {
		o.Prefix = "handfast"
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	c.Dialer = net.Dialer{Timeout: dialTimeout, KeepAlive: time.Second} // keep-alive detects a dead connection after about three seconds
	c.ConnWriteTimeout = dialTimeout
	c.ClientName = "handfast"
	c.ForceSingleClient, c.DisableCache, c.DisableRetry, c.AlwaysPipelining = true, true, true, true
	c.PipelineMultiplex = 1
	c.ReadBufferEachConn, c.WriteBufferEachConn = bufferSize, bufferSize
	c.BlockingPoolSize = 4
	e := &Engine{o: o, find: finder{client: c, prefix: o.Prefix}, id: rand.Text(), ready: make(chan struct{}), probes: map[string]chan struct{}{},
		ownLeases: map[string]bool{}, slots: make(chan struct{}, maxCalls)}
	e.subs.init(o.Prefix)
	return e, nil
}

// Run implements [hub.Engine]. It returns an error if the server is too old, if the server is in a cluster and the prefix is not
// suitable for a cluster, or if the server refuses the password.
func (e *Engine) Run(ctx context.Context, s hub.Sink) error {
	e.mu.Lock()
	if e.running {
		e.mu.Unlock()
		return errors.New("redisengine: the engine is already running")
	}
	e.running = true
	e.mu.Unlock()
	work, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for i := range e.shard {
		e.shard[i].init()
		wg.Go(func() { e.shard[i].run(work, s) })
	}
	err := e.stayConnected(ctx)
	stop()
	wg.Wait()
	e.calls.Wait()
	e.mu.Lock()
	e.running = false
	e.mu.Unlock()
	return err
}

// fatalError is an error that retrying does not resolve.
type fatalError struct{ error }

func (e *Engine) stayConnected(ctx context.Context) error {
	pause := minPause
	for {
		began := time.Now()
		err := e.session(ctx, func() { pause = minPause })
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var fatal fatalError
		if errors.As(err, &fatal) {
			return fatal.error
		}
		e.mu.Lock()
		e.connErr = err
		e.mu.Unlock()
		if time.Since(began) > maxPause {
			pause = minPause
		}
		t := time.NewTimer(pause/2 + time.Duration(jitter(int64(pause/2))))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
		pause = min(2*pause, maxPause)
	}
}

// session runs one connection, from dialing to its loss.
func (e *Engine) session(ctx context.Context, up func()) error {
	o, err := e.find.server(ctx)
	if err != nil {
		return err
	}
	client, err := rueidis.NewClient(o)
	if err != nil {
		return markCredentialError(err)
	}
	defer client.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := e.check(ctx, client); err != nil {
		return err
	}
	dedicated, release := client.Dedicate()
	defer release()
	defer dedicated.Close()
	if err := e.startAtNewestEvent(ctx, client); err != nil { // before subscribing, so that no later event is missed
		return err
	}
	generation := e.subs.connect()
	defer e.subs.disconnect()
	lost := dedicated.SetPubSubHooks(rueidis.PubSubHooks{
		OnMessage: func(m rueidis.PubSubMessage) { e.receive(m.Channel, m.Message) },
		OnSubscription: func(s rueidis.PubSubSubscription) {
			e.subs.confirm(generation, s.Kind == "subscribe" || s.Kind == "ssubscribe", s.Channel)
		},
	})
	ended := make(chan error, 1)
	fail := func(err error) {
		select {
		case ended <- err:
		default:
		}
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	defer context.AfterFunc(ctx, dedicated.Close)() // interrupts a blocked call
	wg.Go(func() { fail(e.subs.write(ctx, dedicated, e.find.clustered.Load())) })
	fresh, err := e.resume(ctx, client, ended, lost)
	if err != nil {
		return err
	}
	e.setConn(client)
	defer e.setConn(nil)
	up()
	e.gap(fresh)
	wg.Go(func() { fail(e.sweepPeriodically(ctx, client)) })
	select {
	case err := <-lost:
		return cmpErr(err)
	case err := <-ended:
		return cmpErr(err)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func cmpErr(err error) error {
	if err == nil {
		return errors.New("the connection was closed")
	}
	return err
}

// resume waits until all wanted topics are subscribed to, and reads the missed events. It returns the channels that were subscribed
// to on an earlier connection.
func (e *Engine) resume(ctx context.Context, c rueidis.Client, ended, lost <-chan error) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*dialTimeout)
	defer cancel()
	done, before := e.subs.resubscribe(e.topic("control"), e.topic("node:"+e.id))
	select {
	case <-done:
	case err := <-ended:
		return nil, cmpErr(err)
	case err := <-lost:
		return nil, cmpErr(err)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return before, e.catchUp(ctx, c)
}

// setConn sets the connection for calls. If c is nil, calls wait for the next connection.
func (e *Engine) setConn(c rueidis.Client) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.conn = c; c == nil {
		e.ready = make(chan struct{})
	} else {
		e.connErr = nil
		close(e.ready)
	}
}

// do waits for a connection and makes a call. It returns when ctx is done, even if the server does not reply.
func (e *Engine) do(ctx context.Context, what string, f func(context.Context, rueidis.Client) rueidis.RedisResult) (rueidis.RedisResult, error) {
	var c rueidis.Client
	for c == nil {
		e.mu.Lock()
		ready := e.ready
		if c = e.conn; c != nil {
			e.calls.Add(1)
		}
		e.mu.Unlock()
		if c == nil {
			select {
			case <-ready:
			case <-ctx.Done():
				err := ctx.Err()
				e.mu.Lock()
				why := e.connErr // the first attempt to connect may have failed during this call
				e.mu.Unlock()
				if why != nil {
					err = fmt.Errorf("%w: %v", err, why) //nolint:errorlint // why is the error of the connection, not of this call
				}
				return rueidis.RedisResult{}, fmt.Errorf("redisengine: %s: there is no connection: %w", what, err)
			}
		}
	}
	select {
	case e.slots <- struct{}{}:
	case <-ctx.Done():
		e.calls.Done()
		return rueidis.RedisResult{}, fmt.Errorf("redisengine: %s: %w", what, ctx.Err())
	}
	answer := make(chan rueidis.RedisResult, 1)
	go func() { // this goroutine ends no later than the connection
		defer e.calls.Done()
		defer func() { <-e.slots }()
		answer <- f(ctx, c)
	}()
	select {
	case r := <-answer:
		if err := r.Error(); err != nil && !rueidis.IsRedisNil(err) {
			return r, fmt.Errorf("redisengine: %s: %w", what, err)
		}
		return r, nil
	case <-ctx.Done():
		return rueidis.RedisResult{}, fmt.Errorf("redisengine: %s: %w", what, ctx.Err())
	}
}

// run runs a script.
func (e *Engine) run(ctx context.Context, what string, s *lua, args ...string) (rueidis.RedisResult, error) {
	return e.do(ctx, what, func(ctx context.Context, c rueidis.Client) rueidis.RedisResult {
		return s.exec(ctx, c, e.find.clustered.Load(), append([]string{e.o.Prefix}, args...)...)
	})
}

// check checks the version and the configuration of the server.
func (e *Engine) check(ctx context.Context, c rueidis.Client) error {
	ctx, cancel := context.WithTimeout(ctx, 2*dialTimeout)
	defer cancel()
	text, err := c.Do(ctx, c.B().Info().Build()).ToString()
	if err != nil {
		return markCredentialError(err)
	}
	info := map[string]string{}
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[k] = v
		}
	}
	major, _, _ := strings.Cut(info["redis_version"], ".")
	if n, err := strconv.Atoi(major); err != nil || n < 7 {
		return fatalError{fmt.Errorf("redisengine: the server has version %q; 7.0 or newer is required", info["redis_version"])}
	}
	if info["redis_mode"] == "cluster" && !e.find.clustered.Load() {
		return e.find.foundCluster()
	}
	if err := e.find.promoted(ctx, c, info); err != nil {
		return err
	}
	if p := info["maxmemory_policy"]; info["maxmemory"] != "0" && p != "noeviction" && p != "" && e.isFirstConnection() {
		e.o.Warn(fmt.Sprintf("redisengine: the server evicts keys when its memory is full (maxmemory-policy %s), "+
			"which silently loses history and members; set maxmemory-policy to noeviction", p))
	}
	return nil
}

func (e *Engine) isFirstConnection() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.lastSeen == ""
}

// markCredentialError marks an error about the credentials as fatal.
func markCredentialError(err error) error {
	if r, ok := rueidis.IsRedisErr(err); ok && (strings.HasPrefix(r.Error(), "WRONGPASS") || strings.HasPrefix(r.Error(), "NOAUTH") ||
		strings.HasPrefix(r.Error(), "NOPERM")) {
		return fatalError{fmt.Errorf("redisengine: the server refuses the credentials: %w", err)}
	}
	return err
}

// sweepPeriodically runs sweepScript periodically, until it fails.
func (e *Engine) sweepPeriodically(ctx context.Context, c rueidis.Client) error {
	tick := time.NewTicker(sweepInterval)
	defer tick.Stop()
	for {
		call, cancel := context.WithTimeout(ctx, 10*dialTimeout)
		more, err := sweepScript.exec(call, c, e.find.clustered.Load(), e.o.Prefix, newEpoch(), millis(epochTTL)).AsInt64()
		cancel()
		if err != nil {
			return err
		}
		if more == 1 {
			continue
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (e *Engine) topic(name string) string { return e.o.Prefix + ":" + name }

func newEpoch() string { return rand.Text()[:10] }

func millis(d time.Duration) string { return strconv.FormatInt(int64(d/time.Millisecond), 10) }
