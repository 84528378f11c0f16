package websocket

import (
	"context"
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

// soonEnough is the bound for what takes less than a second on a machine that is not busy. Without a watch it took 12.5.
const soonEnough = 5 * time.Second

// TestUnreadConnectionAnswers: a connection that only writes answers pings and closes although no goroutine reads.
func TestUnreadConnectionAnswers(t *testing.T) {
	for name, pair := range map[string]func(testing.TB, protocol.Role, *ConnOptions) (*Conn, raw){"tcp": rawTCP, "tls": rawTLS} {
		for _, role := range []protocol.Role{protocol.RoleServer, protocol.RoleClient} {
			for _, interval := range []time.Duration{0, -1} {
				t.Run(fmt.Sprint(name, " ", role, " ", interval), func(t *testing.T) {
					c, peer := pair(t, role, &ConnOptions{PingInterval: interval})
					for i := range 3 { // also when it has been heard before
						start := time.Now()
						peer.send(peer.frame(frame.Ping, true, fmt.Sprint(i)))
						peer.expect(frame.Pong, fmt.Sprint(i))
						if took := time.Since(start); took > soonEnough {
							t.Errorf("the pong took %v", took)
						}
					}
					if err := c.Send(Message{Text, []byte("news")}); err != nil {
						t.Fatal(err)
					}
					peer.expect(frame.Text, "news")
					start := time.Now()
					peer.send(peer.frame(frame.Close, true, closeBody(CodeNormal, "")))
					peer.expectClose(CodeNormal)
					peer.Close()
					bounded.Receive(t, c.Context().Done())
					if took := time.Since(start); took > soonEnough {
						t.Errorf("the close frame took %v", took)
					}
					wantClose(t, context.Cause(c.Context()), CodeNormal, "", true)
				})
			}
		}
	}
}

// TestUnreadConnectionAnswersAfterARead: reading once and then no more is like never reading.
func TestUnreadConnectionAnswersAfterARead(t *testing.T) {
	c, peer := rawTCP(t, protocol.RoleServer, nil)
	for i := range 3 {
		peer.send(peer.frame(frame.Text, true, "hello"))
		if _, err := readSoon(t, c); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		peer.send(peer.frame(frame.Ping, true, fmt.Sprint(i)))
		peer.expect(frame.Pong, fmt.Sprint(i))
		if took := time.Since(start); took > soonEnough {
			t.Errorf("the pong took %v", took)
		}
	}
	peer.send(append(peer.frame(frame.Text, true, "last"), peer.frame(frame.Close, true, closeBody(CodeNormal, ""))...))
	if m, err := readSoon(t, c); err != nil || string(m.Data) != "last" {
		t.Fatalf("%q, %v", m.Data, err)
	}
	peer.expectClose(CodeNormal) // it had arrived before the connection was left unread
}

// TestUnreadConnectionAnswersWithinASecond: also on streams of which the system does not tell when bytes arrive.
func TestUnreadConnectionAnswersWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, peer := rawPipe(t, protocol.RoleServer, &ConnOptions{PingInterval: -1})
		for range 20 {
			<-time.After(330 * time.Millisecond)
			start := time.Now()
			peer.send(peer.frame(frame.Ping, true, "?"))
			peer.expect(frame.Pong, "?")
			if took := time.Since(start); took > time.Second {
				t.Fatalf("it took %v", took)
			}
		}
		start := time.Now()
		peer.send(peer.frame(frame.Close, true, closeBody(CodeNormal, "")))
		peer.expectClose(CodeNormal)
		if took := time.Since(start); took > time.Second {
			t.Fatalf("it took %v", took)
		}
	})
}

// TestUnreadConnectionsShareAGoroutine: and the messages that arrive stay for the next Read.
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

// slowly reads at most so many bytes at each tick.
type slowly struct {
	net.Conn
	most int
	tick *time.Ticker
}

func (s slowly) Read(p []byte) (int, error) {
	<-s.tick.C
	return s.Conn.Read(p[:min(len(p), s.most)])
}

// TestKeepaliveSparesAPeerThatIsReceiving: what the kernel has taken goes in front of the ping, and the peer takes it slowly.
func TestKeepaliveSparesAPeerThatIsReceiving(t *testing.T) {
	for _, role := range []protocol.Role{protocol.RoleServer, protocol.RoleClient} {
		t.Run(role.String(), func(t *testing.T) {
			t.Parallel()
			near, far := tcpPair(t)
			near.(*net.TCPConn).SetReadBuffer(8 << 10)
			far.(*net.TCPConn).SetWriteBuffer(1 << 20)
			c := overStream(far, role, &ConnOptions{PingInterval: 200 * time.Millisecond})
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			peer := overStream(slowly{near, 8 << 10, tick}, protocol.RoleClient-role, &ConnOptions{PingInterval: -1})
			t.Cleanup(func() { c.CloseNow(); peer.CloseNow() })
			if err := c.Write(bounded.Context(t), Message{Binary, make([]byte, 480<<10)}); err != nil {
				t.Fatal(err)
			}
			if m, err := readSoon(t, peer); err != nil || len(m.Data) != 480<<10 {
				t.Fatalf("%d bytes, %v", len(m.Data), err)
			}
			if err := c.ended(); err != nil {
				t.Error(err)
			}
		})
	}
}
