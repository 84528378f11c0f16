package reactor

import (
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"github.com/handfast/handfast/websocket/frame"
)

// heap returns the bytes in use after a collection; the second one empties the pools.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A connection that waits has no goroutine and no buffer: after one echo it costs its Conn, its place and what rounding
// adds.
func TestIdleConnectionIsAFewHundredBytes(t *testing.T) {
	if size := unsafe.Sizeof(Conn{}); size > 288 {
		t.Errorf("a Conn is %d bytes: 288 is a size class of the allocator, the next is 320", size)
	}
	const n = 4000
	addr := serve(t, &Server{Handler: echo})
	upgraded(t, addr) // the loops and the pools are there
	before, goroutines := heap(), runtime.NumGoroutine()
	l := newLoad(t, addr, n)
	send := []byte(masked(frame.Binary, true, "hello"))
	l.echo(t, send, 7, make([]byte, 64))
	if got := runtime.NumGoroutine(); got > goroutines+2 {
		t.Errorf("%d goroutines, %d more than without the connections", got, got-goroutines)
	}
	each := (int64(heap()) - int64(before)) / n
	runtime.KeepAlive(l)
	t.Logf("%d bytes of heap for each connection", each)
	if each > 400 {
		t.Errorf("%d bytes of heap for each of %d idle connections, want 400 at most", each, n)
	}
}

// An echo allocates nothing, whether it fits the shared buffer or not.
func TestEchoAllocatesNothing(t *testing.T) {
	addr := serve(t, &Server{Handler: echo})
	for _, size := range []int{16, 16 << 10, 200 << 10} {
		l := newLoad(t, addr, 1)
		send := []byte(masked(frame.Binary, true, string(make([]byte, size))))
		answer := len(frame.Append(nil, frame.Header{Length: int64(size)})) + size
		buf := make([]byte, answer)
		for range 20 {
			l.echo(t, send, answer, buf)
		}
		// The pools are emptied by the collector now and then: what is counted is what every message costs.
		if got := testing.AllocsPerRun(100, func() { l.echo(t, send, answer, buf) }); got >= 1 && !raceEnabled {
			t.Errorf("%v allocations for an echo of %d bytes", got, size)
		}
	}
}

func TestUpgradeAllocatesTheConnAndNoMore(t *testing.T) {
	addr := serve(t, &Server{Handler: echo})
	warm := newLoad(t, addr, 10)
	fds := make([]int, 0, 101)
	for range cap(fds) {
		fds = append(fds, connectFD(t, resolve(t, addr)))
	}
	i := 0
	got := testing.AllocsPerRun(100, func() {
		if err := warm.open(fds[i]); err != nil {
			t.Error(err)
		}
		i++
	})
	for _, fd := range fds {
		syscall.Close(fd)
	}
	if got > 4 && !raceEnabled { // one on the client's side
		t.Errorf("%v allocations for an upgrade", got)
	}
}
