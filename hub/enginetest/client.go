package enginetest

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// Event is one message that a Client has received.
type Event struct {
	// Channel is the name of the channel.
	Channel string

	// Publication is the received publication; nil for other messages.
	Publication *hub.Publication

	// Previous is the publication from which the message is a delta; nil if it is not a delta.
	Previous *hub.Publication

	// Changes are the changes of a roster.
	Changes []hub.Change

	// Ended reports that the subscription has ended, and Closing that the connection is closing. Reason is the reason for either.
	Ended, Closing bool
	Reason         hub.EndReason

	// Positioned reports that the publication was encoded for a subscription with hub.SubscribeOptions.Positions.
	Positioned bool

	// Lost is the position from which a subscription with hub.SubscribeOptions.Positions continues after publications were lost.
	Lost *hub.Position

	// Reply is the reply to a subscribe request.
	Reply *hub.Recovered
}

// Codec is a protocol for tests: its Clients record the data from which each message was made. The zero value is ready to use; a
// Codec must not be copied.
type Codec struct {
	// Silent means that the protocol has no message for the end of a subscription.
	Silent bool

	made sync.Map // from *websocket.Prepared to Event
}

func (c *Codec) make(e Event, text string) (*websocket.Prepared, error) {
	p, err := websocket.Prepare(websocket.Message{Type: websocket.Text, Data: []byte(text)})
	c.made.Store(p, e)
	return p, err
}

// Publication implements [hub.Codec].
func (c *Codec) Publication(channel string, p, previous *hub.Publication) (*websocket.Prepared, error) {
	return c.make(Event{Channel: channel, Publication: p, Previous: previous}, string(p.Data))
}

// Members implements [hub.Codec].
func (c *Codec) Members(channel string, cs []hub.Change) ([]*websocket.Prepared, error) {
	p, err := c.make(Event{Channel: channel, Changes: slices.Clone(cs)}, "members")
	return []*websocket.Prepared{p}, err
}

// Ended implements [hub.Codec].
func (c *Codec) Ended(channel string, why hub.EndReason) (*websocket.Prepared, error) {
	if c.Silent {
		return nil, nil
	}
	return c.make(Event{Channel: channel, Ended: true, Reason: why}, "ended")
}

// positioned is the Codec for subscriptions with positions.
type positioned struct{ *Codec }

// Publication implements [hub.Codec].
func (c positioned) Publication(channel string, p, previous *hub.Publication) (*websocket.Prepared, error) {
	return c.make(Event{Channel: channel, Publication: p, Previous: previous, Positioned: true}, string(p.Data))
}

// Positioned implements [hub.PositionedCodec].
func (c *Codec) Positioned() hub.Codec { return positioned{c} }

// Lost implements [hub.PositionedCodec].
func (c *Codec) Lost(channel string, at hub.Position) (*websocket.Prepared, error) {
	return c.make(Event{Channel: channel, Lost: &at}, "lost")
}

// Closing implements [hub.Codec].
func (c *Codec) Closing(why hub.EndReason) (*websocket.Prepared, websocket.Code, string) {
	m, _ := c.make(Event{Closing: true, Reason: why}, "closing")
	return m, websocket.Code(4000 + int(why)), "closing"
}

// Client is a connection that records the messages it receives. It is the Sender of a session.
type Client struct {
	// Session is the client's session.
	Session *hub.Session

	codec *Codec

	mu     sync.Mutex
	events []Event
	room   int // the free space in the queue, in messages; negative means unlimited
	calls  int // the number of calls of SendPrepared
	code   websocket.Code
	wake   chan struct{}
}

// NewClient creates a client that joins a hub, and leaves it when the test ends. If codec is nil, the client gets its own Codec.
func NewClient(t testing.TB, h *hub.Hub, codec *Codec, who hub.Client) *Client {
	t.Helper()
	if codec == nil {
		codec = new(Codec)
	}
	c := &Client{codec: codec, room: -1, wake: make(chan struct{}, 1)}
	who.Out, who.Codec = c, codec
	if who.App == "" {
		who.App = "app"
	}
	s, err := h.Join(who)
	if err != nil {
		t.Fatal(err)
	}
	c.Session = s
	t.Cleanup(s.Leave)
	return c
}

