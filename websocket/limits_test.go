package websocket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/protocol"
)

func TestMaxMessageIsAnsweredWith1009(t *testing.T) {
	tests := map[string]func(raw) []byte{
		"one frame": func(r raw) []byte { return r.frame(frame.Text, true, strings.Repeat("x", 1001)) },
		"fragments": func(r raw) []byte {
			f := r.frame(frame.Text, false, strings.Repeat("x", 600))
			return append(f, r.frame(frame.Continuation, true, strings.Repeat("x", 401))...)
		},
		"announced": func(r raw) []byte { // the payload never arrives, because the header is sufficient
			return frame.Append(nil, frame.Header{Opcode: frame.Binary, Masked: true, Length: 1 << 62})
		},
	}
	for name, bytes := range tests {
		t.Run(name, func(t *testing.T) {
			c, peer := rawTCP(t, protocol.RoleServer, &ConnOptions{MaxMessage: 1000})
			peer.send(peer.frame(frame.Text, true, strings.Repeat("x", 1000)))
			if m, err := c.Read(bounded.Context(t)); err != nil || len(m.Data) != 1000 {
				t.Fatalf("at the limit: %d bytes, %v", len(m.Data), err)
			}
			go func() {
				peer.Write(bytes(peer))
				peer.expectClose(CodeTooBig)
				peer.Conn.Close()
			}()
			_, err := c.Read(bounded.Context(t))
			wantClose(t, err, CodeTooBig, "", true)
		})
	}
}

func TestADeclaredLengthCostsNoMemory(t *testing.T) {
	c, peer := rawTCP(t, protocol.RoleServer, &ConnOptions{MaxMessage: -1})
	peer.send(frame.Append(nil, frame.Header{Fin: true, Opcode: frame.Binary, Masked: true, Length: 1 << 40}), []byte("a few bytes"))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := readAndCancel(t, c, true, func() {})
	runtime.ReadMemStats(&after)
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
		t.Errorf("%d bytes were allocated for 11 received bytes", grown)
	}
}

func TestFragmentsAreBounded(t *testing.T) {
	c, peer := rawTCP(t, protocol.RoleServer, nil)
	go func() {
		peer.send(peer.frame(frame.Text, false, ""))
		empty := peer.frame(frame.Continuation, false, "")
		var many []byte
		for range 1000 {
			many = append(many, empty...)
		}
		for {
			if _, err := peer.Write(many); err != nil {
				return
			}
		}
	}()
	go func() {
		peer.expectClose(CodePolicy)
		peer.Conn.Close()
	}()
	_, err := c.Read(bounded.Context(t))
	wantClose(t, err, CodePolicy, "", true)
}

func TestControlFramesAreBounded(t *testing.T) {
	for _, flood := range []struct {
		op      frame.Opcode
		payload string
	}{{frame.Ping, "flood"}, {frame.Pong, "flood"}, {frame.Pong, strings.Repeat("\x00", 8)}} { // the last payload could be that of our ping
		t.Run(fmt.Sprintf("%v %q", flood.op, flood.payload), func(t *testing.T) {
			c, peer := rawTCP(t, protocol.RoleServer, &ConnOptions{CloseTimeout: 50 * time.Millisecond}) // the flood continues
			go io.Copy(io.Discard, peer.Conn)
			go func() {
				one := peer.frame(flood.op, true, flood.payload)
				for {
					if _, err := peer.Write(one); err != nil {
						return
					}
				}
			}()
			_, err := c.Read(bounded.Context(t))
			ce := wantClose(t, err, CodePolicy, "", true)
			if !strings.Contains(ce.Error(), "control frames in a second") {
				t.Error(ce)
			}
		})
	}
}

// TestPongsThatCannotBeSentAreBounded uses a peer that sends pings without reading the pongs.
func TestPongsThatCannotBeSentAreBounded(t *testing.T) {
	c, peer := rawPipe(t, protocol.RoleServer, nil)
	go func() {
		for range protocol.MaxControls - 1 {
			peer.Write(peer.frame(frame.Ping, true, strings.Repeat("x", 125)))
		}
		peer.Write(peer.frame(frame.Text, true, "done"))
	}()
	if m, err := c.Read(bounded.Context(t)); err != nil || string(m.Data) != "done" {
		t.Fatalf("%q, %v", m.Data, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.outbox.ctl) > protocol.PongRoom {
		t.Errorf("%d bytes of pongs wait", len(c.outbox.ctl))
	}
}
