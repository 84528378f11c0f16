package gateway

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// subscriber opens a connection without a client library and without package net, whose memory would count, subscribes to three
// channels, and reads all answers. It returns the descriptor.
func subscriber(t *testing.T, addr netip.AddrPort, i int, buf []byte) (fd int) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &syscall.Timeval{Sec: 60}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Connect(fd, &syscall.SockaddrInet4{Addr: addr.Addr().As4(), Port: int(addr.Port())}); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "GET /channels HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: handfast.v1.json\r\n\r\n", addr)
	for k := range 3 {
		text := fmt.Sprintf(`{"type":"subscribe","id":%d,"channel":"c%d"}`, k+1, (i+k)%100)
		out.Write([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}) // masked with zeros
		out.WriteString(text)
	}
	if _, err := syscall.Write(fd, out.Bytes()); err != nil {
		t.Fatal(err)
	}
	n := 0
	for !strings.Contains(string(buf[:n]), `"id":3`) {
		k, err := syscall.Read(fd, buf[n:])
		if err == syscall.EINTR { // a read with a time limit is not restarted
			continue
		}
		if err != nil || k == 0 {
			t.Fatalf("%v after %s", err, buf[:n])
		}
		n += k
	}
	return fd
}

// A client that waits with three subscriptions costs the whole server less than 2 KiB of heap, and no goroutine: nothing of its
// request is kept.
func TestIdleClient(t *testing.T) {
	s, _ := start(t, Options{
		Config: plainConfig("127.0.0.1:0"), Stdout: io.Discard, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	addr := netip.MustParseAddrPort(strings.TrimPrefix(s.URLs()[0], "http://"))
	heap := func() int64 {
		runtime.GC()
		runtime.GC() // the pools let go at the second
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	const n, most = 2000, 1750
	buf, fds := make([]byte, 4096), make([]int, 0, n+100)
	t.Cleanup(func() {
		for _, fd := range fds {
			syscall.Close(fd)
		}
	})
	for i := range 100 { // the channels, the loops and the tables are there
		fds = append(fds, subscriber(t, addr, i, buf))
	}
	before, goroutines := heap(), runtime.NumGoroutine()
	for i := range n {
		fds = append(fds, subscriber(t, addr, i, buf))
	}
	if got := runtime.NumGoroutine(); got > goroutines+20 {
		t.Errorf("%d goroutines, %d before", got, goroutines)
	}
	each := (heap() - before) / n
	t.Logf("%d bytes of heap for each client", each)
	if each > most {
		t.Errorf("%d bytes of heap for each client, want %d at most", each, most)
	}
}
