package websocket

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/protocol"
)

// TestUnreadConnectionAnswers checks that a connection that only writes replies to pings and close frames although no goroutine
// reads.
func TestUnreadConnectionAnswers(t *testing.T) {
	for name, pair := range map[string]func(testing.TB, protocol.Role, *ConnOptions) (*Conn, raw){"tcp": rawTCP, "tls": rawTLS} {
		for _, role := range []protocol.Role{protocol.RoleServer, protocol.RoleClient} {
			for _, interval := range []time.Duration{time.Hour, -1} { // a keepalive timer checks, too, but only after half its interval
				t.Run(fmt.Sprint(name, " ", role, " ", interval), func(t *testing.T) {
					t.Parallel() // each case waits in real time
					c, peer := pair(t, role, &ConnOptions{PingInterval: interval})
					peer.SetDeadline(time.Now().Add(testTimeout))
					for i := range 3 { // even if a message has been received before
						peer.send(peer.frame(frame.Ping, true, fmt.Sprint(i)))
						peer.expect(frame.Pong, fmt.Sprint(i))
					}
					if err := c.Send(Message{Text, []byte("news")}); err != nil {
						t.Fatal(err)
					}
					peer.expect(frame.Text, "news")
					peer.send(peer.frame(frame.Close, true, closeBody(CodeNormal, "")))
					peer.expectClose(CodeNormal)
					peer.Close()
					bounded.Receive(t, c.Context().Done())
					wantClose(t, context.Cause(c.Context()), CodeNormal, "", true)
				})
			}
		}
	}
}

// TestUnreadConnectionAnswersAfterARead checks that a connection that is read once and never again behaves like one that is never
// read.
func TestUnreadConnectionAnswersAfterARead(t *testing.T) {
	c, peer := rawTCP(t, protocol.RoleServer, &ConnOptions{PingInterval: time.Hour})
	peer.SetDeadline(time.Now().Add(testTimeout))
	for i := range 3 {
		peer.send(peer.frame(frame.Text, true, "hello"))
		if _, err := readSoon(t, c); err != nil {
			t.Fatal(err)
		}
		peer.send(peer.frame(frame.Ping, true, fmt.Sprint(i)))
		peer.expect(frame.Pong, fmt.Sprint(i))
	}
	peer.send(append(peer.frame(frame.Text, true, "last"), peer.frame(frame.Close, true, closeBody(CodeNormal, ""))...))
	if m, err := readSoon(t, c); err != nil || string(m.Data) != "last" {
		t.Fatalf("%q, %v", m.Data, err)
	}
	peer.expectClose(CodeNormal) // the peer's close frame arrived before the last Read returned
}

// TestUnreadConnectionAnswersWithinASecond covers streams for which the system does not report the arrival of bytes.
func TestUnreadConnectionAnswersWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, peer := rawPipe(t, protocol.RoleServer, &ConnOptions{PingInterval: -1})
		for range 20 {
			<-time.After(330 * time.Millisecond)
			start := time.Now()
			peer.send(peer.frame(frame.Ping, true, "?"))
			peer.expect(frame.Pong, "?")
			if took := time.Since(start); took > time.Second {
				t.Fatalf("the reply took %v", took)
			}
		}
		start := time.Now()
		peer.send(peer.frame(frame.Close, true, closeBody(CodeNormal, "")))
		peer.expectClose(CodeNormal)
		if took := time.Since(start); took > time.Second {
			t.Fatalf("the reply took %v", took)
		}
	})
}

// TestUnreadConnectionsShareAGoroutine checks that unread connections need at most one more goroutine together, and that arriving
// messages are kept for the next Read.
func TestUnreadConnectionsShareAGoroutine(t *testing.T) {
	const n = 50
	before := runtime.NumGoroutine()
	conns, peers := make([]*Conn, n), make([]raw, n)
	for i := range n {
		conns[i], peers[i] = rawTCP(t, protocol.RoleServer, nil)
	}
	for i, p := range peers {
		p.send(p.frame(frame.Ping, true, "?"))
		p.expect(frame.Pong, "?")
		p.send(p.frame(frame.Text, true, fmt.Sprint(i)), p.frame(frame.Text, true, "more"))
	}
	bounded.Until(t, func() bool { return runtime.NumGoroutine() <= before+1 })
	for i, c := range conns {
		for _, want := range []string{fmt.Sprint(i), "more"} {
			if m, err := readSoon(t, c); err != nil || string(m.Data) != want {
				t.Errorf("%q, %v", m.Data, err)
			}
		}
	}
}

// slowReader reads a limited number of bytes at each tick.
type slowReader struct {
	net.Conn
	limit int
	tick  *time.Ticker
}

