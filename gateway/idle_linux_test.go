package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
	wshandshake "github.com/handfast/handfast/websocket/handshake"
)

// openRaw opens a connection without a client library or package net, whose memory would count, sends a request, and reads until
// the response contains last. It returns the file descriptor.
func openRaw(t *testing.T, addr netip.AddrPort, request []byte, last string, buf []byte) (fd int) {
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
	if _, err := syscall.Write(fd, request); err != nil {
		t.Fatal(err)
	}
	n := 0
	for !strings.Contains(string(buf[:n]), last) {
		k, err := syscall.Read(fd, buf[n:])
		if err == syscall.EINTR { // a read with a timeout is not restarted after a signal
			continue
		}
		if err != nil || k == 0 {
			t.Fatalf("%v after %s", err, buf[:n])
		}
		n += k
	}
	return fd
}

// upgradeRequest returns an opening handshake with the key of RFC 6455 §1.3.
func upgradeRequest(path, more string) []byte {
	return []byte("GET " + path + " HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + more + "\r\n")
}

// subscriber opens a connection, subscribes to three channels, and reads all replies. It returns the file descriptor.
func subscriber(t *testing.T, addr netip.AddrPort, i int, buf []byte) (fd int) {
	t.Helper()
	out := upgradeRequest("/channels", "Sec-WebSocket-Protocol: handfast.v1.json\r\n")
	for k := range 3 {
		text := fmt.Sprintf(`{"type":"subscribe","id":%d,"channel":"c%d"}`, k+1, (i+k)%100)
		out = append(out, 0x81, 0x80|byte(len(text)), 0, 0, 0, 0) // masked with zeros
		out = append(out, text...)
	}
	return openRaw(t, addr, out, `"id":3`, buf)
}

// listenRaw starts a server that accepts WebSockets on bare file descriptors and sends nothing. It returns the server's address;
// the descriptors are closed at the end.
func listenRaw(t *testing.T) string {
	l, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err == nil {
		err = errors.Join(syscall.Bind(l, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(l, 128))
	}
	if err != nil {
		t.Fatal(err)
	}
	at, err := syscall.Getsockname(l)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { // returns when the listener is closed
		defer close(ended)
		var open []int
		request := make([]byte, 4096)
		for {
			fd, _, err := syscall.Accept(l)
			if err != nil {
				break
			}
			open = append(open, fd)
			n, _ := syscall.Read(fd, request)
			_, key, _ := bytes.Cut(request[:n], []byte("Sec-WebSocket-Key: "))
			answer := []byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ")
			answer = append(wshandshake.AppendAccept(answer, string(key[:24])), "\r\n\r\n"...)
			_, _ = syscall.Write(fd, answer) // if it fails, the client notices
		}
		for _, fd := range append(open, l) {
			syscall.Close(fd)
		}
	}()
	t.Cleanup(func() {
		_ = syscall.Shutdown(l, syscall.SHUT_RDWR) // makes Accept return
		bounded.Receive(t, ended)
	})
	return fmt.Sprintf("ws://127.0.0.1:%d", at.(*syscall.SockaddrInet4).Port)
}

// An idle client with three subscriptions costs the whole server less than 2 KiB of heap and no goroutine: no part of its request
// is kept.
func TestIdleClient(t *testing.T) {
	s, _ := start(t, Options{
		Config: plainConfig("127.0.0.1:0"), Stdout: io.Discard, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	checkIdleCost(t, s, 1750, func(addr netip.AddrPort, i int, buf []byte) int { return subscriber(t, addr, i, buf) })
}

// An idle client of the balancer costs less than 1.4 KiB of heap (about 1,350 bytes), and no goroutine.
func TestIdleTunnel(t *testing.T) {
	cfg := parse(t, strings.Replace(balancing(nil, ""), "[]", "["+listenRaw(t)+"]", 1))
	s, _ := start(t, Options{Config: cfg, Stdout: io.Discard, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	checkIdleCost(t, s, 1400, func(addr netip.AddrPort, _ int, buf []byte) int {
		return openRaw(t, addr, upgradeRequest("/", ""), "\r\n\r\n", buf)
	})
}

// checkIdleCost fails the test if an idle client, opened by open, costs a goroutine, or more heap than limit.
func checkIdleCost(t *testing.T, s *Server, limit int64, open func(addr netip.AddrPort, i int, buf []byte) (fd int)) {
	t.Helper()
	addr := netip.MustParseAddrPort(strings.TrimPrefix(s.URLs()[0], "http://"))
	heap := func() int64 {
		runtime.GC()
		runtime.GC() // the second collection empties the pools
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	const n = 2000
	buf, fds := make([]byte, 4096), make([]int, 0, n+100)
	t.Cleanup(func() {
		for _, fd := range fds {
			syscall.Close(fd)
		}
	})
	for i := range 100 { // so that the channels, the loops and the tables exist before the measurement
		fds = append(fds, open(addr, i, buf))
	}
	before, goroutines := heap(), runtime.NumGoroutine()
	for i := range n {
		fds = append(fds, open(addr, i, buf))
	}
	if got := runtime.NumGoroutine(); got > goroutines+20 {
		t.Errorf("%d goroutines, %d before", got, goroutines)
	}
	each := (heap() - before) / n
	t.Logf("%d bytes of heap for each client", each)
	if each > limit {
		t.Errorf("%d bytes of heap for each client, want at most %d", each, limit)
	}
}
