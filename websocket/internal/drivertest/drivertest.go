// Package drivertest is the common test suite for every driver of a connection: a goroutine in Conn.Run, and the event
// loop, for either role and behind any handshake.
package drivertest

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/protocol"
)

// Driver serves one connection by calling a Receiver, and returns the peer's end of the stream. The opening handshake counts as
// complete, without extensions. The served end is closed when the test ends.
type Driver func(t *testing.T, opts *websocket.ConnOptions, open func(websocket.Sender) websocket.Receiver) net.Conn

// suite is a driver, and the role of the peers that the suite connects to it.
type suite struct {
	serve Driver
	peer  protocol.Role
}

// Test runs the suite on a driver of a server's connections.
func Test(t *testing.T, d Driver) { run(t, &suite{d, protocol.RoleClient}) }

// TestClient runs the suite on a driver of a client's connections. In the names and messages of the suite, the client and the server
// are then exchanged.
func TestClient(t *testing.T, d Driver) { run(t, &suite{d, protocol.RoleServer}) }

func run(t *testing.T, d *suite) {
	for name, f := range map[string]func(*testing.T, *suite){
		"broadcast":                   broadcast,
		"accepted before close":       acceptedBeforeClose,
		"close from the server":       closeFromServer,
		"close from the client":       closeFromClient,
		"close now":                   closeNow,
		"not prepared":                notPrepared,
		"error closes":                errorCloses,
		"panic closes the connection": panics,
		"ErrAbortHandler aborts":      abort,
		"nil receiver":                nilReceiver,
		"queue full: close":           queueClose,
		"queue full: drop newest":     queueDropNewest,
		"queue full: all or none":     queueDropNewestTogether,
		"queue full: drop oldest":     queueDropOldest,
	} {
		t.Run(name, func(t *testing.T) { f(t, d) })
	}
}

// member is a Receiver for whose calls a test can wait.
type member struct {
	sender  websocket.Sender
	message func(m websocket.Message) error // nil means an echo
	drained chan struct{}
	closed  chan *websocket.CloseError // buffers two values, so that a second call would be detected
}

func newMember() *member {
	return &member{drained: make(chan struct{}, 100), closed: make(chan *websocket.CloseError, 2)}
}

func (m *member) open(s websocket.Sender) websocket.Receiver {
	m.sender = s
	return m
}

func (m *member) Message(msg websocket.Message) error {
	if m.message == nil {
		return m.sender.Send(msg)
	}
	return m.message(msg)
}

func (m *member) Drained() { m.drained <- struct{}{} }

func (m *member) Closed(err *websocket.CloseError) { m.closed <- err }

// wantClosed waits for Closed and checks the error with which the connection ended.
func (m *member) wantClosed(t *testing.T, code websocket.Code, reason string, byPeer bool) websocket.CloseError {
	t.Helper()
	err := bounded.Receive(t, m.closed)
	if err.Code != code || err.Reason != reason || err.ByPeer != byPeer {
		t.Errorf("Closed(%v), want %v %q, by the peer: %v", err, code, reason, byPeer)
	}
	if n := len(m.closed); n > 0 {
		t.Errorf("Closed was called %d times more", n)
	}
	return *err
}

// Conn calls websocket.NewConn without extensions and without a subprotocol.
func Conn(t testing.TB, nc net.Conn, role protocol.Role, opts *websocket.ConnOptions) *websocket.Conn {
	t.Helper()
	c, err := websocket.NewConn(nc, role, nil, opts)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// join opens a connection and returns the client after the Receiver has been called.
func join(t *testing.T, d *suite, opts *websocket.ConnOptions, open func(websocket.Sender) websocket.Receiver) *websocket.Conn {
	t.Helper()
	opened := make(chan struct{})
	nc := d.serve(t, opts, func(s websocket.Sender) websocket.Receiver {
		defer close(opened)
		return open(s)
	})
	c := Conn(t, nc, d.peer, &websocket.ConnOptions{MaxMessage: -1, CloseTimeout: time.Minute})
	t.Cleanup(func() { c.CloseNow() })
	bounded.Receive(t, opened)
	return c
}

func send(t *testing.T, c *websocket.Conn, text string) {
	t.Helper()
	if err := c.Write(bounded.Context(t), websocket.Message{Type: websocket.Text, Data: []byte(text)}); err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, c *websocket.Conn, text string) {
	t.Helper()
	m, err := c.Read(bounded.Context(t))
	if err != nil || m.Type != websocket.Text || string(m.Data) != text {
		t.Fatalf("the client read %v %.40q of %d bytes, %v; want %.40q", m.Type, m.Data, len(m.Data), err, text)
	}
}

func wantEnd(t *testing.T, c *websocket.Conn, code websocket.Code, reason string) {
	t.Helper()
	m, err := c.Read(bounded.Context(t))
	var ce *websocket.CloseError
	if !errors.As(err, &ce) || ce.Code != code || ce.Reason != reason {
		t.Fatalf("the client read %.40q of %d bytes, %v; want the end with %v %q", m.Data, len(m.Data), err, code, reason)
	}
}

func prepared(t *testing.T, text string) *websocket.Prepared {
	t.Helper()
	p, err := websocket.Prepare(websocket.Message{Type: websocket.Text, Data: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// room broadcasts each message of a member to all members.
type room struct {
	mu      sync.Mutex
	members map[*member]bool
}

func (r *room) join(s websocket.Sender) websocket.Receiver {
	m := newMember()
	m.sender = s
	m.message = func(msg websocket.Message) error {
		p, err := websocket.Prepare(msg)
		if err != nil {
			return err
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		for other := range r.members {
			other.sender.SendPrepared(p) //nolint:errcheck // if the connection has ended, Closed reports that to the member
		}
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members[m] = true
	return m
}

func broadcast(t *testing.T, d *suite) {
	r := room{members: map[*member]bool{}}
	var clients []*websocket.Conn
	for range 3 {
		clients = append(clients, join(t, d, nil, r.join))
	}
	for i, c := range clients {
		for _, text := range []string{"short", strings.Repeat("long ", 20_000)} {
			text = fmt.Sprint(i, text)
			send(t, c, text)
			for _, other := range clients {
				want(t, other, text)
			}
		}
	}
	if a := anyMember(&r).sender.RemoteAddr(); a == nil || a.String() == "" {
		t.Errorf("RemoteAddr: %v", a)
	}
	for _, c := range clients {
		if err := c.Close(websocket.CodeNormal, ""); err != nil {
			t.Error(err)
		}
	}
	for m := range r.members {
		m.wantClosed(t, websocket.CodeNormal, "", true)
		if n := m.sender.Buffered(); n != 0 {
			t.Errorf("Buffered returns %d after the end", n)
		}
		if m.sender.Send(websocket.Message{Type: websocket.Text}) == nil {
			t.Error("Send after the end returns nil")
		}
	}
}

func anyMember(r *room) *member {
	for m := range r.members {
		return m
	}
	return nil
}
