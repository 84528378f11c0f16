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

// atOnce is how many clients connect concurrently when a crowd gathers. When they come back, all do.
const atOnce = 100

// burst is how many messages a client has under way.
const burst = 2

// lostFor is within which time clients come back that have lost their network.
const lostFor = time.Second

// crowd is clients of an echo that send numbered messages and come back when they are closed.
type crowd struct {
	url     string
	t       *testing.T
	members []*member
	pause   time.Duration // between two bursts

	mu    sync.Mutex
	seen  tally
	stop  context.CancelFunc
	all   sync.WaitGroup
	slots chan struct{} // for the first handshakes
}

// member is one client.
type member struct {
	number int
	next   int          // the number of the next message
	echoed atomic.Int64 // messages that came back

	mu   sync.Mutex
	conn *websocket.Conn // nil if it is not connected
}

// tally is what clients have seen.
type tally struct {
	closed  map[string]int // connections, by the code of the close frame
	cut     int            // connections that ended without one
	lost    int            // messages, on connections that went on
	doubled int            // messages that came back a second time, or as something else
	refused int            // handshakes answered with 503 and Retry-After
	failed  int            // other handshakes
	why     error          // of one of these
	away    time.Duration  // the longest, from the end of a connection to the first answer on the next one
}

// total returns how many connections have ended with a close frame.
func (s tally) total() (n int) {
	for _, k := range s.closed {
		n += k
	}
	return n
}

// gather starts n clients, and waits until all of them are connected and have had an answer.
func gather(t *testing.T, url string, n int, pause time.Duration) *crowd {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	c := &crowd{url: url, t: t, pause: pause, seen: tally{closed: map[string]int{}}, stop: stop, slots: make(chan struct{}, atOnce)}
	t.Cleanup(c.leave)
	for i := range n {
		m := &member{number: i}
		c.members = append(c.members, m)
		c.all.Go(func() { c.live(ctx, m) })
	}
	c.goesOn()
	return c
}

// leave ends all clients.
func (c *crowd) leave() {
	c.stop()
	c.all.Wait()
}

// live is what a member does until the crowd leaves.
func (c *crowd) live(ctx context.Context, m *member) {
	c.slots <- struct{}{}
	first := sync.OnceFunc(func() { <-c.slots })
	defer first()
	var ended time.Time // the connection before
	for ctx.Err() == nil {
		conn, err := websocket.Dial(ctx, c.url, &websocket.DialOptions{HandshakeTimeout: time.Minute})
		if err != nil {
			wait(ctx, c.refusal(ctx, err))
			continue
		}
		first()
		m.set(conn)
		err = c.talk(ctx, conn, m, ended)
		m.set(nil)
		conn.CloseNow()
		ended = time.Now()
		if ctx.Err() == nil && errors.Is(err, net.ErrClosed) {
			wait(ctx, rand.N(lostFor))
			continue
		}
		if e, ok := errors.AsType[*websocket.CloseError](err); ok && ctx.Err() == nil {
			c.ending(e)
		}
	}
}

// refusal counts a handshake that failed, and returns how long the client waits.
func (c *crowd) refusal(ctx context.Context, err error) time.Duration {
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
	c.seen.why = err
	return 50 * time.Millisecond
}

// ending counts the end of a connection.
func (c *crowd) ending(e *websocket.CloseError) {
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

// connection returns the connection that the member has; nil means none.
func (m *member) connection() *websocket.Conn {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.conn
}

// talk sends and receives until the connection ends. The messages that were under way then are sent again on the next one.
func (c *crowd) talk(ctx context.Context, conn *websocket.Conn, m *member, ended time.Time) error {
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
				c.wrong(m, text, m.next+i)
			}
		}
		m.next += burst
		answered <- struct{}{}
		if !ended.IsZero() {
			c.mu.Lock()
			c.seen.away = max(c.seen.away, time.Since(ended))
			c.mu.Unlock()
			ended = time.Time{}
		}
	}
}

// write sends bursts, each after the answers to the one before and a pause. What fails here is an error for the reader, too.
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

// text is a message of a member.
func (m *member) text(n int) string {
	return fmt.Sprintf("%d %d %s", m.number, n, strings.Repeat("x", 100))
}

// wrong counts an answer that is not the next one.
func (c *crowd) wrong(m *member, text string, want int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var who, n int
	if _, err := fmt.Sscanf(text, "%d %d", &who, &n); err == nil && who == m.number && n > want {
		c.seen.lost += n - want
		return
	}
	c.seen.doubled++
}

// wait pauses a client, which is what clients do; it returns false when they are to leave.
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

// goesOn waits until every client has sent something since, and got it back.
func (c *crowd) goesOn() {
	c.t.Helper()
	was := make([]int64, len(c.members))
	for i, m := range c.members {
		was[i] = m.echoed.Load()
	}
	i := 0
	bounded.Until(c.t, func() bool {
		for i < len(was) && c.members[i].echoed.Load() > was[i]+burst { // what was under way may be an answer to what was sent before
			i++
		}
		return i == len(was)
	})
}

// disconnect ends all connections from the client's side, without a close frame, as a network does that fails. All clients come back within
// [lostFor].
func (c *crowd) disconnect() {
	for _, m := range c.members {
		if conn := m.connection(); conn != nil {
			conn.CloseNow()
		}
	}
}

// take returns what was seen since the last call.
func (c *crowd) take() tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.seen
	c.seen = tally{closed: map[string]int{}}
	return s
}

// bounds is what a crowd may see.
type bounds struct {
	code            string // of every close frame
	atLeast, atMost int    // how many of these
	cut             int    // how many connections end without one, exactly
	refused         bool   // handshakes may be answered with 503 and Retry-After
}

// expect checks what was seen since the last call. No message may be lost or come twice on a connection that goes on, and no handshake may fail.
func (c *crowd) expect(b bounds) tally {
	c.t.Helper()
	s := c.take()
	for how, n := range s.closed {
		if how != b.code {
			c.t.Errorf("%d connections ended with %s", n, how)
		}
	}
	if n := s.total(); n < b.atLeast || n > b.atMost {
		c.t.Errorf("%d connections were closed, %d to %d expected: %v", n, b.atLeast, b.atMost, s.closed)
	}
	if s.cut != b.cut {
		c.t.Errorf("%d connections ended without a close frame, %d expected", s.cut, b.cut)
	}
	if s.failed > 0 {
		c.t.Errorf("%d handshakes failed, such as: %v", s.failed, s.why)
	}
	if s.refused > 0 && !b.refused {
		c.t.Errorf("%d handshakes were refused", s.refused)
	}
	if s.lost > 0 || s.doubled > 0 {
		c.t.Errorf("%d messages lost, %d twice or wrong", s.lost, s.doubled)
	}
	return s
}
