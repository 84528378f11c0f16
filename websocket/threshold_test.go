package websocket

import (
	"strings"
	"testing"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/internal/looptest"
	"github.com/handfast/handfast/websocket/protocol"
)

// TestThreshold checks that only messages of at least Threshold bytes are compressed, with each way of sending and each driver.
func TestThreshold(t *testing.T) {
	const threshold = 100
	z := &Compression{Threshold: threshold}
	c, peer := rawTCP(t, protocol.RoleServer, nil)
	compressLater(c, handshake.Deflate{}, z)
	k := looptest.New(t, nil)
	s := &evServer{}
	s.Options.Conn.Compression = z
	p := evManual(t, k, s)
	client := k.Client(evRequest + "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n")
	k.Play(p.ls.Loops)
	on := p.onlyConn()
	for _, size := range []int{threshold - 1, threshold, threshold + 1} {
		m := Message{Type: Text, Data: []byte(strings.Repeat("a", size))}
		var want uint8
		if size >= threshold {
			want = frame.RSV1
		}
		for name, send := range map[string]func() error{
			"Write":        func() error { return c.Write(bounded.Context(t), m) },
			"Send":         func() error { return c.Send(m) },
			"SendPrepared": func() error { return c.SendPrepared(prepare(t, string(m.Data))) },
		} {
			if err := send(); err != nil {
				t.Fatal(err)
			}
			if h, _ := peer.next(); h.RSV != want {
				t.Errorf("%s, %d bytes: %+v", name, size, h)
			}
		}
		for name, send := range map[string]func() error{
			"Send":         func() error { return on.Send(m) },
			"SendPrepared": func() error { return on.SendPrepared(prepare(t, string(m.Data))) },
		} {
			client.Out = nil
			if err := send(); err != nil {
				t.Fatal(err)
			}
			k.Play(p.ls.Loops)
			if h, _, err := frame.Parse(client.Out); err != nil || h.RSV != want {
				t.Errorf("on a loop, %s, %d bytes: %+v, %v", name, size, h, err)
			}
		}
	}
	on.CloseNow()
	k.Play(p.ls.Loops)
}
