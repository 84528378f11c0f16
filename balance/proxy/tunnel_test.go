package proxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/frame"
)

func TestTunnelBothDirections(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		r.carry("early, ", "late, ", TunnelOptions{})
		r.write(r.client, []byte("question"))
		expect(t, r.server, []byte("early, question"))
		r.write(r.server, []byte("answer"))
		expect(t, r.client, []byte("late, answer"))
		if up, down := r.tunnel.Bytes(); up != 15 || down != 12 {
			t.Errorf("got %d and %d bytes, want 15 and 12", up, down)
		}
		r.tunnel.CloseNow()
		if e := r.ended(); e.Code != websocket.CodeAbnormal || !errors.Is(e, net.ErrClosed) {
			t.Errorf("got %v, want 1006 with net.ErrClosed", e)
		}
		rest(t, r.client)
		rest(t, r.server)
	})
}

// The source is blocked while the other side does not read; the other direction continues.
func TestTunnelBackpressure(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		r.carry("", "", TunnelOptions{})
		big := bytes.Repeat([]byte("0123456789abcdef"), 1<<20) // 16 MiB, more than the buffers of all kernels in between
		wrote := r.write(r.client, big)
		r.write(r.server, []byte("meanwhile"))
		expect(t, r.client, []byte("meanwhile"))
		select {
		case err := <-wrote:
			t.Fatalf("the write returned %v, although the peer reads nothing", err)
		default:
		}
		expect(t, r.server, big)
		if err := bounded.Receive(t, wrote); err != nil {
			t.Error(err)
		}
	})
}

// One direction ends separately, after all of its bytes; the other direction continues.
func TestTunnelHalfClose(t *testing.T) {
	for _, first := range []side{client, upstream} {
		onEach(t, func(t *testing.T, r *rig) {
			r.carry("", "", TunnelOptions{})
			from, to := r.client, r.server
			if first == upstream {
				from, to = to, from
			}
			if r.kind.halves {
				wrote := r.write(from, bytes.Repeat([]byte("x"), 1<<20))
				if err := bounded.Receive(t, wrote); err != nil {
					t.Fatal(err)
				}
				halfClose(t, from)
				if n := len(rest(t, to)); n != 1<<20 {
					t.Errorf("got %d bytes, want %d", n, 1<<20)
				}
				r.write(to, []byte("the rest"))
				expect(t, from, []byte("the rest"))
				halfClose(t, to)
			} else {
				from.Close()
			}
			rest(t, to)
			rest(t, from)
			e := r.ended()
			if e.Code != websocket.CodeAbnormal || e.ByPeer != (first == client) || !errors.Is(e, io.ErrUnexpectedEOF) {
				t.Errorf("got %v, want 1006 of the %v with io.ErrUnexpectedEOF", e, first)
			}
		})
	}
}

// The closing handshake of the peers passes like other frames, and its code is known.
func TestTunnelReportsPeerClose(t *testing.T) {
	for _, first := range []side{client, upstream} {
		onEach(t, func(t *testing.T, r *rig) {
			r.carry("", "", TunnelOptions{})
			ask, answer := closeFrameOfPeer(true, 4001, "so long"), closeFrameOfPeer(false, 4001, "")
			from, to := r.client, r.server
			if first == upstream {
				ask, answer = closeFrameOfPeer(false, 4001, "so long"), closeFrameOfPeer(true, 4001, "")
				from, to = to, from
			}
			r.write(from, ask)
			expect(t, to, ask)
			r.write(to, answer)
			expect(t, from, answer)
			r.server.Close()
			rest(t, r.client)
			r.client.Close()
			e := r.ended()
			if e.Code != 4001 || e.Reason != "so long" || e.ByPeer != (first == client) || e.Err != nil {
				t.Errorf("got %v, %v, want a close of the %v with 4001", e, e.Err, first)
			}
		})
	}
}

