package freeport

import (
	"net"
	"testing"
)

// The port is free on all addresses for TCP and UDP, as required by a server of HTTP/3.
func TestGet(t *testing.T) {
	port := Get(t)
	l, err := net.Listen("tcp", ":"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.ListenPacket("udp", ":"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if mark, err := net.Listen("unix", name(port)); err == nil {
		mark.Close()
		t.Error("another test may get this port, too")
	}
}
