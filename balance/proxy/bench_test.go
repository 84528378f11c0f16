package proxy

import (
	"io"
	"net"
	"testing"

	"github.com/handfast/handfast/websocket/frame"
)

// One message in flight through a tunnel, there and back. cpu-ns/op is of this process: the tunnel and both peers.
func BenchmarkTunnel(b *testing.B) {
	for _, k := range kinds[:3] {
		for _, size := range []int{128, 16 << 10} {
			b.Run(k.name+"/"+map[int]string{128: "128B", 16 << 10: "16KiB"}[size], func(b *testing.B) {
				r := newRig(b, k).carry("", "", TunnelOptions{})
				ask, answer := packed(frame.Binary, true, make([]byte, size)), packed(frame.Binary, false, make([]byte, size))
				buf := make([]byte, len(ask))
				b.SetBytes(int64(len(ask) + len(answer)))
				for b.Loop() {
					exchange(b, r.client, r.server, ask, buf)
					exchange(b, r.server, r.client, answer, buf)
				}
			})
		}
	}
}

func exchange(b *testing.B, from, to net.Conn, msg, buf []byte) {
	if _, err := from.Write(msg); err != nil {
		b.Fatal(err)
	}
	if _, err := io.ReadFull(to, buf[:len(msg)]); err != nil {
		b.Fatal(err)
	}
}