// After a reset, the other side gets the bytes that arrived before the reset, and is closed.
func TestTunnelReset(t *testing.T) {
	for _, first := range []side{client, upstream} {
		onEach(t, func(t *testing.T, r *rig) {
			r.carry("", "", TunnelOptions{})
			from, to := r.client, r.server
			if first == upstream {
				from, to = to, from
			}
			r.write(from, []byte("last words"))
			expect(t, to, []byte("last words"))
			reset(from)
			if got := rest(t, to); len(got) > 0 {
				t.Errorf("got %q after the reset, want nothing", got)
			}
			to.Close()
			if e := r.ended(); e.Code != websocket.CodeAbnormal || e.ByPeer != (first == client) || e.Err == nil {
				t.Errorf("got %v, want 1006 of the %v", e, first)
			}
		})
	}
}

func TestTunnelShutIdle(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		r.carry("", "", TunnelOptions{})
		hello := frameOf(frame.Text, true, []byte("hello"))
		r.write(r.client, hello)
		expect(t, r.server, hello)
		if err := r.tunnel.Shut(1012, "retry-after=3"); err != nil {
			t.Fatal(err)
		}
		r.tunnel.Shut(1001, "the second does nothing")
		expectClose(t, r.client, false, 1012, "retry-after=3")
		expectClose(t, r.server, true, 1012, "retry-after=3")
		// Data that is sent after the close frame is discarded, and the replies end the tunnel.
		r.write(r.server, append(frameOf(frame.Text, false, []byte("too late")), closeFrameOfPeer(false, 1012, "")...))
		if err := bounded.Receive(t, r.write(r.client, append(frameOf(frame.Text, true, []byte("too late")), closeFrameOfPeer(true, 1012, "")...))); err != nil {
			t.Fatal(err)
		}
		if !r.kind.halves {
			r.server.Close()
		}
		if got := rest(t, r.client); len(got) > 0 {
			t.Errorf("client: got %q after the close frame, want nothing", got)
		}
		r.server.Close()
		if e := r.ended(); e.Code != 1012 || e.Reason != "retry-after=3" || e.ByPeer || e.Err != nil {
			t.Errorf("got %v, want a close with 1012", e)
		}
	})
}

// A close frame waits for the end of the current frame, in each direction separately.
func TestTunnelShutWithinAFrame(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		r.carry("", "", TunnelOptions{})
		up, down := frameOf(frame.Binary, true, make([]byte, 300)), frameOf(frame.Text, false, make([]byte, 70000))
		r.write(r.client, up[:3])
		expect(t, r.server, up[:3])
		r.write(r.server, down[:1])
		expect(t, r.client, down[:1])
		if err := r.tunnel.Shut(1001, "bye"); err != nil {
			t.Fatal(err)
		}
		r.write(r.client, append(bytes.Clone(up[3:]), closeFrameOfPeer(true, 1000, "crossed")...))
		expect(t, r.server, up[3:])
		expectClose(t, r.server, true, 1001, "bye")
		r.write(r.server, append(bytes.Clone(down[1:]), frameOf(frame.Text, false, []byte("more"))...))
		expect(t, r.client, down[1:])
		expectClose(t, r.client, false, 1001, "bye")
		r.server.Close()
		if got := rest(t, r.client); len(got) > 0 {
			t.Errorf("client: got %q after the close frame, want nothing", got)
		}
		if e := r.ended(); e.Code != 1001 || e.ByPeer || e.Err != nil {
			t.Errorf("got %v, want a close with 1001", e)
		}
	})
}

// A peer that has received a close frame of the other side gets no second one.
func TestTunnelShutAfterCloseFrame(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		r.carry("", "", TunnelOptions{})
		bye := closeFrameOfPeer(false, 4000, "of the server")
		r.write(r.server, bye)
		expect(t, r.client, bye)
		r.tunnel.Shut(1012, "of the balancer")
		expectClose(t, r.server, true, 1012, "of the balancer")
		r.write(r.client, closeFrameOfPeer(true, 4000, ""))
		r.server.Close()
		if got := rest(t, r.client); len(got) > 0 {
			t.Errorf("client: got %q, want no second close frame", got)
		}
		if e := r.ended(); e.Code != 4000 || e.Reason != "of the server" || e.ByPeer || e.Err != nil {
			t.Errorf("got %v, want the server's close with 4000", e)
		}
	})
}

