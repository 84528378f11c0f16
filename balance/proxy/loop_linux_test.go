package proxy

import (
	"errors"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/loop"
)

// onLoop runs a test on every kind that has both ends on the event loop.
func onLoop(t *testing.T, test func(t *testing.T, k kind)) {
	for _, k := range kinds {
		if !k.threads && !k.off && k.server != nil {
			t.Run(k.name, func(t *testing.T) { test(t, k) })
		}
	}
}

// An idle tunnel has no goroutine, two descriptors, and less than 1 KiB of heap in addition to the memory of crypto/tls.
func TestIdleTunnelMemory(t *testing.T) { onLoop(t, checkIdleMemory) }

func checkIdleMemory(t *testing.T, k kind) {
	const n, most = 500, 1024
	c := NewCarrier()
	defer c.Close()
	size := 20000
	if k.name != "loop" {
		size = 500 // small: more data would make the buffers of crypto/tls grow, depending on how the bytes arrive
	}
	hello, answer := frameOf(frame.Text, true, []byte("hello")), frameOf(frame.Text, false, make([]byte, size))
	pairs := make([][4]net.Conn, n+1) // created before the measurement, because they belong to the test
	for i := range pairs {
		p := &pairs[i]
		p[0], p[1] = k.client(t)
		p[2], p[3] = k.server(t)
		defer p[0].Close()
		defer p[2].Close()
		for j := range 2 { // makes crypto/tls allocate its buffers before the measurement
			exchange(t, p[2*j], p[2*j+1], hello, make([]byte, len(hello)))
			exchange(t, p[2*j+1], p[2*j], answer, make([]byte, len(answer)))
			exchange(t, p[2*j], p[2*j+1], answer, make([]byte, len(answer)))
		}
	}
	open := func(p *[4]net.Conn) { // memory of closed connections in p is kept, so it is part of both measurements
		done := func(*Tunnel, error) {}
		if _, err := c.Carry(p[1], p[3], hello, nil, TunnelOptions{Idle: time.Hour}, done); err != nil {
			t.Fatal(err)
		}
		expect(t, p[2], hello)
		if _, err := p[2].Write(answer); err != nil {
			t.Fatal(err)
		}
		expect(t, p[0], answer)
	}
	open(&pairs[n]) // creates the loops and the pools before the measurement
	before, goroutines, descriptors := heap(), runtime.NumGoroutine(), openDescriptors(t)
	for i := range n {
		open(&pairs[i])
	}
	each := (int64(heap()) - int64(before)) / n
	t.Logf("%d bytes of heap a tunnel", each)
	if each > most {
		t.Errorf("got %d bytes of heap for each tunnel, want %d at most", each, most)
	}
	if g := runtime.NumGoroutine(); g > goroutines+4 { // one driver may be replacing another
		t.Errorf("got %d goroutines, want %d", g, goroutines)
	}
	if d := openDescriptors(t); d != descriptors { // the loop's descriptors replace those of the accepted connections
		t.Errorf("got %d descriptors, want %d", d, descriptors)
	}
	runtime.KeepAlive(pairs)
}

// A tunnel is on the event loop, even with TLS and with a client from the PROXY protocol, unless the loop cannot take it.
func TestTunnelOnLoop(t *testing.T) {
	for _, k := range kinds {
		_, ok := newRig(t, k).carry("", "", TunnelOptions{}).tunnel.driver.(*loopTunnel)
		if want := !k.threads && !k.off; ok != want {
			t.Errorf("%s: got a tunnel on the loop: got %v, want %v", k.name, ok, want)
		}
	}
}

// heap returns the bytes in use after a garbage collection; the second collection empties the pools.
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

// hangupCounter counts the kernel's reports about closed connections.
type hangupCounter struct {
	loop.Kernel
	n atomic.Int64
}

func (h *hangupCounter) Wait(events []loop.Event, timeout time.Duration) (int, error) {
	n, err := h.Kernel.Wait(events, timeout)
	for _, e := range events[:max(n, 0)] {
		if e.Ready&loop.Hangup != 0 {
			h.n.Add(1)
		}
	}
	return n, err
}

// Every descriptor is closed with its tunnel, however the tunnel is closed.
func TestTunnelClosesDescriptors(t *testing.T) {
	for name, end := range map[string]func(r *rig){
		"CloseNow":             func(r *rig) { r.tunnel.CloseNow() },
		"Close of the Carrier": func(r *rig) { r.c.Close() },
		"both sides end":       func(r *rig) { r.client.Close(); r.server.Close() },
		"reset":                func(r *rig) { reset(r.server); r.client.Close() },
		"without close_notify": func(r *rig) { truncate(r.client); r.server.Close() },
	} {
		for _, k := range kinds {
			before := openDescriptors(t)
			t.Run(k.name+", "+name, func(t *testing.T) {
				r := newRig(t, k).carry("early", "late", TunnelOptions{})
				expect(t, r.server, []byte("early"))
				end(r)
				r.ended()
			})
			if after := openDescriptors(t); after != before {
				t.Errorf("%s, %s: got %d descriptors, want %d", k.name, name, after, before)
			}
		}
	}
}

// A side that has disconnected while the other side does not read is not reported repeatedly.
func TestHangupReportedOnce(t *testing.T) { onLoop(t, checkHangupReportedOnce) }

func checkHangupReportedOnce(t *testing.T, k kind) {
	r := newRig(t, k)
	r.c.loops.Stop()
	r.c.loops.Wait()
	kernel, err := loop.NewKernel()
	if err != nil {
		t.Fatal(err)
	}
	counted := &hangupCounter{Kernel: kernel}
	if r.c.loops, err = loop.New(loop.Options{Loops: 1, Kernel: func() (loop.Kernel, error) { return counted, nil }}); err != nil {
		t.Fatal(err)
	}
	r.carry("", "", TunnelOptions{})
	other := *r
	other.client, other.near[client] = k.client(t)
	other.server, other.near[upstream] = k.server(t)
	defer other.client.Close()
	defer other.server.Close()
	other.done = make(chan error, 1)
	other.carry("", "", TunnelOptions{})
	turns := func() { // makes the loop wait and continue at least 200 times
		for range 200 {
			other.write(other.client, []byte("hello"))
			expect(t, other.server, []byte("hello"))
		}
	}
	r.write(r.server, frameOf(frame.Binary, false, make([]byte, 16<<20)))
	expect(t, r.client, []byte{0x82}) // the rest stays unread, so that the tunnel stops reading from the server
	l := r.tunnel.driver.(*loopTunnel)
	bounded.Until(t, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.hasQueued(client)
	})
	turns()
	reset(r.server)
	turns()
	if n := counted.n.Load(); n > 10 {
		t.Errorf("got %d hangups from the kernel, want 10 at most", n)
	}
	r.client.Close()
	if e, ok := errors.AsType[*websocket.CloseError](bounded.Receive(t, r.done)); !ok || e.Err == nil {
		t.Errorf("got %v, want an error of the connection", e)
	}
}

// cpu returns the CPU time that this process has used.
func cpu(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
