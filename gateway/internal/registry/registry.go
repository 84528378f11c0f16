// Package registry knows every open WebSocket of a server: who it is, from where, since when. It bounds their number,
// finds and closes them, closes those whose credential expires, and lets them go one after the other at the end.
package registry

import (
	"crypto/rand"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/handfast/handfast/gateway/internal/limit"
	"github.com/handfast/handfast/websocket"
)

// Bounds say how many connections there may be. 0 means no bound.
type Bounds struct {
	Total              int
	PerAddress         int // of the whole server
	Endpoint           int
	EndpointPerAddress int
	EndpointPerUser    int
}

// Entry is a connection. Its fields are not changed once it is open; the counters are, by whoever serves it.
type Entry struct {
	ID         string
	Endpoint   string
	Addr       netip.Addr
	Origin     string
	User       string    // "" before it is known
	Method     string    // how it was found out
	Credential string    // its ID; may be empty
	Issued     time.Time // of the credential; zero: it does not say
	Expires    time.Time // when it is closed; zero: never
	Warn       time.Duration
	Opened     time.Time // when it was let in
	In, Out    Counter
	Sum        *Sum // where its messages are counted in the end; may be nil

	conn      atomic.Pointer[websocket.Conn] // nil until its 101 has been written
	admitted  bool                           // it is in the lists
	counted   bool                           // for its user
	next      *Entry
	prev      *Entry // of the same user
	due       time.Time
	warned    bool
	index     int                                  // in the heap; -1 when it is not there
	closeWith atomic.Pointer[websocket.CloseError] // what we told it to go with; nil: nobody did
}

// Counter counts messages and the bytes of their content.
type Counter struct{ messages, bytes atomic.Int64 }

// Add counts one message.
func (c *Counter) Add(bytes int64) {
	c.messages.Add(1)
	c.bytes.Add(bytes)
}

// Messages returns how many there were.
func (c *Counter) Messages() int64 { return c.messages.Load() }

// Bytes returns how many bytes they had.
func (c *Counter) Bytes() int64 { return c.bytes.Load() }

// Traffic is what went through connections.
type Traffic struct{ MessagesIn, MessagesOut, BytesIn, BytesOut int64 }

// add counts what went through e.
func (t *Traffic) add(e *Entry) {
	t.MessagesIn += e.In.Messages()
	t.MessagesOut += e.Out.Messages()
	t.BytesIn += e.In.Bytes()
	t.BytesOut += e.Out.Bytes()
}

// Sum is the traffic of connections that have ended. A Registry guards it; the zero value is ready.
type Sum struct{ ended Traffic }

// Conn returns the connection, nil before it is open.
func (e *Entry) Conn() *websocket.Conn { return e.conn.Load() }

// Subprotocol returns what was agreed on, "" for none.
func (e *Entry) Subprotocol() string {
	if c := e.Conn(); c != nil {
		return c.Handshake().Subprotocol
	}
	return ""
}

// Told returns with what code and reason this server told the connection to go, and false when it did not.
func (e *Entry) Told() (code websocket.Code, reason string, ok bool) {
	if c := e.closeWith.Load(); c != nil {
		return c.Code, c.Reason, true
	}
	return 0, "", false
}

// perAddress and perUser are what connections of an endpoint are counted by.
type perAddress struct {
	endpoint string // "": the whole server
	addr     netip.Prefix
}

type perUser struct{ endpoint, user string }

// Registry is the set of connections. Its methods may be called from any goroutine. Run must run for expiry to happen.
type Registry struct {
	mu        sync.Mutex
	taken     int // places given out: connections, and handshakes that may become one
	byAddr    limit.Count[perAddress]
	byUser    limit.Count[perUser]
	endpoints limit.Count[string]
	entries   map[string]*Entry // open ones, by ID
	users     map[string]*Entry // the first of each user's list
	expiring  expiryHeap
	wake      chan struct{} // the next expiry may have changed
	draining  bool
	cutting   bool              // the drain has run out of time
	refused   *websocket.Reject // what handshakes are told while it drains
	left      int               // connections that left during the drain
	idle      chan struct{}     // closed when it drains and no place is taken
	drainCode websocket.Code
}

// New makes an empty one.
func New() *Registry {
	return &Registry{entries: map[string]*Entry{}, users: map[string]*Entry{}, wake: make(chan struct{}, 1),
		idle: make(chan struct{})}
}

// The refusals of Enter and Identify. A client of the first three can do nothing about it.
var (
	ErrFull         = busy(http.StatusServiceUnavailable, "30", "The server holds as many connections as it may.")
	ErrEndpointFull = busy(http.StatusServiceUnavailable, "30", "This endpoint holds as many connections as it may.")
	ErrAddressFull  = busy(http.StatusTooManyRequests, "30", "There are too many connections from your address.")
	ErrUserFull     = busy(http.StatusTooManyRequests, "30", "There are too many connections of this user.")
)

func busy(status int, retryAfter, reason string) *websocket.Reject {
	return &websocket.Reject{Status: status, Header: http.Header{"Retry-After": {retryAfter}}, Reason: reason}
}

// Enter takes a place for a connection to come, from e's Endpoint and Addr, and gives it an ID. Without an error, Leave
// must give the place back.
func (g *Registry) Enter(e *Entry, b Bounds) error {
	key := limit.Key(e.Addr)
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.draining:
		return g.refused
	case b.Total > 0 && g.taken >= b.Total:
		return ErrFull
	case !g.endpoints.Take(e.Endpoint, b.Endpoint):
		return ErrEndpointFull
	}
	if !g.byAddr.Take(perAddress{addr: key}, b.PerAddress) {
		g.endpoints.Free(e.Endpoint)
		return ErrAddressFull
	}
	if !g.byAddr.Take(perAddress{e.Endpoint, key}, b.EndpointPerAddress) {
		g.byAddr.Free(perAddress{addr: key})
		g.endpoints.Free(e.Endpoint)
		return ErrAddressFull
	}
	g.taken++
	e.ID = rand.Text()
	return nil
}

