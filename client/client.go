package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/handfast/handfast/channels/wire"
	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/reconnect"
)

// ErrClosed indicates that Close was called.
var ErrClosed = errors.New("client: closed")

// errConnectionLost indicates that the connection was lost before the reply arrived.
var errConnectionLost = errors.New("client: the connection is lost")

const (
	retryPause = time.Second // the pause before an operation that has failed is retried
	maxMessage = 16 << 20
)

// Options configures a Client. nil and the zero value mean the defaults.
type Options struct {
	// Dial configures the opening handshake, except for its Subprotocols, which are replaced. nil means the defaults.
	Dial *websocket.DialOptions

	// Token returns a token. Token is called for each handshake, in which the token is sent as a bearer token, and when the server requests
	// a new one. nil means no token.
	Token func(ctx context.Context) (string, error)

	// Reconnect configures how the client reconnects, except for Verdict and OnConnect, which are replaced. nil means the defaults of
	// package reconnect.
	Reconnect *reconnect.Options

	// Connected, if not nil, is called with the server's welcome message after each connection has been made, before any command is sent on
	// that connection. Connected must not block.
	Connected func(welcome Welcome)
}

// Client is a client of one server. It stays connected until it is closed, or until the server reports that reconnecting is
// pointless. Its methods may be called from any goroutine.
type Client struct {
	url            string
	opts           Options
	ctx            context.Context // Close cancels the context
	cancel         context.CancelCauseFunc
	wg             sync.WaitGroup
	done           chan struct{} // closed when the client has ended
	commandPending chan struct{} // signaled when a command begins to wait for its reply, so that enqueue stops waiting for room

	mu        sync.Mutex
	err       error            // the reason why the client has ended
	conn      *websocket.Conn  // nil while not connected
	connected chan struct{}    // closed while there is a connection; replaced when the connection is lost
	lastID    uint64           // the ID of the last command
	calls     map[uint64]*call // the commands without a reply
	subs      map[string]*Subscription
}

// call is a command that waits for its reply.
type call struct {
	sub   *Subscription // the subscription of a subscribe command; nil for other commands
	reply chan reply
}

type reply struct {
	text []byte
	err  error
}

// New starts a client for the server at url, such as "wss://localhost:8443/channels". opts may be nil.
func New(url string, opts *Options) *Client {
	c := &Client{url: url, done: make(chan struct{}), commandPending: make(chan struct{}, 1), connected: make(chan struct{}),
		calls: map[uint64]*call{}, subs: map[string]*Subscription{}}
	if opts != nil {
		c.opts = *opts
	}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	c.wg.Go(c.run)
	return c
}

// Close ends the client. It waits until all goroutines have ended, and returns nil.
func (c *Client) Close() error {
	c.cancel(ErrClosed)
	c.wg.Wait()
	return nil
}

// Done returns a channel that is closed when the client has ended; then Err returns the reason.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err returns the reason why the client has ended: ErrClosed, or the reason why reconnecting is pointless. It returns nil until then.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// run keeps the client connected.
func (c *Client) run() {
	var o reconnect.Options
	if c.opts.Reconnect != nil {
		o = *c.opts.Reconnect
	}
	o.OnConnect, o.Verdict = nil, c.retryVerdict
	err := reconnect.Run(c.ctx, c.dial, c.serve, &o)
	switch {
	case c.ctx.Err() != nil:
		err = ErrClosed
	case err == nil:
		err = errors.New("client: the server has closed the connection permanently")
	}
	c.cancel(err)
	c.mu.Lock()
	c.err = err
	subs := c.subs
	c.subs = map[string]*Subscription{}
	c.mu.Unlock()
	for _, s := range subs {
		s.end(err)
	}
	close(c.done)
}

// retryVerdict decides whether to reconnect after a failure.
func (c *Client) retryVerdict(f reconnect.Failure) reconnect.Verdict {
	if errors.Is(f.Err, ErrProtocol) {
		return reconnect.Stop
	}
	closed, ok := errors.AsType[*websocket.CloseError](f.Err)
	if !ok || !closed.ByPeer {
		return reconnect.Default
	}
	switch closed.Code {
	case wire.CloseServer, wire.CloseDenied:
		return reconnect.Stop
	case wire.CloseExpired:
		if c.opts.Token == nil {
			return reconnect.Stop
		}
		return reconnect.Soon
	}
	return reconnect.Default
}

// dial opens a connection.
func (c *Client) dial(ctx context.Context) (*websocket.Conn, error) {
	var o websocket.DialOptions
	if c.opts.Dial != nil {
		o = *c.opts.Dial
	}
	o.Subprotocols = []string{wire.Subprotocol}
	o.Conn.QueueFull = websocket.QueueBlock
	if o.Conn.MaxMessage == 0 {
		o.Conn.MaxMessage = maxMessage
	}
	if c.opts.Token != nil {
		token, err := c.opts.Token(ctx)
		if err != nil {
			return nil, err
		}
		if o.Header = o.Header.Clone(); o.Header == nil {
			o.Header = http.Header{}
		}
		o.Header.Set("Authorization", "Bearer "+token)
	}
	return websocket.Dial(ctx, c.url, &o)
}