// A peer that reads nothing, or does not respond, is disconnected after 5 seconds.
func TestTunnelShutTimeout(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		t.Parallel() // the test mostly waits
		r.carry("", "", TunnelOptions{})
		big := frameOf(frame.Binary, false, make([]byte, 16<<20))
		wrote := r.write(r.server, big)
		expect(t, r.client, big[:10]) // the rest stays unread
		ran := bounded.Clock(t)
		r.tunnel.Shut(1012, "restart")
		expectClose(t, r.server, true, 1012, "restart")
		e := r.ended()
		if e.Code != 1012 || !errors.Is(e, ErrUnanswered) {
			t.Errorf("got %v, want 1012 with ErrUnanswered", e)
		}
		if d := ran(); d > time.Minute {
			t.Errorf("got an end after %v, want a minute at most", d)
		}
		r.client.Close()
		if err := bounded.Receive(t, wrote); err == nil {
			t.Error("the write succeeded, although the client does not read")
		}
	})
}

// If the bytes are not frames, they pass nevertheless, and no frame is inserted.
func TestTunnelNonWebSocketData(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		r.carry("", "", TunnelOptions{})
		odd := append([]byte{0x82, 0x7f, 0xff, 0, 0, 0, 0, 0, 0, 0}, "anything at all"...) // a length with its top bit set
		r.write(r.server, odd)
		expect(t, r.client, odd)
		r.write(r.client, odd)
		expect(t, r.server, odd)
		r.tunnel.Shut(1012, "restart")
		if r.kind.halves {
			if got := append(rest(t, r.client), rest(t, r.server)...); len(got) > 0 {
				t.Errorf("got %q after Shut, want nothing", got)
			}
		}
		r.client.Close()
		r.server.Close()
		if e := r.ended(); e.Code != 1012 || e.Err == nil {
			t.Errorf("got %v, want 1012 with an error", e)
		}
	})
}

func TestTunnelShutInvalidCode(t *testing.T) {
	r := newRig(t, kinds[0]).carry("", "", TunnelOptions{})
	if err := r.tunnel.Shut(1006, ""); err == nil {
		t.Error("Shut accepted 1006")
	}
	if s := r.tunnel.State(); s.Closing || s.Since.IsZero() {
		t.Errorf("got state %+v, want an open tunnel", s)
	}
}

func TestCarrierClose(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		r.carry("", "", TunnelOptions{})
		r.c.Close()
		if e := r.ended(); !errors.Is(e, net.ErrClosed) {
			t.Errorf("got %v, want net.ErrClosed", e)
		}
		r.c.Close()
		if _, err := r.c.Carry(nil, nil, nil, nil, TunnelOptions{}, nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Carry after Close: got %v, want net.ErrClosed", err)
		}
	})
}

// Messages of random lengths pass in both directions, written and read in pieces of random lengths, until a close frame is inserted
// at a random time. Every byte arrives in its place, up to the end of a frame, and the close frame after it.
func TestTunnelSoak(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		for round := range 5 {
			rng := rand.New(rand.NewChaCha8([32]byte{byte(round)}))
			r := newRig(t, r.kind).carry("", "", TunnelOptions{})
			up, down := soakStream(rng, true), soakStream(rng, false)
			r.write(r.client, up)
			r.write(r.server, down)
			got := [2]chan []byte{make(chan []byte, 1), make(chan []byte, 1)}
			for i, nc := range []net.Conn{r.server, r.client} {
				step := 1 + rng.IntN(100_000)
				go func() { got[i] <- soakRead(nc, step) }()
			}
			part := int64(rng.IntN(len(up)))
			bounded.Until(t, func() bool { n, _ := r.tunnel.Bytes(); return n >= part })
			r.tunnel.Shut(1012, "soak")
			soakCheck(t, up, bounded.Receive(t, got[0]), true)
			soakCheck(t, down, bounded.Receive(t, got[1]), false)
			r.client.Close()
			r.server.Close()
			r.ended()
		}
	})
}