// Identify counts e for its User, which is known now. It does so once.
func (g *Registry) Identify(e *Entry, b Bounds) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.byUser.Take(perUser{e.Endpoint, e.User}, b.EndpointPerUser) {
		return ErrUserFull
	}
	e.counted = true
	return nil
}

// Admit puts e into the lists: from now on it is found, and can be told to go. Its fields are complete. It comes before
// the client is told that it may come in, so that no close misses a client that knows.
func (g *Registry) Admit(e *Entry) {
	g.mu.Lock()
	defer g.mu.Unlock()
	e.admitted, e.index = true, -1
	g.entries[e.ID] = e
	if first := g.users[e.User]; first != nil {
		e.next, first.prev = first, e
	}
	g.users[e.User] = e
}

// Open gives an entry that is admitted its connection. It reports false when the connection shall not be served, since it
// was told to go meanwhile, or the drain has begun. Then the caller is to close it with Told's code.
func (g *Registry) Open(e *Entry, c *websocket.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	e.conn.Store(c)
	if g.cutting {
		c.CloseNow()
	}
	if g.draining {
		e.tell(g.drainCode, Stopping)
	}
	if e.closeWith.Load() != nil {
		return false
	}
	g.schedule(e, time.Now())
	return true
}

// Leave gives e's place back, whether it was open or not.
func (g *Registry) Leave(e *Entry) {
	key := limit.Key(e.Addr)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.taken--
	g.endpoints.Free(e.Endpoint)
	g.byAddr.Free(perAddress{addr: key})
	g.byAddr.Free(perAddress{e.Endpoint, key})
	if e.counted {
		g.byUser.Free(perUser{e.Endpoint, e.User})
	}
	if e.admitted {
		g.forget(e)
	}
	if g.draining && g.taken == 0 {
		close(g.idle)
	}
}

// forget takes an entry out of the lists. mu is held.
func (g *Registry) forget(e *Entry) {
	delete(g.entries, e.ID)
	if e.Conn() != nil {
		g.left++
	}
	if e.Sum != nil {
		e.Sum.ended.add(e)
	}
	if e.next != nil {
		e.next.prev = e.prev
	}
	switch {
	case e.prev != nil:
		e.prev.next = e.next
	case e.next != nil:
		g.users[e.User] = e.next
	default:
		delete(g.users, e.User)
	}
	e.next, e.prev = nil, nil
	g.unschedule(e)
}

// Traffic returns what went through the connections of each of sums, those that are open included.
func (g *Registry) Traffic(sums []*Sum) []Traffic {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make(map[*Sum]*Traffic, len(sums))
	list := make([]Traffic, len(sums))
	for i, s := range sums {
		list[i] = s.ended
		all[s] = &list[i]
	}
	for _, e := range g.entries {
		if t := all[e.Sum]; t != nil {
			t.add(e)
		}
	}
	return list
}

// Len returns how many connections there are, those included whose 101 is on its way.
func (g *Registry) Len() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.entries)
}

// Filter picks connections. Every field that is set must fit; the zero value picks all.
type Filter struct {
	ID       string
	User     string
	Addr     netip.Prefix
	Endpoint string
}

func (f *Filter) fits(e *Entry) bool {
	return (f.ID == "" || f.ID == e.ID) && (f.User == "" || f.User == e.User) &&
		(f.Endpoint == "" || f.Endpoint == e.Endpoint) && (!f.Addr.IsValid() || f.Addr.Contains(e.Addr))
}

// List returns the connections that f picks, in no order.
func (g *Registry) List(f Filter) []*Entry {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.list(f)
}

func (g *Registry) list(f Filter) []*Entry {
	var list []*Entry
	switch {
	case f.ID != "":
		if e := g.entries[f.ID]; e != nil && f.fits(e) {
			list = append(list, e)
		}
	case f.User != "":
		for e := g.users[f.User]; e != nil; e = e.next {
			if f.fits(e) {
				list = append(list, e)
			}
		}
	default:
		for _, e := range g.entries {
			if f.fits(e) {
				list = append(list, e)
			}
		}
	}
	return list
}

// Close tells the connections that f picks, and which also fits, to go, and returns how many they are. It does not wait
// for them. also may be nil.
func (g *Registry) Close(f Filter, also func(*Entry) bool, code websocket.Code, reason string) int {
	n := 0
	for _, e := range g.List(f) {
		if also == nil || also(e) {
			n++
			g.dismiss(e, code, reason)
		}
	}
	return n
}

// dismiss tells e to go, unless it was told before: a connection has one goroutine at most that closes it, however often
// somebody asks for that. One that is not open yet is closed by Open.
func (g *Registry) dismiss(e *Entry, code websocket.Code, reason string) {
	if e.tell(code, reason) {
		go e.close()
	}
}

// close closes e with what it was told. Whoever told it first does so.
func (e *Entry) close() {
	if c := e.Conn(); c != nil {
		code, reason, _ := e.Told()
		_ = c.Close(code, reason) // an error says that the peer did not answer; there is nobody left to tell
	}
}

// tell reports whether it is the first to say with what e goes: that is what counts.
func (e *Entry) tell(code websocket.Code, reason string) bool {
	return e.closeWith.CompareAndSwap(nil, &websocket.CloseError{Code: code, Reason: reason})
}
