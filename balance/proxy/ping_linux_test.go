package proxy

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/loop"
	"github.com/handfast/handfast/websocket/protocol"
)

// manualClock is a kernel whose clock a test advances.
type manualClock struct {
	loop.Kernel
	now atomic.Int64
}

func (h *manualClock) Now() time.Duration { return time.Duration(h.now.Load()) }

func (h *manualClock) Wait(events []loop.Event, _ time.Duration) (int, error) {
	return h.Kernel.Wait(events, time.Millisecond)
}

// manualRig returns a tunnel on an event loop whose clock advances only with step, by 200 ms, so that a slow machine does not miss
// a deadline.
func manualRig(t *testing.T, k kind) (r *rig, step func()) {
	kernel, err := loop.NewKernel()
	if err != nil {
		t.Fatal(err)
	}
	clock := &manualClock{Kernel: kernel}
	r = newRig(t, k)
	r.c.loops.Stop()
	r.c.loops.Wait()
	if r.c.loops, err = loop.New(loop.Options{Loops: 1, Kernel: func() (loop.Kernel, error) { return clock, nil }}); err != nil {
		t.Fatal(err)
	}
	return r, func() { clock.now.Add(int64(200 * time.Millisecond)) }
}

// On the event loop, too, a side with a full send buffer is not sent a ping. It is considered gone if it accepts no data for one to
// two ping intervals.
func TestTunnelPingFullSendBufferOnLoop(t *testing.T) { onLoop(t, checkPingFullSide) }

func checkPingFullSide(t *testing.T, k kind) {
	big := frameOf(frame.Binary, false, make([]byte, 16<<20))
	r, step := manualRig(t, k)
	r.carry("", "", TunnelOptions{Ping: time.Minute})
	r.write(r.server, big)
	expect(t, r.client, big[:10])
	bounded.Until(t, func() bool {
		r.tunnel.mu.Lock()
		defer r.tunnel.mu.Unlock()
		return r.tunnel.driver.hasQueued(client)
	})
	bounded.Until(t, func() bool { step(); return len(r.done) > 0 })
	if e := r.ended(); e.Code != websocket.CodeGoingAway || e.Reason != ReasonSilent {
		t.Errorf("got %v, want a close with 1001 and %q", e, ReasonSilent)
	}
}

// On the event loop, peers that answer stay connected, but still count as idle.
func TestTunnelPingsOnLoop(t *testing.T) { onLoop(t, checkPingsOnLoop) }

func checkPingsOnLoop(t *testing.T, k kind) {
	r, step := manualRig(t, k)
	r.carry("", "", TunnelOptions{Ping: time.Minute, Idle: 5 * time.Minute})
	peers := []*websocket.Conn{connWithoutPings(t, r.client, protocol.RoleClient), connWithoutPings(t, r.server, protocol.RoleServer)}
	for n := range int64(3) {
		bounded.Until(t, func() bool {
			step()
			s := r.tunnel.State()
			return s.FromClient.Frames > n && s.FromUpstream.Frames > n
		})
	}
	if s := r.tunnel.State(); s.Closing {
		t.Errorf("got %+v, want an open tunnel", s)
	}
	bounded.Until(t, func() bool {
		step()
		return r.tunnel.State().Closing
	})
	for _, c := range peers {
		bounded.Receive(t, c.Context().Done())
		if e, ok := errors.AsType[*websocket.CloseError](context.Cause(c.Context())); !ok || e.Reason != ReasonIdle {
			t.Errorf("peer: got %v, want the reason %q", e, ReasonIdle)
		}
	}
	if e := r.ended(); e.Reason != ReasonIdle {
		t.Errorf("got %v, want the reason %q", e, ReasonIdle)
	}
}
