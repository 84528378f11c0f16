package channels

import (
	"bytes"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

// heap returns the bytes in use after a garbage collection; the second collection empties the pools.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// rawClient opens a connection without a client library, subscribes to three channels, and reads all replies.
func rawClient(t *testing.T, addr string, i int, buf []byte) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", addr) //nolint:noctx // a test needs no context here
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "GET / HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", addr)
	for k := range 3 {
		text := fmt.Sprintf(`{"type":"subscribe","id":%d,"channel":"c%d"}`, k+1, (i+k)%100)
		out.Write([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}) // masked with zeros
		out.WriteString(text)
	}
	if _, err := nc.Write(out.Bytes()); err != nil {
		t.Fatal(err)
	}
	n := 0
	for !strings.Contains(string(buf[:n]), `"id":3`) {
		k, err := nc.Read(buf[n:])
		if err != nil {
			t.Fatalf("%v after %s", err, buf[:n])
		}
		n += k
	}
	return nc
}

// An idle connection with three subscriptions has no goroutine, and costs the server less than 2 KiB.
func TestIdleConnection(t *testing.T) {
	addr := strings.TrimPrefix(start(t, "loop", &Server{Hub: newHub(t), App: "dev"}), "http://")
	buf := make([]byte, 4096)
	for i := range 100 { // creates the channels, and fills the pools of the event loops
		rawClient(t, addr, i, buf)
	}
	const n = 1000
	conns := make([]net.Conn, n)
	before, goroutines := heap(), runtime.NumGoroutine()
	for i := range conns {
		conns[i] = rawClient(t, addr, i, buf)
	}
	if got := runtime.NumGoroutine(); got > goroutines+20 {
		t.Errorf("%d goroutines, %d before", got, goroutines)
	}
	each := (heap() - before) / n
	runtime.KeepAlive(conns)
	t.Logf("%d bytes of heap for each connection, the client's end included", each)
	if each > 2<<10+600 {
		t.Errorf("%d bytes of heap for each connection", each)
	}
}
