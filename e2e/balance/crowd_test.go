//go:build e2e

package balance

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// maxConcurrentDials is the maximum number of concurrent first handshakes of a crowd. The number of concurrent reconnects is not limited.
const maxConcurrentDials = 100

// burst is the number of messages that a client has in flight.
const burst = 2

// maxReconnectDelay is the longest time that a client waits before it reconnects after losing its network.
const maxReconnectDelay = time.Second

// crowd is a group of clients that send numbered messages to an echo server and reconnect when their connections are closed.
type crowd struct {
	url     string
	t       *testing.T
	members []*member
	pause   time.Duration // pause between two bursts

	mu    sync.Mutex
	seen  tally
	stop  context.CancelFunc
	all   sync.WaitGroup
	slots chan struct{} // limits concurrent first handshakes
}

// member is one client.
type member struct {
	number int
	next   int          // the number of the next message
	echoed atomic.Int64 // the number of echoed messages

	mu   sync.Mutex
	conn *websocket.Conn // nil while the client is disconnected
}

// tally counts the clients' observations.
type tally struct {
	closed      map[string]int // number of connections closed by the server, by close code
	cut         int            // number of connections that ended without a close frame
	lost        int            // number of messages lost on connections that stayed open
	duplicated  int            // number of messages that were echoed twice or with different content
	refused     int            // number of handshakes rejected with 503 and Retry-After
	failed      int            // number of other failed handshakes
	dialErr     error          // the error of a failed handshake
	maxDowntime time.Duration  // the longest time from the end of a connection to the first echo on the next connection
}

// total returns the number of connections that the server has closed.
func (s tally) total() (n int) {
	for _, k := range s.closed {
		n += k
	}
	return n
}

// startCrowd starts n clients, and waits until each of them has connected and received an echo.
func startCrowd(t *testing.T, url string, n int, pause time.Duration) *crowd {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	c := &crowd{url: url, t: t, pause: pause, seen: tally{closed: map[string]int{}}, stop: stop, slots: make(chan struct{}, maxConcurrentDials)}
	t.Cleanup(c.leave)
	for i := range n {
		m := &member{number: i}
		c.members = append(c.members, m)
		c.all.Go(func() { c.live(ctx, m) })
	}
	c.waitProgress()
	return c
}

// leave stops all clients.
func (c *crowd) leave() {
	c.stop()
	c.all.Wait()
}

// live runs a member until the crowd leaves.
func (c *crowd) live(ctx context.Context, m *member) {
	c.slots <- struct{}{}
	first := sync.OnceFunc(func() { <-c.slots })
	defer first()
	var ended time.Time // when the previous connection ended
	for ctx.Err() == nil {
		conn, err := websocket.Dial(ctx, c.url, &websocket.DialOptions{HandshakeTimeout: time.Minute})
		if err != nil {
			wait(ctx, c.countRefusal(ctx, err))
			continue
		}
		first()
		m.set(conn)
		err = c.exchange(ctx, conn, m, ended)
		m.set(nil)
		conn.CloseNow()
		ended = time.Now()
		if ctx.Err() == nil && errors.Is(err, net.ErrClosed) {
			wait(ctx, rand.N(maxReconnectDelay))
			continue
		}
		if e, ok := errors.AsType[*websocket.CloseError](err); ok && ctx.Err() == nil {
			c.countEnd(e)
		}
	}
}

// countRefusal counts a failed handshake, and returns how long the client must wait before its next handshake.
func (c *crowd) countRefusal(ctx context.Context, err error) time.Duration {
	if ctx.Err() != nil {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := errors.AsType[*websocket.HandshakeError](err); ok && e.Status == http.StatusServiceUnavailable {
		if after, err := strconv.Atoi(e.Header.Get("Retry-After")); err == nil {
			c.seen.refused++
			return time.Duration(after) * time.Second
		}
	}
	c.seen.failed++
	c.seen.dialErr = err
	return 50 * time.Millisecond
}

// countEnd counts the end of a connection by code, or as cut.
func (c *crowd) countEnd(e *websocket.CloseError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case e.Code == websocket.CodeAbnormal:
		c.seen.cut++
	case e.Err != nil:
		c.seen.closed[strconv.Itoa(int(e.Code))+" unclean"]++
	default:
		c.seen.closed[strconv.Itoa(int(e.Code))]++
	}
}

func (m *member) set(conn *websocket.Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.conn = conn
}

// connection returns the member's connection, or nil if the member is disconnected.
func (m *member) connection() *websocket.Conn {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.conn
}

