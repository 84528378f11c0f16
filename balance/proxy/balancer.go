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

// Settings say how a Balancer works. A reload changes all of them with [Balancer.Configure].
type Settings struct {
	// Pool says how servers are chosen, and when one that fails is ejected.
	Pool balance.Options

	// Dial says how servers are reached.
	Dial DialerOptions

	// Identify sets User, Identity and Sign of a request whose Principal is not nil. nil means the caller has set them.
	Identify func(*Request)

	// Key returns what the policy hash goes by; nil means clients have no key.
	Key func(*Request) string

	// Resuming reports whether a client continues a session: it goes before new ones when not all can be admitted. A resumed TLS session
	// and the cookie of Sticky show it as well. nil means nothing else does.
	Resuming func(*Request) bool

	// Sticky leads clients back to their server; nil if they are not.
	Sticky *Sticky

	// Retries is how many other servers are tried when one fails before the client has seen anything; 0 means none.
	Retries int

	// MaxWaiting is how many handshakes may wait for a server with room, each for Wait at most. With 0 for either none waits.
	MaxWaiting int
	Wait       time.Duration

	// Tunnel bounds the connections. Those that are carried message by message are bounded by its Idle and Lifetime, and a ping does not count
	// there. A change of it applies to connections that are opened later.
	Tunnel TunnelOptions

	// ByMessage has all connections carried message by message; otherwise only those that are held are. Messages has the rules for them. A
	// change of these, and of Hold, applies to connections that are opened later.
	ByMessage bool
	Messages  Messages

	// Hold says which connections go on at another server when theirs goes away.
	Hold Hold

	// Health says how servers are checked. The zero value checks none.
	Health Health

	// MovesPerSecond is the pace at which clients leave a server that drains; 0 means 100.
	MovesPerSecond float64

	// Rebalance moves connections to servers that have fewer. nil means none are moved for that.
	Rebalance *Rebalance

	// Goodbye returns the close frame for a client that is moved; nil means 1012 (RFC 6455 §7.4.2, IANA) and a reason with the
	// time after which it may come back.
	Goodbye func(subprotocol, path string, retryAfter time.Duration) (websocket.Code, string)

	// Lost returns the close frame for a client whose server has ended without one, as Goodbye does; nil means 1012 and a reason.
	// There is none where a frame has begun: then the client's connection just ends.
	Lost func(subprotocol, path string, retryAfter time.Duration) (websocket.Code, string)
}

// Rebalance is how connections are moved to servers that have fewer.
type Rebalance struct {
	balance.Rebalance
	PerSecond   float64 // the pace; 0 means 20
	OldestFirst bool    // the connections that are open longest go first; else those that are not
}

// Hooks are what a Balancer reports. A nil one is not called. They may be called concurrently, and must not block.
type Hooks struct {
	Changed  func(Change)   // something has happened to a server
	Tried    func(Attempt)  // a handshake with a server is over
	Troubled func(*Failure) // a server has failed a request that is not a handshake, or cut the response
}

// Attempt is a handshake with a server, as it has ended.
type Attempt struct {
	Server  string // its ID
	Outcome balance.Outcome
	Status  int           // of its answer; 0 means there was none
	Took    time.Duration // from the choice of the server to its answer
}

// Balancer carries connections to the servers of a pool: it chooses one, opens the WebSocket there, carries bytes or messages both ways, and
// moves clients off again: with a close frame, or to another server where they are held. Make it with [New]. Its methods are safe for concurrent use.
type Balancer struct {
	hooks   Hooks
	pool    *balance.Pool
	storm   *balance.Storm
	carrier *Carrier
	set     atomic.Pointer[Settings]
	queue   queue
	members members
	last    lastPath

	ctx    context.Context // of the goroutines
	stop   context.CancelFunc
	wg     sync.WaitGroup
	moving chan struct{} // there may be something to move

	switching atomic.Int64 // held clients that are being moved by a plan

	mu       sync.Mutex
	sources  map[string][]balance.Spec      // the servers by where they come from
	servers  map[string]*server             // by ID
	pace     map[string]*balance.Pace       // of drains that have their own, by ID
	refusing map[*balance.Upstream]refusals // those that refuse held clients
	said     map[string]time.Time           // when it ends that a server has said in a response that it drains, by ID
	closed   bool
}

// New returns a Balancer without servers. It ends with [Balancer.Close].
func New(s Settings, h Hooks) *Balancer { return newWith(NewCarrier(), s, h) }

// newWith is New with a carrier, which is the Balancer's from then on.
func newWith(c *Carrier, s Settings, h Hooks) *Balancer {
	b := &Balancer{
		hooks: h, pool: balance.NewPool(s.Pool), storm: balance.NewStorm(balance.StormOptions{}), carrier: c,
		moving: make(chan struct{}, 1), sources: map[string][]balance.Spec{}, servers: map[string]*server{}, pace: map[string]*balance.Pace{},
		said: map[string]time.Time{},
	}
	b.members.by = map[string]*group{}
	b.set.Store(&s)
	b.ctx, b.stop = context.WithCancel(context.Background())
	b.wg.Go(b.move)
	return b
}

// Configure changes the settings. No connection is closed, and no count or health is forgotten. The error is [ErrClosed], or says
// what of Settings.Dial is not valid; then nothing has changed.
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

// forget forgets the results of checks of a kind that is no longer done. The caller holds mu.
func (b *Balancer) forget(list []balance.Spec, check string) {
	now := time.Now()
	if check == CheckOff {
		b.pool.ForgetProbes(now)
	}
	for _, s := range list {
		if _, said := b.said[s.ID]; check != CheckHTTP && !said {
			b.pool.DrainReported(now, s.ID, false)
		}
	}
	b.queue.next()
}

// SetServers says which servers a source knows, such as the configuration, the DNS or the operator. The servers are those of all sources;
// where two name one, the source whose name comes first decides on its weight and capacity. A server that is in none any more gets no new
// connection and keeps those that it has. The error says which one is not valid; then nothing has changed. SetServers keeps list.
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
	b.members.keep(all)
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

// Servers returns the servers of a source, nil if it is not known. The caller owns the slice.
func (b *Balancer) Servers(source string) []balance.Spec {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.sources[source])
}

// ErrClosed is the error of a Balancer that is closed.
var ErrClosed = errors.New("proxy: the balancer is closed")

// ErrUnknown reports that there is no server with an ID.
var ErrUnknown = errors.New("proxy: there is no such server")

// Drain has a server get no new clients, and moves those that it has off, perSecond of them in a second; 0 means the pace of the
// settings. It goes on until [Balancer.Undrain]. The error is [ErrUnknown].
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

// Undrain ends a drain. Clients that got a close frame are not called back. The error is [ErrUnknown].
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

// wake has the mover look at the servers, for changes to report and clients to move.
func (b *Balancer) wake() {
	select {
	case b.moving <- struct{}{}:
	default:
	}
}

// Close cuts every connection, and returns when no goroutine of the Balancer runs. A second call does nothing more.
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
	Waiting int                 `json:"waiting"` // handshakes that wait for a server with room
}

// Status returns the state at this moment. The caller owns it.
func (b *Balancer) Status() Status {
	now := time.Now()
	all := Status{Servers: []ServerStatus{}, Storm: b.storm.Status(now), Waiting: b.queue.len()}
	for _, s := range b.pool.Status(now) {
		all.Servers = append(all.Servers, ServerStatus{s, b.members.counts(s.ID)})
	}
	return all
}

// Settings returns the settings in force. They must not be changed.
func (b *Balancer) Settings() *Settings { return b.set.Load() }
