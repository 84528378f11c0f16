package cli

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/protocol"
	"github.com/handfast/handfast/websocket/wstest"
)

// earlyPongServer is a server that answers pings before earlier messages, as RFC 6455 §5.5.2 allows: the pong follows after trip, and
// then one reply after each pause.
func earlyPongServer(p *wstest.Peer, trip, pause time.Duration, answers int) {
	sent := 0
	for {
		f, err := p.Next()
		if err != nil {
			return
		}
		switch f.Opcode {
		case frame.Ping:
			<-time.After(trip)
			if p.Send(wstest.Frame{Opcode: frame.Pong, Payload: f.Payload}) != nil {
				return
			}
			for ; sent < answers; sent++ {
				<-time.After(pause)
				if p.Send(wstest.TextFrame(fmt.Sprint(sent))) != nil {
					return
				}
			}
		case frame.Close:
			_ = p.Send(wstest.Frame{Opcode: frame.Close, Payload: f.Payload})
			p.Close()
			return
		}
	}
}

// Replies after the pong are not lost, unless the server is silent for much longer than its round-trip time and its earlier pauses. A
// server that never stops sending is an error.
func TestDialPongBeforeReplies(t *testing.T) {
	const closes = 5 * time.Second // the timeout of the close, which a server that is still sending does not answer
	for _, tt := range []struct {
		name        string
		trip, pause time.Duration
		answers     int
		whole       bool
		err         error
		maxEnd      time.Duration // the maximum time between the last reply and the end
	}{
		{"a near server", time.Millisecond, time.Millisecond, 1000, true, nil, time.Second},
		{"a slow server that is near", time.Millisecond, 250 * time.Millisecond, 100, true, nil, 2 * time.Second},
		{"a far server", 600 * time.Millisecond, 2 * time.Second, 10, true, nil, quietTimeout},
		{"nothing", time.Millisecond, 0, 0, true, nil, time.Second},
		{"it is too slow", time.Millisecond, 2 * quietTimeout, 2, false, nil, time.Second + closes},
		{"without an end", time.Millisecond, 100 * time.Millisecond, 1000, false, errStillSending, maxSettle + time.Second + closes},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, conn := wstest.PipePeer(t, protocol.RoleServer, nil)
				over := make(chan struct{})
				go func() {
					defer close(over)
					earlyPongServer(p, tt.trip, tt.pause, tt.answers)
				}()
				var out strings.Builder
				begin := time.Now()
				s := &session{conn: conn, in: newFeed(emptyInput{}), out: lineOutput(newFormat(false, false), '\n'), w: &out}
				err := s.run(t.Context())
				took := time.Since(begin)
				p.Close()
				<-over
				if got := strings.Count(out.String(), "\n"); (got == tt.answers) != tt.whole || !errors.Is(err, tt.err) {
					t.Errorf("%d of %d replies, %v", got, tt.answers, err)
				}
				sending := tt.trip + tt.pause*time.Duration(tt.answers)
				if !tt.whole {
					sending = 0
				}
				if took > sending+tt.maxEnd {
					t.Errorf("settle took %v, and the server sent for %v", took, sending)
				}
			})
		})
	}
}
