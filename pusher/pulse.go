package pusher

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/handfast/handfast/websocket"
)

// pulse monitors the activity of a client: it pings a silent client, and closes one that remains silent. Its timer calls tick, one
// call at a time.
type pulse struct {
	session *session
	timer   *time.Timer
	heard   atomic.Int64 // the time of the last activity, in nanoseconds since 1970
	asked   int64        // the value of heard at the last ping; 0 before the first
	ended   atomic.Bool
}

// start starts monitoring.
func (p *pulse) start(s *session) {
	p.session = s
	p.hear()
	ready := make(chan struct{})
	p.timer = time.AfterFunc(s.server.activityTimeout(), func() {
		<-ready
		p.tick()
	})
	close(ready)
}

// hear records that the client has sent a message.
func (p *pulse) hear() { p.heard.Store(time.Now().UnixNano()) }

// stop ends monitoring.
func (p *pulse) stop() {
	p.ended.Store(true)
	p.timer.Stop()
}

func (p *pulse) tick() {
	s := p.session
	heard := p.heard.Load()
	if p.ended.Load() {
		return
	}
	wait := s.server.activityTimeout() - time.Since(time.Unix(0, heard))
	switch {
	case p.asked == heard:
		_ = s.out.Shut(CodeNoPong, "You have not answered a ping.") // this fails if the connection has ended
		return
	case wait <= 0:
		err := s.out.Send(websocket.Message{Type: websocket.Text, Data: encode(&event{Event: "pusher:ping", Data: struct{}{}})})
		if errors.Is(err, websocket.ErrQueueFull) {
			_ = s.out.Shut(CodeIdle, "You neither send nor read messages.")
			return
		}
		p.asked, wait = heard, s.server.pongTimeout()
	}
	p.timer.Reset(wait)
	if p.ended.Load() { // stop was called before Reset
		p.timer.Stop()
	}
}
