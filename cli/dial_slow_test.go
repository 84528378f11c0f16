package cli

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/protocol"
	"github.com/handfast/handfast/websocket/wstest"
)

// A slow reply is awaited as long as parts of it arrive.
func TestDialSlowAnswer(t *testing.T) {
	for pause, want := range map[time.Duration]string{quietTimeout * 3 / 4: "abcd\n", 2 * quietTimeout: ""} {
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
						return // the session did not wait
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
			s := &session{conn: conn, in: newFeed(emptyInput{}), out: lineOutput(newFormat(false, false), '\n'), w: &out}
			err := s.run(t.Context())
			p.Close()
			<-over
			if out.String() != want || err != nil {
				t.Errorf("a part every %v: %q, %v", pause, out.String(), err)
			}
		})
	}
}

// If a server stops in the middle of a message, the command reports that and fails. A pong between the fragments of a message does
// not complete the message.
func TestDialCutShort(t *testing.T) {
	half := func(p *wstest.Peer, n int) { // writes the first n bytes of a frame
		_, _ = p.Write(p.Append(nil, wstest.Frame{Opcode: frame.Text, Payload: []byte("abcd")})[:n])
	}
	for _, tt := range []struct {
		name string
		send func(p *wstest.Peer)
		more string // sent after the pause
		wait time.Duration
		want string
		err  error
	}{
		{"a fragment", func(p *wstest.Peer) { _ = p.Send(wstest.Frame{Opcode: frame.Text, Payload: []byte("ab"), More: true}) }, "", 0, "", errCutShort},
		{"half a frame", func(p *wstest.Peer) { half(p, 4) }, "", 0, "", errCutShort},
		{"after --wait", func(p *wstest.Peer) { half(p, 4) }, "", time.Second, "", errCutShort},
		{"the rest after the pong", func(p *wstest.Peer) {
			_ = p.Send(wstest.Frame{Opcode: frame.Text, Payload: []byte("ab"), More: true})
		}, "cd", 0, "abcd\n", nil},
		{"the rest after --wait", func(p *wstest.Peer) {
			_ = p.Send(wstest.Frame{Opcode: frame.Text, Payload: []byte("ab"), More: true})
		}, "cd", time.Second, "abcd\n", nil},
		{"nothing at all", func(*wstest.Peer) {}, "", 0, "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) { testInterrupted(t, tt.send, tt.more, tt.wait, tt.want, tt.err) })
	}
}

// testInterrupted runs a session with a server that sends something, answers pings, and sends the rest after a pause.
func testInterrupted(t *testing.T, send func(p *wstest.Peer), more string, wait time.Duration, want string, wantErr error) {
	synctest.Test(t, func(t *testing.T) {
		p, conn := wstest.PipePeer(t, protocol.RoleServer, nil)
		over := make(chan struct{})
		go func() {
			defer close(over)
			send(p)
			for {
				f, err := p.Next()
				if err != nil {
					return
				}
				switch {
				case f.Opcode == frame.Close:
					_ = p.Send(wstest.Frame{Opcode: frame.Close, Payload: f.Payload})
					p.Close()
					return
				case more != "":
					_ = p.Send(wstest.Frame{Opcode: frame.Pong, Payload: f.Payload})
					<-time.After(quietTimeout / 2)
					_ = p.Send(wstest.Frame{Opcode: frame.Continuation, Payload: []byte(more)})
				}
			}
		}()
		var out strings.Builder
		s := &session{conn: conn, in: newFeed(emptyInput{}), out: lineOutput(newFormat(false, false), '\n'), w: &out, wait: wait}
		err := s.run(t.Context())
		p.Close()
		<-over
		if out.String() != want || !errors.Is(err, wantErr) {
			t.Errorf("%q, %v", out.String(), err)
		}
	})
}
