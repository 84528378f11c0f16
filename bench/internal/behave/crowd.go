package behave

import (
	"cmp"
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// event is the end of a connection, or the end of a handshake.
type event struct {
	at     time.Time
	took   time.Duration // duration of the handshake
	server string        // the server of the connection or the handshake; "" if the handshake failed
	what   string        // how the connection ended, or why the handshake failed; "" if it succeeded
}

// crowd is a number of clients that send messages and, like SDKs, reconnect when their connection ends, together with a stream of
// new clients that connect and leave.
type crowd struct {
	addr    string
	every   time.Duration // interval between two messages of a client; 0 means clients are silent
	room    *room         // the room that all clients join; nil means none
	ctx     context.Context
	leave   context.CancelFunc
	running sync.WaitGroup

	mu         sync.Mutex
	live       map[*conn]struct{}
	ends       []event // the ends of the crowd's connections
	handshakes []event // the handshakes of returning and new clients
	generation string  // the generation that the last new client has seen
	pings      int     // pings received on connections that have ended
}

// startCrowd returns a crowd of n connected clients.
func startCrowd(ctx context.Context, addr string, n int, every time.Duration, in *room) (*crowd, error) {
	c := &crowd{addr: addr, every: every, room: in, live: map[*conn]struct{}{}}
	c.ctx, c.leave = context.WithCancel(ctx)
	for range n {
		first, err := dial(ctx, addr, in.subprotocol())
		if err != nil {
			c.end()
			return nil, err
		}
		c.running.Go(func() { c.client(first) })
	}
	return c, nil
}

// addClients starts a stream of new clients.
func (c *crowd) addClients(perSecond int) {
	c.running.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(perSecond))
		defer tick.Stop()
		for {
			select {
			case <-c.ctx.Done():
				return
			case <-tick.C:
				c.running.Go(func() {
					if n, _ := c.connect(); n != nil {
						_ = n.send(closeFrame, []byte{1000 >> 8, 1000 & 0xff}) // the client disconnects even if this fails
						n.Close()
					}
				})
			}
		}
	})
}

// connect performs and records one handshake. It returns nil without an error when the crowd ends.
func (c *crowd) connect() (*conn, error) {
	start := time.Now()
	n, err := dial(c.ctx, c.addr, c.room.subprotocol())
	if c.ctx.Err() != nil {
		if n != nil {
			n.Close()
		}
		return nil, nil
	}
	e := event{at: start, took: time.Since(start)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		e.what = err.Error()
	} else {
		e.server, c.generation = n.server, n.generation
	}
	c.handshakes = append(c.handshakes, e)
	return n, err
}

// client keeps one client connected, starting with the connection n.
func (c *crowd) client(n *conn) {
	in := c.room.enter()
	for n != nil {
		in.on(n)
		c.mu.Lock()
		c.live[n] = struct{}{}
		c.mu.Unlock()
		how := c.talk(n)
		c.mu.Lock()
		delete(c.live, n)
		c.pings += n.pings
		if c.ctx.Err() == nil {
			c.ends = append(c.ends, event{at: time.Now(), server: n.server, what: how})
		}
		c.mu.Unlock()
		var err error = refused("")
		for err != nil { // until the client is connected again, or the crowd ends
			wait(c.ctx, time.Duration(rand.Int64N(int64(200*time.Millisecond))))
			n, err = c.connect()
		}
	}
}

// talk sends messages until the connection ends, and returns how it ended.
func (c *crowd) talk(n *conn) string {
	defer n.Close()
	over, stop := context.WithCancel(c.ctx)
	defer stop()
	defer context.AfterFunc(c.ctx, func() { n.Close() })()
	if c.every > 0 {
		c.running.Go(func() {
			wait(over, time.Duration(rand.Int64N(int64(c.every))))
			for message := make([]byte, 64); over.Err() == nil; wait(over, c.every) {
				_ = n.send(textFrame, message) // read returns when the connection has ended
			}
		})
	}
	return n.read()
}

// end disconnects all clients, and waits for them.
func (c *crowd) end() {
	c.leave()
	c.running.Wait()
}

// spread returns the number of clients on each server, and the total.
func (c *crowd) spread(servers []*server) (each []int, total int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	each = make([]int, len(servers))
	for n := range c.live {
		if i := slices.IndexFunc(servers, func(s *server) bool { return s.addr == n.server }); i >= 0 {
			each[i]++
		}
	}
	return each, len(c.live)
}

// since returns the events since a point in time.
func (c *crowd) since(t time.Time) (ends, handshakes []event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	from := func(all []event) []event {
		return slices.DeleteFunc(slices.Clone(all), func(e event) bool { return e.at.Before(t) })
	}
	return from(c.ends), from(c.handshakes)
}

func (c *crowd) sees() (generation string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.generation
}

// kinds returns the kinds of events, the most frequent first, with the events of each in chronological order.
func kinds(all []event) (what []string, by map[string][]event) {
	by = map[string][]event{}
	for _, e := range slices.SortedFunc(slices.Values(all), func(a, b event) int { return a.at.Compare(b.at) }) {
		by[e.what] = append(by[e.what], e)
	}
	what = slices.SortedFunc(maps.Keys(by), func(a, b string) int { return cmp.Or(len(by[b])-len(by[a]), cmp.Compare(a, b)) })
	return what, by
}

// wait waits for a duration, or until ctx is done.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
