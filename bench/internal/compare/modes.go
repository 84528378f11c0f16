//go:build linux

package compare

import (
	"fmt"
	"slices"
	"time"

	"github.com/handfast/handfast/bench/internal/load"
	"github.com/handfast/handfast/bench/internal/peers"
)

// Mode is one row of the table.
type Mode struct {
	Name  string
	Quick bool // whether the mode is part of the short run

	load load.Config // the load, except for the address, the process and the durations
	peer peers.Config
	tls  bool
	late bool // the row is the 99th percentile of the response time, not a cost
}

// memory reports whether the unit of the row is KiB of memory per connection, rather than time.
func (m Mode) memory() bool { return m.load.Mode == load.ModeIdle }

// cost returns the value of a result in the row.
func (m Mode) cost(r load.Result) float64 {
	us := float64(time.Microsecond)
	if m.late {
		return float64(r.P99) / us
	}
	return float64(r.CPU) / us / float64(max(r.Ops, 1))
}

// flags returns the arguments for the peer command.
func (m Mode) flags() []string {
	var f []string
	if m.peer.Broadcast {
		f = append(f, "-broadcast")
	}
	if m.peer.Compress != "" {
		f = append(f, "-compress", m.peer.Compress)
	}
	if m.tls {
		f = append(f, "-tls")
	}
	return f
}

// Tiny returns the mode with a few connections, to check that it works.
func (m Mode) Tiny() Mode {
	m.load.Conns, m.load.Warm, m.load.For = min(m.load.Conns, 3), 0, 0
	return m
}

// does reports whether p supports the mode.
func (m Mode) does(p peers.Peer) bool {
	c := m.peer
	if m.tls {
		c.TLS = anyTLS
	}
	return p.Does(c) && !(p.Raw && m.load.Mode == load.ModeUpgrade) && (m.load.Fragments < 2 || p.Joins())
}

// Modes returns all rows.
func Modes() []Mode {
	all := []Mode{{Name: "upgrade", Quick: true, load: load.Config{Mode: load.ModeUpgrade, Conns: 64}}}
	add := func(quick bool, name string, c load.Config) {
		c.Mode = load.ModeEcho
		all = append(all, Mode{Name: name, Quick: quick, load: c})
	}
	add(false, "echo 16 B, 100 connections", load.Config{Conns: 100, Size: 16})
	add(true, "echo 128 B, 100 connections", load.Config{Conns: 100, Size: 128})
	add(true, "echo 128 B, 1,000 connections", load.Config{Conns: 1000, Size: 128})
	add(false, "echo 128 B, 10,000 connections, 1 % busy", load.Config{Conns: 10_000, Size: 128, Busy: 100})
	add(false, "p99 of echo 128 B, 10,000 a second, 1,000 connections", load.Config{Conns: 1000, Size: 128, Rate: 10_000})
	all[len(all)-1].late = true
	all = append(all, Mode{Name: "10,000 still connections, a second", load: load.Config{Mode: load.ModeStill, Conns: 10_000, Size: 128, Warm: 2 * time.Second, For: 3 * time.Second}})
	add(true, "echo 128 B, 16 in flight", load.Config{Conns: 100, Size: 128, Flight: 16})
	add(false, "echo 1 KiB", load.Config{Conns: 100, Size: 1 << 10})
	add(true, "echo 16 KiB", load.Config{Conns: 100, Size: 16 << 10})
	add(true, "echo 256 KiB", load.Config{Conns: 16, Size: 256 << 10})
	add(false, "echo 1 MiB", load.Config{Conns: 8, Size: 1 << 20})
	add(false, "echo 16 MiB", load.Config{Conns: 2, Size: 16 << 20})
	add(true, "16 fragments of 1 KiB", load.Config{Conns: 100, Size: 1 << 10, Fragments: 16})
	spread := func(quick bool, name string, conns, flight int) {
		all = append(all, Mode{Name: name, Quick: quick, peer: peers.Config{Broadcast: true},
			load: load.Config{Mode: load.ModeBroadcast, Conns: conns, Size: 128, Flight: flight}})
	}
	spread(true, "broadcast to 1,000, a delivery", 1000, 1)
	spread(false, "broadcast to 5,000, a delivery", 5000, 1)
	spread(true, "broadcast to 1,000, 16 at a time", 1000, 16)
	for _, z := range []string{peers.CompressEach, peers.CompressTakeover} {
		c := load.Config{Mode: load.ModeEcho, Conns: 50, Size: 1 << 10, Compress: z}
		all = append(all, Mode{Name: "echo 1 KiB, " + compressions[z], Quick: true, peer: peers.Config{Compress: z}, load: c})
	}
	all = append(all, Mode{Name: "TLS: upgrade", tls: true, load: load.Config{Mode: load.ModeUpgrade, Conns: 16, TLS: true}})
	for _, size := range []int{128, 16 << 10} {
		all = append(all, Mode{Name: "TLS: echo " + bytesName(size), Quick: size == 128, tls: true,
			load: load.Config{Mode: load.ModeEcho, Conns: 100, Size: size, TLS: true}})
	}
	return append(all, idleModes()...)
}

var compressions = map[string]string{
	peers.CompressEach:     "compressed without takeover",
	peers.CompressTakeover: "compressed with takeover",
}

// idleModes returns the memory rows. In the rows "after traffic", each connection echoes 48 messages of 1 KiB, which fill the buffers that
// a server keeps; in the other rows, one message.
func idleModes() []Mode {
	all := []Mode{{Name: "idle", Quick: true, load: load.Config{Mode: load.ModeIdle, Conns: 5000, Size: 128}}}
	all = append(all, Mode{Name: "idle after traffic", load: load.Config{Mode: load.ModeIdle, Conns: 2000, Size: 1 << 10, Messages: traffic}})
	for _, z := range []string{peers.CompressEach, peers.CompressTakeover} {
		c := load.Config{Mode: load.ModeIdle, Conns: 1500, Size: 1 << 10, Compress: z}
		all = append(all, Mode{Name: "idle, " + compressions[z], peer: peers.Config{Compress: z}, load: c})
		c.Messages = traffic
		all = append(all, Mode{Name: "idle after traffic, " + compressions[z], peer: peers.Config{Compress: z}, load: c})
	}
	return append(all, Mode{Name: "idle, TLS", tls: true, load: load.Config{Mode: load.ModeIdle, Conns: 1500, Size: 128, TLS: true}})
}

const traffic = 48 // messages per connection

func bytesName(n int) string {
	if n >= 1<<10 {
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d B", n)
}

// longOnly are the servers that are skipped in the short run.
var longOnly = []string{"handfast-queue", "fasthttp", "x/net"}

// Quick returns the modes and servers of the short run.
func Quick() ([]Mode, []peers.Peer) {
	modes := slices.DeleteFunc(Modes(), func(m Mode) bool { return !m.Quick })
	servers := slices.DeleteFunc(peers.All(), func(p peers.Peer) bool { return slices.Contains(longOnly, p.Name) })
	return modes, servers
}
