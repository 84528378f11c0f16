package proxy

import (
	"testing"
	"time"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// reached returns the reason for the limit that has been reached, or the time at which the first limit will be reached.
func TestReached(t *testing.T) {
	for name, tt := range map[string]struct {
		limits      limits
		active, now time.Duration
		reason      string
		next        time.Duration
	}{
		"nothing":                          {now: time.Hour},
		"idle, not yet":                    {limits: limits{idle: 5}, active: 2, now: 6, next: 7},
		"idle":                             {limits: limits{idle: 5}, active: 2, now: 7, reason: ReasonIdle},
		"the lifetime, not yet":            {limits: limits{expires: 5}, active: 4, now: 4, next: 5},
		"the lifetime":                     {limits: limits{expires: 5}, active: 5, now: 5, reason: ReasonLifetime},
		"idle comes first":                 {limits: limits{idle: 5, expires: 9}, active: 2, now: 3, next: 7},
		"the lifetime comes first":         {limits: limits{idle: 5, expires: 6}, active: 2, now: 3, next: 6},
		"the lifetime, though not idle":    {limits: limits{idle: 5, expires: 6}, active: 5, now: 6, reason: ReasonLifetime},
		"idle, though the lifetime is not": {limits: limits{idle: 5, expires: 9}, active: 2, now: 8, reason: ReasonIdle},
	} {
		if reason, next := tt.limits.reached(tt.active, tt.now); reason != tt.reason || next != tt.next {
			t.Errorf("%s: got %q, %d, want %q, %d", name, reason, next, tt.reason, tt.next)
		}
	}
}

// A connection that has reached a limit is closed on both sides with the same code and reason, whether its bytes or its messages
// are forwarded.
func TestLimits(t *testing.T) {
	for reason, o := range map[string]TunnelOptions{
		ReasonIdle:     {Idle: 100 * time.Millisecond, Lifetime: time.Hour},
		ReasonLifetime: {Idle: time.Hour, Lifetime: 100 * time.Millisecond},
	} {
		onEach(t, func(t *testing.T, r *rig) {
			r.carry("", "", o)
			expectClose(t, r.client, false, websocket.CodeGoingAway, reason)
			expectClose(t, r.server, true, websocket.CodeGoingAway, reason)
			r.write(r.client, closeFrameOfPeer(true, websocket.CodeGoingAway, ""))
			r.server.Close()
			if e := r.ended(); e.Code != websocket.CodeGoingAway || e.Reason != reason || e.Err != nil {
				t.Errorf("got %v, want a close with 1001 and %q", e, reason)
			}
		})
		t.Run("messages", func(t *testing.T) {
			up := serveMessages(t, nil)
			b := newBalancer(t, Settings{ByMessage: true, Tunnel: o}, up.addr())
			k := dialClient(t, b, nil)
			k.expectClose(websocket.CodeGoingAway, reason)
			if e := bounded.Receive(t, up.ended); e.Code != websocket.CodeGoingAway || e.Reason != reason {
				t.Errorf("server: got %v, want a close with 1001 and %q", e, reason)
			}
			if e := bounded.Receive(t, k.ended); e.Code != websocket.CodeGoingAway || e.Reason != reason || e.Err != nil {
				t.Errorf("client: got %v, want a close with 1001 and %q", e, reason)
			}
		})
	}
}

// fakeDriver is a tunnel without connections.
type fakeDriver struct {
	Tunnel
	wakes int
}

func (l *fakeDriver) wake() { l.wakes++ }

func (l *fakeDriver) hasQueued(side) bool { return false }

// look closes a tunnel that has reached a limit, and returns when to look again.
func TestTunnelLook(t *testing.T) {
	const start = time.Second
	for name, tt := range map[string]struct {
		set  func(l *fakeDriver)
		now  time.Duration // since start
		next time.Duration // since start, or 0 for never
		shut string        // the reason; "" if it was not closed
		over bool
	}{
		"without limits":                {set: func(*fakeDriver) {}, now: 1000 * time.Hour},
		"idle, before":                  {set: func(l *fakeDriver) { l.idle = time.Minute }, now: 59 * time.Second, next: time.Minute},
		"idle":                          {set: func(l *fakeDriver) { l.idle = time.Minute }, now: time.Minute, next: time.Minute + closeTimeout, shut: ReasonIdle},
		"the lifetime, before":          {set: func(l *fakeDriver) { l.idle, l.expires = 2*time.Hour, time.Hour }, now: time.Minute, next: time.Hour},
		"the lifetime":                  {set: func(l *fakeDriver) { l.expires = time.Hour }, now: time.Hour, next: time.Hour + closeTimeout, shut: ReasonLifetime},
		"half open, before":             {set: func(l *fakeDriver) { l.readEnded[client] = true }, now: time.Second, next: halfOpenTimeout},
		"half open":                     {set: func(l *fakeDriver) { l.readEnded[upstream] = true }, now: halfOpenTimeout, next: halfOpenTimeout, over: true},
		"half open, with a lower limit": {set: func(l *fakeDriver) { l.readEnded[client], l.idle = true, time.Second }, now: time.Second, next: time.Second, over: true},
		"closing, before":               {set: func(l *fakeDriver) { l.shut = true }, now: time.Second, next: time.Second + closeTimeout},
		"closing":                       {set: func(l *fakeDriver) { l.shut, l.cutAt = true, start+closeTimeout }, now: closeTimeout, next: closeTimeout, over: true},
	} {
		l := &fakeDriver{}
		l.driver = l
		tt.set(l)
		l.start(start)
		next := l.checkLimits(start + tt.now)
		if next != 0 {
			next -= start
		}
		reason := ""
		if l.closeErr != nil {
			reason = l.closeErr.Reason
		}
		if next != tt.next || reason != tt.shut || l.terminated != tt.over || (l.wakes > 0) != (tt.shut != "") {
			t.Errorf("%s: got next %v, reason %q, over %v, %d nudges, want %v, %q, %v", name, next, reason, l.terminated, l.wakes, tt.next, tt.shut, tt.over)
		}
	}
}
