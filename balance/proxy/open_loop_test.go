package proxy

import (
	"context"
	"net"
	"testing"
)

// answers is a driver that delivers a refusal at the moment when the client disconnects.
type answers struct {
	*loopTunnel
	o    *dialing
	conn net.Conn
}

func (a *answers) wake() {
	a.o.conn = a.conn
	a.o.progress <- true
}

// The caller has to close a connection that has left the loop for the body of a refusal, even if the client disconnects at that
// moment.
func TestRefusalDuringClientDisconnect(t *testing.T) {
	_, near := tcpPair(t)
	defer near.Close()
	l := newLoopTunnel()
	o := &dialing{l: l, progress: make(chan bool, 2)}
	o.progress <- false // the server is slow, so the client is watched
	l.driver = &answers{l, o, near}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if o.wait(ctx) {
		t.Error("wait reported that the connection is closed, but the caller owns it")
	}
}
