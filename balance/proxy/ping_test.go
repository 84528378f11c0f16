package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/protocol"
)

// ping reads a frame, which must be a ping.
func ping(t testing.TB, nc net.Conn, masked bool) {
	t.Helper()
	if h := header(t, nc, masked); h.Opcode != frame.Ping || !h.Fin || h.Length != 0 {
		t.Fatalf("got %+v, want an empty ping", h)
	}
}

// header reads the header of a short frame.
func header(t testing.TB, nc net.Conn, masked bool) frame.Header {
	t.Helper()
	raw := make([]byte, 2)
	if masked {
		raw = make([]byte, 6)
	}
	nc.SetReadDeadline(time.Now().Add(2 * time.Minute))
	if _, err := io.ReadFull(nc, raw); err != nil {
		t.Fatal(err)
	}
	h, _, err := frame.Parse(raw)
	if err != nil || h.Masked != masked {
		t.Fatalf("got % x, %v, want a header with masked %v", raw, err, masked)
	}
	return h
}

// The sides of a silent tunnel get a ping. If neither answers, the tunnel is closed.
func TestTunnelPings(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		r.carry("", "", TunnelOptions{Ping: 100 * time.Millisecond})
		pings := 0 // the ping to the other side may be late
		for s, nc := range []net.Conn{r.client, r.server} {
			masked := side(s) == upstream
			h := header(t, nc, masked)
			for ; h.Opcode == frame.Ping; h = header(t, nc, masked) {
				pings++
			}
			reason := make([]byte, h.Length)
			if _, err := io.ReadFull(nc, reason); err != nil || h.Opcode != frame.Close {
				t.Fatalf("got %+v, %v, want a close frame", h, err)
			}
			if frame.Mask(reason, h.Key); string(reason) != "\x03\xe9"+ReasonSilent {
				t.Errorf("close frame: got %q, want 1001 and %q", reason, ReasonSilent)
			}
		}
		if pings < 1 || pings > 2 {
			t.Errorf("got %d pings, want 1 or 2", pings)
		}
		r.write(r.client, closeFrameOfPeer(true, 1001, ""))
		r.server.Close()
		if e := r.ended(); e.Code != 1001 || e.Reason != ReasonSilent || e.ByPeer || e.Err != nil {
			t.Errorf("got %v, want a close with 1001 and %q", e, ReasonSilent)
		}
	})
}

// withFakeTime runs a test of a tunnel with goroutines, in a bubble.
func withFakeTime(t *testing.T, test func(t *testing.T, r *rig)) {
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, c: &Carrier{live: map[*Tunnel]struct{}{}}, done: make(chan error, 1)} // the waits of event loops are not durably blocking in a bubble
		r.client, r.near[client] = net.Pipe()
		r.server, r.near[upstream] = net.Pipe()
		test(t, r)
		r.client.Close()
		r.server.Close()
		r.ended()
	})
}

// expectElapsed fails the test unless exactly d has passed since began.
func expectElapsed(t *testing.T, began time.Time, d time.Duration) {
	t.Helper()
	if got := time.Since(began); got != d {
		t.Fatalf("got %v, want %v", got, d)
	}
}

// A side that sends data is not sent a ping. The pong of a side that was sent a ping is passed on to the other side.
func TestTunnelPingsSilentSide(t *testing.T) {
	for _, silent := range []side{client, upstream} {
		withFakeTime(t, func(t *testing.T, r *rig) {
			r.carry("", "", TunnelOptions{Ping: time.Minute})
			began := time.Now()
			speaker, other := r.server, r.client
			if silent == upstream {
				speaker, other = other, speaker
			}
			hello := frameOf(frame.Text, silent == upstream, []byte("hello"))
			pong := frameOf(frame.Pong, silent == client, nil)
			for n := range 10 {
				for range 2 {
					<-time.After(25 * time.Second)
					r.write(speaker, hello)
					expect(t, other, hello)
				}
				ping(t, other, silent == upstream)
				expectElapsed(t, began, time.Duration(n+1)*time.Minute)
				r.write(other, pong)
				expect(t, speaker, pong)
			}
		})
	}
}

// A side that has not answered is considered gone: its peer gets the reason, and a client is asked to reconnect.
func TestTunnelUnresponsiveSide(t *testing.T) {
	for _, gone := range []side{client, upstream} {
		withFakeTime(t, func(t *testing.T, r *rig) {
			o := lostUpstreamOptions()
			o.Ping = time.Minute
			r.carry("", "", o)
			began := time.Now()
			ping(t, r.client, false)
			ping(t, r.server, true)
			left, pong := r.server, frameOf(frame.Pong, false, nil)
			if gone == upstream {
				left, pong = r.client, frameOf(frame.Pong, true, nil)
			}
			other := r.server
			if gone == client {
				other = r.client
			}
			r.write(left, pong)
			expect(t, other, pong)
			if gone == upstream {
				expectClose(t, r.client, false, websocket.CodeServiceRestart, "lost")
			} else {
				expectClose(t, r.server, true, websocket.CodeGoingAway, ReasonSilent)
			}
			expectElapsed(t, began, 2*time.Minute)
			e, _ := errors.AsType[*websocket.CloseError](<-r.done) // the side that is gone reads nothing
			expectElapsed(t, began, 2*time.Minute+closeTimeout)
			if e.Code != websocket.CodeGoingAway || e.Reason != ReasonSilent || !errors.Is(e, ErrUnanswered) {
				t.Errorf("got %v, %v, want a close with 1001 and %q, without a reply", e, e.Err, ReasonSilent)
			}
			r.done <- e
		})
	}
}

