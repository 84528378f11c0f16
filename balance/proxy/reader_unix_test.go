//go:build unix

package proxy

import (
	"net"
	"testing"
)

// Sockets are read when they are ready, so that those which are silent hold no buffer; what has a Read of its own is read with that.
func TestReadsWhenReady(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	l := listen(t)
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for name, tt := range map[string]struct {
		nc   net.Conn
		want bool
	}{
		"TCP":      {client, true},
		"embedded": {struct{ *net.TCPConn }{client.(*net.TCPConn)}, false},
		"pipe":     {near, false},
	} {
		if got := newReadiness(tt.nc) != nil; got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
