package proxy

import (
	"net"
	"sync"
	"testing"

	"golang.org/x/net/nettest"
)

// A wire satisfies the contract of net.Conn after the bytes that arrived with the 101 response.
func TestWireIsANetConn(t *testing.T) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		near, far := net.Pipe()
		w := &wire{Conn: near, late: []byte("late")}
		if _, err := w.Read(make([]byte, 4)); err != nil {
			return nil, nil, nil, err
		}
		return w, far, func() { near.Close(); far.Close() }, nil
	})
}

func TestWireReadsTheLateBytesFirst(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	w := &wire{Conn: near, late: []byte("late")}
	var writing sync.WaitGroup
	defer writing.Wait()
	writing.Go(func() { far.Write([]byte("r")) })
	var got []byte
	for _, size := range []int{3, 3, 3} {
		b := make([]byte, size)
		n, err := w.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, b[:n]...)
	}
	if string(got) != "later" {
		t.Errorf("read %q", got)
	}
}
