package resume

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// relay forwards messages between clients and servers, and repeatedly moves each connection to another server.
type relay struct {
	t       *testing.T
	servers []string // URLs of the servers
	path    string
	planned bool // the relay moves a connection only when the session is idle

	mu       sync.Mutex
	switches int
}

// start serves the relay, and returns its URL.
func (r *relay) start() string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		client, err := websocket.Accept(w, q, &websocket.AcceptOptions{Subprotocols: q.Header["Sec-Websocket-Protocol"]})
		if err != nil {
			return
		}
		defer client.CloseNow()
		ctx, cancel := context.WithCancel(bounded.Context(r.t))
		defer cancel()
		c := &relayedConn{relay: r, client: client, session: New(client.Subprotocol(), r.path, Options{})}
		if err := c.run(ctx); err != nil && ctx.Err() == nil {
			r.t.Error(err)
		}
	}))
	r.t.Cleanup(s.Close)
	return s.URL
}

// relayedConn is one client connection of the relay.
type relayedConn struct {
	*relay
	client, server *websocket.Conn
	session        Session
	stop           func() // disconnects from the server
	at             int    // index of the server
	left           int    // number of messages of the server until the next move; -1 during a move
}

// read passes on the messages of a connection. The channel is closed at its end.
func read(ctx context.Context, c *websocket.Conn) <-chan websocket.Message {
	out := make(chan websocket.Message)
	go func() {
		defer close(out)
		for {
			m, err := c.Read(ctx)
			if err != nil {
				return
			}
			select {
			case out <- m:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// run forwards messages until the client disconnects.
func (c *relayedConn) run(ctx context.Context) error {
	fromServer, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { c.stop() }()
	fromClient := read(ctx, c.client)
	for {
		select {
		case m, ok := <-fromClient:
			if !ok {
				return nil
			}
			if f, send := c.session.Client(messageOf(m)); send {
				_ = c.server.Write(ctx, f.websocket()) // the loss of the server is noticed when reading
			}
		case m, ok := <-fromServer:
			if !ok {
				return nil // the test has ended
			}
			out, done, err := c.session.Server(messageOf(m))
			if err != nil {
				return err
			}
			for _, o := range out {
				_ = c.client.Write(ctx, o.websocket()) // the loss of the client is noticed when reading
			}
			if done {
				c.left = 1 + rand.IntN(20)
			} else if c.left > 0 {
				c.left--
			}
		}
		if c.left == 0 && (!c.planned || c.session.Idle()) {
			c.stop()
			if fromServer, err = c.move(ctx); err != nil {
				return err
			}
		}
	}
}

func (c *relayedConn) connect(ctx context.Context) (<-chan websocket.Message, error) {
	o := &websocket.DialOptions{}
	if s := c.client.Subprotocol(); s != "" {
		o.Subprotocols = []string{s}
	}
	server, err := websocket.Dial(ctx, c.servers[c.at]+c.path, o)
	if err != nil {
		return nil, err
	}
	c.server = server
	if c.left == 0 {
		c.left = 1 + rand.IntN(20)
	}
	ctx, cancel := context.WithCancel(ctx)
	c.stop = func() { cancel(); server.CloseNow() }
	return read(ctx, server), nil
}

// move continues on another server.
func (c *relayedConn) move(ctx context.Context) (<-chan websocket.Message, error) {
	first, err := c.session.Resume()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.switches++
	c.mu.Unlock()
	c.at, c.left = (c.at+1)%len(c.servers), -1
	from, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range first {
		if err := c.server.Write(ctx, m.websocket()); err != nil {
			return nil, err
		}
	}
	return from, nil
}

func messageOf(m websocket.Message) Message {
	return Message{Binary: m.Type == websocket.Binary, Data: m.Data}
}

func (m Message) websocket() websocket.Message {
	if m.Binary {
		return websocket.Message{Type: websocket.Binary, Data: m.Data}
	}
	return websocket.Message{Type: websocket.Text, Data: m.Data}
}