func (s slowReader) Read(p []byte) (int, error) {
	<-s.tick.C
	return s.Conn.Read(p[:min(len(p), s.limit)])
}

// TestKeepaliveSparesAPeerThatIsReceiving uses a peer that slowly reads the data that the kernel has accepted before the ping.
func TestKeepaliveSparesAPeerThatIsReceiving(t *testing.T) {
	for _, role := range []protocol.Role{protocol.RoleServer, protocol.RoleClient} {
		t.Run(role.String(), func(t *testing.T) {
			t.Parallel()
			var err error
			for _, interval := range []time.Duration{200 * time.Millisecond, 2 * time.Second, 20 * time.Second} {
				if err = slowPeer(t, role, interval); err == nil {
					break // otherwise try a longer interval: on a busy machine, a short one can pass while the test waits for a CPU
				}
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// slowPeer writes to a peer that needs six intervals to read the data, and returns the error that ended the connection, if any.
func slowPeer(t *testing.T, role protocol.Role, interval time.Duration) error {
	t.Helper()
	near, far := tcpPair(t)
	near.(*net.TCPConn).SetReadBuffer(8 << 10)
	far.(*net.TCPConn).SetWriteBuffer(1 << 20)
	c := overStream(far, role, &ConnOptions{PingInterval: interval})
	tick := time.NewTicker(interval / 10)
	defer tick.Stop()
	peer := overStream(slowReader{near, 8 << 10, tick}, protocol.RoleClient-role, &ConnOptions{PingInterval: -1})
	defer peer.CloseNow()
	defer c.CloseNow()
	if err := c.Write(bounded.Context(t), Message{Binary, make([]byte, 480<<10)}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*interval+testTimeout)
	defer cancel()
	if m, err := peer.Read(ctx); err != nil || len(m.Data) != 480<<10 {
		return errors.Join(err, c.ended())
	}
	return c.ended()
}

// TestUnreadConnectionAnswersBehindAMessage checks that a close frame that was read from the stream together with a message gets a
// reply after the Read that returned the message.
func TestUnreadConnectionAnswersBehindAMessage(t *testing.T) {
	c, peer := rawTCP(t, protocol.RoleServer, &ConnOptions{PingInterval: -1})
	peer.SetDeadline(time.Now().Add(testTimeout))
	peer.send(append(peer.frame(frame.Text, true, "last"), peer.frame(frame.Close, true, closeBody(CodeNormal, ""))...))
	bounded.Until(t, func() bool { // both have been received, and no goroutine reads
		c.mu.Lock()
		defer c.mu.Unlock()
		return !c.inbox.read.held && c.inbox.pending && len(c.inbox.unparsed) > 0 && c.keepalive.watched == (c.keepalive.watch != nil)
	})
	if m, err := readSoon(t, c); err != nil || string(m.Data) != "last" {
		t.Fatalf("%q, %v", m.Data, err)
	}
	peer.expectClose(CodeNormal)
}

// TestUnreadBytesAreNotLeftToTheWatch ends a Read between the last check of the stream and the arming of the watch. That may leave
// a close frame behind the message, about which the system does not notify again.
func TestUnreadBytesAreNotLeftToTheWatch(t *testing.T) {
	c, peer := rawTCP(t, protocol.RoleServer, &ConnOptions{PingInterval: -1})
	peer.SetDeadline(time.Now().Add(testTimeout))
	peer.send(append(peer.frame(frame.Text, true, "last"), peer.frame(frame.Close, true, closeBody(CodeNormal, ""))...))
	bounded.Until(t, func() bool { // readBackground is called as guard calls it
		c.inbox.readBackground()
		c.mu.Lock()
		defer c.mu.Unlock()
		return !c.inbox.read.held && c.inbox.pending && len(c.inbox.unparsed) > 0
	})
	if _, err := readSoon(t, c); err != nil {
		t.Fatal(err)
	}
	again := c.inbox.watchUnread()
	c.mu.Lock()
	c.keepalive.reset(again)
	c.mu.Unlock()
	peer.expectClose(CodeNormal)
}

// TestUnreadConnectionIsStillRead checks that a connection remains watched if a Read ends while the watch reports that Read's
// bytes.
func TestUnreadConnectionIsStillRead(t *testing.T) {
	c, peer := rawTCP(t, protocol.RoleServer, &ConnOptions{PingInterval: -1})
	for range 2000 {
		peer.send(peer.frame(frame.Text, true, "hello"))
		looked := make(chan struct{})
		go func() {
			defer close(looked)
			c.inbox.pollUnread()
		}()
		if _, err := readSoon(t, c); err != nil {
			t.Fatal(err)
		}
		bounded.Receive(t, looked)
		bounded.Until(t, func() bool { // another goroutine may be about to release its turn
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.keepalive.readScheduled
		})
	}
}
