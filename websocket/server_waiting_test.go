package websocket

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/internal/bounded"
)

// waiterFrom returns a connection whose remote address is the given one.
func waiterFrom(addr netip.Addr) *waiter {
	return &waiter{nc: new(scriptedConn), remote: net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr, 4711))}
}

func TestWaiting(t *testing.T) {
	const a, b, c = "192.0.2.1", "192.0.2.2", "192.0.2.3"
	for _, tt := range []struct {
		name  string
		most  int
		addrs []string
		cut   []int
	}{
		{"not too many", 4, []string{a, a, a, b}, nil},
		{"the oldest of the address with the most", 3, []string{b, a, a, a}, []int{1}},
		{"also when another address is added", 3, []string{a, a, b, c}, []int{0}},
		{"repeatedly", 3, []string{a, a, a, b, c}, []int{0, 1}},
		{"one for each address: the oldest", 2, []string{b, a, c}, []int{0}},
		{"one for each address, repeatedly", 2, []string{b, a, c, "192.0.2.4", "192.0.2.5"}, []int{0, 1, 2}},
		{"a /64 is one address", 3, []string{"2001:db8::1", a, "2001:db8::2", b}, []int{0}},
		{"an IPv4 address in either form is one", 3, []string{b, "::ffff:192.0.2.1", a, c}, []int{1}},
		{"an address with many loses its own connections", 4, []string{b, a, a, a, a, a, a, a, c}, []int{1, 2, 3, 4, 5}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var w waiting
			var all []*waiter
			var cut []int
			for _, addr := range tt.addrs {
				m := waiterFrom(netip.MustParseAddr(addr))
				all = append(all, m)
				if victim := w.add(m, tt.most); victim.nc != nil {
					cut = append(cut, slices.IndexFunc(all, func(m *waiter) bool { return m.nc == victim.nc }))
				}
			}
			if !slices.Equal(cut, tt.cut) {
				t.Errorf("cut %v, want %v", cut, tt.cut)
			}
			for i, m := range all {
				if w.remove(m) == slices.Contains(cut, i) {
					t.Errorf("remove of %d does not report whether it was cut", i)
				}
			}
			if w.len() != 0 || len(w.groups) != 0 || w.top != 0 {
				t.Errorf("%d are left in %d groups", w.len(), len(w.groups))
			}
		})
	}
}

// As connections come and go, their number never exceeds the limit, and top is the size of the largest group.
func TestWaiting_Invariants(t *testing.T) {
	const most = 50
	rng := rand.New(rand.NewPCG(1, 2))
	var w waiting
	var list []*waiter
	for i := range 20_000 {
		if rng.IntN(3) > 0 || len(list) == 0 {
			m := waiterFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(rng.IntN(20))}))
			w.add(m, most)
			list = append(list, m)
		} else {
			j := rng.IntN(len(list))
			w.remove(list[j])
			list = slices.Delete(list, j, j+1)
		}
		n, top := 0, 0
		for _, g := range w.groups {
			members := 0
			for m := g.first; m != nil; m = m.next {
				members++
			}
			if members != g.n {
				t.Fatalf("step %d: a group of %d connections counts %d", i, members, g.n)
			}
			n, top = n+members, max(top, members)
		}
		if n != w.len() || n > most || n > 0 && top != w.top {
			t.Fatalf("step %d: len is %d, want %d; top is %d, want %d", i, w.len(), n, w.top, top)
		}
	}
}

// dialFrom connects from a loopback address. The connection is closed when the test ends.
func dialFrom(t *testing.T, addr, from string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IP(netip.MustParseAddr(from).AsSlice())}}
	nc, err := d.DialContext(bounded.Context(t), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return nc
}

// 5,000 clients at 50 addresses occasionally send a byte. A new client is served nevertheless, and the number of other connections
// stays within the limit.
func TestServer_SlowClients(t *testing.T) {
	const addrs, each, most = 50, 100, 256
	cut := make(chan string, addrs*each)
	s := ownServer(&Endpoint{Serve: serveEcho})
	s.MaxHandshakes = func(net.Addr) int { return most }
	s.Refused = func(_ context.Context, remote string, _ *http.Request, err *HandshakeError) {
		if err.Stage == handshake.StageEvicted {
			cut <- remote
		}
	}
	addr := serveOwn(t, s)
	var slow []net.Conn
	for i := range addrs {
		for range each {
			slow = append(slow, dialFrom(t, addr, fmt.Sprintf("127.0.1.%d", i+1)))
		}
	}
	stop := make(chan struct{})
	var dripping sync.WaitGroup
	defer dripping.Wait()
	defer close(stop)
	dripping.Go(func() {
		const request = "GET / HTTP/1.1\r\nHost: localhost\r\nX-Filler: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for i := range len(request) {
			for _, c := range slow {
				io.WriteString(c, request[i:i+1]) // most connections have been closed
			}
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
	})
	for i := range 20 {
		nc := dialFrom(t, addr, "127.0.0.5")
		io.WriteString(nc, sampleRequest+"\r\n")
		if r, err := http.ReadResponse(bufio.NewReader(nc), nil); err != nil || r.StatusCode != 101 {
			t.Fatalf("new client %d: %v, %v", i, r, err)
		}
		if n := s.Handshakes(); n > most {
			t.Fatalf("%d wait", n)
		}
	}
	for range addrs*each - most { // the clients beyond the limit
		if remote := bounded.Receive(t, cut); strings.HasPrefix(remote, "127.0.0.5:") {
			t.Fatal("a client that was not slow was cut")
		}
	}
}
