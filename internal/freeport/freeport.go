// Package freeport finds ports for the servers that tests start.
package freeport

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
)

// marks are sockets that keep other test binaries from using the same ports: each is named after its port, in the abstract
// namespace of Linux, so that it does not occupy the port itself.
var marks struct {
	sync.Mutex
	all []net.Listener
}

// Get returns a TCP port on which no program listens now, and which Get returns to no other test on this machine while this test
// binary runs. A stopped server may use its port again.
func Get(t testing.TB) string {
	t.Helper()
	marks.Lock()
	defer marks.Unlock()
	for range 1000 {
		// The port is below the range for outgoing connections, which could occupy the port while no program listens on it.
		port := strconv.Itoa(20_000 + rand.IntN(12_000)) // the random port is not a secret
		mark, err := net.Listen("unix", name(port))
		if err != nil {
			continue
		}
		if l, err := net.Listen("tcp", ":"+port); err == nil {
			l.Close()
			marks.all = append(marks.all, mark)
			return port
		}
		mark.Close()
	}
	t.Fatal("no port is free")
	return ""
}

func name(port string) string { return "@handfast-test-port-" + port }
