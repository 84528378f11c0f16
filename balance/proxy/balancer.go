package proxy

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/handfast/handfast/balance"
	"github.com/handfast/handfast/websocket"
)

// Settings configure a Balancer. [Balancer.Configure] replaces all settings together.
type Settings struct {
	// Pool configures how servers are chosen, and when a failing server is ejected.
	Pool balance.Options

	// Dial configures the connections to servers.
	Dial DialerOptions

	// Identify sets User, Identity and Sign of a request whose Principal is not nil. nil means the caller has set them.
	Identify func(*Request)

	// Key returns the key of a client for the hash policy; nil means clients have no key.
	Key func(*Request) string

	// Resuming reports whether a client continues a session. When not all clients can be admitted, such a client has priority over
	// new clients, and so has a client with a resumed TLS session or the cookie of Sticky. nil means no other client has priority.
	Resuming func(*Request) bool

	// Sticky sends clients back to the server that they were on; nil means they can get any server.
	Sticky *Sticky

	// Retries is the number of other servers to try when one fails before the client has received anything; 0 means none.
	Retries int

	// MaxWaiting is the number of handshakes that may wait for a server with a free slot, each for at most Wait. If either is 0, no
	// handshake waits.
	MaxWaiting int
	Wait       time.Duration

	// Tunnel limits the connections. For connections that are carried message by message, only Idle and Lifetime apply, and pings
	// do not count as activity. A change applies to connections that are opened later.
	Tunnel TunnelOptions

	// ByMessage carries all connections message by message; otherwise only held connections are. Messages contains the rules for
	// connections that are carried in this way. A change of ByMessage, Messages or Hold applies to connections that are opened
	// later.
	ByMessage bool
	Messages  Messages

	// Hold selects the connections that continue on another server when their server goes away.
	Hold Hold

	// Health configures the health checks of servers. The zero value means no checks.
	Health Health

	// MovesPerSecond is the rate at which clients are moved off a draining server; 0 means 100.
	MovesPerSecond float64

	// Rebalance moves connections to servers with fewer connections. nil means connections are not moved for that reason.
	Rebalance *Rebalance

	// Farewell returns the close frame for a client that has to reconnect; nil means Farewell.Frame. If the server's connection
	// ended within a frame, no close frame can be sent, and the client's connection ends without one.
	Farewell func(Farewell) (websocket.Code, string)
}

// Rebalance configures moves of connections to servers with fewer connections.
type Rebalance struct {
	balance.Rebalance
	PerSecond   float64 // moves per second; 0 means 20
	OldestFirst bool    // move the oldest connections first; by default the youngest
}

// Hooks are callbacks for the events of a Balancer. Any of them may be nil. They may be called concurrently, and must not block.
type Hooks struct {
	Changed  func(Change)   // the state of a server has changed, or its last connection has ended in a drain
	Tried    func(Attempt)  // a handshake with a server has ended
	Troubled func(*Failure) // a server has failed an ordinary HTTP request, or cut off the response
}

// Attempt is the result of a handshake with a server.
type Attempt struct {
	Server  string // ID of the server
	Outcome balance.Outcome
	Status  int           // status of the response; 0 means there was none
	Took    time.Duration // from the choice of the server to its response
}

// Balancer connects clients to the servers of a pool: it chooses a server, opens the WebSocket there, and carries bytes or messages
// both ways. It can also move clients: with a close frame, or, if they are held, to another server. Make it with [New]. Its methods
// are safe for concurrent use.
type Balancer struct {
	hooks   Hooks
	pool    *balance.Pool
	storm   *balance.Storm
	carrier *Carrier
	set     atomic.Pointer[Settings]
	queue   queue
	members members
	last    lastPath

	ctx    context.Context // context of the goroutines
	stop   context.CancelFunc
	wg     sync.WaitGroup
	moving chan struct{} // wakes the mover

	switching atomic.Int64 // held clients that are being moved by a plan

	mu              sync.Mutex
	sources         map[string][]balance.Spec      // servers, by the source that lists them
	servers         map[string]*server             // by ID
	pace            map[string]*balance.Pace       // pace of each drain with its own rate, by ID
	refusals        map[*balance.Upstream]refusals // servers that refuse held clients
	announcedDrains map[string]time.Time           // end of the drain that a server has announced in a response, by ID
	closed          bool
}

// New returns a Balancer without servers. The caller must call [Balancer.Close].
func New(s Settings, h Hooks) *Balancer { return newWith(NewCarrier(), s, h) }

// newWith is New with a carrier, which the Balancer owns from then on.
func newWith(c *Carrier, s Settings, h Hooks) *Balancer {
	b := &Balancer{
		hooks: h, pool: balance.NewPool(s.Pool), storm: balance.NewStorm(balance.StormOptions{}), carrier: c,
		moving: make(chan struct{}, 1), sources: map[string][]balance.Spec{}, servers: map[string]*server{}, pace: map[string]*balance.Pace{},
		announcedDrains: map[string]time.Time{},
	}
	b.members.byServer = map[string]*group{}
	b.set.Store(&s)
	b.ctx, b.stop = context.WithCancel(context.Background())
	b.wg.Go(b.move)
	return b
}

