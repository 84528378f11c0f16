package reactor

import (
	"fmt"
	"os"
	"time"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/protocol"
)

// controls counts them.
type controls struct {
	since uint32 // the tick after it; 0: never
	count uint16
}

func (r *controls) exceeded(now uint32) bool {
	if r.count++; r.count <= protocol.MaxControls {
		return false
	}
	if now++; r.since != 0 && now-r.since < ticks(time.Second) {
		return true
	}
	r.since, r.count = now, 1
	return false
}

// Keepalive is that of websocket.Conn: two looks in an interval. A look that finds nothing heard since the one before
// sends a ping; the third in a row gives the peer up, which has been silent for more than one interval then and for
// half of one since the ping.
const (
	quietPing = 1
	quietEnd  = 3
)

// look does what is due. The caller is the holder.
func (c *Conn) look() {
	c.mu.Lock()
	waits := c.phase == open && (c.end == nil || c.end.werr == nil)
	c.mu.Unlock()
	if !waits {
		c.tooLate()
		return
	}
	s := c.loop.s
	if s.pingInterval <= 0 {
		return // the deadline of the handshake
	}
	if c.heard {
		c.quiet, c.heard = 0, false
	} else {
		c.quiet++
	}
	switch c.quiet {
	case quietPing:
		c.mu.Lock()
		out := c.room(0)
		if b, err := c.m.AppendPing(out.b, nil, nil); err == nil {
			out.b = b
		}
		c.mu.Unlock()
	case quietEnd:
		c.failed(&websocket.CloseError{Code: websocket.CodeAbnormal, ByPeer: true, Err: fmt.Errorf(
			"the peer was silent for %v, ping unanswered: %w", 2*s.pingInterval, os.ErrDeadlineExceeded)})
		return
	}
	c.loop.after(c, s.pingInterval/2)
}