// welcomeTimeout is the timeout for the server's welcome message.
const welcomeTimeout = 30 * time.Second

// ErrProtocol indicates that the server does not speak the protocol of channels at the URL.
var ErrProtocol = errors.New("client: the server does not speak " + wire.Subprotocol + " at this URL")

// serve serves one connection until it ends.
func (c *Client) serve(ctx context.Context, conn *websocket.Conn) error {
	if conn.Subprotocol() != wire.Subprotocol {
		return ErrProtocol
	}
	first, cancel := context.WithTimeout(ctx, welcomeTimeout)
	defer cancel()
	m, err := conn.Read(first)
	if err != nil {
		return err
	}
	var w Welcome
	if err := json.Unmarshal(m.Data, &w); err != nil || w.Type != "welcome" {
		return ErrProtocol
	}
	if c.opts.Connected != nil {
		c.opts.Connected(w)
	}
	c.startConnection(conn)
	defer c.connectionLost()
	for {
		m, err := conn.Read(ctx)
		if err != nil {
			if errors.Is(context.Cause(c.ctx), ErrClosed) {
				conn.Close(websocket.CodeNormal, "") //nolint:errcheck // the client ends even if this fails
			}
			return err
		}
		c.receive(m.Data)
	}
}

// startConnection sends the subscriptions on a new connection, and resumes the calls that wait for a connection.
func (c *Client) startConnection(conn *websocket.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn = conn
	for _, s := range c.subs {
		c.subscribe(s)
	}
	close(c.connected)
}

// connectionLost fails the commands that wait for a reply. Subscribe commands do not fail, because startConnection sends them again.
func (c *Client) connectionLost() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn, c.connected = nil, make(chan struct{})
	for id, w := range c.calls {
		if w.sub == nil {
			w.reply <- reply{err: errConnectionLost}
		}
		delete(c.calls, id)
	}
}

// send sends a command with a new ID. The caller holds mu, and conn is not nil.
func (c *Client) send(cmd wire.Command, w *call) {
	c.lastID++
	wire.HeadOf(cmd).ID = c.lastID
	text, err := wire.Encode(cmd)
	if err != nil {
		if w.reply != nil {
			w.reply <- reply{err: err}
		}
		return
	}
	c.calls[c.lastID] = w
	signal(c.commandPending)
	_ = c.conn.Send(websocket.Message{Type: websocket.Text, Data: text}) // if this fails, the connection is lost, and serve notices that
}

// hasPendingCommand reports whether a command waits for its reply.
func (c *Client) hasPendingCommand() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.calls) > 0
}

// do executes a command, and returns the reply. It repeats the command if the connection is lost, or if the server reports that the command
// may succeed later.
func (c *Client) do(ctx context.Context, cmd wire.Command) ([]byte, error) {
	for {
		text, err := c.doOnce(ctx, cmd)
		failed, ok := errors.AsType[*wire.Error](err)
		switch {
		case errors.Is(err, errConnectionLost):
			continue
		case !ok || !failed.Code.Temporary():
			return text, err
		}
		if err := c.waitRetry(ctx); err != nil {
			return nil, errors.Join(err, failed)
		}
	}
}

// waitRetry waits before an operation is retried.
func (c *Client) waitRetry(ctx context.Context) error {
	t := time.NewTimer(retryPause)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.done:
		return c.Err()
	}
}

// doOnce executes a command on one connection.
func (c *Client) doOnce(ctx context.Context, cmd wire.Command) ([]byte, error) {
	w := &call{reply: make(chan reply, 1)}
	for sent := false; !sent; {
		c.mu.Lock()
		connected := c.connected
		if c.conn != nil {
			c.send(cmd, w)
			sent = true
		}
		c.mu.Unlock()
		if sent {
			break
		}
		select {
		case <-connected:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-c.done:
			return nil, c.Err()
		}
	}
	select {
	case r := <-w.reply:
		return r.text, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-c.done:
		return nil, c.Err()
	}
}

// refresh sends a new token.
func (c *Client) refresh() {
	if c.opts.Token == nil {
		return
	}
	c.wg.Go(func() {
		ctx, cancel := context.WithTimeout(c.ctx, 30*time.Second)
		defer cancel()
		if token, err := c.opts.Token(ctx); err == nil {
			_, _ = c.doOnce(ctx, &wire.Refresh{Head: wire.Head{Type: "refresh"}, Token: token}) // if this fails, the server closes the connection when the old token expires
		}
	})
}
