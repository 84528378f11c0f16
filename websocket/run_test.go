package websocket_test

import (
	"net"
	"testing"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/internal/drivertest"
	"github.com/handfast/handfast/websocket/protocol"
)

// TestRun runs the common test suite of all drivers with Conn.Run.
func TestRun(t *testing.T) {
	drivertest.Test(t, func(t *testing.T, opts *websocket.ConnOptions, open func(websocket.Sender) websocket.Receiver) net.Conn {
		near, far := tcpPair(t)
		c := drivertest.Conn(t, far, protocol.RoleServer, opts)
		done := make(chan struct{})
		go func() {
			defer close(done)
			c.Run(t.Context(), open)
		}()
		t.Cleanup(func() { c.CloseNow(); near.Close(); bounded.Receive(t, done) })
		return near
	})
}

func tcpPair(t *testing.T) (near, far net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if near, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	return near, far
}
