package proxy

import (
	"io"
	"net"
	"testing"

	"github.com/handfast/handfast/websocket/frame"
)

// One message in flight makes a round trip through a tunnel. cpu-ns/msg is the CPU time of this process for each message: that of
// the tunnel and of both peers. "direct" is for the peers without a tunnel.
func BenchmarkTunnel(b *testing.B) {
	for _, k := range append([]kind{{name: "direct"}}, kinds[:8]...) {
		for _, size := range []int{128, 16 << 10} {
			b.Run(k.name+"/"+map[int]string{128: "128B", 16 << 10: "16KiB"}[size], func(b *testing.B) {
				r := &rig{}
				if k.client != nil {
					r = newRig(b, k).carry("", "", TunnelOptions{})
				} else {
					r.client, r.server = tcpPair(b)
					defer r.client.Close()
					defer r.server.Close()
				}
				ask, answer := frameOf(frame.Binary, true, make([]byte, size)), frameOf(frame.Binary, false, make([]byte, size))
				buf := make([]byte, len(ask))
				b.SetBytes(int64(len(ask) + len(answer)))
				before := cpu(b)
				for b.Loop() {
					exchange(b, r.client, r.server, ask, buf)
					exchange(b, r.server, r.client, answer, buf)
				}
				b.ReportMetric(float64(cpu(b)-before)/float64(2*b.N), "cpu-ns/msg")
			})
		}
	}
}

func exchange(b testing.TB, from, to net.Conn, msg, buf []byte) {
	if _, err := from.Write(msg); err != nil {
		b.Fatal(err)
	}
	if _, err := io.ReadFull(to, buf[:len(msg)]); err != nil {
		b.Fatal(err)
	}
}