// Configure changes the settings. It closes no connection, and keeps all counts and health states. The error is [ErrClosed], or
// describes the invalid part of Settings.Dial; then nothing has changed.
func (b *Balancer) Configure(s Settings) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return ErrClosed
	}
	list := b.list()
	made, err := newServers(list, &s)
	if err != nil {
		return err
	}
	b.set.Store(&s)
	b.pool.Configure(time.Now(), s.Pool)
	b.forget(list, s.Health.Check)
	b.serve(nil, nil)
	b.serve(list, made)
	b.wake()
	return nil
}

// forget discards the results of a kind of check that is no longer done. The caller holds mu.
func (b *Balancer) forget(list []balance.Spec, check string) {
	now := time.Now()
	if check == CheckOff {
		b.pool.ForgetProbes(now)
	}
	for _, s := range list {
		if _, said := b.announcedDrains[s.ID]; check != CheckHTTP && !said {
			b.pool.DrainReported(now, s.ID, false)
		}
	}
	b.queue.next()
}

// SetServers replaces the servers of one source, such as the configuration, the DNS or the operator. The Balancer uses the servers
// of all sources; if two sources list the same server, the weight and capacity are from the source whose name sorts first. A server
// that no source lists any more gets no new connections and keeps its existing ones. The error names the first server that is not
// valid; then nothing has changed. SetServers keeps list, which must not be modified.
func (b *Balancer) SetServers(source string, list []balance.Spec) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return ErrClosed
	}
	before, had := b.sources[source]
	b.sources[source] = list
	all := b.list()
	made, err := newServers(all, b.set.Load())
	if err == nil {
		err = b.pool.Set(time.Now(), all)
	}
	if err != nil {
		b.sources[source] = before
		if !had {
			delete(b.sources, source)
		}
		return err
	}
	b.serve(all, made)
	b.members.prune(all)
	b.queue.next()
	b.wake()
	return nil
}

// list returns the servers of all sources, sorted by ID. The caller holds mu.
func (b *Balancer) list() (all []balance.Spec) {
	seen := map[string]bool{}
	for _, source := range slices.Sorted(maps.Keys(b.sources)) {
		for _, s := range b.sources[source] {
			if !seen[s.ID] {
				seen[s.ID] = true
				all = append(all, s)
			}
		}
	}
	slices.SortFunc(all, func(a, b balance.Spec) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// Servers returns the servers of a source, or nil if there is no such source. The caller owns the slice.
func (b *Balancer) Servers(source string) []balance.Spec {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.sources[source])
}

// ErrClosed is the error of a closed Balancer.
var ErrClosed = errors.New("proxy: the balancer is closed")

// ErrUnknown reports that no server has the ID.
var ErrUnknown = errors.New("proxy: there is no such server")

// Drain stops new clients from getting a server, and moves the server's current clients off at perSecond; 0 means the rate of the
// settings. The drain lasts until [Balancer.Undrain]. The error is [ErrUnknown].
func (b *Balancer) Drain(id string, perSecond float64) error {
	if !b.pool.Drain(time.Now(), id, true) {
		return ErrUnknown
	}
	b.mu.Lock()
	if perSecond > 0 {
		b.pace[id] = balance.NewPace(perSecond, jitter, nil)
	} else {
		delete(b.pace, id)
	}
	b.mu.Unlock()
	b.wake()
	return nil
}

// Undrain ends a drain. Clients that already got a close frame are not affected. The error is [ErrUnknown].
func (b *Balancer) Undrain(id string) error {
	if !b.pool.Drain(time.Now(), id, false) {
		return ErrUnknown
	}
	b.mu.Lock()
	delete(b.pace, id)
	b.mu.Unlock()
	b.queue.next()
	b.wake()
	return nil
}

// wake makes the mover look for changes of servers to report, and for clients to move.
func (b *Balancer) wake() {
	select {
	case b.moving <- struct{}{}:
	default:
	}
}

// Close cuts every connection, and returns when all goroutines of the Balancer have ended. A second call does nothing.
func (b *Balancer) Close() error {
	b.mu.Lock()
	b.closed = true
	b.serve(nil, nil)
	b.mu.Unlock()
	b.stop()
	b.queue.close()
	for _, c := range b.members.all() {
		_ = c.CloseNow()
	}
	b.wg.Wait()
	return b.carrier.Close()
}

// ServerStatus is the state of a server.
type ServerStatus struct {
	balance.Status
	Counts
}

// Status is the state of a Balancer.
type Status struct {
	Servers []ServerStatus      `json:"servers"` // sorted by ID
	Storm   balance.StormStatus `json:"handshakes"`
	Waiting int                 `json:"waiting"` // handshakes that wait for a server with a free slot
}

// Status returns the current state. The caller owns it.
func (b *Balancer) Status() Status {
	now := time.Now()
	all := Status{Servers: []ServerStatus{}, Storm: b.storm.Status(now), Waiting: b.queue.len()}
	for _, s := range b.pool.Status(now) {
		all.Servers = append(all.Servers, ServerStatus{s, b.members.counts(s.ID)})
	}
	return all
}

// Settings returns the settings in force. The caller must not change them.
func (b *Balancer) Settings() *Settings { return b.set.Load() }
