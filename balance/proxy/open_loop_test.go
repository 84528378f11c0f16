package proxy

import (
	"context"
	"net"
	"testing"
)

// answers is a driver that has a refusal come at the moment at which the client goes.
type answers struct {
	*looped
	o    *dialing
	conn net.Conn
}

func (a *answers) nudge() {
	a.o.conn = a.conn
	close(a.o.done)
}

// A connection that has left the loop for the body of a refusal is the caller's to close, also when the client goes at that moment.
func TestRefusalWhileClientGoes(t *testing.T) {
	_, near := tcpPair(t)
	defer near.Close()
	l := newLooped()
	o := &dialing{l: l, done: make(chan struct{})}
	l.driver = &answers{l, o, near}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if o.wait(ctx) {
		t.Error("the connection is said to be closed")
	}
}