// soakStream returns some MiB of frames, all of the larger ones different.
func soakStream(rng *rand.Rand, masked bool) (b []byte) {
	for len(b) < 1<<20 {
		payload := make([]byte, rng.IntN(1<<rng.IntN(18)))
		if len(payload) > 8 {
			binary.BigEndian.PutUint64(payload, rng.Uint64())
		}
		b = append(b, frameOf(frame.Binary, masked, payload)...)
	}
	return b
}

// soakRead reads up to a close frame.
func soakRead(nc net.Conn, step int) (all []byte) {
	var c frame.Cursor
	buf := make([]byte, step)
	nc.SetReadDeadline(time.Now().Add(2 * time.Minute))
	for {
		n, err := nc.Read(buf)
		all = append(all, buf[:n]...)
		if c.Pass(buf[:n]) != nil || err != nil || c.Between() && c.Header().Opcode == frame.Close {
			return all
		}
	}
}

// soakCheck checks that got is the beginning of sent up to the end of a frame, and a close frame.
func soakCheck(t *testing.T, sent, got []byte, masked bool) {
	t.Helper()
	last := len(closeFrameOfPeer(masked, 1012, "soak"))
	if len(got) < last {
		t.Fatalf("got %d bytes, want at least a close frame of %d", len(got), last)
	}
	data, end := got[:len(got)-last], got[len(got)-last:]
	var c frame.Cursor
	if !bytes.HasPrefix(sent, data) || c.Pass(data) != nil || !c.Between() {
		t.Errorf("got %d bytes, want the beginning of the %d sent ones, up to the end of a frame", len(data), len(sent))
	}
	if h, _, err := frame.Parse(end); err != nil || h.Opcode != frame.Close || h.Masked != masked {
		t.Errorf("got %+v, %v at the end, want a close frame", h, err)
	}
}

// A client whose connection has failed ends the tunnel; one that has only ended its stream gets the remaining data of the upstream.
func TestTunnelLostClient(t *testing.T) {
	errReset := errors.New("connection reset")
	for _, c := range []struct {
		s    side
		err  error
		want bool
	}{
		{client, errReset, true},
		{client, io.EOF, false},
		{upstream, errReset, false}, // the client has to get the bytes that have arrived
	} {
		var l Tunnel
		if l.streamEnded(c.s, c.err, time.Second); l.bothDone() != c.want {
			t.Errorf("%v ends with %v: got finished %v, want %v", c.s, c.err, !c.want, c.want)
		}
	}
}

// In a tunnel that is not closing, the first failure is the tunnel's error. In a closing tunnel, it is the reason why the closing
// handshake was not completed. Later failures do not replace it.
func TestTunnelFirstFailure(t *testing.T) {
	first, second := errors.New("first"), errors.New("second")
	var open Tunnel
	open.recordError(client, first)
	open.recordError(upstream, second)
	if e := open.closeErr; e.Code != websocket.CodeAbnormal || !e.ByPeer || !errors.Is(e.Err, first) {
		t.Errorf("open tunnel: got %v, want 1006 and the first failure", e)
	}
	closing := Tunnel{closeErr: &websocket.CloseError{Code: websocket.CodeServiceRestart}}
	closing.recordError(upstream, first)
	closing.recordError(client, second)
	if closing.closeErr.Err != nil || !errors.Is(closing.err, first) || closing.err.s != upstream {
		t.Errorf("closing tunnel: got %v and %v, want the first failure", closing.closeErr, closing.err)
	}
}

// A closing handshake that a failed connection has interrupted is reported with that failure.
func TestTunnelFailsWhileClosing(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		r.carry("", "", TunnelOptions{})
		if err := r.tunnel.Shut(1012, "restart"); err != nil {
			t.Fatal(err)
		}
		expectClose(t, r.client, false, 1012, "restart")
		expectClose(t, r.server, true, 1012, "restart")
		reset(r.client)
		r.server.Close()
		e := r.ended()
		if _, failed := errors.AsType[*sideError](e.Err); e.Code != 1012 || !failed {
			t.Errorf("got %v, %v, want 1012 with the failure of a connection", e, e.Err)
		}
	})
}
