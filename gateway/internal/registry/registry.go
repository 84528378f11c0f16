// Package registry lists the open WebSockets of a server with the identity and address of the client and the time of admission. It limits
// their number, finds and closes them, and drains them when the server stops. It holds handles instead of connections, so it does not
// depend on how a connection is served.
package registry

import (
	"crypto/rand"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/internal/limit"
	"github.com/handfast/handfast/websocket"
)

// Bounds are the maximum numbers of connections. 0 means no limit.
type Bounds struct {
	Total              int
	PerAddress         int // for one address at all endpoints together
	Endpoint           int
	EndpointPerAddress int
	EndpointPerUser    int
}

// Entry is a connection, together with the session of its credential. After Admit, its exported fields do not change, except for the
// counters, which are updated by the code that serves the connection. Enter sets its ID.
type Entry struct {
	auth.Session
	Endpoint string
	Addr     netip.Addr
	Origin   string
	Server   func() string // returns the server behind the balancer; nil if there is none
	Opened   time.Time     // when the client was admitted
	In, Out  Counter
	Sum      *Sum // the sum to which the traffic is added when the connection ends; may be nil

	// DrainCode returns the code of the close frame in a drain, given the number of connections that are left; nil means the code
	// of the drain.
	DrainCode func(left int) websocket.Code

	admitted bool // the entry is in Registry.entries
	counted  bool // the entry is counted for its user
}

// Counter counts messages and the bytes of their data.
type Counter struct{ messages, bytes atomic.Int64 }

// Add counts one message.
func (c *Counter) Add(bytes int64) {
	c.messages.Add(1)
	c.bytes.Add(bytes)
}

// Messages returns the number of messages.
func (c *Counter) Messages() int64 { return c.messages.Load() }

// Bytes returns the number of bytes.
func (c *Counter) Bytes() int64 { return c.bytes.Load() }

// Traffic is the traffic of connections.
type Traffic struct{ MessagesIn, MessagesOut, BytesIn, BytesOut int64 }

// add adds the traffic of e.
func (t *Traffic) add(e *Entry) {
	t.MessagesIn += e.In.Messages()
	t.MessagesOut += e.Out.Messages()
	t.BytesIn += e.In.Bytes()
	t.BytesOut += e.Out.Bytes()
}

// Sum is the traffic of connections that have ended. A Registry guards it; the zero value is ready to use.
type Sum struct{ ended Traffic }

// Subprotocol returns the negotiated subprotocol, or "" if there is none or before the connection is open.
func (e *Entry) Subprotocol() string {
	if c, ok := e.Handle().(interface{ Subprotocol() string }); ok {
		return c.Subprotocol()
	}
	return ""
}

// perAddress and perUser are the keys by which the connections of an endpoint are counted.
type perAddress struct {
	endpoint string // "" means the whole server
	addr     netip.Prefix
}

type perUser struct{ endpoint, user string }

// Registry is the set of connections. Its methods may be called from any goroutine.
type Registry struct {
	live *auth.Live // closes connections whose credentials expire or are revoked

	mu           sync.Mutex
	inUse        int // the number of places in use: by connections, and by handshakes that may become connections
	byAddr       limit.Count[perAddress]
	byUser       limit.Count[perUser]
	endpoints    limit.Count[string]
	entries      map[string]*Entry // admitted connections, by ID
	draining     bool
	cutting      bool              // the drain has reached its timeout
	refused      *websocket.Reject // the reply to handshakes during a drain
	endedInDrain int               // connections that ended during the drain
	idle         chan struct{}     // closed when no place is in use during a drain
	drainCode    websocket.Code
}

// New returns an empty Registry. live closes the sessions whose credentials expire or are revoked.
func New(live *auth.Live) *Registry {
	return &Registry{live: live, entries: map[string]*Entry{}, idle: make(chan struct{})}
}

// The errors of Enter and Identify. The first three are not caused by the client itself.
var (
	ErrFull         = busy(http.StatusServiceUnavailable, "30", "The server has reached its limit of connections.")
	ErrEndpointFull = busy(http.StatusServiceUnavailable, "30", "This endpoint has reached its limit of connections.")
	ErrAddressFull  = busy(http.StatusTooManyRequests, "30", "There are too many connections from your address.")
	ErrUserFull     = busy(http.StatusTooManyRequests, "30", "This user has too many connections.")
)

func busy(status int, retryAfter, reason string) *websocket.Reject {
	return &websocket.Reject{Status: status, Header: http.Header{"Retry-After": {retryAfter}}, Reason: reason}
}

