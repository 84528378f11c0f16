//go:build unix

package proxy

import (
	"net"
	"testing"
)

// Sockets are read when they are ready, so that silent ones hold no buffer; a connection with its own Read method is read with that
// method.
func TestReadiness(t *testing.T) {
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
			t.Errorf("%s: got readiness %t, want %t", name, got, tt.want)
		}
	}
}
