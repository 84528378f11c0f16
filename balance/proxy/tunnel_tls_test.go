package proxy

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/loop"
)

// onEachTLS runs a test on every kind with TLS, once for each side that uses it.
func onEachTLS(t *testing.T, test func(t *testing.T, r *rig, s side)) {
	onEach(t, func(t *testing.T, r *rig) {
		for s, far := range [...]net.Conn{client: r.client, upstream: r.server} {
			if _, ok := far.(*tls.Conn); ok {
				t.Run(side(s).String(), func(t *testing.T) { test(t, newRig(t, r.kind), side(s)) })
			}
		}
	})
}

// peers returns the peer of s, and the other peer.
func (r *rig) peers(s side) (from, to net.Conn) {
	if s == client {
		return r.client, r.server
	}
	return r.server, r.client
}

// A stream without close_notify has not ended but was truncated: it is not known whether data is missing. The data that has arrived
// is passed on.
func TestRFC8446_6_1_TruncatedTunnel(t *testing.T) {
	onEachTLS(t, func(t *testing.T, r *rig, s side) {
		r.carry("", "", TunnelOptions{})
		from, to := r.peers(s)
		r.write(from, []byte("last words"))
		expect(t, to, []byte("last words"))
		truncate(from)
		if got := rest(t, to); len(got) > 0 {
			t.Errorf("got %q after the end, want nothing", got)
		}
		to.Close()
		e := r.ended()
		if e.Code != websocket.CodeAbnormal || e.ByPeer != (s == client) || !errors.Is(e, io.ErrUnexpectedEOF) {
			t.Errorf("got %v, want 1006 of the %v with io.ErrUnexpectedEOF", e, s)
		}
		if onUnder := !strings.Contains(r.kind.name, "of another kind"); errors.Is(e, loop.ErrTruncated) != onUnder {
			t.Errorf("got %v, want loop.ErrTruncated: %v", e, onUnder)
		}
	})
}

// After a close frame nothing can be missing, and many peers omit the close_notify.
func TestTruncatedTunnelAfterCloseFrame(t *testing.T) {
	onEachTLS(t, func(t *testing.T, r *rig, s side) {
		r.carry("", "", TunnelOptions{})
		from, to := r.peers(s)
		ask, answer := closeFrameOfPeer(s == client, 4001, "so long"), closeFrameOfPeer(s != client, 4001, "")
		r.write(from, ask)
		expect(t, to, ask)
		r.write(to, answer)
		expect(t, from, answer)
		truncate(from)
		rest(t, to)
		truncate(to)
		if e := r.ended(); e.Code != 4001 || e.Err != nil {
			t.Errorf("got %v, %v, want a close with 4001", e, e.Err)
		}
	})
}

// Bytes that crypto/tls has read before the tunnel begins pass as well, without a further byte from the peer.
func TestTunnelBufferedTLSData(t *testing.T) {
	onEachTLS(t, func(t *testing.T, r *rig, s side) {
		from, to := r.peers(s)
		near := r.near[s]
		if err := bounded.Receive(t, r.write(from, []byte("behind the head"))); err != nil {
			t.Fatal(err)
		}
		first := make([]byte, 6)
		if _, err := io.ReadFull(near, first); err != nil {
			t.Fatal(err)
		}
		if s == client {
			r.carry(string(first), "", TunnelOptions{})
		} else {
			r.carry("", string(first), TunnelOptions{})
		}
		expect(t, to, []byte("behind the head"))
	})
}

// Thousands of one-byte records arrive in a few reads of the socket: none is forgotten, even if the tunnel has to wait for the
// other side.
func TestTunnelOfSmallRecords(t *testing.T) {
	onEachTLS(t, func(t *testing.T, r *rig, s side) {
		r.carry("", "", TunnelOptions{})
		from, to := r.peers(s)
		wrote := make(chan error, 1)
		big := frameOf(frame.Binary, s == client, make([]byte, 4<<20))
		go func() {
			w := bufio.NewWriterSize(from, 16<<10)
			w.Write(big)
			err := w.Flush()
			for range 3000 {
				if err == nil {
					_, err = from.Write([]byte("x"))
				}
			}
			wrote <- err
		}()
		expect(t, to, big)
		expect(t, to, []byte(strings.Repeat("x", 3000)))
		if err := bounded.Receive(t, wrote); err != nil {
			t.Fatal(err)
		}
	})
}

// A record that is not authentic ends the tunnel, and its sender gets an alert (RFC 8446 §5.2).
func TestRFC8446_5_2_ForgedRecord(t *testing.T) {
	onEachTLS(t, func(t *testing.T, r *rig, s side) {
		r.carry("", "", TunnelOptions{})
		from, to := r.peers(s)
		if err := bounded.Receive(t, r.write(socketOf(from), append([]byte{23, 3, 3, 0, 32}, make([]byte, 32)...))); err != nil {
			t.Fatal(err)
		}
		_, err := io.ReadAll(from)
		if e, ok := errors.AsType[*net.OpError](err); !ok || e.Op != "remote error" {
			t.Errorf("sender: got %v, want a TLS alert", err)
		}
		if got := rest(t, to); len(got) > 0 {
			t.Errorf("other side: got %q, want nothing", got)
		}
		to.Close()
		if e := r.ended(); e.Err == nil || errors.Is(e, io.ErrUnexpectedEOF) {
			t.Errorf("got %v, want an error other than io.ErrUnexpectedEOF", e)
		}
	})
}
