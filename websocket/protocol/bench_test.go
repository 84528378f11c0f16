package protocol

import (
	"testing"

	"github.com/handfast/handfast/websocket/frame"
)

func BenchmarkStep64(b *testing.B) {
	payload := make([]byte, 64)
	msg := appendFrame(nil, frame.Header{Fin: true, Opcode: frame.Text, Masked: true, Key: [4]byte{1, 2, 3, 4}, Length: 64}, payload)
	m := Machine{Limits: &Limits{MaxMessage: 1 << 20, Fragments: 1000}}
	buf := make([]byte, len(msg))
	b.ReportAllocs()
	for b.Loop() {
		copy(buf, msg)
		ev, n, err := m.Step(buf)
		if err != nil || n != len(msg) || !ev.Last {
			b.Fatal(ev, n, err)
		}
	}
}
