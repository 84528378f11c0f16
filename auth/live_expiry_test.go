package auth

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/websocket"
)

// timedSession is a session that records when it is warned and closed.
type timedSession struct {
	Session
	code   websocket.Code
	reason string
	left   time.Duration // the time left at the warning
	warned time.Time
	closed time.Time
}

func (c *timedSession) Shut(code websocket.Code, reason string) error {
	c.code, c.reason, c.closed = code, reason, time.Now()
	return nil
}

func (c *timedSession) CloseNow() error { return nil }

// newWarningLive returns a Live that warns timed sessions.
func newWarningLive() *Live {
	return &Live{Expiring: func(h Handle, left time.Duration) {
		c := h.(*timedSession)
		c.warned, c.left = time.Now(), left
	}}
}

// open opens a session that expires when the duration after has passed; 0 means never.
func (l *Live) open(t *testing.T, after, warn time.Duration) *timedSession {
	t.Helper()
	c := &timedSession{}
	c.Session.Warn = warn
	if after != 0 {
		c.Identity.Expires = time.Now().Add(after)
	}
	if err := l.Admit(&c.Session); err != nil || !c.Open(c) {
		t.Fatal(err)
	}
	return c
}

func TestLiveExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		live := newWarningLive()
		began := time.Now()
		c, forever := live.open(t, 5*time.Minute, 30*time.Second), live.open(t, 0, time.Minute)
		<-time.After(time.Hour)
		synctest.Wait()
		if c.left != 30*time.Second || c.warned.Sub(began) != 4*time.Minute+30*time.Second {
			t.Errorf("warned after %v, with %v left", c.warned.Sub(began), c.left)
		}
		if c.code != CodeExpired || c.reason != ReasonExpired || c.closed.Sub(began) != 5*time.Minute {
			t.Errorf("closed with %d %q after %v", c.code, c.reason, c.closed.Sub(began))
		}
		if !forever.closed.IsZero() || !forever.warned.IsZero() || len(live.expiring) != 0 {
			t.Errorf("a session that does not expire was closed; %d expiring", len(live.expiring))
		}
	})
}

// Each session is closed at its own time, whatever the order in which sessions were opened.
func TestLiveExpiryOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		live := newWarningLive()
		began := time.Now()
		all := map[time.Duration]*timedSession{}
		for _, minutes := range []int{30, 10, 20, 40, 5} {
			life := time.Duration(minutes) * time.Minute
			all[life] = live.open(t, life, 0)
		}
		<-time.After(time.Hour)
		synctest.Wait()
		for after, c := range all {
			if c.code != CodeExpired || c.closed.Sub(began) != after || !c.warned.IsZero() {
				t.Errorf("%v: closed with %d after %v", after, c.code, c.closed.Sub(began))
			}
		}
	})
}

// A session with less time than its warning is warned immediately, and one without any time left is closed.
func TestLiveExpiryLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		live := newWarningLive()
		began := time.Now()
		short, gone := live.open(t, 1500*time.Millisecond, time.Minute), live.open(t, -time.Second, time.Minute)
		<-time.After(time.Minute)
		synctest.Wait()
		if short.left != 1500*time.Millisecond || short.warned != began || short.closed.Sub(began) != 1500*time.Millisecond {
			t.Errorf("warned after %v, with %v left; closed after %v", short.warned.Sub(began), short.left, short.closed.Sub(began))
		}
		if gone.code != CodeExpired || gone.closed != began || !gone.warned.IsZero() {
			t.Errorf("already expired: closed with %d after %v", gone.code, gone.closed.Sub(began))
		}
	})
}

// A Live without warnings schedules none.
func TestLiveExpiryUnwarned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var live Live
		began := time.Now()
		c := live.open(t, 5*time.Minute, time.Minute)
		<-time.After(time.Hour)
		synctest.Wait()
		if c.closed.Sub(began) != 5*time.Minute {
			t.Errorf("closed after %v", c.closed.Sub(began))
		}
	})
}

// An expiry is noticed even if the wall clock jumps, which timers ignore.
func TestLiveExpiryLooksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var live Live
		c := live.open(t, time.Hour, 0)
		<-time.After(time.Minute)
		live.mu.Lock()
		c.Identity.Expires = time.Now() // as if the clock had jumped
		live.mu.Unlock()
		began := time.Now()
		<-time.After(time.Hour)
		synctest.Wait()
		if late := c.closed.Sub(began); late < 0 || late > maxTimerWait {
			t.Errorf("closed %v too late", late)
		}
	})
}

// A session that ends early leaves nothing behind, however long its credential would have been valid.
func TestLiveExpiryForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		live := newWarningLive()
		var all []*timedSession
		for i := range 100 {
			all = append(all, live.open(t, time.Duration(i*i%37+1)*time.Hour, time.Minute))
		}
		for _, c := range all {
			c.End()
		}
		<-time.After(100 * time.Hour)
		synctest.Wait()
		for _, c := range all {
			if !c.closed.IsZero() || !c.warned.IsZero() {
				t.Errorf("closed at %v, warned at %v", c.closed, c.warned)
			}
		}
		if len(live.expiring) != 0 {
			t.Errorf("%d expiring", len(live.expiring))
		}
	})
}
