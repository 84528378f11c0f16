//go:build !race

// The race detector makes sync.Pool drop items, which causes allocations, and increases the size of stack frames. So this file is
// excluded from builds with the race detector.

package websocket

import (
	"context"
	"testing"

	"github.com/handfast/handfast/websocket/internal/allocs"
)

// An upgrade makes at most 6 allocations, or 7 with compression, from the accepted connection to the call of Serve with its Conn. A
// TCP connection makes two more, to wait without a buffer.
func TestServer_Allocations(t *testing.T) {
	for compression, most := range map[*Compression]float64{nil: 6, {}: 7} {
		s := ownServer(&Endpoint{
			Accept: AcceptOptions{Subprotocols: []string{"chat"}, Conn: ConnOptions{Compression: compression}},
			Serve:  func(c *Conn) { c.CloseNow() },
		})
		s.start()
		src := &source{server: s, base: s.base(nil), ended: make(chan struct{}), work: make(chan *arrival), idle: make(chan struct{}, maxIdle)}
		conns := make([]*scriptedConn, 0, 101)
		for range cap(conns) {
			nc := newScriptedConn([]byte(browserHead), 0)
			nc.out.Grow(512)
			conns = append(conns, nc)
		}
		got := allocs.PerRun(len(conns)-1, func() {
			nc := conns[0]
			conns = conns[1:]
			s.startHandshake(nc, src)
			<-nc.closed
		})
		if got--; got > most { // the CloseError of CloseNow is not part of the upgrade
			t.Errorf("compression %v: %v allocations, want %v", compression != nil, got, most)
		}
		src.end()
		s.Close()
	}
}

// With a net/http handler, a connection also retains net/http's data of the request, but at most 4 KiB of stack: Accept must not
// need 8 KiB.
func TestAccept_IdleConnectionIsSmall(t *testing.T) { idleIsSmall(t, 1, echoRead, 16<<10, 6<<10) }

// View and Send fit into 2 KiB of stack if the handler's own frames are small. Otherwise every idle connection would need 4 KiB.
func TestServer_IdleStackIsSmall(t *testing.T) {
	idleIsSmall(t, 0, func(c *Conn) { c.View(context.Background(), func(m Message) error { return c.Send(m) }) }, 4<<10, 3<<10)
}
