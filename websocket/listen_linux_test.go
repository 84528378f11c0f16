package websocket

import (
	"net"
	"net/http"
	"syscall"
	"testing"

	"github.com/handfast/handfast/websocket/internal/bounded"
)

// kept reports whether the kernel probes the peer of nc.
func kept(t *testing.T, nc net.Conn) bool {
	t.Helper()
	raw, err := nc.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	on := 0
	if err := raw.Control(func(fd uintptr) {
		on, err = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_KEEPALIVE)
	}); err != nil {
		t.Fatal(err)
	}
	return on != 0
}

// TestListenLeavesKeepAliveToPings: a connection that goes to HTTP, which has no pings, gets it back.
func TestListenLeavesKeepAliveToPings(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		address := "127.0.0.1:0"
		if network == "unix" {
			address = t.TempDir() + "/socket"
		}
		l, err := Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		client, err := net.Dial(network, l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		nc, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		if kept(t, nc) {
			t.Errorf("%s: with keep-alive", network)
		}
		keepAlive(nc)
		if kept(t, nc) != (network == "tcp") {
			t.Errorf("%s: keep-alive is %v behind keepAlive", network, kept(t, nc))
		}
	}
}

// TestServeGivesPagesKeepAlive looks at the connection that HTTP gets.
func TestServeGivesPagesKeepAlive(t *testing.T) {
	got := make(chan bool, 1)
	s := &Server{Handler: echoing, HTTP: &http.Server{
		ConnState: func(nc net.Conn, state http.ConnState) {
			if state == http.StateNew {
				got <- kept(t, nc.(*replayed).Conn)
			}
		},
	}}
	l, err := Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := serveOn(t, s, l, s.Serve)
	r, nc, _ := converse(t, addr, "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
	defer nc.Close()
	if r.StatusCode != 404 || !bounded.Receive(t, got) {
		t.Errorf("status %d, without keep-alive", r.StatusCode)
	}
}
