package door

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/handfast/handfast/internal/bounded"
)

// A nobody is a connection that only notes whether it was closed.
type nobody struct {
	net.Conn
	closed bool
}

func (n *nobody) Close() error {
	n.closed = true
	return nil
}

// arrive adds connections, each a second after the one before.
func arrive(w *Waiting, addrs ...string) []*Peer {
	var list []*Peer
	at := time.Unix(0, 0)
	for _, a := range addrs {
		at = at.Add(time.Second)
		p := &Peer{Addr: netip.MustParseAddr(a), raw: &nobody{}, since: at}
		w.add(p)
		list = append(list, p)
	}
	return list
}

func cutOf(list []*Peer) (cut []int) {
	for i, p := range list {
		if p.raw.(*nobody).closed {
			cut = append(cut, i)
		}
	}
	return cut
}

func TestWaitingCuts(t *testing.T) {
	const a, b, c = "192.0.2.1", "192.0.2.2", "192.0.2.3"
	for _, tt := range []struct {
		name  string
		most  int
		addrs []string
		cut   []int
	}{
		{"no bound", 0, []string{a, a, a, b}, nil},
		{"not too many", 4, []string{a, a, a, b}, nil},
		{"the oldest of who has the most", 3, []string{b, a, a, a}, []int{1}},
		{"also when another one comes", 3, []string{a, a, b, c}, []int{0}},
		{"again and again", 3, []string{a, a, a, b, c}, []int{0, 1}},
		{"all the same: the oldest", 2, []string{b, a, c}, []int{0}},
		{"a /64 is one", 3, []string{"2001:db8::1", a, "2001:db8::2", b}, []int{0}},
		{"who opens many loses its own", 4, []string{b, a, a, a, a, a, a, a, c}, []int{1, 2, 3, 4, 5}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			told := 0
			w := NewWaiting(func() int { return tt.most }, nil, func(*Peer) { told++ })
			list := arrive(w, tt.addrs...)
			if got := cutOf(list); fmt.Sprint(got) != fmt.Sprint(tt.cut) || told != len(tt.cut) {
				t.Errorf("cut %v (told %d), want %v", got, told, tt.cut)
			}
			for _, p := range list {
				if ok := w.remove(p); ok == p.raw.(*nobody).closed {
					t.Error("remove does not tell whether it was cut")
				}
			}
			if w.Len() != 0 || len(w.groups) != 0 {
				t.Errorf("%d are left in %d groups", w.Len(), len(w.groups))
			}
		})
	}
}

func TestWaitingExempt(t *testing.T) {
	w := NewWaiting(func() int { return 1 }, func(a netip.Addr) bool { return a.String() == "10.0.0.1" }, nil)
	list := arrive(w, "10.0.0.1", "10.0.0.1", "192.0.2.1", "10.0.0.1")
	if cut := cutOf(list); cut != nil || w.Len() != 1 {
		t.Errorf("cut %v, %d wait", cut, w.Len())
	}
}

// Whatever comes and goes, the books are right: no more than the bound, and the top rank is the largest group.
func TestWaitingBooks(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	w := NewWaiting(func() int { return 50 }, nil, nil)
	var list []*Peer
	for i := range 20_000 {
		if rng.IntN(3) > 0 || len(list) == 0 {
			p := &Peer{Addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(rng.IntN(20))}), raw: &nobody{}, since: time.Unix(int64(i), 0)}
			w.add(p)
			list = append(list, p)
		} else {
			j := rng.IntN(len(list))
			w.remove(list[j])
			list = append(list[:j], list[j+1:]...)
		}
		n, top := 0, 0
		for _, g := range w.groups {
			n, top = n+g.members.Len(), max(top, g.members.Len())
		}
		if n != w.Len() || n > 50 || n > 0 && top != w.top {
			t.Fatalf("step %d: %d of %d wait, top %d of %d", i, w.Len(), n, w.top, top)
		}
	}
}

// 5,000 clients that send a byte now and then, from 50 addresses: a new client comes in all the same, at once, and no
// more of them are there than may be.
func TestSlowClients(t *testing.T) {
	const addrs, each, most = 50, 100, 256
	h := build(t, most, nil)
	var slow []net.Conn
	for i := range addrs {
		for range each {
			slow = append(slow, h.connect(t, fmt.Sprintf("127.0.1.%d", i+1)))
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
				_, _ = io.WriteString(c, request[i:i+1]) // most have been cut
			}
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
	})
	for i := range 20 {
		if got := ask(t, h.connect(t, "127.0.0.5")); got != "127.0.0.5" {
			t.Fatalf("new client %d: %q", i, got)
		}
		if n := h.waiting.Len(); n > most {
			t.Fatalf("%d wait", n)
		}
	}
	for range addrs*each - most { // those that are too many
		if p := bounded.Receive(t, h.cut); p.Addr.String() == "127.0.0.5" {
			t.Fatal("a client that was not slow was cut")
		}
	}
}

// A request that is answered, and goes on with a body that does not come, is no way around the bound.
func TestSlowBodiesAreBounded(t *testing.T) {
	const most, slow = 20, 60
	h := build(t, most, nil)
	for range slow {
		c := h.connect(t, "127.0.0.7")
		if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	for range slow - most {
		if p := bounded.Receive(t, h.cut); p.Addr.String() != "127.0.0.7" {
			t.Errorf("%v was cut", p.Addr)
		}
	}
	if got := ask(t, h.connect(t, "127.0.0.8")); got != "127.0.0.8" {
		t.Errorf("somebody else: %q", got)
	}
}