// No ping is sent in the middle of a frame, after a close frame, after a side has ended, or if the bytes are not frames. The tunnel
// stays open.
func TestTunnelWithoutPing(t *testing.T) {
	frames := frameOf(frame.Text, false, []byte("hello"))
	for name, said := range map[string][]byte{
		"within a header":       frames[:1],
		"within a frame":        frames[:5],
		"behind a close frame":  closeFrameOfPeer(false, 4001, "so long"),
		"what is not WebSocket": {0x82, 0x7f, 0xff, 0, 0, 0, 0, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			withFakeTime(t, func(t *testing.T, r *rig) {
				r.carry("", "", TunnelOptions{Ping: time.Minute})
				r.write(r.server, said)
				expect(t, r.client, said)
				if name[:6] == "within" { // the server can be sent a ping, and answers
					go func() {
						for raw := make([]byte, 6); ; {
							if _, err := io.ReadFull(r.server, raw); err != nil {
								return
							}
							<-time.After(time.Second)
							if _, err := r.server.Write(nil); err != nil {
								return
							}
						}
					}()
					<-time.After(90 * time.Second)
					r.write(r.server, frames[len(said):])
					expect(t, r.client, append(frames[len(said):], 0x89, 0)) // the ping that was due is sent after the frame
				} else {
					<-time.After(time.Hour)
				}
				if n := len(r.done); n != 0 {
					t.Fatal("the tunnel has ended")
				}
				r.write(r.client, nil)
				r.server.Close()
				if rest, _ := io.ReadAll(r.client); len(rest) != 0 {
					t.Errorf("client: got % x, want no more data", rest)
				}
			})
		})
	}
}

// With pings, pongs do not count for the limit on idle connections, but other frames do.
func TestTunnelPongsAreNotActivity(t *testing.T) {
	for op, want := range map[frame.Opcode]time.Duration{frame.Pong: 10 * time.Minute, frame.Ping: 15 * time.Minute, frame.Text: 15 * time.Minute} {
		withFakeTime(t, func(t *testing.T, r *rig) {
			r.carry("", "", TunnelOptions{Ping: time.Minute, Idle: 10 * time.Minute})
			began := time.Now()
			peers := []*websocket.Conn{connWithoutPings(t, r.client, protocol.RoleClient), connWithoutPings(t, r.server, protocol.RoleServer)}
			<-time.After(5 * time.Minute)
			var err error
			switch op {
			case frame.Pong: // answering is enough
			case frame.Ping:
				_, err = peers[client].Ping(t.Context())
			default:
				err = peers[upstream].Write(t.Context(), websocket.Message{Type: websocket.Text, Data: []byte("hello")})
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range peers {
				<-c.Context().Done()
				expectElapsed(t, began, want)
				if e, ok := errors.AsType[*websocket.CloseError](context.Cause(c.Context())); !ok || e.Code != websocket.CodeGoingAway || e.Reason != ReasonIdle {
					t.Errorf("got %v, want a close with 1001 and %q", e, ReasonIdle)
				}
			}
		})
	}
}

// connWithoutPings returns a Conn that sends no pings, and reads until it ends.
func connWithoutPings(t *testing.T, nc net.Conn, role protocol.Role) *websocket.Conn {
	t.Helper()
	c, err := websocket.NewConn(nc, role, &websocket.Handshake{}, &websocket.ConnOptions{PingInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	go readAll(c)
	return c
}

// readAll reads until the connection ends.
func readAll(c *websocket.Conn) {
	for {
		if _, err := c.Read(context.Background()); err != nil {
			return
		}
	}
}

// A side with a full send buffer is not sent a ping. It is considered gone if it accepts no data for one to two ping intervals.
func TestTunnelPingFullSendBuffer(t *testing.T) {
	big := frameOf(frame.Binary, false, make([]byte, 16<<20))
	withFakeTime(t, func(t *testing.T, r *rig) {
		r.carry("", "", TunnelOptions{Ping: time.Minute})
		r.write(r.server, big)
		read, last := 0, time.Now()
		for range 20 { // the client accepts some data now and then
			expect(t, r.client, big[read:read+(256<<10)])
			read, last = read+(256<<10), time.Now()
			<-time.After(50 * time.Second)
		}
		expectClose(t, r.server, true, websocket.CodeGoingAway, ReasonSilent)
		if d := time.Since(last); d < time.Minute || d > 2*time.Minute {
			t.Errorf("got a close %v after the last accepted data, want 1m to 2m", d)
		}
		expect(t, r.client, big[read:])
		expectClose(t, r.client, false, websocket.CodeGoingAway, ReasonSilent)
	})
}

// Only frames other than pongs count as activity, however the bytes are split.
func TestFlowPongActivity(t *testing.T) {
	text, pong := frameOf(frame.Text, true, []byte("hello")), frameOf(frame.Pong, true, []byte("x"))
	for _, tt := range []struct {
		stream []byte
		news   bool
	}{
		{pong, false},
		{append(bytes.Clone(pong), pong...), false},
		{append(bytes.Clone(pong), text...), true},
		{append(bytes.Clone(text), pong...), true},
		{text, true},
		{frameOf(frame.Ping, true, nil), true},
		{closeFrameOfPeer(true, 1000, ""), true},
	} {
		for step := 1; step <= len(tt.stream); step++ {
			var f flow
			for b := tt.stream; len(b) > 0; b = b[min(step, len(b)):] {
				f.pass(b[:min(step, len(b))])
			}
			if f.activity != tt.news {
				t.Errorf("% x, %d bytes at a time: got news %v, want %v", tt.stream, step, f.activity, tt.news)
			}
		}
	}
}
