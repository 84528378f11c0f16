//go:build linux

package fanout

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/handfast/handfast/websocket"
)

// timeout is the time limit for each step of a client.
const timeout = 30 * time.Second

// tally counts what all clients have received.
type tally struct {
	delivered atomic.Int64
	times     chan time.Duration // a sample of the delivery times; may be nil
}

// add counts the publications in a message. If own is not nil, only those for which it returns true are counted.
func (t *tally) add(message []byte, own func(number int) bool) {
	now := time.Now().UnixNano()
	stamps(message, func(at int64, number int) {
		if own != nil && !own(number) {
			return
		}
		t.delivered.Add(1)
		select {
		case t.times <- time.Duration(now - at):
		default:
		}
	})
}

// client is one connection.
type client struct {
	p        *Protocol
	conn     *websocket.Conn
	greeting []byte // the message that contains Hello
	position string
	follow   bool // whether take records positions
	after    int  // only publications with a larger number are counted
	seen     map[int]int
	accepted atomic.Int64 // number of publications that the server has acknowledged
	refused  atomic.Int64 // number of commands that failed
	tally    *tally
	done     chan struct{} // closed when the reader has returned
}

// connect opens a connection and sends the first messages.
func (p *Protocol) connect(ctx context.Context, addr string, t *tally) (*client, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	o := &websocket.DialOptions{Conn: websocket.ConnOptions{MaxMessage: 8 << 20}}
	if p.Subprotocol != "" {
		o.Subprotocols = []string{p.Subprotocol}
	}
	conn, err := websocket.Dial(ctx, "ws://"+addr+p.Path, o)
	if err != nil {
		return nil, err
	}
	c := &client{p: p, conn: conn, tally: t}
	for _, text := range p.First {
		if err := c.send(ctx, text); err != nil {
			return nil, err
		}
	}
	c.greeting, err = c.await(ctx, p.Hello)
	return c, err
}

func (c *client) send(ctx context.Context, text string) error {
	return c.conn.Write(ctx, websocket.Message{Type: websocket.Text, Data: []byte(text)})
}

// await reads messages until one contains text, and returns it.
func (c *client) await(ctx context.Context, text string) ([]byte, error) {
	for {
		m, err := c.conn.Read(ctx)
		if err != nil {
			return nil, fmt.Errorf("waiting for %s: %w", text, err)
		}
		if c.take(m.Data); strings.Contains(string(m.Data), text) {
			return m.Data, nil
		}
		if strings.Contains(string(m.Data), `"error"`) {
			return nil, fmt.Errorf("waiting for %s: %s", text, m.Data)
		}
	}
}

// subscribe subscribes to a channel, with a signature if the protocol needs one, and from the client's position if it has one.
func (c *client) subscribe(ctx context.Context, channel string) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	at := c.position
	if c.p.Sign != nil {
		at = c.p.Sign(c.greeting, channel)
	}
	if err := c.send(ctx, c.p.Subscribe(channel, at)); err != nil {
		return err
	}
	_, err := c.await(ctx, c.p.Subscribed)
	return err
}

// take counts the publications, acknowledgements and errors in a message.
func (c *client) take(message []byte) {
	if c.follow && c.p.Position != nil {
		c.position = c.p.Position(c.position, message)
	}
	c.accepted.Add(int64(bytes.Count(message, []byte(c.p.Published))))
	c.refused.Add(int64(bytes.Count(message, []byte(`"error"`))))
	var own func(int) bool
	if c.seen != nil {
		own = func(number int) bool {
			if number > c.after {
				c.seen[number]++
			}
			return c.seen[number] == 1
		}
	}
	c.tally.add(message, own)
}

// read reads messages until the connection ends.
func (c *client) read(ctx context.Context) {
	c.done = make(chan struct{})
	go func() {
		defer close(c.done)
		for c.conn.View(ctx, func(m websocket.Message) error {
			if c.p.Pong != nil {
				if pong := c.p.Pong(m.Data); pong != nil {
					return c.send(ctx, string(pong))
				}
			}
			c.take(m.Data)
			return nil
		}) == nil {
		}
	}()
}

// cut closes the connection without a close frame.
func (c *client) cut() {
	c.conn.CloseNow()
	if c.done != nil {
		<-c.done
	}
}

// clients calls do for each of n clients, with at most together calls running concurrently.
func clients(n, together int, do func(i int) error) error {
	next := atomic.Int64{}
	failed := make(chan error, together)
	for range together {
		go func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					failed <- nil
					return
				}
				if err := do(i); err != nil {
					next.Store(int64(n))
					failed <- fmt.Errorf("client %d: %w", i, err)
					return
				}
			}
		}()
	}
	var err error
	for range together {
		err = errors.Join(err, <-failed)
	}
	return err
}