// Enter reserves a place for a new connection, based on e's Endpoint and Addr, and sets its ID. If it returns nil,
// Leave must be called to release the place.
func (g *Registry) Enter(e *Entry, b Bounds) error {
	key := limit.Key(e.Addr)
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.draining:
		return g.refused
	case b.Total > 0 && g.inUse >= b.Total:
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
	g.inUse++
	e.ID = rand.Text()
	return nil
}

// Identify counts e for its user, who is now known. Identify must be called only once for e.
func (g *Registry) Identify(e *Entry, b Bounds) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.byUser.Take(perUser{e.Endpoint, e.Identity.Subject}, b.EndpointPerUser) {
		return ErrUserFull
	}
	e.counted = true
	return nil
}

// Become gives the admitted entry e another identity, and counts e for the user of that identity instead of the previous user. The error is
// ErrUserFull, or one of [auth.Session.Become].
func (g *Registry) Become(e *Entry, id *auth.Identity, b Bounds) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	before, after := perUser{e.Endpoint, e.Identity.Subject}, perUser{e.Endpoint, id.Subject}
	same := e.counted && before == after
	if !same && !g.byUser.Take(after, b.EndpointPerUser) {
		return ErrUserFull
	}
	if err := e.Session.Become(id); err != nil {
		if !same {
			g.byUser.Free(after)
		}
		return err
	}
	if e.counted && !same {
		g.byUser.Free(before)
	}
	e.counted = true
	return nil
}

// Admit adds e, whose fields must be complete, to the registry. From then on e can be found and closed. Admit must be called before the
// client learns that it is admitted, so that no close misses an admitted client. A non-nil error means that the credential was revoked
// after the check.
func (g *Registry) Admit(e *Entry) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.live.Admit(&e.Session); err != nil {
		return err
	}
	e.admitted = true
	g.entries[e.ID] = e
	return nil
}

// Open sets the connection of an admitted entry. It returns false if it has shut the connection, which must not be served: the
// entry was closed in the meantime, or the drain has begun.
func (g *Registry) Open(e *Entry, h auth.Handle) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cutting {
		_ = h.CloseNow() // an error means that the connection has already ended
	}
	if g.draining {
		e.Close(e.drainCode(g.drainCode, len(g.entries)), Stopping)
	}
	return e.Session.Open(h)
}

// Leave releases the place of e, whether or not it was open.
func (g *Registry) Leave(e *Entry) {
	key := limit.Key(e.Addr)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inUse--
	g.endpoints.Free(e.Endpoint)
	g.byAddr.Free(perAddress{addr: key})
	g.byAddr.Free(perAddress{e.Endpoint, key})
	if e.counted {
		g.byUser.Free(perUser{e.Endpoint, e.Identity.Subject})
	}
	if e.admitted {
		g.remove(e)
	}
	if g.draining && g.inUse == 0 {
		close(g.idle)
	}
}

// remove removes an entry from the registry. The caller holds mu.
func (g *Registry) remove(e *Entry) {
	delete(g.entries, e.ID)
	if e.Handle() != nil {
		g.endedInDrain++
	}
	if e.Sum != nil {
		e.Sum.ended.add(e)
	}
	e.End()
}

// Traffic returns, for each of sums, the traffic of its connections, including open ones.
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

// Len returns the number of connections, including those whose 101 response is being sent.
func (g *Registry) Len() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.entries)
}

// Filter selects connections. Every field that is set must match; the zero value selects all.
type Filter struct {
	ID       string
	User     string
	Addr     netip.Prefix
	Endpoint string
}

func (f *Filter) matches(e *Entry) bool {
	return (f.ID == "" || f.ID == e.ID) && (f.User == "" || f.User == e.Identity.Subject) &&
		(f.Endpoint == "" || f.Endpoint == e.Endpoint) && (!f.Addr.IsValid() || f.Addr.Contains(e.Addr))
}

// List returns the connections that f selects, in no particular order.
func (g *Registry) List(f Filter) []*Entry {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.list(f)
}

func (g *Registry) list(f Filter) []*Entry {
	var list []*Entry
	switch {
	case f.ID != "":
		if e := g.entries[f.ID]; e != nil && f.matches(e) {
			list = append(list, e)
		}
	case f.User != "":
		for _, one := range g.live.Sessions(f.User) {
			if e := g.entries[one.ID]; e != nil && f.matches(e) {
				list = append(list, e)
			}
		}
	default:
		for _, e := range g.entries {
			if f.matches(e) {
				list = append(list, e)
			}
		}
	}
	return list
}

// Close closes the connections that f selects, without waiting, and returns their number.
func (g *Registry) Close(f Filter, code websocket.Code, reason string) int {
	list := g.List(f)
	for _, e := range list {
		e.Close(code, reason)
	}
	return len(list)
}
