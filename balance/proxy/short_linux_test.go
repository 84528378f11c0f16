package proxy

import (
	"runtime"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/frame"
)

// Many short connections, one after another, leave no goroutine, descriptor or count behind.
func TestShortConnections(t *testing.T) {
	n := 2_000
	if testing.Short() {
		n = 500
	}

	for name, set := range map[string]Settings{"bytes": {}, "messages": {ByMessage: true}, "held": {Hold: Hold{Mode: HoldStateless}}} {
		t.Run(name, func(t *testing.T) {
			up := serveMessages(t, nil)
			b := newBalancer(t, set, up.addr())
			short := func() {
				if name != "bytes" {
					k := dialClient(t, b, nil)
					k.CloseNow()
					bounded.Receive(t, k.ended)
					bounded.Receive(t, up.opens)
					bounded.Receive(t, up.ended)
					return
				}
				c := open(t, b)
				far, near := tcpPair(t)
				over := make(chan struct{})
				if err := c.Tunnel(near, nil, func(error) { close(over) }); err != nil {
					t.Fatal(err)
				}
				if _, err := far.Write(frameOf(frame.Text, true, []byte("hello"))); err != nil {
					t.Fatal(err)
				}
				far.Close()
				bounded.Receive(t, over)
				bounded.Receive(t, up.opens)
				bounded.Receive(t, up.ended)
			}
			short() // creates the objects that stay, such as the loops
			goroutines, files := runtime.NumGoroutine(), openDescriptors(t)
			for range n {
				short()
			}
			bounded.Until(t, func() bool { return runtime.NumGoroutine() <= goroutines+2 && openDescriptors(t) <= files+2 })
			s := state(b, up.addr())
			if s.Live != 0 || s.Opened != uint64(n+1) || len(b.members.all()) != 0 || b.carrier.Len() != 0 || b.switching.Load() != 0 {
				t.Errorf("got %+v and %d tunnels, want %d opened and none left", s, b.carrier.Len(), n+1)
			}
			sum := uint64(0)
			for _, closed := range s.Closed {
				sum += closed
			}
			if sum != uint64(n+1) {
				t.Errorf("got %d closed connections, want %d: %v", sum, n+1, s.Closed)
			}
		})
	}
}

// A small message that inflates to a large one closes its sender's connection, and the server receives no part of the message.
func TestCompressionBomb(t *testing.T) {
	heard := make(chan int, 10)
	up := serveMessages(t, func(c *websocket.Conn) {
		for m, err := range c.Messages(bounded.Context(t)) {
			if err == nil {
				heard <- len(m.Data)
			}
		}
	})
	b := newBalancer(t, Settings{ByMessage: true, Messages: Messages{MaxFromServer: 1000}}, up.addr())
	k := dialClient(t, b, &websocket.ConnOptions{Compression: &websocket.Compression{}, MaxMessage: 1000})
	var before, after runtime.MemStats
	bomb := make([]byte, 256<<20)
	runtime.ReadMemStats(&before)
	sent := make(chan error, 1)
	go func() { sent <- k.Write(bounded.Context(t), websocket.Message{Type: websocket.Binary, Data: bomb}) }()
	k.expectClose(websocket.CodeTooBig, "")
	k.CloseNow()
	bounded.Receive(t, sent)
	runtime.ReadMemStats(&after)
	if e := bounded.Receive(t, up.ended); e.Code != websocket.CodeGoingAway {
		t.Errorf("server: got %v, want a close with 1001", e)
	}
	if len(heard) != 0 {
		t.Errorf("server: got a message of %d bytes, want none", bounded.Receive(t, heard))
	}
	bounded.Receive(t, k.ended)
	if grown := int64(after.TotalAlloc) - int64(before.TotalAlloc); grown > 64<<20 {
		t.Errorf("got %d MiB allocated, want 64 at most", grown>>20)
	}
	bounded.Until(t, func() bool { return state(b, up.addr()).Closed[websocket.CodeTooBig] == 1 })
}
