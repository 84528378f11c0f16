package cli

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/protocol"
	"github.com/handfast/handfast/websocket/wstest"
)

// An answer that takes longer than a server may be silent is waited for, as long as parts of it arrive.
func TestDialSlowAnswer(t *testing.T) {
	for pause, want := range map[time.Duration]string{quiet * 3 / 4: "abcd\n", 2 * quiet: ""} {
		synctest.Test(t, func(t *testing.T) {
			p, conn := wstest.PipePeer(t, protocol.RoleServer, nil)
			over := make(chan struct{})
			go func() {
				defer close(over)
				for i, part := range []string{"a", "b", "c", "d"} {
					<-time.After(pause)
					f := wstest.Frame{Opcode: frame.Continuation, Payload: []byte(part), More: part != "d"}
					if i == 0 {
						f.Opcode = frame.Text
					}
					if p.Send(f) != nil {
						return // it was not waited for
					}
				}
				for {
					f, err := p.Next()
					if err != nil {
						return
					}
					if f.Opcode == frame.Ping {
						f.Opcode = frame.Pong
					}
					if p.Send(wstest.Frame{Opcode: f.Opcode, Payload: f.Payload}) != nil || f.Opcode == frame.Close {
						p.Close()
						return
					}
				}
			}()
			var out strings.Builder
			s := &session{conn: conn, in: nothing{}, out: lineOutput(newFormat(false, false)), w: &out}
			err := s.run(t.Context())
			p.Close()
			<-over
			if out.String() != want || err != nil {
				t.Errorf("a part every %v: %q, %v", pause, out.String(), err)
			}
		})
	}
}
