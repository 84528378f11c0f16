package websocket

import (
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/internal/allocs"
)

// evHeap returns the heap bytes in use after two garbage collections. The second one empties the pools.
func evHeap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// An idle connection has no goroutine and no buffer. After one echo it only occupies its Conn, its slot and the allocator's
// rounding.
func TestEventIdleConnectionIsAFewHundredBytes(t *testing.T) {
	if size := unsafe.Sizeof(eventConn{}); size > 288 {
		t.Errorf("an eventConn has %d bytes, want at most 288: the next size class of the allocator is 320", size)
	}
	const n = 4000
	addr := evServe(t, &evServer{Handler: evEcho})
	evUpgraded(t, addr) // at this point the loops and the pools exist
	before, goroutines := evHeap(), runtime.NumGoroutine()
	l := evNewLoad(t, addr, n)
	send := []byte(evMasked(frame.Binary, true, "hello"))
	l.evEcho(t, send, 7, make([]byte, 64))
	if got := runtime.NumGoroutine(); got > goroutines+2 {
		t.Errorf("%d goroutines, %d more than without the connections", got, got-goroutines)
	}
	each := (int64(evHeap()) - int64(before)) / n
	runtime.KeepAlive(l)
	t.Logf("%d bytes of heap for each connection", each)
	if each > 400 {
		t.Errorf("%d bytes of heap for each of %d idle connections, want at most 400", each, n)
	}
}

// An echo allocates nothing, whether or not the message fits into the shared buffer.
func TestEventEchoAllocatesNothing(t *testing.T) {
	addr := evServe(t, &evServer{Handler: evEcho})
	for _, size := range []int{16, 16 << 10, 200 << 10} {
		l := evNewLoad(t, addr, 1)
		send := []byte(evMasked(frame.Binary, true, string(make([]byte, size))))
		answer := len(frame.Append(nil, frame.Header{Length: int64(size)})) + size
		buf := make([]byte, answer)
		for range 20 {
			l.evEcho(t, send, answer, buf)
		}
		if got := allocs.PerRun(100, func() { l.evEcho(t, send, answer, buf) }); got > 0 && !raceEnabled {
			t.Errorf("%v allocations for an echo of %d bytes", got, size)
		}
	}
}

func TestEventUpgradeAllocatesTheConnAndNoMore(t *testing.T) {
	addr := evServe(t, &evServer{Handler: evEcho})
	warm := evNewLoad(t, addr, 10)
	fds := make([]int, 0, 101)
	for range cap(fds) {
		fds = append(fds, evConnectFD(t, evResolve(t, addr)))
	}
	i := 0
	got := allocs.PerRun(100, func() {
		if err := warm.open(fds[i]); err != nil {
			t.Error(err)
		}
		i++
	})
	for _, fd := range fds {
		syscall.Close(fd)
	}
	if got > 4 && !raceEnabled { // got includes the client's allocations
		t.Errorf("%v allocations for an upgrade", got)
	}
}
