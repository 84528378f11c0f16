package registry

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/protocol"
	"github.com/handfast/handfast/websocket/wstest"
)

var refuse = &websocket.Reject{Status: 503, Reason: "stopping"}

// drain runs a drain with a timeout, and returns its results and its duration.
func drain(t *testing.T, g *Registry, d Drain, timeout time.Duration) (closed, cut int, took time.Duration) {
	t.Helper()
	d.Refuse = refuse
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	began := time.Now()
	closed, cut = g.Drain(ctx, d)
	return closed, cut, time.Since(began)
}

func TestDrainSpreads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(&auth.Live{})
		const n = 100
		var order []int
		began := time.Now()
		var last time.Duration
		ended := make(chan int, n)
		for i := range n {
			m := join(t, g, &Entry{})
			go func() {
				if code := m.code(); code != websocket.CodeServiceRestart {
					t.Errorf("closed with %v", code)
				}
				ended <- i
			}()
		}
		go func() {
			for i := range ended {
				order = append(order, i)
				last = time.Since(began)
			}
		}()
		closed, cut, _ := drain(t, g, Drain{Spread: 500 * time.Millisecond, Code: websocket.CodeServiceRestart}, time.Minute)
		synctest.Wait()
		close(ended)
		if closed != n || cut != 0 || len(order) != n {
			t.Fatalf("%d closed, %d cut, %d seen", closed, cut, len(order))
		}
		if last < 490*time.Millisecond || last > 510*time.Millisecond {
			t.Errorf("the last connection was closed after %v", last)
		}
		if slices.IsSorted(order) {
			t.Error("the connections were closed in the order in which they were opened")
		}
		if err := g.Enter(entry("a", "192.0.2.1", ""), Bounds{}); err != error(refuse) {
			t.Errorf("a handshake after the drain: %v", err)
		}
	})
}

// A few connections are closed in less than the whole spread time.
func TestDrainOfFewIsShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(&auth.Live{})
		for range 3 {
			join(t, g, &Entry{})
		}
		closed, cut, took := drain(t, g, Drain{Spread: time.Hour, Code: websocket.CodeGoingAway}, 2*time.Hour)
		if closed != 3 || cut != 0 || took > 100*time.Millisecond {
			t.Errorf("%d closed, %d cut after %v", closed, cut, took)
		}
	})
}

// Clients that do not respond are disconnected at the timeout.
func TestDrainCuts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(&auth.Live{})
		good := join(t, g, &Entry{})
		e := entry("a", "192.0.2.1", "")
		if err := g.Enter(e, Bounds{}); err != nil {
			t.Fatal(err)
		}
		peer, conn := wstest.PipePeer(t, protocol.RoleClient, &wstest.Options{Server: websocket.ConnOptions{CloseTimeout: time.Hour}})
		defer peer.Close()
		admit(t, g, e)
		g.Open(e, conn)
		go func() {
			_, _ = conn.Read(t.Context()) // returns when the connection is cut
			g.Leave(e)
		}()
		closed, cut, took := drain(t, g, Drain{Spread: time.Second, Code: websocket.CodeGoingAway}, 10*time.Second)
		if closed != 1 || cut != 1 || took != 10*time.Second {
			t.Errorf("%d closed, %d cut after %v", closed, cut, took)
		}
		if code := good.code(); code != websocket.CodeGoingAway {
			t.Errorf("closed with %v", code)
		}
	})
}

// A drain waits for handshakes that are in progress, and closes their connections.
func TestDrainWaitsForHandshakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(&auth.Live{})
		e := entry("a", "192.0.2.1", "")
		if err := g.Enter(e, Bounds{}); err != nil {
			t.Fatal(err)
		}
		drained := make(chan struct{})
		go func() {
			drain(t, g, Drain{Code: websocket.CodeServiceRestart}, time.Minute)
			close(drained)
		}()
		synctest.Wait()
		select {
		case <-drained:
			t.Error("the drain did not wait for a handshake in progress")
		default:
		}
		if err := g.Enter(entry("a", "192.0.2.1", ""), Bounds{}); !errors.Is(err, error(refuse)) {
			t.Errorf("another handshake: %v", err)
		}
		_, conn := wstest.Pipe(t, nil)
		admit(t, g, e)
		if g.Open(e, conn) {
			t.Error("a connection that opens during the drain may stay")
		}
		if code, reason, ok := e.Told(); !ok || code != websocket.CodeServiceRestart || reason != Stopping {
			t.Errorf("the close frame has %v %q", code, reason)
		}
		conn.CloseNow()
		g.Leave(e)
		<-drained
	})
}

func TestAbort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(&auth.Live{})
		m := join(t, g, &Entry{})
		g.Abort()
		if code := m.code(); code != websocket.CodeAbnormal {
			t.Errorf("closed with %v", code)
		}
		late := join(t, g, &Entry{})
		if code := late.code(); code != websocket.CodeAbnormal {
			t.Errorf("a connection that opens during the drain: %v", code)
		}
	})
}

// A drain without connections returns immediately.
func TestDrainOfAnEmptyRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		closed, cut, took := drain(t, New(&auth.Live{}), Drain{Spread: time.Minute, Code: websocket.CodeServiceRestart}, time.Minute)
		if closed != 0 || cut != 0 || took != 0 {
			t.Errorf("%d closed, %d cut, after %v", closed, cut, took)
		}
	})
}
