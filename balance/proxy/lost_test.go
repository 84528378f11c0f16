package proxy

import (
	"errors"
	"io"
	"net"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/frame"
)

// lostUpstreamOptions returns options with which the client of a lost upstream gets 1012 and a reason.
func lostUpstreamOptions() TunnelOptions {
	return TunnelOptions{Lost: func() (websocket.Code, string) { return websocket.CodeServiceRestart, "lost" }}
}

// If the upstream ends between two frames, or is reset, the client gets a close frame after the last frame, and data that it sends
// afterwards is discarded.
func TestTunnelUpstreamLost(t *testing.T) {
	for name, ends := range map[string]func(net.Conn){"end": func(nc net.Conn) { nc.Close() }, "reset": reset, "without close_notify": truncate} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, r *rig) {
				r.carry("", "", lostUpstreamOptions())
				last := frameOf(frame.Text, false, []byte("last words"))
				r.write(r.server, last)
				expect(t, r.client, last)
				ends(r.server)
				expectClose(t, r.client, false, websocket.CodeServiceRestart, "lost")
				r.write(r.client, closeFrameOfPeer(true, websocket.CodeServiceRestart, "lost"))
				rest(t, r.client)
				r.client.Close()
				if e := r.ended(); e.Code != websocket.CodeAbnormal || e.ByPeer || e.Err == nil {
					t.Errorf("got %v, want 1006 of the upstream with an error", e)
				}
			})
		})
	}
}

// If no close frame can be inserted, the client's stream ends like the upstream's.
func TestTunnelUpstreamLostWithoutCloseFrame(t *testing.T) {
	for name, said := range map[string][]byte{
		"within a frame":         frameOf(frame.Text, false, []byte("last words"))[:5],
		"behind a close frame":   closeFrameOfPeer(false, 4001, "so long"),
		"what is not WebSocket":  {0xff, 0xff},
		"the client has closed":  nil,
		"the client has left it": nil,
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, r *rig) {
				r.carry("", "", lostUpstreamOptions())
				switch name {
				case "the client has closed":
					b := closeFrameOfPeer(true, 1000, "")
					r.write(r.client, b)
					expect(t, r.server, b)
				case "the client has left it":
					if !r.kind.halves { // such a connection cannot end its stream and still read
						r.client.Close()
						if e := r.ended(); e.Err == nil {
							t.Errorf("got %v, want an error of the connection", e)
						}
						return
					}
					halfClose(t, r.client)
					rest(t, r.server)
				}
				if err := bounded.Receive(t, r.write(r.server, said)); err != nil {
					t.Fatal(err)
				}
				expect(t, r.client, said)
				r.server.Close()
				if got := rest(t, r.client); len(got) > 0 {
					t.Errorf("got % x after the end of the upstream, want nothing", got)
				}
				r.client.Close()
				if e := r.ended(); name != "behind a close frame" && !errors.Is(e, io.ErrUnexpectedEOF) && e.Err == nil {
					t.Errorf("got %v, want an error of the connection", e)
				}
			})
		})
	}
}
