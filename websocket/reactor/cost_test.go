package reactor

import (
	"strings"
	"testing"

	"github.com/handfast/handfast/websocket/frame"
)

// nothing is a kernel whose calls cost nothing: its only connection sends the same bytes for ever.
type nothing struct {
	*fake
	in []byte
}

func (k *nothing) read(_ int, p []byte) (int, error)      { return copy(p, k.in), nil }
func (k *nothing) write(_ int, p []byte) (int, error)     { return len(p), nil }
func (k *nothing) arm(int, uint64, readiness, bool) error { return nil }
func (k *nothing) writev(_ int, p [2][]byte) (int, error) { return len(p[0]) + len(p[1]), nil }

// BenchmarkVisit is what the loop adds to the system calls: for each message, 16 of them arrive together.
func BenchmarkVisit(b *testing.B) {
	for name, flight := range map[string]int{"1": 1, "16": 16} {
		b.Run(name, func(b *testing.B) {
			s := &Server{Handler: echo}
			if err := s.configure(); err != nil {
				b.Fatal(err)
			}
			k := &nothing{fake: newFake(b, nil), in: []byte(hello)}
			l := newLoop(s, k)
			s.loops = []*loop{l}
			d := newDriver(l)
			c := s.enter(l, &Conn{fd: 10})
			d.visit(work{c: c, what: chore(readable)})
			k.in = []byte(strings.Repeat(masked(frame.Binary, true, strings.Repeat("x", 128)), flight))
			b.ReportAllocs()
			for i := 0; i < b.N; i += flight {
				d.visit(work{c: c, what: chore(readable)})
			}
		})
	}
}
