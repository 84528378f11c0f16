package proxy

import (
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket/frame"
)

// A tunnel that waits has no goroutine, two descriptors, and less than 1.5 KiB of heap.
func TestIdleTunnelIsSmall(t *testing.T) {
	const n, most = 1000, 1536
	c := NewCarrier()
	defer c.Close()
	pairs := make([][4]net.Conn, n+1) // made before the measurement: they are the test's
	for i := range pairs {
		pairs[i][0], pairs[i][1] = tcpPair(t)
		pairs[i][2], pairs[i][3] = tcpPair(t)
		defer pairs[i][0].Close()
		defer pairs[i][2].Close()
	}
	hello, answer := packed(frame.Text, true, []byte("hello")), packed(frame.Text, false, make([]byte, 20000))
	open := func(p *[4]net.Conn) { // what is closed of p stays in memory, before the measurement as behind it
		done := func(error) {}
		if _, err := c.Carry(p[1], p[3], hello, nil, TunnelOptions{Idle: time.Hour}, done); err != nil {
			t.Fatal(err)
		}
		expect(t, p[2], hello)
		if _, err := p[2].Write(answer); err != nil {
			t.Fatal(err)
		}
		expect(t, p[0], answer)
	}
	open(&pairs[n]) // the loops and the pools are there
	before, goroutines, descriptors := heap(), runtime.NumGoroutine(), openDescriptors(t)
	for i := range n {
		open(&pairs[i])
	}
	each := (int64(heap()) - int64(before)) / n
	t.Logf("%d bytes of heap a tunnel", each)
	if each > most {
		t.Errorf("%d bytes of heap a tunnel, want %d at most", each, most)
	}
	if g := runtime.NumGoroutine(); g > goroutines+4 { // a driver may take over from another
		t.Errorf("%d goroutines, %d before", g, goroutines)
	}
	if d := openDescriptors(t); d != descriptors { // those of the connections that were taken are closed
		t.Errorf("%d descriptors, %d before", d, descriptors)
	}
	runtime.KeepAlive(pairs)
}

// heap returns the bytes in use after a collection; the second one empties the pools.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func openDescriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// A side that is gone while the other does not read costs no CPU time: the kernel would report it again and again.
func TestGoneSideIsNotReportedAgainAndAgain(t *testing.T) {
	r := newRig(t, kinds[0]).carry("", "", TunnelOptions{})
	r.says(r.server, packed(frame.Binary, false, make([]byte, 16<<20)))
	expect(t, r.client, []byte{0x82}) // and no more: the tunnel stops reading from the server
	var sent int64
	bounded.Until(t, func() bool { // it has stopped when nothing comes for a while
		was := sent
		wait(100 * time.Millisecond)
		_, sent = r.tunnel.Bytes()
		return sent == was && sent > 0
	})
	r.server.(*net.TCPConn).SetLinger(0)
	r.server.Close()
	before := cpu(t)
	wait(500 * time.Millisecond)
	if used := cpu(t) - before; used > 250*time.Millisecond {
		t.Errorf("%v of CPU time in half a second of waiting", used)
	}
	r.client.Close()
	if e := r.ended(); !strings.Contains(e.Error(), "the ") {
		t.Errorf("ended with %v", e)
	}
}

// wait lets time pass, in which the process under test is watched.
func wait(d time.Duration) { <-time.After(d) }

func cpu(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