func (c *Client) add(e Event) {
	c.events = append(c.events, e)
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Subscribe subscribes to a channel, and records the reply as an event.
func (c *Client) Subscribe(t testing.TB, channel string, o hub.SubscribeOptions) *hub.Recovered {
	t.Helper()
	var r *hub.Recovered
	err := c.Session.Subscribe(bounded.Context(t), channel, o, func(got *hub.Recovered) error {
		r = got
		c.mu.Lock()
		defer c.mu.Unlock()
		c.add(Event{Channel: channel, Reply: got})
		return nil
	})
	if err != nil {
		t.Fatalf("subscribing to %s: %v", channel, err)
	}
	return r
}

// SetRoom sets the room of the queue to n more messages; a negative n means unlimited.
func (c *Client) SetRoom(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.room = n
}

// Events returns the events that the client has received.
func (c *Client) Events() []Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.events)
}

// Take returns the events that the client has received since the last call of Take.
func (c *Client) Take() []Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	es := c.events
	c.events = nil
	return es
}

// Calls returns the number of times that the hub has sent, and the code with which the connection was closed: 0 if it was not
// closed.
func (c *Client) Calls() (calls int, code websocket.Code) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls, c.code
}

// Until waits until so reports true for the received events.
func (c *Client) Until(t testing.TB, so func(es []Event) bool) {
	t.Helper()
	ctx := bounded.Context(t)
	for {
		if so(c.Events()) {
			return
		}
		select {
		case <-c.wake:
		case <-ctx.Done():
			t.Fatalf("the condition did not become true in time; received: %v", c.Texts())
		}
	}
}

// Texts returns the data of the publications that the client has received, including those in replies.
func (c *Client) Texts() []string {
	var all []string
	for _, e := range c.Events() {
		if e.Publication != nil {
			all = append(all, string(e.Publication.Data))
		}
		if e.Reply != nil {
			for _, p := range e.Reply.Publications {
				all = append(all, string(p.Data))
			}
		}
	}
	return all
}

// Want waits until the client has received exactly these publications.
func (c *Client) Want(t testing.TB, texts ...string) {
	t.Helper()
	c.Until(t, func([]Event) bool { return len(c.Texts()) >= len(texts) })
	if got := c.Texts(); !slices.Equal(got, texts) {
		t.Fatalf("received %q, want %q", got, texts)
	}
}

// Changes returns the changes of rosters that the client has received.
func (c *Client) Changes() []hub.Change {
	var all []hub.Change
	for _, e := range c.Events() {
		all = append(all, e.Changes...)
	}
	return all
}

// Send implements [websocket.Sender].
func (c *Client) Send(websocket.Message) error { return errors.New("not used") }

// SendPrepared implements [websocket.Sender]. It accepts all of ps or none.
func (c *Client) SendPrepared(ps ...*websocket.Prepared) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
	if c.room >= 0 && len(ps) > c.room {
		return websocket.ErrQueueFull
	}
	if c.room >= 0 {
		c.room -= len(ps)
	}
	for _, p := range ps {
		e, _ := c.codec.made.Load(p)
		c.add(e.(Event))
	}
	return nil
}

// Buffered implements [websocket.Sender].
func (c *Client) Buffered() int { return 0 }

// Shut implements [websocket.Sender].
func (c *Client) Shut(code websocket.Code, _ string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.code = code
	return nil
}

// CloseNow implements [websocket.Sender].
func (c *Client) CloseNow() error { return nil }

// Subprotocol implements [websocket.Sender].
func (c *Client) Subprotocol() string { return "" }

// RemoteAddr implements [websocket.Sender].
func (c *Client) RemoteAddr() net.Addr { return nil }

var errNoEvent = errors.New("nothing to wait for")

// newClient is NewClient for use in goroutines, which must not call Fatal: it returns nil if joining fails.
func newClient(h *hub.Hub, id string) *Client {
	c := &Client{codec: new(Codec), room: -1, wake: make(chan struct{}, 1)}
	s, err := h.Join(hub.Client{App: "app", ID: id, Out: c, Codec: c.codec})
	if err != nil {
		return nil
	}
	c.Session = s
	return c
}

// wait waits for the next event. It returns errNoEvent when over is closed, but only if nothing returns true.
func (c *Client) wait(ctx context.Context, over <-chan struct{}, nothing func() bool) error {
	if !nothing() {
		over = nil
	}
	select {
	case <-c.wake:
		return nil
	case <-over:
		return errNoEvent
	case <-ctx.Done():
		return ctx.Err()
	}
}
