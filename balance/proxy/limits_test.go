package proxy

import (
	"testing"
	"time"
)

// looker is a tunnel that has no connections.
type looker struct {
	Tunnel
	nudged int
}

func (l *looker) nudge() { l.nudged++ }

func (l *looker) waits(side) bool { return false }

// What a tunnel does by itself, by the time that has passed.
func TestTunnelLook(t *testing.T) {
	const start = time.Second
	for name, tt := range map[string]struct {
		set  func(l *looker)
		now  time.Duration // since start
		next time.Duration // since start, 0 for never
		shut string        // the reason, "" when nothing was begun
		over bool
	}{
		"without limits":                {set: func(*looker) {}, now: 1000 * time.Hour},
		"idle, before":                  {set: func(l *looker) { l.idle = time.Minute }, now: 59 * time.Second, next: time.Minute},
		"idle":                          {set: func(l *looker) { l.idle = time.Minute }, now: time.Minute, next: time.Minute + patience, shut: ReasonIdle},
		"the lifetime, before":          {set: func(l *looker) { l.idle, l.expires = 2*time.Hour, time.Hour }, now: time.Minute, next: time.Hour},
		"the lifetime":                  {set: func(l *looker) { l.expires = time.Hour }, now: time.Hour, next: time.Hour + patience, shut: ReasonLifetime},
		"half open, before":             {set: func(l *looker) { l.heard[client] = true }, now: time.Second, next: halfOpen},
		"half open":                     {set: func(l *looker) { l.heard[upstream] = true }, now: halfOpen, next: halfOpen, over: true},
		"half open, with a lower limit": {set: func(l *looker) { l.heard[client], l.idle = true, time.Second }, now: time.Second, next: time.Second, over: true},
		"closing, before":               {set: func(l *looker) { l.shut = true }, now: time.Second, next: time.Second + patience},
		"closing":                       {set: func(l *looker) { l.shut, l.endBy = true, start+patience }, now: patience, next: patience, over: true},
	} {
		l := &looker{}
		l.driver = l
		tt.set(l)
		l.start(start)
		next := l.look(start + tt.now)
		if next != 0 {
			next -= start
		}
		reason := ""
		if l.how != nil {
			reason = l.how.Reason
		}
		if next != tt.next || reason != tt.shut || l.over != tt.over || (l.nudged > 0) != (tt.shut != "") {
			t.Errorf("%s: again at %v, want %v; reason %q; over %v; nudged %d times", name, next, tt.next, reason, l.over, l.nudged)
		}
	}
}