// exchange sends and receives until the connection ends. Messages in flight at that time are sent again on the next connection.
func (c *crowd) exchange(ctx context.Context, conn *websocket.Conn, m *member, ended time.Time) error {
	writing, stop := context.WithCancel(ctx)
	answered, written := make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(written)
		c.write(writing, conn, m, m.next, answered)
	}()
	defer func() {
		stop()
		<-written
	}()
	for {
		for i := range burst {
			got, err := conn.Read(ctx)
			if err != nil {
				return err
			}
			m.echoed.Add(1)
			if text := string(got.Data); text != m.text(m.next+i) {
				c.countWrongEcho(m, text, m.next+i)
			}
		}
		m.next += burst
		answered <- struct{}{}
		if !ended.IsZero() {
			c.mu.Lock()
			c.seen.maxDowntime = max(c.seen.maxDowntime, time.Since(ended))
			c.mu.Unlock()
			ended = time.Time{}
		}
	}
}

// write sends bursts. Before each burst, write waits for the echoes of the previous burst, and then for a pause. It returns no
// error, because a write error also causes a read error.
func (c *crowd) write(ctx context.Context, conn *websocket.Conn, m *member, next int, answered <-chan struct{}) {
	for ; ; next += burst {
		for i := range burst {
			if err := conn.Write(ctx, websocket.Message{Type: websocket.Text, Data: []byte(m.text(next + i))}); err != nil {
				return
			}
		}
		select {
		case <-answered:
		case <-ctx.Done():
			return
		}
		if !wait(ctx, c.pause) {
			return
		}
	}
}

// text returns the text of a member's message.
func (m *member) text(n int) string {
	return fmt.Sprintf("%d %d %s", m.number, n, strings.Repeat("x", 100))
}

// countWrongEcho counts an unexpected echo.
func (c *crowd) countWrongEcho(m *member, text string, want int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var who, n int
	if _, err := fmt.Sscanf(text, "%d %d", &who, &n); err == nil && who == m.number && n > want {
		c.seen.lost += n - want
		return
	}
	c.seen.duplicated++
}

// wait pauses a client for d. It returns false if the client must stop.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// waitProgress waits until every client has sent a new message and received the echo.
func (c *crowd) waitProgress() {
	c.t.Helper()
	was := make([]int64, len(c.members))
	for i, m := range c.members {
		was[i] = m.echoed.Load()
	}
	i := 0
	bounded.Until(c.t, func() bool {
		for i < len(was) && c.members[i].echoed.Load() > was[i]+burst { // the first echoes may belong to earlier messages
			i++
		}
		return i == len(was)
	})
}

// disconnect closes all connections on the clients' side without a close frame, as a network failure does. All clients reconnect
// within [maxReconnectDelay].
func (c *crowd) disconnect() {
	for _, m := range c.members {
		if conn := m.connection(); conn != nil {
			conn.CloseNow()
		}
	}
}

// takeTally returns the clients' observations since the last call.
func (c *crowd) takeTally() tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.seen
	c.seen = tally{closed: map[string]int{}}
	return s
}

// bounds limits what a crowd may observe.
type bounds struct {
	code            string // the expected code of every close frame
	atLeast, atMost int    // allowed number of connections closed with this code
	cut             int    // exact number of connections that end without a close frame
	refused         bool   // handshakes may be rejected with 503 and Retry-After
}

// expect checks the observations since the last call. No message may be lost or duplicated on a connection that stays open, and no
// handshake may fail.
func (c *crowd) expect(b bounds) tally {
	c.t.Helper()
	s := c.takeTally()
	for how, n := range s.closed {
		if how != b.code {
			c.t.Errorf("got %d connections ended with %s, want 0", n, how)
		}
	}
	if n := s.total(); n < b.atLeast || n > b.atMost {
		c.t.Errorf("got %d closed connections, want %d to %d: %v", n, b.atLeast, b.atMost, s.closed)
	}
	if s.cut != b.cut {
		c.t.Errorf("got %d connections that ended without a close frame, want %d", s.cut, b.cut)
	}
	if s.failed > 0 {
		c.t.Errorf("got %d failed handshakes, want 0: %v", s.failed, s.dialErr)
	}
	if s.refused > 0 && !b.refused {
		c.t.Errorf("got %d refused handshakes, want 0", s.refused)
	}
	if s.lost > 0 || s.duplicated > 0 {
		c.t.Errorf("got %d lost messages and %d duplicate or wrong ones, want 0", s.lost, s.duplicated)
	}
	return s
}
