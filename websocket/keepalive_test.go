package websocket

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/protocol"
)

// silence returns how long the peer must be silent until c is closed for it.
func silence(t *testing.T, c *Conn) time.Duration {
	t.Helper()
	start := time.Now()
	<-c.Context().Done()
	ce := wantClose(t, context.Cause(c.Context()), CodeAbnormal, "", true)
	if !errors.Is(ce, os.ErrDeadlineExceeded) || !strings.Contains(ce.Error(), "silent") {
		t.Errorf("closed for %v", ce)
	}
	return time.Since(start)
}

// about checks the length of a silence. If no goroutine reads, a check takes as long as it waits for bytes.
func about(t *testing.T, got, want time.Duration) {
	t.Helper()
	if got < want-10*time.Millisecond || got > want+10*time.Millisecond {
		t.Errorf("a silent peer was closed after %v, want %v", got, want)
	}
}

func TestKeepaliveClosesASilentPeer(t *testing.T) {
	for _, reading := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			c, peer := rawPipe(t, protocol.RoleServer, nil)
			go io.Copy(io.Discard, peer.Conn)
			if reading {
				go c.Read(context.Background())
			}
			about(t, silence(t, c), 3*defaultPingInterval/2) // one interval since the ping
		})
	}
}

// TestKeepaliveWorstCase: the silence begins right after a check that still received something.
func TestKeepaliveWorstCase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer := rawPipe(t, protocol.RoleServer, nil)
		go io.Copy(io.Discard, peer.Conn)
		go func() {
			for {
				if _, err := c.Read(context.Background()); err != nil {
					return
				}
			}
		}()
		<-time.After(defaultPingInterval/2 + time.Microsecond)
		peer.send(peer.frame(frame.Text, true, "the last that is heard"))
		about(t, silence(t, c), 2*defaultPingInterval)
	})
}

// TestKeepaliveSparesAPeerThatAnswers runs for an hour, with a reader and without one.
func TestKeepaliveSparesAPeerThatAnswers(t *testing.T) {
	for _, reading := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			near, far := rawPipe(t, protocol.RoleServer, nil)
			peer := overStream(far.Conn, protocol.RoleClient, &ConnOptions{PingInterval: -1})
			defer peer.CloseNow()
			go peer.Read(context.Background()) // reading answers the pings
			if reading {
				go near.Read(context.Background())
			}
			select {
			case <-near.Context().Done():
				t.Errorf("reading %v: %v", reading, context.Cause(near.Context()))
			case <-time.After(time.Hour):
			}
		})
	}
}

// TestKeepaliveWithAMessageThatIsNotRead: the message is kept, pongs after it are handled, and silence still counts.
func TestKeepaliveWithAMessageThatIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer := rawPipe(t, protocol.RoleServer, nil)
		silent := make(chan struct{})
		go io.Copy(io.Discard, peer.Conn)
		go func() {
			peer.Write(peer.frame(frame.Text, true, "unread"))
			for range 100 {
				select {
				case <-time.After(20 * time.Second):
					peer.Write(peer.frame(frame.Pong, true, ""))
				case <-c.Context().Done():
					t.Error("closed although the peer was alive")
				}
			}
			close(silent)
		}()
		<-silent
		if c.ended() != nil {
			t.Fatal(c.ended())
		}
		if m, err := c.Read(t.Context()); err != nil || string(m.Data) != "unread" {
			t.Errorf("%q, %v", m.Data, err)
		}
		if took := silence(t, c); took > 2*defaultPingInterval {
			t.Errorf("closed after %v", took)
		}
	})
}

func TestKeepaliveCostsNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 100 {
		near, far := tcpPair(t)
		defer far.Close()
		defer overStream(near, protocol.RoleClient, nil).CloseNow()
	}
	if now := runtime.NumGoroutine(); now > before {
		t.Errorf("%d goroutines for 100 connections", now-before)
	}
}

func TestPing(t *testing.T) {
	for _, reading := range []bool{true, false} {
		client, server := tcpConns(t, nil)
		go echo(server)
		if reading {
			go client.Read(bounded.Context(t))
		}
		for range 10 {
			rtt, err := client.Ping(bounded.Context(t))
			if err != nil || rtt <= 0 {
				t.Fatalf("reading %v: %v, %v", reading, rtt, err)
			}
		}
	}
}

// TestPingMakesWayForARead: a Ping that reads, because no other call did, loses no message and blocks no Read.
func TestPingMakesWayForARead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer := rawPipe(t, protocol.RoleServer, nil)
		pong := make(chan error, 1)
		go func() { _, err := c.Ping(context.Background()); pong <- err }()
		h, payload := peer.next()
		if h.Opcode != frame.Ping {
			t.Fatalf("got %+v", h)
		}
		synctest.Wait()
		got := make(chan string, 1)
		go func() {
			for m, err := range c.Messages(context.Background()) {
				if err == nil {
					got <- string(m.Data)
				}
			}
		}()
		peer.send(peer.frame(frame.Text, true, "first"))
		if m := <-got; m != "first" {
			t.Errorf("got %q", m)
		}
		peer.send(peer.frame(frame.Pong, true, payload))
		if err := <-pong; err != nil {
			t.Error(err)
		}
	})
}

