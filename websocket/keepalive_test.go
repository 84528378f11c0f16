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

// silence returns how long a peer must be silent before c is closed.
func silence(t *testing.T, c *Conn) time.Duration {
	t.Helper()
	start := time.Now()
	<-c.Context().Done()
	ce := wantClose(t, context.Cause(c.Context()), CodeAbnormal, "", true)
	if !errors.Is(ce, os.ErrDeadlineExceeded) || !strings.Contains(ce.Error(), "silent") {
		t.Errorf("closed because of %v", ce)
	}
	return time.Since(start)
}

// checkSilence checks the duration of a silence. If no goroutine reads, each check also waits for bytes, which takes time.
func checkSilence(t *testing.T, got, want time.Duration) {
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
			checkSilence(t, silence(t, c), 3*defaultPingInterval/2) // the ping after half an interval, and the end one interval later
		})
	}
}

// TestKeepaliveWorstCase uses a peer that sends its last data right after a check.
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
		checkSilence(t, silence(t, c), 2*defaultPingInterval)
	})
}

// TestKeepaliveSparesAPeerThatAnswers checks that a peer that replies to pings stays connected for an hour of fake time, with and
// without a reader.
func TestKeepaliveSparesAPeerThatAnswers(t *testing.T) {
	for _, reading := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			near, far := rawPipe(t, protocol.RoleServer, nil)
			peer := overStream(far.Conn, protocol.RoleClient, &ConnOptions{PingInterval: -1})
			defer peer.CloseNow()
			go peer.Read(context.Background()) // reading makes the peer reply to the pings
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

// TestKeepaliveWithAMessageThatIsNotRead checks that an unread message is kept, that pongs behind it are handled, and that a silent
// peer is still detected.
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

// TestPingMakesWayForARead checks that a Ping that reads because no other call does so neither loses a message nor blocks a Read.
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

// TestPingKeepsTheMessageInItsWay checks that a pong behind an unread message completes the Ping once the message has been read.
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

// TestRFC6455_5_5_3_OnePongAnswersThePingsBefore checks that a peer may reply only to the most recent ping.
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

// TestKeepaliveSparesAPeerThatTakesALargeMessage uses a peer that reads slowly. The ping is queued behind the message, so the peer
// cannot reply to it yet.
func TestKeepaliveSparesAPeerThatTakesALargeMessage(t *testing.T) {
	for _, role := range []protocol.Role{protocol.RoleServer, protocol.RoleClient} {
		synctest.Test(t, func(t *testing.T) {
			c, peer := rawPipe(t, role, nil)
			wrote := make(chan error, 1)
			go func() { wrote <- c.Write(context.Background(), Message{Binary, make([]byte, 4<<20)}) }()
			took := make(chan struct{})
			go func() {
				defer close(took)
				b := make([]byte, 32<<10) // the peer reads this many bytes per second
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

// TestKeepaliveClosesAPeerThatStopsAccepting uses a peer that stops reading in the middle of a large message. The part that has been
// sent must not count as progress indefinitely.
func TestKeepaliveClosesAPeerThatStopsAccepting(t *testing.T) {
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

// After the end of a connection, no timer remains that would retain its memory.
func TestKeepaliveEndsWithTheConnection(t *testing.T) {
	c, _ := rawPipe(t, protocol.RoleServer, nil)
	c.CloseNow()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keepalive.timer.Stop() {
		t.Error("the timer is still set")
	}
}

// If the system does not report how much data the peer has received, accepted parts of the current write count as progress if a ping
// is queued behind that write. A peer counts as slow after a completed write of more than backlog bytes.
func TestPeerThatAcceptsWithoutTheKernelsReport(t *testing.T) {
	c, peer := rawPipe(t, protocol.RoleServer, &ConnOptions{PingInterval: -1})
	for i := range 8 {
		moved, held, ping := i&1 != 0, i&2 != 0, i&4 != 0
		c.mu.Lock()
		c.outbox.progress.Store(moved)
		c.outbox.out.held, c.outbox.ctl = held, make([]byte, i/4)
		if got, want := c.peerAccepting(), moved && held && ping; got != want || c.outbox.progress.Load() {
			t.Errorf("moved %v, writing %v, with a ping %v: takes %v", moved, held, ping, got)
		}
		c.outbox.out.held, c.outbox.ctl = false, nil
		c.mu.Unlock()
	}
	go io.Copy(io.Discard, peer.Conn)
	for _, tt := range []struct {
		size       int
		held, slow bool
	}{
		{backlog, false, false}, {backlog, false, false}, {backlog + 1, true, false}, {0, false, false}, {backlog + 1, false, true}, {0, false, true},
	} {
		if _, err := c.stream.Write(make([]byte, tt.size), &c.outbox.progress); err != nil {
			t.Fatal(err)
		}
		c.mu.Lock()
		c.outbox.out.held = tt.held
		if takes := c.peerAccepting(); takes || c.keepalive.peer.slow != tt.slow {
			t.Errorf("%d bytes, writing %v: takes %v, slow %v", tt.size, tt.held, takes, c.keepalive.peer.slow)
		}
		c.outbox.out.held = false
		c.mu.Unlock()
	}
}
