package pusher

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/handfast/handfast/websocket"
)

// heartbeat monitors the activity of a client: it pings a silent client, and closes one that remains silent. Its timer calls tick,
// one call at a time.
type heartbeat struct {
	session      *session
	timer        *time.Timer
	lastActivity atomic.Int64 // the time of the last activity, in nanoseconds since 1970
	pingedAt     int64        // the value of lastActivity at the last ping; 0 before the first
	ended        atomic.Bool
}

// start starts monitoring.
func (p *heartbeat) start(s *session) {
	p.session = s
	p.recordActivity()
	ready := make(chan struct{})
	p.timer = time.AfterFunc(s.server.activityTimeout(), func() {
		<-ready
		p.tick()
	})
	close(ready)
}

// recordActivity records that the client has sent a message.
func (p *heartbeat) recordActivity() { p.lastActivity.Store(time.Now().UnixNano()) }

// stop ends monitoring.
func (p *heartbeat) stop() {
	p.ended.Store(true)
	p.timer.Stop()
}

func (p *heartbeat) tick() {
	s := p.session
	heard := p.lastActivity.Load()
	if p.ended.Load() {
		return
	}
	wait := s.server.activityTimeout() - time.Since(time.Unix(0, heard))
	switch {
	case p.pingedAt == heard:
		_ = s.out.Shut(CodeNoPong, "You have not answered a ping.") // this fails if the connection has ended
		return
	case wait <= 0:
		err := s.out.Send(websocket.Message{Type: websocket.Text, Data: encode(&event{Event: "pusher:ping", Data: struct{}{}})})
		if errors.Is(err, websocket.ErrQueueFull) {
			_ = s.out.Shut(CodeIdle, "You neither send nor read messages.")
			return
		}
		p.pingedAt, wait = heard, s.server.pongTimeout()
	}
	p.timer.Reset(wait)
	if p.ended.Load() { // stop was called before Reset
		p.timer.Stop()
	}
}
