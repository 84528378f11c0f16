//go:build !race

// The race detector makes sync.Pool drop what it holds, and so allocations: this file is for a run without it.

package websocket

import "testing"

// An upgrade costs at most 8 allocations, from the accepted connection to the Handler with its Conn: here 6, with
// compression 7. A TCP connection adds two, for waiting without a buffer.
func TestService_Allocations(t *testing.T) {
	for compression, most := range map[*Compression]float64{nil: 6, {}: 7} {
		s := &Server{
			Accept:  AcceptOptions{Subprotocols: []string{"chat"}, Conn: ConnOptions{Compression: compression}},
			Handler: func(c *Conn) { c.CloseNow() },
		}
		p := newPipes()
		s.begin(p)
		pages := s.serveHTTP(p)
		conns := make([]*scripted, 0, 101)
		for range cap(conns) {
			nc := newScripted([]byte(browserHead), 0)
			nc.out.Grow(512)
			conns = append(conns, nc)
		}
		got := testing.AllocsPerRun(len(conns)-1, func() {
			nc := conns[0]
			conns = conns[1:]
			s.slots <- struct{}{}
			s.open(nc, pages)
			<-nc.closed
		})
		if got--; got > most { // CloseNow's CloseError is not the upgrade's
			t.Errorf("compression %v: %v allocations, want %v", compression != nil, got, most)
		}
		pages.Close()
		s.Close()
	}
}
