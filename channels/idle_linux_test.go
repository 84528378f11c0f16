//go:build !race

package channels

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/handfast/handfast/websocket"
)

// memory returns the bytes of the heap and of stacks in use after a garbage collection; the second collection empties the pools.
func memory() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// rawClient opens a connection without package net, whose memory would count, subscribes to three channels, and reads all replies.
// It returns the descriptor.
func rawClient(t *testing.T, addr netip.AddrPort, i int, buf []byte) (fd int) {
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
	out.WriteString("GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
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

// slack is for what the runtime allocates for itself.
const slack = 256

// An idle connection with three subscriptions costs the server less than 2 KiB on the event loop, which needs no goroutine for it, and
// less than 8 KiB, its stack included, with a goroutine.
func TestIdleConnection(t *testing.T) {
	const warm, conns = 100, 1000
	for name, tt := range map[string]struct {
		admit      func(open func(websocket.Sender) websocket.Receiver) *websocket.Admission
		goroutines int
		most       int
	}{
		"loop": {func(open func(websocket.Sender) websocket.Receiver) *websocket.Admission {
			return &websocket.Admission{Open: open}
		}, 20, 2 << 10},
		"goroutine": {func(open func(websocket.Sender) websocket.Receiver) *websocket.Admission {
			return &websocket.Admission{Serve: func(c *websocket.Conn) { c.Run(context.Background(), open) }}
		}, conns + 20, 8 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			s := &Server{Hub: newHub(t), App: "dev"}
			url := serve(t, ConnOptions(), func(*http.Request) *websocket.Admission { return tt.admit(s.Open(Client{})) })
			addr, buf := netip.MustParseAddrPort(strings.TrimPrefix(url, "http://")), make([]byte, 4096)
			fds := make([]int, 0, warm+conns)
			defer func() {
				for _, fd := range fds {
					syscall.Close(fd)
				}
			}()
			for i := range warm { // creates the channels, and fills the pools of the server
				fds = append(fds, rawClient(t, addr, i, buf))
			}
			before, goroutines := memory(), runtime.NumGoroutine()
			for i := range conns {
				fds = append(fds, rawClient(t, addr, i, buf))
			}
			if got := runtime.NumGoroutine(); got > goroutines+tt.goroutines {
				t.Errorf("%d goroutines, %d before", got, goroutines)
			}
			each := int(memory()-before) / conns
			t.Logf("%d bytes for each connection", each)
			if each > tt.most+slack {
				t.Errorf("%d bytes for each connection", each)
			}
		})
	}
}
