package proxy

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/balance/resume"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// removeServer stops the server of a client while no other server is listed. It returns when the client's relay has noticed.
func removeServer(t *testing.T, b *Balancer, k *testClient, c *websocket.Conn) {
	t.Helper()
	b.switching.Add(maxSwitching) // the client moves because its server stops, rather than by the plan
	defer b.switching.Add(-maxSwitching)
	if err := b.SetServers("test", nil); err != nil {
		t.Fatal(err)
	}
	c.CloseNow()
	bounded.Until(t, func() bool { return k.relayMatches(func(r *relay) bool { return r.hold.switching }) })
}

// relayMatches reports whether the client has a relay for which so returns true.
func (k *testClient) relayMatches(so func(r *relay) bool) bool {
	r, ok := k.conn.currentCarriage().(*relay)
	if !ok {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return so(r)
}

// collector is a server that waits for the client's close frame and then replies to each received message with its hash. Hashes are
// short enough for the limited time after a close frame.
func collector(t *testing.T) *testServer {
	return serveMessagesWith(t, websocket.ConnOptions{HalfClose: true, MaxMessage: 64 << 20}, func(c *websocket.Conn) {
		texts, end := endOf(t, c)
		for _, hash := range hashes(texts) {
			c.Write(context.Background(), websocket.Message{Type: websocket.Text, Data: []byte(hash)})
		}
		if end != nil {
			c.Close(end.Code, end.Reason)
		}
	})
}

func hashes(texts []string) (all []string) {
	for _, text := range texts {
		all = append(all, fmt.Sprintf("%x", sha256.Sum256([]byte(text))))
	}
	return all
}

// While there is no server, a client's close frame waits behind the client's messages: the next server gets the messages and then
// the close frame, and the client gets the replies.
func TestHoldCloseBehindMessages(t *testing.T) {
	big := strings.Repeat("x", 8<<20) // more than the kernel buffers for a server that reads nothing
	for name, texts := range map[string][]string{"some that wait": numbered(20), "one that could not be written": {big}} {
		t.Run(name, func(t *testing.T) {
			conns := make(chan *websocket.Conn, 1)
			up := serveMessages(t, func(c *websocket.Conn) { conns <- c; <-c.Context().Done() }) // the server reads nothing
			s := holding
			s.Hold.Wait = time.Minute // the client must not be closed before the next server is listed
			b := newBalancer(t, s, up.addr())
			k := dialClient(t, b, &websocket.ConnOptions{HalfClose: true, MaxMessage: 64 << 20})
			c := bounded.Receive(t, conns)
			if name == "some that wait" {
				removeServer(t, b, k, c)
			}
			for _, text := range texts {
				k.send(text)
			}
			if err := k.Shut(4002, "done"); err != nil {
				t.Fatal(err)
			}
			if name != "some that wait" {
				bounded.Until(t, func() bool { // the message is being written to the server
					return k.relayMatches(func(r *relay) bool { return len(r.gate) == 1 })
				})
				removeServer(t, b, k, c)
				bounded.Until(t, func() bool { return k.relayMatches(func(r *relay) bool { return r.ending || r.hold.unsent != nil }) })
			}
			if err := b.SetServers("more", specs(collector(t).addr())); err != nil {
				t.Fatal(err)
			}
			got, end := endOf(t, k.Conn)
			if want := hashes(texts); end == nil || end.Code != 4002 || end.Reason != "done" || end.Err != nil || !slices.Equal(got, want) {
				t.Errorf("client: got %d replies %.200q, %v, want %d %.200q and a close with 4002", len(got), got, end, len(want), want)
			}
			bounded.Receive(t, k.ended)
		})
	}
}

// pendingSession is a session with a command that has no reply until the next server receives it.
type pendingSession struct {
	resume.Session
	resumed bool
}

func (s *pendingSession) Idle() bool { return s.resumed }

func (s *pendingSession) Resume() ([]resume.Message, error) {
	return []resume.Message{{Data: []byte("again")}}, nil
}

func (s *pendingSession) Server(m resume.Message) ([]resume.Message, bool, error) {
	s.resumed = true
	return []resume.Message{m}, true, nil
}

// A client's close frame also waits for the replies to its commands, which are sent again to the next server.
func TestHoldCloseBehindCommands(t *testing.T) {
	conns := make(chan *websocket.Conn, 1)
	up := serveMessages(t, func(c *websocket.Conn) { conns <- c; <-c.Context().Done() })
	s := holding
	s.Hold.Wait = time.Minute // the client must not be closed before the next server is listed
	b := newBalancer(t, s, up.addr())
	k := dialClient(t, b, halfClosing)
	c := bounded.Receive(t, conns)
	bounded.Until(t, func() bool {
		return k.relayMatches(func(r *relay) bool { r.hold.session = &pendingSession{Session: r.hold.session}; return true })
	})
	removeServer(t, b, k, c)
	if err := k.Shut(4002, "done"); err != nil {
		t.Fatal(err)
	}
	other := serveHalfClosing(t, func(c *websocket.Conn) {
		m, err := c.Read(bounded.Context(t))
		if err != nil {
			t.Error(err)
		}
		c.Write(context.Background(), m)
		if _, end := endOf(t, c); end == nil || end.Code != 4002 {
			t.Errorf("server: got %v, want a close with 4002", end)
		}
		c.Close(4003, "")
	})
	if err := b.SetServers("more", specs(other.addr())); err != nil {
		t.Fatal(err)
	}
	if got, end := endOf(t, k.Conn); end == nil || end.Code != 4003 || strings.Join(got, ",") != "again" {
		t.Errorf("client: got %q, %v, want the reply and a close with 4003", got, end)
	}
	bounded.Receive(t, k.ended)
}

// While there is no server, the close frame of a client without pending messages is answered immediately. A close frame behind
// messages that no server accepts is answered with 1012 when the time limit for another server is reached.
func TestHoldCloseWithoutServer(t *testing.T) {
	for name, text := range map[string]string{"nothing to pass on": "", "a message": "x"} {
		t.Run(name, func(t *testing.T) {
			conns := make(chan *websocket.Conn, 1)
			up := serveMessages(t, func(c *websocket.Conn) { conns <- c; echo(c) })
			s := holding
			s.Hold.Wait = time.Hour
			if text != "" {
				s.Hold.Wait = time.Second
			}
			b := newBalancer(t, s, up.addr())
			k := dialClient(t, b, halfClosing)
			removeServer(t, b, k, bounded.Receive(t, conns))
			want := websocket.Code(4002)
			if text != "" {
				k.send(text)
				want = websocket.CodeServiceRestart
			}
			if err := k.Shut(4002, "done"); err != nil {
				t.Fatal(err)
			}
			if _, end := endOf(t, k.Conn); end == nil || end.Code != want || end.Err != nil {
				t.Errorf("client: got %v, want %d", end, want)
			}
			bounded.Receive(t, k.ended)
			if n := b.Status().Storm.Underway; n != 0 {
				t.Errorf("got %d handshakes in progress, want 0", n)
			}
		})
	}
}
