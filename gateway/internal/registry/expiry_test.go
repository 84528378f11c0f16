package registry

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/websocket"
)

// running runs g's Run until the test is over.
func running(t *testing.T, g *Registry) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		g.Run(ctx)
		close(done)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}

func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New()
		running(t, g)
		began := time.Now()
		m := join(t, g, &Entry{User: "alice", Expires: began.Add(5 * time.Minute), Warn: 30 * time.Second})
		forever := join(t, g, &Entry{User: "bob"})
		if got := <-m.got; got != `{"type":"refresh","expires_in":30}` || time.Since(began) != 4*time.Minute+30*time.Second {
			t.Errorf("got %s after %v", got, time.Since(began))
		}
		if code := m.code(); code != CodeUnauthorized || time.Since(began) != 5*time.Minute {
			t.Errorf("closed with %v after %v", code, time.Since(began))
		}
		if _, reason, ok := m.Told(); !ok || reason != Expired {
			t.Errorf("told %q", reason)
		}
		synctest.Wait()
		if g.Len() != 1 || len(g.expiring) != 0 {
			t.Errorf("%d open, %d expiring", g.Len(), len(g.expiring))
		}
		g.Close(Filter{}, nil, websocket.CodeNormal, "")
		forever.code()
	})
}

// Each goes at its own time, in whatever order they came.
func TestExpiryOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New()
		running(t, g)
		began := time.Now()
		for _, minutes := range []int{30, 10, 20, 40, 5} {
			m := join(t, g, &Entry{Expires: began.Add(time.Duration(minutes) * time.Minute)})
			go func() {
				if code := m.code(); code != CodeUnauthorized || time.Since(began) != time.Duration(minutes)*time.Minute {
					t.Errorf("%d min: closed with %v after %v", minutes, code, time.Since(began))
				}
			}()
		}
		<-time.After(time.Hour) // by the clock of the bubble
		synctest.Wait()
		if g.Len() != 0 {
			t.Errorf("%d are left", g.Len())
		}
	})
}

func TestExpiryAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New()
		running(t, g)
		// It comes with less time than a warning takes, and is warned at once.
		short := join(t, g, &Entry{Expires: time.Now().Add(1500 * time.Millisecond), Warn: time.Minute})
		if got := <-short.got; got != `{"type":"refresh","expires_in":2}` {
			t.Errorf("got %s", got)
		}
		gone := join(t, g, &Entry{Expires: time.Now().Add(-time.Second), Warn: time.Minute})
		if code := gone.code(); code != CodeUnauthorized {
			t.Errorf("expired before: %v", code)
		}
		if code := short.code(); code != CodeUnauthorized {
			t.Errorf("short: %v", code)
		}
	})
}

// A connection that leaves early leaves nothing behind, however long its credential would have held.
func TestExpiryForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New()
		running(t, g)
		for range 100 {
			m := join(t, g, &Entry{Expires: time.Now().Add(24 * time.Hour), Warn: time.Minute})
			_ = m.client.Close(websocket.CodeNormal, "")
			synctest.Wait()
		}
		if len(g.expiring) != 0 || g.Len() != 0 {
			t.Errorf("%d expiring, %d open", len(g.expiring), g.Len())
		}
	})
}