// TestPingKeepsTheMessageInItsWay: the pong after a message is found when the message is read.
func TestPingKeepsTheMessageInItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer := rawPipe(t, protocol.RoleServer, nil)
		pong := make(chan error, 1)
		go func() { _, err := c.Ping(context.Background()); pong <- err }()
		_, payload := peer.next()
		peer.send(append(peer.frame(frame.Text, true, "in the way"), peer.frame(frame.Pong, true, payload)...))
		synctest.Wait()
		if m, err := c.Read(t.Context()); err != nil || string(m.Data) != "in the way" {
			t.Errorf("%q, %v", m.Data, err)
		}
		go c.Read(context.Background())
		if err := <-pong; err != nil {
			t.Error(err)
		}
	})
}

// TestRFC6455_5_5_3_OnePongAnswersThePingsBefore: a peer may answer only the most recent ping.
func TestRFC6455_5_5_3_OnePongAnswersThePingsBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer := rawPipe(t, protocol.RoleServer, nil)
		go c.Read(context.Background())
		pongs := make(chan error, 3)
		for range 3 {
			go func() { _, err := c.Ping(context.Background()); pongs <- err }()
		}
		var last string
		for range 3 {
			_, last = peer.next()
		}
		peer.send(peer.frame(frame.Pong, true, last))
		for range 3 {
			if err := <-pongs; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestPingIsInterruptedByItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer := rawPipe(t, protocol.RoleServer, nil)
		go io.Copy(io.Discard, peer.Conn)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Ping(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Ping returned %v", err)
		}
		go peer.Write(peer.frame(frame.Text, true, "alive"))
		if m, err := c.Read(t.Context()); err != nil || string(m.Data) != "alive" {
			t.Errorf("%q, %v", m.Data, err)
		}
	})
}

// TestKeepaliveSparesAPeerThatTakesALargeMessage: slowly; the ping waits behind the message, and so cannot be answered.
func TestKeepaliveSparesAPeerThatTakesALargeMessage(t *testing.T) {
	for _, role := range []protocol.Role{protocol.RoleServer, protocol.RoleClient} {
		synctest.Test(t, func(t *testing.T) {
			c, peer := rawPipe(t, role, nil)
			wrote := make(chan error, 1)
			go func() { wrote <- c.Write(context.Background(), Message{Binary, make([]byte, 4<<20)}) }()
			took := make(chan struct{})
			go func() {
				defer close(took)
				b := make([]byte, 32<<10) // per second: steadily
				for {
					if _, err := peer.Read(b); err != nil {
						return
					}
					<-time.After(time.Second)
				}
			}()
			if err := <-wrote; err != nil {
				t.Error(err)
			}
			c.CloseNow()
			<-took
		})
	}
}

// TestKeepaliveClosesAPeerThatStopsTaking: of a large message; the sent part of it does not count forever.
func TestKeepaliveClosesAPeerThatStopsTaking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer := rawPipe(t, protocol.RoleServer, nil)
		go c.Write(context.Background(), Message{Binary, make([]byte, 4<<20)})
		if _, err := io.CopyN(io.Discard, peer.Conn, 1<<20); err != nil {
			t.Fatal(err)
		}
		if took := silence(t, c); took > 2*defaultPingInterval {
			t.Errorf("closed after %v", took)
		}
	})
}

// An ended connection leaves no timer that would keep its memory.
func TestKeepaliveEndsWithTheConnection(t *testing.T) {
	c, _ := rawPipe(t, protocol.RoleServer, nil)
	c.CloseNow()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.alive.timer.Stop() {
		t.Error("the timer is still set")
	}
}

// If the system does not report what the peer has received, accepted parts of the present write count if the ping waits behind it
// and much data is in front of the ping.
func TestPeerThatTakesWithoutTheKernelsReport(t *testing.T) {
	c, peer := rawPipe(t, protocol.RoleServer, &ConnOptions{PingInterval: -1})
	for i := range 8 {
		moved, held, ping := i&1 != 0, i&2 != 0, i&4 != 0
		c.mu.Lock()
		c.moved.Store(moved)
		c.out.held, c.ctl = held, make([]byte, i/4)
		if got, want := c.takes(), moved && held && ping; got != want || c.moved.Load() {
			t.Errorf("moved %v, written %v, with a ping %v: it takes: %v", moved, held, ping, got)
		}
		c.out.held, c.ctl = false, nil
		c.mu.Unlock()
	}
	go io.Copy(io.Discard, peer.Conn)
	for _, tt := range []struct {
		size       int
		held, slow bool
	}{
		{backlog, false, false}, {backlog, false, false}, {backlog + 1, true, false}, {0, false, false}, {backlog + 1, false, true}, {0, false, true},
	} {
		if _, err := c.stream.Write(make([]byte, tt.size), &c.moved); err != nil {
			t.Fatal(err)
		}
		c.mu.Lock()
		c.out.held = tt.held
		if takes := c.takes(); takes || c.alive.peer.slow != tt.slow {
			t.Errorf("%d bytes, writing %v: it takes: %v, slow: %v", tt.size, tt.held, takes, c.alive.peer.slow)
		}
		c.out.held = false
		c.mu.Unlock()
	}
}
